"""The planar quadrotor: a bar with a rotor at each end."""

import numpy as np

from jaxmpc import models
from jaxmpc.plot.animation.actor import Actor, Look, rotated, shares, unwrapped
from jaxmpc.plot.animation.drawing import flat, force, trace
from jaxmpc.plot.axes import LOUD, QUIET


def _pose(states, p) -> np.ndarray:
    return unwrapped(states, 2)[..., :3]


def _view(axis, pose, p):
    flat(axis, pose[..., 0], pose[..., 1], 2.4 * float(p["arm_length"]))
    axis.set(xlabel="y [m]", ylabel="z [m]")


def _body(axis, pose, controls, p, look: Look):
    arm = float(p["arm_length"])
    lift = 1.4 * arm * shares(controls, len(pose), 2)
    thick = 1.0 if look.loud else 0.5
    paint = {"alpha": look.alpha, "solid_capstyle": "round"}
    (bar,) = axis.plot([], [], color=QUIET, lw=5 * thick, zorder=3, **paint)
    blades = [
        axis.plot([], [], color=color, lw=2.5 * thick, zorder=4, **paint)[0]
        for color in (LOUD, "black")  # rotor 1 at the end towards +y
    ]
    thrusts = [force(axis, look) for _ in blades]
    path = trace(axis, pose[:, :2], look)

    def draw(frame: int) -> tuple:
        place, tilt = pose[frame, :2], pose[frame, 2]
        moved = [bar, *blades]
        bar.set_data(*(place + rotated(np.array([[-arm, 0.0], [arm, 0.0]]), tilt)).T)
        for side, blade, thrust, up in zip((1, -1), blades, thrusts, lift[frame], strict=True):
            hub = np.array([side * arm, 0.25 * arm])
            span = np.array([[-0.45 * arm, 0.0], [0.45 * arm, 0.0]])
            blade.set_data(*(place + rotated(hub + span, tilt)).T)
            start, vector = rotated(np.stack([hub, [0.0, up]]), tilt)
            moved += thrust(place + start, vector, 1.4 * arm)
        return (*moved, *path(frame))

    return draw


ACTOR = Actor(6, models.PLANAR_QUADROTOR, _pose, _view, _body)
