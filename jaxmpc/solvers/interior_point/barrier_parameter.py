"""How the barrier parameter falls."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmpc.solvers.multiple_shooting.merit import Optimality

START_MU, _SHRINK, _POWER, _SUBPROBLEM = 0.1, 0.2, 1.5, 10.0


def lowered(mu, measured: Optimality, least, wanted, still) -> Float[Array, ""]:
    """The barrier parameter, lowered as often as the barrier problem counts as solved.

    Below what is `wanted` of the residual it is solved when it meets that: there it goes on only
    for sharper complementarity, which rounding may not grant. Where the iterate stands `still`,
    rounding grants no smaller residual, and it is lowered once.
    """
    for attempt in range(4):
        error = measured.residuals(mu, jnp.ones_like(mu)).largest()
        lower = jnp.maximum(least, jnp.minimum(_SHRINK * mu, mu**_POWER))
        enough = _SUBPROBLEM * mu
        enough = jnp.where(mu > wanted, enough, jnp.minimum(enough, wanted))
        solved = error <= enough
        if attempt == 0:
            solved |= still & (mu > wanted)
        mu = jnp.where(solved, lower, mu)
    return mu
