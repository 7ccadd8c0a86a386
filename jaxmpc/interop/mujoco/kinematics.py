"""Where bodies, sites and centres of mass are, in JAX: derivatives of any order, any backend."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxmpc.interop.mujoco.engine import MjModel, mujoco
from jaxmpc.spaces.quaternion import exponential, multiply, rotate

_JOINT = mujoco.mjtJoint
_FREE, _BALL, _SLIDE = map(int, (_JOINT.mjJNT_FREE, _JOINT.mjJNT_BALL, _JOINT.mjJNT_SLIDE))

Pose = tuple[Float[Array, "3"], Float[Array, "4"]]  # position [m] and attitude in the world


def body_pose(model: MjModel, body: int, qpos: Float[Array, " q"], fields: Mapping) -> Pose:
    """Along the joints from the world to the body, as MuJoCo composes them."""
    chain = []
    while body:
        chain.append(body)
        body = int(model.body_parentid[body])
    pose = jnp.zeros(3, qpos.dtype), jnp.zeros(4, qpos.dtype).at[0].set(1.0)
    for link in reversed(chain):
        pose = _through(model, link, pose, qpos, fields)
    return pose


def _through(model, body: int, pose: Pose, qpos, fields) -> Pose:
    first, count = model.body_jntadr[body], model.body_jntnum[body]
    joints = range(first, first + count)
    if count and model.jnt_type[first] == _FREE:
        start = model.jnt_qposadr[first]
        return qpos[start : start + 3], qpos[start + 3 : start + 7]
    position, attitude = pose
    offset = fields.get("body_pos", model.body_pos)[body]
    position = position + rotate(attitude, jnp.asarray(offset, qpos.dtype))
    attitude = multiply(attitude, jnp.asarray(model.body_quat[body], qpos.dtype))
    for joint in joints:
        position, attitude = _moved(model, joint, (position, attitude), qpos)
    return position, attitude


def _moved(model, joint: int, pose: Pose, qpos) -> Pose:
    position, attitude = pose
    start = model.jnt_qposadr[joint]
    axis = jnp.asarray(model.jnt_axis[joint], qpos.dtype)
    kind = model.jnt_type[joint]
    if kind == _SLIDE:
        moved = qpos[start] - model.qpos0[start]
        return position + rotate(attitude, axis) * moved, attitude
    if kind == _BALL:
        turn = qpos[start : start + 4]
    else:
        turn = exponential(axis * (qpos[start] - model.qpos0[start]))
    at = jnp.asarray(model.jnt_pos[joint], qpos.dtype)  # where it turns about stays in place
    anchor = position + rotate(attitude, at)
    attitude = multiply(attitude, turn)
    return anchor - rotate(attitude, at), attitude


def fixed_on(pose: Pose, position: np.ndarray, attitude: np.ndarray | None = None) -> Pose:
    """The pose of something that is fixed on a body."""
    at = pose[0] + rotate(pose[1], jnp.asarray(position, pose[0].dtype))
    if attitude is None:
        return at, pose[1]
    return at, multiply(pose[1], jnp.asarray(attitude, pose[0].dtype))


def center_of_mass(
    model: MjModel, root: int, qpos: Float[Array, " q"], fields: Mapping
) -> Float[Array, "3"]:
    """Of a body and all that hangs on it."""
    masses = fields.get("body_mass", model.body_mass)
    inertial = fields.get("body_ipos", model.body_ipos)
    total, weighted = 0.0, jnp.zeros(3, qpos.dtype)
    for body in range(1, model.nbody):
        if root not in _ancestors(model, body):
            continue
        pose = body_pose(model, body, qpos, fields)
        weighted = weighted + masses[body] * fixed_on(pose, inertial[body])[0]
        total = total + masses[body]
    return weighted / total


def _ancestors(model, body: int) -> set[int]:
    found = {body}
    while body:
        body = int(model.body_parentid[body])
        found.add(body)
    return found
