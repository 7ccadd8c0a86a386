"""The acrobot: two links that hang from a pivot, and a motor between them."""

import numpy as np

from jaxmpc import models
from jaxmpc.plot.animation.actor import Actor, Look, shares, unwrapped
from jaxmpc.plot.animation.drawing import flat, torque, trace
from jaxmpc.plot.axes import GREY, LOUD, QUIET


def _pose(states, p) -> np.ndarray:
    return unwrapped(states, 0, 1)[..., :2]


def _lengths(p) -> tuple[float, float]:
    return float(p["length1"]), float(p["length2"])


def _view(axis, pose, p):
    reach = sum(_lengths(p))
    flat(axis, [-reach, reach], [-reach, reach], 0.15 * reach)
    axis.plot(0, 0, "o", color=GREY, ms=7, zorder=4)


def _body(axis, pose, controls, p, look: Look):
    first, second = pose[:, 0], pose[:, 0] + pose[:, 1]  # from the horizontal
    upper, lower = _lengths(p)
    elbow = upper * np.stack([np.cos(first), np.sin(first)], axis=1)
    tip = elbow + lower * np.stack([np.cos(second), np.sin(second)], axis=1)
    push = shares(controls, len(pose), 1)[:, 0]
    thick = 1.0 if look.loud else 0.5
    paint = {"alpha": look.alpha, "solid_capstyle": "round"}
    (link1,) = axis.plot([], [], color=QUIET, lw=6 * thick, **paint)
    (link2,) = axis.plot([], [], color=LOUD, lw=5 * thick, **paint)
    (joint,) = axis.plot([], [], "o", color="black", ms=6 * thick, alpha=look.alpha, zorder=4)
    path, turn = trace(axis, tip, look), torque(axis, 0.3 * min(upper, lower), look)

    def draw(frame: int) -> tuple:
        link1.set_data([0.0, elbow[frame, 0]], [0.0, elbow[frame, 1]])
        link2.set_data(*np.stack([elbow[frame], tip[frame]], axis=1))
        joint.set_data(*elbow[frame, :, None])
        return (link1, link2, joint, *path(frame), *turn(elbow[frame], push[frame]))

    return draw


ACTOR = Actor(4, models.ACROBOT, _pose, _view, _body)
