"""The pendulums: a rod about a pivot, angle 0 upright, positive to the right."""

import numpy as np

from jaxmpc.plot.animation.actor import Actor, Look, polar_angle, shares
from jaxmpc.plot.animation.drawing import flat, torque, trace
from jaxmpc.plot.axes import GREY, LOUD


def _pose(states, p) -> np.ndarray:
    return polar_angle(states[..., 0], states[..., 1])[..., None]


def _view(axis, pose, p):
    reach = 1.15 * float(p["length"])
    flat(axis, [-reach, reach], [-reach, reach], 0.1 * reach)
    axis.plot(0, 0, "o", color=GREY, ms=7, zorder=4)


def _body(axis, pose, controls, p, look: Look):
    angle, length = pose[:, 0], float(p["length"])
    tip = length * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    push = -shares(controls, len(pose), 1)[:, 0]  # clockwise is positive
    width = 6.0 if look.loud else 3.0
    (rod,) = axis.plot([], [], color=LOUD, lw=width, alpha=look.alpha, solid_capstyle="round")
    path, turn = trace(axis, tip, look), torque(axis, 0.3 * length, look)

    def draw(frame: int) -> tuple:
        rod.set_data(*np.stack([0 * tip[frame], tip[frame]], axis=1))
        return (rod, *path(frame), *turn(np.zeros(2), push[frame]))

    return draw


def pendulum_actor(defaults) -> Actor:
    """A rod about a pivot."""
    return Actor(3, defaults, _pose, _view, _body)
