"""Two ways to train the network: on prediction error, and end to end through the solver."""

from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
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


class Training(NamedTuple):
    """A loss, and how long and how fast it is lowered."""

    loss: learning.Loss
    rate: float  # at first: it falls to zero along a cosine
    epochs: int
    batch_size: int

    def __call__(self, network: Any, examples: PyTree, held_out: PyTree, seed: int):
        """The network with the lowest loss on held-out examples; these losses, epoch by epoch."""
        batches = -(-len(jax.tree.leaves(examples)[0]) // self.batch_size)
        fit = learning.fit(
            self.loss,
            network,
            examples,
            optimizer=_adam(self.rate, self.epochs * batches),
            epochs=self.epochs,
            batch_size=self.batch_size,
            evaluations={"held out": (self.loss, held_out)},
            seed=seed,
            progress=False,
        )
        return fit.params, fit.history.evaluations["held out"].tolist()


@cache  # the fits of all seeds share what is compiled for one optimiser
def _adam(rate: float, steps: int):
    return optax.adam(optax.cosine_decay_schedule(rate, steps))
