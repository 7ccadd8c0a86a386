"""What stays the same during training, and what an epoch does to the rest.

What is compiled is kept for later fits: one with the same loss, optimiser and shapes (another seed,
say) compiles nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from jaxmpc.compilation import compiled
from jaxmpc.learning.losses import Loss
from jaxmpc.learning.training import Batches, Epoch, Learner, batches, epoch, evaluate
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


def _epoch(loss: Loss, static, optimizer, trained, learner: Learner, examples, plan: Batches):
    return epoch(_of_arrays(loss, static), optimizer, trained, learner, examples, plan)


def _evaluate(loss: Loss, static, arrays, examples, plans):
    return evaluate(_of_arrays(loss, static), arrays, examples, plans)


def _first_plans(loss: Loss, static, arrays, examples):
    return loss.first_plans(plain(eqx.combine(arrays, static)), examples)


_epoch_compiled = compiled(_epoch, lambda *_: "an epoch of training", eqx.filter_jit)
_evaluate_compiled = compiled(_evaluate, lambda *_: "an evaluation", eqx.filter_jit)
_first_plans_compiled = compiled(_first_plans, lambda *_: "first plans", eqx.filter_jit)


def _of_arrays(function, static: PyTree):
    """A function of the problem's params as one of their arrays."""
    return lambda arrays, *others: function(plain(eqx.combine(arrays, static)), *others)


class Trainer:
    """Epochs and evaluations for params whose arrays are apart from the `static` leaves."""

    def __init__(
        self,
        loss: Loss,
        static: PyTree,
        masks: Sequence[PyTree],
        optimizer: Any,
        examples: PyTree,
        evaluations: Mapping[str, tuple[Loss, PyTree]],
    ):
        self._static, self._masks, self._optimizer = static, masks, optimizer
        self._loss, self._examples = loss, jax.tree.map(jnp.asarray, examples)
        self._evaluations = {
            name: (judge, jax.tree.map(jnp.asarray, given))
            for name, (judge, given) in evaluations.items()
        }

    def start(self, arrays: PyTree) -> State:
        """Before the first epoch."""
        moments = tuple(self._optimizer.init(eqx.filter(arrays, mask)) for mask in self._masks)
        none = (np.asarray(np.inf), np.asarray(0))
        return self.forget(State(arrays, moments, None, {}, arrays, *none))

    def forget(self, state: State) -> State:
        """The same with all plans as they are before the first visit."""
        params = (self._static, state.params)
        plans = _first_plans_compiled(self._loss, *params, self._examples)
        judged = {
            name: _first_plans_compiled(judge, *params, examples)
            for name, (judge, examples) in self._evaluations.items()
        }
        return state._replace(plans=plans, judged=judged)

    def advance(self, state: State, group: int, key, batch_size: int) -> tuple[State, Epoch]:
        """An epoch of a group's turn."""
        number = jax.tree.leaves(self._examples)[0].shape[0]
        learner = Learner(state.params, state.moments[group], state.plans)
        plan = batches(key, number, batch_size)
        mask = self._masks[group]
        fixed = (self._loss, self._static, self._optimizer, mask)
        learner, entry = _epoch_compiled(*fixed, learner, self._examples, plan)
        moments = list(state.moments)
        moments[group] = learner.moments
        return (
            state._replace(params=learner.params, moments=tuple(moments), plans=learner.plans),
            entry,
        )

    def judge(self, state: State) -> tuple[State, dict[str, np.ndarray], dict[str, np.ndarray]]:
        """The loss on every set for evaluation, and the number of its examples not solved."""
        losses, unsolved, judged = {}, {}, dict(state.judged)
        for name, (judge, examples) in self._evaluations.items():
            given = (judge, self._static, state.params, examples, judged[name])
            loss, missing, judged[name] = _evaluate_compiled(*given)
            losses[name], unsolved[name] = np.asarray(loss), np.asarray(missing)
        return state._replace(judged=judged), losses, unsolved

    def whole(self, arrays: PyTree) -> PyTree:
        """The params that users know."""
        return eqx.combine(arrays, self._static)
