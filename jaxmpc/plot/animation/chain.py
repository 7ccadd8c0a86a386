"""The chain of masses: from a fixed point to the end that the control moves."""

import numpy as np

from jaxmpc import models
from jaxmpc.plot.animation.actor import Actor, Look
from jaxmpc.plot.animation.drawing import trace
from jaxmpc.plot.axes import GREY, LOUD, QUIET
from jaxmpc.plot.solid import solid_view


def _pose(states, p) -> np.ndarray:
    """The positions of the masses and of the end."""
    masses = (states.shape[-1] - 3) // 6
    return states[..., : 3 * (masses + 1)]


def _view(axis, pose, p):
    points = np.concatenate([np.zeros((1, 3)), pose.reshape(-1, 3)])
    solid_view(axis, points, 0.08 * float(np.max(np.ptp(points, axis=0))) + 1e-6)
    axis.plot([0.0], [0.0], [0.0], "s", color=GREY, ms=8)


def _body(axis, pose, controls, p, look: Look):
    points = pose.reshape(len(pose), -1, 3)
    points = np.concatenate([np.zeros((len(pose), 1, 3)), points], axis=1)
    thick = 1.0 if look.loud else 0.5
    paint = {"color": QUIET, "mfc": "black", "mec": "black", "alpha": look.alpha}
    (links,) = axis.plot([], [], [], "-o", lw=2 * thick, ms=5 * thick, **paint)
    (end,) = axis.plot([], [], [], "D", color=LOUD, ms=7 * thick, alpha=look.alpha)
    path = trace(axis, points[:, -1], look)

    def draw(frame: int) -> tuple:
        links.set_data_3d(*points[frame].T)
        end.set_data_3d(*points[frame, -1:].T)
        return (links, end, *path(frame))

    return draw


ACTOR = Actor(None, models.CHAIN, _pose, _view, _body, solid=True)
