"""The box-constrained quadratic programme of one stage, solved exactly by pivoting."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxmpc.lq.bounds.pivoting import pivot, preferred_sides
from jaxmpc.lq.riccati.sequential import masked_ldl, masked_solve
from jaxmpc.lq.small_linalg import LDL, matvec

_PIVOTS_PER_CONTROL = 20


class BoxQPSolution(NamedTuple):
    """The minimiser, the side of each control (-1 lower, 0 free, 1 upper), the free factor."""

    u: Float[Array, " m"]
    side: Int[Array, " m"]
    factor: LDL


def box_qp(
    H: Float[Array, "m m"],
    g: Float[Array, " m"],
    lower: Float[Array, " m"],
    upper: Float[Array, " m"],
) -> BoxQPSolution:
    """Minimise  1/2 u'Hu + g'u  over  lower <= u <= upper,  where  lower <= 0 <= upper.

    By block principal pivoting, exact for a positive definite H. An indefinite H is all right
    as long as its free block at the end is definite: `factor.is_positive()` says so.
    """
    if g.shape[0] == 1:
        return _interval_qp(H, g, lower, upper)
    # Which side each control is on is found without derivatives; given the sides, the solution
    # is a differentiable function.
    side = _find_sides(*jax.lax.stop_gradient((H, g, lower, upper)))
    u, factor = _solve_given_sides(H, g, lower, upper, side)
    return BoxQPSolution(jnp.clip(u, lower, upper), side, factor)


def _interval_qp(H, g, lower, upper) -> BoxQPSolution:
    factor = masked_ldl(H, jnp.ones_like(g, bool))
    convex = factor.pivots > 0
    # On a concave interval the better end is the minimiser, if it is finite.
    ends = jnp.stack([lower, upper])
    values = jnp.where(jnp.isfinite(ends), g[None] * ends + 0.5 * H[0, 0] * ends**2, -jnp.inf)
    better = jnp.where(values[0] < values[1], -1, 1)
    newton = -g / factor.pivots
    convex_side = jnp.where(newton <= lower, -1, jnp.where(newton >= upper, 1, 0))
    side = jnp.where(convex, convex_side, better)
    side = jnp.where(lower >= upper, -1, side)
    bound = jnp.where(side < 0, lower, upper)
    bounded = (side != 0) & jnp.isfinite(bound)
    u = jnp.where(bounded, bound, jnp.where(side == 0, newton, 0.0))
    side = jnp.where(bounded, side, 0)
    pivots = jnp.where(bounded, 1.0, factor.pivots)
    return BoxQPSolution(u, side, LDL(factor.L, pivots))


def _solve_given_sides(H, g, lower, upper, side):
    free = side == 0
    # An infinite bound of a free control must not reach the products.
    fixed = jnp.where(side < 0, lower, 0.0) + jnp.where(side > 0, upper, 0.0)
    factor = masked_ldl(H, free)
    newton = -masked_solve(factor, free, (g + matvec(H, fixed))[:, None])[:, 0]
    return jnp.where(free, newton, fixed), factor


def _find_sides(H, g, lower, upper) -> Int[Array, " m"]:
    def preference(side):
        u, _ = _solve_given_sides(H, g, lower, upper, side)
        # Rounding in the gradient must not turn a degenerate control for ever.
        noise = 16 * jnp.finfo(H.dtype).eps * (matvec(jnp.abs(H), jnp.abs(u)) + jnp.abs(g))
        return preferred_sides(side, u, matvec(H, u) + g, noise, lower, upper)

    # Controls at a bound that the gradient pushes them against start there: near a solution of
    # the whole problem that is already the answer.
    side = jnp.where((lower >= 0) & (g > 0), -1, jnp.where((upper <= 0) & (g < 0), 1, 0))
    side = jnp.where(lower >= upper, -1, side)
    return pivot(preference, side, _PIVOTS_PER_CONTROL * g.shape[0])
