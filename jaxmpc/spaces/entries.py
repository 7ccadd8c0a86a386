"""What is known of a space without its functions: its ordinary numbers, and how far a point is.

Of the spaces here alone: one that is derived from them may have functions of its own.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmpc.spaces.quaternion import UnitQuaternion, multiply
from jaxmpc.spaces.space import Circle, Euclidean, Product

OFF_SPACE = 1e-3  # the farthest from their space that given states may be: rounding
# The farthest that dynamics may lead, which are projected: what a coarse integrator does. (That of
# Runge and Kutta for a body that turns by three radians a step loses six hundredths of its length.)
LEAVES_SPACE = 5e-2


def euclidean_entries(space: Any) -> tuple[list[int], list[int]]:
    """The entries of a point that are ordinary numbers, and the direction that each one has."""
    if type(space) is Euclidean:
        return list(range(space.dim)), list(range(space.dim))
    entries, directions = [], []
    if type(space) is Product:
        for factor, (i, j) in zip(space.factors, space.starts(), strict=True):
            own = euclidean_entries(factor)
            entries += [i + entry for entry in own[0]]
            directions += [j + direction for direction in own[1]]
    return entries, directions


def attitude_directions(space: Any) -> list[int]:
    """The directions that turn an attitude, in radians."""
    if type(space) is Product:
        parts = zip(space.factors, space.starts(), strict=True)
        return [j + direction for f, (_, j) in parts for direction in attitude_directions(f)]
    return list(range(space.tangent_dim)) if type(space) is UnitQuaternion else []


def short_step(space: Any, x: Float[Array, " n"], dx: Float[Array, " k"]) -> Float[Array, " n"]:
    """What `retract` is to second order, from a point on the space: all that an expansion needs.

    The exponential of a quaternion makes an expansion twice as slow as its first terms do.
    """
    if type(space) is Product:
        parts = zip(space.factors, space.starts(), strict=True)
        steps = [short_step(f, x[i : i + f.dim], dx[j : j + f.tangent_dim]) for f, (i, j) in parts]
        return jnp.concatenate(steps)
    if type(space) is UnitQuaternion:
        turn = jnp.concatenate([1 - jnp.sum(dx**2, keepdims=True) / 8, dx / 2])
        return multiply(x, turn)
    return x + dx if type(space) in (Euclidean, Circle) else space.retract(x, dx)


def arrived(space: Any, x: Float[Array, " n"]) -> Float[Array, " n"]:
    """What the dynamics return, as a point that the space's `difference` may be asked about.

    The spaces here know what any numbers stand for; one of somebody's own need but know its points.
    """
    if type(space) is Product:
        parts = zip(space.factors, space.starts(), strict=True)
        return jnp.concatenate([arrived(f, x[i : i + f.dim]) for f, (i, _) in parts])
    return x if type(space) in (Euclidean, Circle, UnitQuaternion) else projected(space, x)


def distance(space: Any, x: Float[Array, " n"]) -> Float[Array, ""]:
    """How far a point is from its space, in its own numbers; NaN where it stands for none there."""
    if type(space) in (Euclidean, Circle):  # any number is an angle
        return jnp.zeros_like(x[0])
    if type(space) is Product:
        parts = zip(space.factors, space.starts(), strict=True)
        return jnp.max(
            jnp.stack([distance(factor, x[i : i + factor.dim]) for factor, (i, _) in parts])
        )
    return jnp.max(jnp.abs(x - projected(space, x)))


def projected(space: Any, x: Float[Array, " n"]) -> Float[Array, " n"]:
    """The point of the space that a state stands for."""
    return space.retract(x, jnp.zeros_like(x, shape=(space.tangent_dim,)))
