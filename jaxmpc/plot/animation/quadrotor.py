"""The quadrotor in space: two arms, four rotors, a mast that points up, its shadow on the floor."""

import numpy as np

from jaxmpc import models
from jaxmpc.plot.animation.actor import Actor, Look, shares
from jaxmpc.plot.animation.drawing import trace
from jaxmpc.plot.axes import GREY, LOUD, QUIET
from jaxmpc.plot.solid import solid_view

_LEAST = 0.1  # of the extent of the flight: a smaller body is drawn larger than it is
_HUBS = np.array([[1.0, 0, 0], [0, 1.0, 0], [-1.0, 0, 0], [0, -1.0, 0]])  # rotors 1 to 4
_RING = np.linspace(0, 2 * np.pi, 21)


def _pose(states, p) -> np.ndarray:
    """Position and quaternion, whose sign does not change on the way, and the arm's length."""
    q = np.array(states[..., 3:7])
    turns = np.sum(q[..., 1:, :] * q[..., :-1, :], axis=-1, keepdims=True) < 0
    q[..., 1:, :] *= np.cumprod(np.where(turns, -1.0, 1.0), axis=-2)
    extent = float(np.max(np.ptp(states[..., :3].reshape(-1, 3), axis=0)))
    arm = np.full((*q.shape[:-1], 1), max(float(p["arm_length"]), _LEAST * extent))
    return np.concatenate([states[..., :3], q, arm], axis=-1)


def _view(axis, pose, p):
    solid_view(axis, pose[..., :3], 1.5 * float(pose[..., -1].max()))


def _turned(points: np.ndarray, quaternion: np.ndarray) -> np.ndarray:
    """Points [k, 3] from the body to the world."""
    w, axis = quaternion[0], quaternion[1:]
    scale = quaternion @ quaternion
    twice = 2 * np.cross(axis, points) / scale
    return points + w * twice + np.cross(axis, twice)


def _body(axis, pose, controls, p, look: Look):
    arm = float(pose[0, -1])
    lift = 1.5 * arm * shares(controls, len(pose), 4)
    thick = 1.0 if look.loud else 0.5
    paint = {"alpha": look.alpha}
    arms = [axis.plot([], [], [], color=QUIET, lw=4 * thick, **paint)[0] for _ in range(2)]
    colors = (LOUD, "black", "black", "black")  # rotor 1 is the front
    rings = [axis.plot([], [], [], color=c, lw=2 * thick, **paint)[0] for c in colors]
    thrusts = [axis.plot([], [], [], color=GREY, lw=2 * thick, **paint)[0] for _ in colors]
    (mast,) = axis.plot([], [], [], color=LOUD, lw=2 * thick, **paint)
    floor = axis.get_zlim()[0]
    (shadow,) = axis.plot([], [], [], "o", color="0.7", ms=5 * thick, **paint)
    path = trace(axis, pose[:, :3], look)
    circle = 0.42 * arm * np.stack([np.cos(_RING), np.sin(_RING), 0 * _RING], axis=1)

    def draw(frame: int) -> tuple:
        place, q = pose[frame, :3], pose[frame, 3:7]
        hubs = place + _turned(arm * _HUBS, q)
        for line, ends in zip(arms, (hubs[[0, 2]], hubs[[1, 3]]), strict=True):
            line.set_data_3d(*ends.T)
        around, (up,) = _turned(circle, q), _turned(np.array([[0.0, 0, 1]]), q)
        for ring, thrust, hub, high in zip(rings, thrusts, hubs, lift[frame], strict=True):
            ring.set_data_3d(*(hub + around).T)
            thrust.set_data_3d(*np.stack([hub, hub + high * up], axis=1))
        mast.set_data_3d(*np.stack([place, place + 0.6 * arm * up], axis=1))
        shadow.set_data_3d(place[:1], place[1:2], [floor])
        return (*arms, *rings, *thrusts, mast, shadow, *path(frame))

    return draw


ACTOR = Actor(13, models.QUADROTOR, _pose, _view, _body, solid=True)
