"""The state of a model, x = [qpos, qvel, act]: its space, its bounds, where it starts."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxmpc.checks import check_type
from jaxmpc.interop.mujoco.engine import MjModel, mujoco
from jaxmpc.spaces import Euclidean, Product, Space, UnitQuaternion

_FREE = int(mujoco.mjtJoint.mjJNT_FREE)
_NUMBERS = int(mujoco.mjtJoint.mjJNT_HINGE), int(mujoco.mjtJoint.mjJNT_SLIDE)


def state_space(model: MjModel) -> Space | None:
    """The space of x; None where every joint is a hinge or a slide, so that x is plain numbers.

    MuJoCo counts the turns of a hinge: its angle is a plain number. Velocities of ball and free
    joints turn in the frame of the body, as the steps of `UnitQuaternion` do.
    """
    if all(kind in _NUMBERS for kind in model.jnt_type):
        return None
    factors: list[Space] = []
    plain = 0

    def close():
        if plain:
            factors.append(Euclidean(plain))

    for kind in model.jnt_type:
        if kind in _NUMBERS:
            plain += 1
            continue
        if kind == _FREE:
            plain += 3
        close()
        plain = 0
        factors.append(UnitQuaternion())
    plain += model.nv + model.na
    close()
    return Product(*factors)


def attitudes(model: MjModel) -> list[tuple[int, int]]:
    """Where the quaternions begin in qpos, and the angular velocities that turn them in qvel."""
    places = []
    for kind, q, v in zip(model.jnt_type, model.jnt_qposadr, model.jnt_dofadr, strict=True):
        if kind not in _NUMBERS:
            ahead = 3 if kind == _FREE else 0
            places.append((int(q) + ahead, int(v) + ahead))
    return places


def state_bounds(model: MjModel) -> tuple[Array, Array] | None:
    """The ranges of hinges and slides, and of activations; None where nothing is limited.

    The model itself pushes back at its limits, softly: these are for those who want to plan within
    them. The range of a ball joint is an angle, no range of numbers of x, and is left out.
    """
    lower = np.full(model.nq + model.nv + model.na, -np.inf)
    upper = -lower
    for joint in range(model.njnt):
        if model.jnt_limited[joint] and model.jnt_type[joint] in _NUMBERS:
            place = model.jnt_qposadr[joint]
            lower[place], upper[place] = model.jnt_range[joint]
    for actuator in range(len(model.actuator_actlimited)):
        if model.actuator_actlimited[actuator]:
            last = model.actuator_actadr[actuator] + model.actuator_actnum[actuator] - 1
            place = model.nq + model.nv + last
            lower[place], upper[place] = model.actuator_actrange[actuator]
    if not (np.isfinite(lower) | np.isfinite(upper)).any():
        return None
    return jnp.asarray(lower), jnp.asarray(upper)


def control_bounds(model: MjModel) -> tuple[Array, Array] | None:
    """The actuators' control ranges; None where none is limited."""
    limited = model.actuator_ctrllimited.astype(bool)
    if not limited.any():
        return None
    lower = np.where(limited, model.actuator_ctrlrange[:, 0], -np.inf)
    upper = np.where(limited, model.actuator_ctrlrange[:, 1], np.inf)
    return jnp.asarray(lower), jnp.asarray(upper)


def initial_state(model: MjModel, keyframe: str | None) -> Float[Array, " n"]:
    """The model's reference pose at rest, or one of its keyframes."""
    check_type("robot", "keyframe", keyframe, str | None)
    if keyframe is None:
        return jnp.asarray(np.concatenate([model.qpos0, np.zeros(model.nv + model.na)]))
    number = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_KEY, keyframe)
    if number < 0:
        known = [model.key(i).name for i in range(model.nkey)]
        raise ValueError(f"robot: there is no keyframe {keyframe!r}; the model has {known}.")
    parts = model.key_qpos, model.key_qvel, model.key_act
    return jnp.asarray(np.concatenate([part[number] for part in parts]))
