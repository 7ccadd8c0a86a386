"""What stays the same during training, compiled once; and what an epoch does to the rest."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from jaxmpc.learning.losses import Loss
from jaxmpc.learning.training import Epoch, Learner, batches, epoch, evaluate
from jaxmpc.learning.transforms import plain


class State(NamedTuple):
    """All that changes, and that a checkpoint keeps."""

    params: PyTree  # arrays alone
    moments: tuple  # the optimiser's state, for each group of parameters
    plans: PyTree  # of the examples
    judged: dict[str, PyTree]  # plans of the sets for evaluation
    best: PyTree
    best_loss: np.ndarray
    best_epoch: np.ndarray


class Trainer:
    """Compiled epochs and evaluations for params whose arrays are apart from the `rest`."""

    def __init__(
        self,
        loss: Loss,
        rest: PyTree,
        masks: Sequence[PyTree],
        optimizer: Any,
        examples: PyTree,
        evaluations: Mapping[str, tuple[Loss, PyTree]],
    ):
        self._rest, self._masks, self._optimizer = rest, masks, optimizer
        self._loss, self._examples = loss, jax.tree.map(jnp.asarray, examples)
        self._evaluations = evaluations
        whole = self._of_arrays
        self._epochs = [jax.jit(partial(epoch, whole(loss), optimizer, mask)) for mask in masks]
        self._judges = {
            name: jax.jit(partial(evaluate, whole(judge)))
            for name, (judge, _) in evaluations.items()
        }

    def start(self, arrays: PyTree) -> State:
        """Before the first epoch."""
        moments = tuple(self._optimizer.init(eqx.filter(arrays, mask)) for mask in self._masks)
        none = (np.asarray(np.inf), np.asarray(0))
        return self.forget(State(arrays, moments, None, {}, arrays, *none))

    def forget(self, state: State) -> State:
        """The same with all plans as they are before the first visit."""
        plans = self._of_arrays(self._loss.first_plans)(state.params, self._examples)
        judged = {
            name: self._of_arrays(judge.first_plans)(state.params, examples)
            for name, (judge, examples) in self._evaluations.items()
        }
        return state._replace(plans=plans, judged=judged)

    def advance(self, state: State, group: int, key, batch_size: int) -> tuple[State, Epoch]:
        """An epoch of a group's turn."""
        number = jax.tree.leaves(self._examples)[0].shape[0]
        learner = Learner(state.params, state.moments[group], state.plans)
        plan = batches(key, number, batch_size)
        learner, entry = self._epochs[group](learner, self._examples, plan)
        moments = list(state.moments)
        moments[group] = learner.moments
        return (
            state._replace(params=learner.params, moments=tuple(moments), plans=learner.plans),
            entry,
        )

    def judge(self, state: State) -> tuple[State, dict[str, np.ndarray], dict[str, np.ndarray]]:
        """The loss on every set for evaluation, and the number of its examples not solved."""
        losses, unsolved, judged = {}, {}, dict(state.judged)
        for name, judge in self._judges.items():
            examples = self._evaluations[name][1]
            loss, missing, judged[name] = judge(state.params, examples, judged[name])
            losses[name], unsolved[name] = np.asarray(loss), np.asarray(missing)
        return state._replace(judged=judged), losses, unsolved

    def whole(self, arrays: PyTree) -> PyTree:
        """The params that users know."""
        return eqx.combine(arrays, self._rest)

    def _of_arrays(self, function):
        """A function of the problem's params as one of the arrays."""
        return lambda arrays, *others: function(plain(self.whole(arrays)), *others)
