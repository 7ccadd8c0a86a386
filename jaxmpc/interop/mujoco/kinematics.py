"""Where bodies, sites and centres of mass are, in JAX: derivatives of any order, any backend."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxmpc.interop.mujoco.engine import MjModel, mujoco
from jaxmpc.spaces.quaternion import multiply, rotate

_JOINT = mujoco.mjtJoint
_FREE, _BALL, _SLIDE = map(int, (_JOINT.mjJNT_FREE, _JOINT.mjJNT_BALL, _JOINT.mjJNT_SLIDE))

Pose = tuple[Float[Array, "3"], Float[Array, "4"]]  # position [m] and attitude in the world
Poses = tuple[Float[Array, "b 3"], Float[Array, "b 4"]]

# q * r as a matrix on r, linear in the numbers of q; conjugated before and after, that of
# r * conj(q).
_LEFT = np.array(
    [
        [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
        [[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 0, -1], [0, 0, 1, 0]],
        [[0, 0, -1, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, -1, 0, 0]],
        [[0, 0, 0, -1], [0, 0, -1, 0], [0, 1, 0, 0], [1, 0, 0, 0]],
    ]
)
_CONJUGATE = np.diag([1.0, -1.0, -1.0, -1.0])
_RIGHT = _CONJUGATE @ _LEFT @ _CONJUGATE
_product = partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)


class _Link(NamedTuple):
    """A motion behind another one: the place of a body on its parent, or a joint."""

    parent: int  # its number in the list
    body: int  # whose place it is; 0 for a joint
    joint: int  # -1 for a place


def body_pose(model: MjModel, body: int, qpos: Float[Array, " q"], fields: Mapping) -> Pose:
    """Of one body, along the joints from the world."""
    positions, attitudes = body_poses(model, [body], qpos, fields)
    return positions[0], attitudes[0]


def body_poses(
    model: MjModel, bodies: Sequence[int], qpos: Float[Array, " q"], fields: Mapping
) -> Poses:
    """Of some bodies, as MuJoCo composes them.

    Every link has its motion on the link before. In each round each takes in the motion of the one
    that it stands on, and stands on what that one stood on: log2(depth) rounds for all bodies, and
    few operations to compile.

    Source: Wyllie (1979), 'The complexity of parallel computations', for jumping to parents.
    """
    links, last = _links(model, bodies)
    parents = np.array([link.parent for link in links])
    motions = _motions(model, links, qpos, fields)
    while parents.any():
        motions = _product("nkij,nkjl->nkil", motions[parents], motions)
        parents = parents[parents]
    of_bodies = motions[np.array([last[body] for body in bodies])]
    return of_bodies[:, 0, 1:, 0], of_bodies[:, 1, :, 0]


def fixed_on(pose: Pose, position: np.ndarray, attitude: np.ndarray | None = None) -> Pose:
    """The pose of something that is fixed on a body."""
    at = pose[0] + rotate(pose[1], jnp.asarray(position, pose[0].dtype))
    if attitude is None:
        return at, pose[1]
    return at, multiply(pose[1], jnp.asarray(attitude, pose[0].dtype))


def center_of_mass(
    model: MjModel, root: int, qpos: Float[Array, " q"], fields: Mapping
) -> Float[Array, "3"]:
    """Of a body and all that hangs on it; where that weighs nothing, the body's own place."""
    bodies = [body for body in range(1, model.nbody) if root in _ancestors(model, body)]
    if "body_mass" not in fields and not model.body_mass[bodies].any():
        return body_pose(model, root, qpos, fields)[0]
    masses = jnp.asarray(fields.get("body_mass", model.body_mass), qpos.dtype)[np.array(bodies)]
    inertial = jnp.asarray(fields.get("body_ipos", model.body_ipos), qpos.dtype)[np.array(bodies)]
    positions, attitudes = body_poses(model, bodies, qpos, fields)
    centers = positions + jax.vmap(rotate)(attitudes, inertial)
    return masses @ centers / jnp.sum(masses)


def _links(model, bodies: Sequence[int]) -> tuple[list[_Link], dict[int, int]]:
    """Those from the world to the bodies, parents first, and the last link of each body."""
    needed = set().union(*(_ancestors(model, int(body)) for body in bodies))
    links, last = [_Link(0, 0, -1)], {0: 0}  # the world stands on itself
    for body in sorted(needed - {0}):
        first, count = model.body_jntadr[body], model.body_jntnum[body]
        at = last[int(model.body_parentid[body])]
        if count and model.jnt_type[first] == _FREE:
            links.append(_Link(0, 0, first))
        else:
            for joint in (-1, *range(first, first + count)):
                links.append(_Link(at, body if joint < 0 else 0, joint))
                at = len(links) - 1
        last[body] = len(links) - 1
    return links, last


def _motions(model, links: list[_Link], qpos, fields) -> Float[Array, "n 2 4 4"]:
    """Of every link on its parent, as two matrices that are multiplied when one follows another.

    The first acts on (1, place), the second, of the attitude alone, on quaternions.
    """
    count, dtype = len(links), qpos.dtype
    before, quat = np.zeros((count, 3)), np.tile(np.eye(4)[0], (count, 1))
    slides, turns, address = np.zeros((count, 3)), np.zeros((count, 3)), np.zeros(count, int)
    balls, frees = [], []
    for number, (_, body, joint) in enumerate(links):
        if joint < 0:
            before[number], quat[number] = model.body_pos[body], model.body_quat[body]
            continue
        kind, address[number] = model.jnt_type[joint], model.jnt_qposadr[joint]
        if kind == _FREE:
            frees.append(number)
        elif kind == _BALL:
            balls.append(number)
            before[number] = model.jnt_pos[joint]
        elif kind == _SLIDE:
            slides[number] = model.jnt_axis[joint]
        else:
            turns[number], before[number] = model.jnt_axis[joint], model.jnt_pos[joint]
    after = np.where((np.array([link.joint for link in links]) < 0)[:, None], 0.0, -before)
    turning = (turns != 0).any(axis=1, keepdims=True)
    fixed = np.einsum("nq,qij->nij", quat, _LEFT)
    before, fixed, slides, turns, after = (
        jnp.asarray(part, dtype) for part in (before, fixed, slides, turns, after)
    )
    if "body_pos" in fields:
        bodies = np.array([link.body for link in links])
        places = np.flatnonzero(bodies)
        before = before.at[places].set(fields["body_pos"][bodies[places]])
    moved = (qpos - jnp.asarray(model.qpos0, dtype))[address][:, None]
    half = 0.5 * jnp.where(turning, moved, 0.0)
    turned = jnp.concatenate([jnp.cos(half), turns * jnp.sin(half)], axis=1)
    attitudes = _product("nij,nj->ni", fixed, turned)
    for number in balls:
        attitudes = attitudes.at[number].set(qpos[address[number] : address[number] + 4])
    for number in frees:
        start = address[number]
        before = before.at[number].set(qpos[start : start + 3])
        attitudes = attitudes.at[number].set(qpos[start + 3 : start + 7])
    # What a joint turns about stays in place: there, turn, and back.
    return _matrices(before, attitudes, slides * moved + after)


def _matrices(
    before: Float[Array, "n 3"], attitudes: Float[Array, "n 4"], after: Float[Array, "n 3"]
) -> Float[Array, "n 2 4 4"]:
    """Of motions by `before`, then a turn, then by `after` in the turned frame."""
    dtype = attitudes.dtype
    left = _product("nq,qij->nij", attitudes, jnp.asarray(_LEFT, dtype))
    right = _product("nq,qij->nij", attitudes, jnp.asarray(_RIGHT, dtype))
    turned = _product("nij,njk->nik", left, right)[:, 1:, 1:]
    place = before + _product("nij,nj->ni", turned, after)
    ones = jnp.zeros_like(turned[:, :1, :1]) + 1
    top = jnp.concatenate([ones, jnp.zeros_like(turned[:, :1])], axis=2)
    below = jnp.concatenate([place[:, :, None], turned], axis=2)
    return jnp.stack([jnp.concatenate([top, below], axis=1), left], axis=1)


def _ancestors(model, body: int) -> set[int]:
    found = {body}
    while body:
        body = int(model.body_parentid[body])
        found.add(body)
    return found
