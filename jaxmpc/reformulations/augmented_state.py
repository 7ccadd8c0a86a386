"""Bounds and prices of states and controls that gain entries."""

import jax.numpy as jnp
import numpy as np

from jaxmpc.problem import Problem
from jaxmpc.problem.soft import Soft
from jaxmpc.spaces.space import Euclidean, Product, Space


def extended_bounds(caller: str, bounds, added: int):
    """The `state_bounds` of the longer state; `caller` is who is to blame for what cannot be."""
    if bounds is None:
        return None
    sizes = [np.shape(bound)[-1] for bound in bounds if bound is not None and np.ndim(bound)]
    if not sizes and any(bound is not None for bound in bounds):
        raise ValueError(
            f"{caller}: problem.state_bounds are the scalars {bounds}, which do not tell the "
            "number n of states that they are for; wanted [n] or [T, n]."
        )

    # A scalar must not become a bound of the new entries.
    lower, upper = (
        jnp.broadcast_to(bound, sizes[0]) if bound is not None and np.ndim(bound) == 0 else bound
        for bound in bounds
    )
    return _append(lower, added, -jnp.inf), _append(upper, added, jnp.inf)


def extended_space(space: Space | None, added: int) -> Space | None:
    """The `state_space` of the longer state."""
    return None if space is None else Product(space, Euclidean(added))


def extended_prices(soft, added: int):
    """`Problem.soft` of the longer state."""
    if soft is None or "state_bounds" not in soft:
        return soft
    price = soft["state_bounds"]
    extended = Soft(_append(price.linear, added, jnp.inf), _append(price.quadratic, added, 0.0))
    return {**soft, "state_bounds": extended}


def control_bounds_with_first(problem: Problem, low, high):
    """The control bounds, and those of entries that are free in the first control alone."""
    limits = problem.limits(jnp.result_type(float))
    return tuple(with_first(*pair) for pair in zip(limits, (low, high), strict=True))


def with_first(rows, first):
    """The rows [T, m] beside rows [T, k] that are zero after the first."""
    added = jnp.pad(first.astype(rows.dtype)[None], ((0, len(rows) - 1), (0, 0)))
    return jnp.concatenate([rows, added], axis=1)


def _append(value, added: int, entry: float):
    """[.., n] with more entries; None and scalars as they are."""
    if value is None or np.ndim(value) == 0:
        return value
    value = jnp.asarray(value, jnp.result_type(float))
    return jnp.concatenate([value, jnp.full((*value.shape[:-1], added), entry)], axis=-1)
