"""Several losses as one."""

from functools import reduce

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import PyTree

from jaxmpc.learning.losses import Loss, Outcome


class WeightedSum(eqx.Module):
    """Several losses at once: imitation, say, with a little prediction that keeps the model true.

    Examples are a tuple: those of each loss, as many of each. One is solved where all losses say
    so.

    Attributes:
        losses: any `Loss`es.
        weights: one for each.

    Example:
        >>> near = jaxmpc.learning.PerExample(lambda p, example: (p - example) ** 2)
        >>> small = jaxmpc.learning.PerExample(lambda p, example: p**2 + 0 * example)
        >>> loss = jaxmpc.learning.WeightedSum((near, small), (1.0, 0.1))
        >>> given = jnp.array([1.0, 3.0])
        >>> print(loss(2.0, (given, given), (None, None)).losses)
        [1.4 1.4]
    """

    losses: tuple[Loss, ...]
    weights: tuple[float, ...]

    def __check_init__(self):
        if len(self.losses) != len(self.weights):
            raise ValueError(
                f"learning.WeightedSum: weights must be one for each of {len(self.losses)} losses, "
                f"got {len(self.weights)}."
            )

    def __call__(self, params: PyTree, examples: tuple, plans: tuple) -> Outcome:
        """Each on its own examples, with its own plans."""
        given = zip(self.losses, examples, plans, strict=True)
        outcomes = [loss(params, own, plan) for loss, own, plan in given]
        pairs = zip(self.weights, outcomes, strict=True)
        return Outcome(
            reduce(jnp.add, [weight * outcome.losses for weight, outcome in pairs]),
            reduce(jnp.logical_and, [outcome.solved for outcome in outcomes]),
            tuple(outcome.plans for outcome in outcomes),
        )

    def first_plans(self, params: PyTree, examples: tuple) -> tuple:
        """Those of each."""
        if not isinstance(examples, tuple) or len(examples) != len(self.losses):
            number = f"of {len(examples)}" if isinstance(examples, tuple) else ""
            raise ValueError(
                f"learning.WeightedSum: examples must be a tuple of {len(self.losses)}, those of "
                f"each loss, got {type(examples).__name__} {number}".rstrip()
                + "."
            )
        given = zip(self.losses, examples, strict=True)
        return tuple(loss.first_plans(params, own) for loss, own in given)
