"""Block principal pivoting: which side of its bounds each variable of a convex QP is on."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

_FULL_EXCHANGES = 3  # block exchanges without progress before single pivots take over


class Pivoting(NamedTuple):
    """The side (-1 lower, 0 free, 1 upper) of each variable, and how the search goes."""

    side: Int[Array, "*v"]
    fewest: Int[Array, ""]  # variables that were on the wrong side at once
    patience: Int[Array, ""]


def preferred_sides(
    side: Int[Array, "*v"],
    u: Float[Array, "*v"],
    gradient: Float[Array, "*v"],
    noise: Float[Array, "*v"],
    lower: Float[Array, "*v"],
    upper: Float[Array, "*v"],
) -> Int[Array, "*v"]:
    """The side that each variable would rather be on.

    `u` minimises over the free variables with the others at their bounds. A free variable
    outside of its bounds goes to the one it violates; one at a bound that the gradient pulls
    inside, by more than the rounding `noise` in the gradient, is set free.
    """
    release = ((side < 0) & (gradient < -noise)) | ((side > 0) & (gradient > noise))
    leaves = jnp.where(u < lower, -1, jnp.where(u > upper, 1, 0))
    stays = jnp.where(release & (lower < upper), 0, side)
    return jnp.where(side == 0, leaves, stays)


def start(side: Int[Array, "*v"]) -> Pivoting:
    """Nothing judged yet."""
    none = (
        jnp.sum(side, dtype=side.dtype) * 0
    )  # an integer that varies over a batch as the data does
    return Pivoting(side, none + side.size + 1, none)


def exchange(state: Pivoting, rather: Int[Array, "*v"]) -> Pivoting:
    """Move variables to the side that they would rather be on.

    Every one changes at once, as long as their number falls; after a few exchanges without
    progress only the last of them does, which ends in finitely many pivots for a positive
    definite Hessian.

    Source: Judice and Pires (1994), Computers and Operations Research 21(5).
    """
    wrong = rather != state.side
    number = jnp.sum(wrong, dtype=state.fewest.dtype)
    better = number < state.fewest
    patience = jnp.where(better, _FULL_EXCHANGES, state.patience - 1)
    index = jnp.arange(wrong.size).reshape(wrong.shape)
    last = index == jnp.max(jnp.where(wrong, index, -1))
    chosen = wrong & ((patience >= 0) | last)
    return Pivoting(
        side=jnp.where(chosen, rather, state.side),
        fewest=jnp.minimum(number, state.fewest),
        patience=patience.astype(state.patience.dtype),
    )


def pivot(
    preference: Callable[[Int[Array, "*v"]], Int[Array, "*v"]],
    side: Int[Array, "*v"],
    limit: int,
) -> Int[Array, "*v"]:
    """Exchange sides until every variable is where it would rather be, at most `limit` times."""

    def step(carry):
        state, _, count = carry
        rather = preference(state.side)
        return exchange(state, rather), jnp.all(rather == state.side), count + 1

    first = start(side)
    carry = (first, first.patience > 0, first.patience)
    end = jax.lax.while_loop(lambda carry: ~carry[1] & (carry[2] < limit), step, carry)
    return end[0].side
