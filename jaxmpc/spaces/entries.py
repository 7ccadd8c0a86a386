"""What is known of a space without its functions: its ordinary numbers, and how far a point is."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxmpc.spaces.quaternion import UnitQuaternion
from jaxmpc.spaces.space import Circle, Euclidean, Product


def euclidean_entries(space: Any) -> tuple[list[int], list[int]]:
    """The entries of a point that are ordinary numbers, and the direction that each one has."""
    if isinstance(space, Euclidean):
        return list(range(space.dim)), list(range(space.dim))
    entries, directions = [], []
    if isinstance(space, Product):
        for factor, (i, j) in zip(space.factors, space.starts(), strict=True):
            own = euclidean_entries(factor)
            entries += [i + entry for entry in own[0]]
            directions += [j + direction for direction in own[1]]
    return entries, directions


def distance(space: Any, x: np.ndarray) -> float:
    """How far a point is from its space, in its own numbers; NaN where it has no place there."""
    if isinstance(space, Euclidean | Circle):
        return 0.0
    if isinstance(space, UnitQuaternion):
        length = float(np.linalg.norm(x))
        return abs(length - 1) if length > 0 else float("nan")
    if isinstance(space, Product):
        parts = [
            distance(factor, x[i : i + factor.dim])
            for factor, (i, _) in zip(space.factors, space.starts(), strict=True)
        ]
        return float(np.max(parts))
    x = jnp.asarray(x)
    return float(jnp.max(jnp.abs(x - projected(space, x))))


def projected(space: Any, x: Array) -> Array:
    """The point of the space that a state stands for."""
    return space.retract(x, jnp.zeros_like(x, shape=(space.tangent_dim,)))
