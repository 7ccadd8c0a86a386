"""The box-constrained quadratic programme of one stage, solved exactly by pivoting."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxmpc.lq.riccati import masked_ldl, masked_solve
from jaxmpc.lq.small_linalg import LDL, matvec

_FULL_EXCHANGES = 3  # block exchanges without progress before single pivots take over
_PIVOTS_PER_CONTROL = 20


class BoxQPSolution(NamedTuple):
    """The minimiser, the side of each control (-1 lower, 0 free, 1 upper), the free factor."""

    u: Float[Array, " m"]
    side: Int[Array, " m"]
    factor: LDL


class _Pivoting(NamedTuple):
    side: Int[Array, " m"]
    fewest: Int[Array, ""]
    patience: Int[Array, ""]
    count: Int[Array, ""]
    done: Bool[Array, ""]


def box_qp(
    H: Float[Array, "m m"],
    g: Float[Array, " m"],
    lower: Float[Array, " m"],
    upper: Float[Array, " m"],
) -> BoxQPSolution:
    """Minimise  1/2 u'Hu + g'u  over  lower <= u <= upper,  where  lower <= 0 <= upper.

    Block principal pivoting: every control on the wrong side changes sides at once, as long as
    their number falls; after a few exchanges without progress only the last of them does, which
    ends in finitely many pivots for a positive definite H. An indefinite H is all right as long
    as its free block at the end is definite: `factor.is_positive()` says so.

    Source: Judice and Pires (1994), Computers and Operations Research 21(5).
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
    values = jnp.where(jnp.isfinite(ends), g * ends + 0.5 * H[0, 0] * ends**2, -jnp.inf)
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
    m = g.shape[0]
    equal = lower >= upper

    def target(side):
        """The side that each control would rather be on."""
        u, _ = _solve_given_sides(H, g, lower, upper, side)
        y = matvec(H, u) + g
        # Rounding in y must not turn a degenerate control for ever.
        noise = 16 * jnp.finfo(H.dtype).eps * (matvec(jnp.abs(H), jnp.abs(u)) + jnp.abs(g))
        release = ((side < 0) & (y < -noise)) | ((side > 0) & (y > noise))
        rather = jnp.where(release & ~equal, 0, side)
        leaves = jnp.where(u < lower, -1, jnp.where(u > upper, 1, 0))
        return jnp.where(side == 0, leaves, rather)

    def exchange(state: _Pivoting) -> _Pivoting:
        rather = target(state.side)
        wrong = rather != state.side
        number = jnp.sum(wrong)
        better = number < state.fewest
        patience = jnp.where(better, _FULL_EXCHANGES, state.patience - 1)
        last = jnp.arange(m) == m - 1 - jnp.argmax(wrong[::-1])
        chosen = wrong & ((patience >= 0) | last)
        return _Pivoting(
            side=jnp.where(chosen, rather, state.side),
            fewest=jnp.minimum(number, state.fewest),
            patience=patience,
            count=state.count + 1,
            done=(number == 0) | (state.count >= _PIVOTS_PER_CONTROL * m),
        )

    # Controls at a bound that the gradient pushes them against start there: near a solution of
    # the whole problem that is already the answer.
    side = jnp.where((lower >= 0) & (g > 0), -1, jnp.where((upper <= 0) & (g < 0), 1, 0))
    side = jnp.where(equal, -1, side)
    count = jnp.sum(side) * 0  # integers that vary over a batch as the data does
    start = _Pivoting(side, count + m + 1, count, count, count > 0)
    return jax.lax.while_loop(lambda state: ~state.done, exchange, start).side
