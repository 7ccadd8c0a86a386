"""Block principal pivoting: which side of its bounds each variable of a convex QP is on."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

_FULL_EXCHANGES = 3  # block exchanges without progress before single pivots take over


class _Pivoting(NamedTuple):
    side: Int[Array, "*v"]
    fewest: Int[Array, ""]
    patience: Int[Array, ""]
    count: Int[Array, ""]
    done: Bool[Array, ""]


def preferred_sides(
    side: Int[Array, "*v"],
    u: Float[Array, "*v"],
    gradient: Float[Array, "*v"],
    noise: Float[Array, "*v"],
    lower: Float[Array, "*v"],
    upper: Float[Array, "*v"],
) -> Int[Array, "*v"]:
    """The side (-1 lower, 0 free, 1 upper) that each variable would rather be on.

    `u` minimises over the free variables with the others at their bounds. A free variable
    outside of its bounds goes to the one it violates; one at a bound that the gradient pulls
    inside, by more than the rounding `noise` in the gradient, is set free.
    """
    release = ((side < 0) & (gradient < -noise)) | ((side > 0) & (gradient > noise))
    leaves = jnp.where(u < lower, -1, jnp.where(u > upper, 1, 0))
    stays = jnp.where(release & (lower < upper), 0, side)
    return jnp.where(side == 0, leaves, stays)


def pivot(
    preference: Callable[[Int[Array, "*v"]], Int[Array, "*v"]],
    side: Int[Array, "*v"],
    limit: int,
) -> Int[Array, "*v"]:
    """Exchange sides until every variable is where it would rather be.

    Every variable on the wrong side changes at once, as long as their number falls; after a few
    exchanges without progress only the last of them does, which ends in finitely many pivots
    for a positive definite Hessian. At most `limit` evaluations of `preference`.

    Source: Judice and Pires (1994), Computers and Operations Research 21(5).
    """
    index = jnp.arange(side.size).reshape(side.shape)

    def exchange(state: _Pivoting) -> _Pivoting:
        rather = preference(state.side)
        wrong = rather != state.side
        number = jnp.sum(wrong)
        better = number < state.fewest
        patience = jnp.where(better, _FULL_EXCHANGES, state.patience - 1)
        last = index == jnp.max(jnp.where(wrong, index, -1))
        chosen = wrong & ((patience >= 0) | last)
        return _Pivoting(
            side=jnp.where(chosen, rather, state.side),
            fewest=jnp.minimum(number, state.fewest),
            patience=patience,
            count=state.count + 1,
            done=(number == 0) | (state.count + 1 >= limit),
        )

    count = jnp.sum(side) * 0  # integers that vary over a batch as the data does
    start = _Pivoting(side, count + side.size + 1, count, count, count > 0)
    return jax.lax.while_loop(lambda state: ~state.done, exchange, start).side
