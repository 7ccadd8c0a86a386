"""Signed distances between two shapes, as formulas: for obstacles and for contact."""

import itertools
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxmpc.interop.mujoco.engine import MjModel, mujoco
from jaxmpc.interop.mujoco.kinematics import Pose
from jaxmpc.spaces.quaternion import conjugate, rotate

_GEOM = mujoco.mjtGeom
_SPHERE, _CAPSULE = int(_GEOM.mjGEOM_SPHERE), int(_GEOM.mjGEOM_CAPSULE)
_BOX, _PLANE = int(_GEOM.mjGEOM_BOX), int(_GEOM.mjGEOM_PLANE)
_ORDER = [_SPHERE, _CAPSULE, _BOX, _PLANE]  # of a pair, the one that stands here first is first

Shape = tuple[np.ndarray, Pose]  # MuJoCo's sizes, and where it is


def distance_of(first: int, second: int) -> tuple[Callable[[Shape, Shape], Array], bool]:
    """The formula for two of MuJoCo's kinds of geoms, and whether it wants them the other way.

    Negative where they overlap, and smooth but where the nearest points jump.
    """
    swapped = {first, second} <= set(_ORDER) and _ORDER.index(first) > _ORDER.index(second)
    pair = (second, first) if swapped else (first, second)
    if pair not in _FORMULAS:
        names = [_GEOM(kind).name.removeprefix("mjGEOM_").lower() for kind in pair]
        raise NotImplementedError(
            f"distance: there is no formula for {names[0]} and {names[1]}; there is for spheres "
            "and capsules with each other, a sphere with a box, and any of these with a plane."
        )
    return _FORMULAS[pair], swapped


def sizes(model: MjModel, geom: int) -> np.ndarray:
    """MuJoCo's, but for those that a sphere has inherited and no use for."""
    used = 1 if model.geom_type[geom] == _SPHERE else 3
    return np.where(np.arange(3) < used, model.geom_size[geom], 0.0)


def _between_round(first: Shape, second: Shape) -> Float[Array, ""]:
    gap = _between_segments(*_ends(first), *_ends(second))
    return gap - first[0][0] - second[0][0]


def _from_plane(points: Float[Array, "k 3"], plane: Shape) -> Float[Array, ""]:
    position, attitude = plane[1]
    return jnp.min((points - position[None]) @ rotate(attitude, _up(position)))


def _round_to_plane(shape: Shape, plane: Shape) -> Float[Array, ""]:
    return _from_plane(jnp.stack(_ends(shape)), plane) - shape[0][0]


def _box_to_plane(box: Shape, plane: Shape) -> Float[Array, ""]:
    position, attitude = box[1]
    signs = np.array(list(itertools.product((-1, 1), repeat=3)))
    corners = [position + rotate(attitude, jnp.asarray(sign * box[0])) for sign in signs]
    return _from_plane(jnp.stack(corners), plane)


def _sphere_to_box(sphere: Shape, box: Shape) -> Float[Array, ""]:
    position, attitude = box[1]
    beyond = jnp.abs(rotate(conjugate(attitude), sphere[1][0] - position)) - box[0]
    outside = jnp.sum(jnp.maximum(beyond, 0.0) ** 2)
    away = jnp.sqrt(jnp.where(outside > 0, outside, 1.0))
    return jnp.where(outside > 0, away, jnp.max(beyond)) - sphere[0][0]


_FORMULAS = {
    (_SPHERE, _SPHERE): _between_round,
    (_SPHERE, _CAPSULE): _between_round,
    (_CAPSULE, _CAPSULE): _between_round,
    (_SPHERE, _BOX): _sphere_to_box,
    (_SPHERE, _PLANE): _round_to_plane,
    (_CAPSULE, _PLANE): _round_to_plane,
    (_BOX, _PLANE): _box_to_plane,
}


def _ends(shape: Shape) -> tuple[Float[Array, "3"], Float[Array, "3"]]:
    """Of the segment that is at the radius everywhere: both in the centre for a sphere."""
    (_, half, _), (position, attitude) = shape
    along = half * rotate(attitude, _up(position))
    return position - along, position + along


def _up(like: Array) -> Float[Array, "3"]:
    return jnp.zeros_like(like).at[2].set(1.0)


def _between_segments(a, b, c, d) -> Float[Array, ""]:
    """Ericson (2004), 'Real-time collision detection', 5.1.9; segments may be points."""
    along, other, gap = b - a, d - c, a - c
    aa, bb, ab = along @ along, other @ other, along @ other
    ag, bg = along @ gap, other @ gap
    spread = aa * bb - ab**2
    slanted = spread > 1e-9 * aa * bb  # else they are parallel, or one is a point
    s = jnp.clip((ab * bg - ag * bb) / jnp.where(slanted, spread, 1.0), 0.0, 1.0)
    s = jnp.where(slanted, s, 0.0)
    t = jnp.clip((ab * s + bg) / jnp.where(bb > 0, bb, 1.0), 0.0, 1.0)
    s = jnp.clip((ab * t - ag) / jnp.where(aa > 0, aa, 1.0), 0.0, 1.0)
    apart = gap + s * along - t * other
    square = jnp.sum(apart**2)
    return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1.0)), 0.0)
