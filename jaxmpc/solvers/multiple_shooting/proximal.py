"""The proximal term, which makes a model convex and its minimiser close."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmpc.lq.problem import LQProblem
from jaxmpc.solvers.multiple_shooting.iterate import Units


def with_proximal(
    model: LQProblem, units: Units, weight: Float[Array, ""], share_of_states: float = 1.0
) -> LQProblem:
    """A model with weight / 2 times the squared length of states and controls, in their units."""
    on_states, on_controls = share_of_states * weight / units.states**2, weight / units.controls**2
    return model._replace(
        Q=model.Q + jnp.diag(on_states[0])[None], R=model.R + jnp.diag(on_controls[0])[None]
    )
