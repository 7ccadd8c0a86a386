"""Two ways to train the network: on prediction error, and end to end through the solver."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import PyTree

from bench.wind.controller import HORIZON, MODELLED, SOLVER
from bench.wind.disturbance import Network, learned
from bench.wind.situations import prediction_error
from jaxmpc import learning

# Only the first control of a plan is flown, so that nothing else is imitated.
_FIRST = jnp.zeros((HORIZON, 1)).at[0].set(float(HORIZON))


def _params_of(network: Network, known: PyTree) -> PyTree:
    return {"reference": known["reference"], **network(known["history"])}


PREDICTION = learning.PerExample(partial(prediction_error, learned))
END_TO_END = learning.Imitation(
    MODELLED, on_controls=_FIRST, params_of=_params_of, solver=SOLVER, from_examples=True
)


class Trainer:
    """`learning.fit` without its options, compiled once for all seeds."""

    def __init__(self, loss: learning.Loss, rate: float, epochs: int, batch_size: int):
        self._loss, self._rate, self._epochs, self._size = loss, rate, epochs, batch_size
        self._advance: Any = None
        self._judge = jax.jit(partial(learning.evaluate, loss))

    def __call__(self, network: Any, examples: PyTree, held_out: PyTree, seed: int):
        """The network with the lowest loss on held-out examples; these losses, from the start."""
        number = len(jax.tree.leaves(examples)[0])
        optimizer = optax.adam(self._schedule(number))
        if self._advance is None:
            self._advance = jax.jit(partial(learning.epoch, self._loss, optimizer, True))
        learner = learning.Learner(
            network, optimizer.init(network), self._loss.first_plans(network, examples)
        )
        plans = self._loss.first_plans(network, held_out)
        best, losses = network, []
        for epoch in range(self._epochs + 1):
            loss, _, plans = self._judge(learner.params, held_out, plans)
            best = learner.params if not losses or loss < min(losses) else best
            losses.append(float(loss))
            if epoch < self._epochs:
                key = jax.random.fold_in(jax.random.key(seed), epoch)
                batches = learning.batches(key, number, self._size)
                learner, entry = self._advance(learner, examples, batches)
                assert np.isfinite(entry.loss), "no example was solved"
        return best, losses

    def _schedule(self, number: int):
        """To zero along a cosine."""
        return optax.cosine_decay_schedule(self._rate, self._epochs * -(-number // self._size))
