"""The cart-poles: a cart on a rail with a pole on it."""

import numpy as np

from jaxmpc import models
from jaxmpc.plot.animation.actor import Actor, Look, polar_angle, shares, unwrapped
from jaxmpc.plot.animation.drawing import flat, force, trace
from jaxmpc.plot.axes import LOUD, QUIET

_HALF, _HEIGHT = 0.18, 0.16  # m, of the cart
_ARROW = 0.5  # m, the longest


def _paper_pose(states, p) -> np.ndarray:
    """Position, the angle to the right of upright, and the length of the pole."""
    angle = polar_angle(states[..., 2], states[..., 3])
    return _together(states[..., 0], angle, 2 * float(p["length"]))  # the model has half of it


def _acados_pose(states, p) -> np.ndarray:
    """The same; that angle is positive to the left."""
    states = unwrapped(states, 1)
    return _together(states[..., 0], -states[..., 1], float(p["length"]))


def _together(position, angle, pole: float) -> np.ndarray:
    return np.stack([position, angle, np.full_like(angle, pole)], axis=-1)


def _view(axis, pose, p):
    position, angle, pole = np.moveaxis(pose, -1, 0)
    pole = float(np.max(pole))
    tips = position + pole * np.sin(angle)
    low = min(np.nanmin(position) - _HALF - _ARROW, np.nanmin(tips), -1.6 * pole)
    high = max(np.nanmax(position) + _HALF + _ARROW, np.nanmax(tips), 1.6 * pole)
    flat(axis, [low, high], [-pole, pole], 0.2)
    axis.set(xlabel="position [m]", ylabel="", yticks=[])
    axis.spines["left"].set_visible(False)
    axis.axhline(0.0, color="0.75", lw=1.0, zorder=0)


def _body(axis, pose, controls, p, look: Look):
    from matplotlib.patches import Rectangle

    position, angle, pole = pose.T
    tip = np.stack([position + pole * np.sin(angle), pole * np.cos(angle)], axis=1)
    push = shares(controls, len(pose), 1)[:, 0]
    box = Rectangle((0, -_HEIGHT / 2), 2 * _HALF, _HEIGHT, color=QUIET, alpha=look.alpha, zorder=2)
    cart = axis.add_patch(box)
    width = 5.0 if look.loud else 3.0
    paint = {"color": LOUD, "lw": width, "alpha": look.alpha, "zorder": 3}
    (rod,) = axis.plot([], [], solid_capstyle="round", **paint)
    path, arrow = trace(axis, tip, look), force(axis, look)

    def draw(frame: int) -> tuple:
        x, share = position[frame], push[frame]
        cart.set_x(x - _HALF)
        rod.set_data([x, tip[frame, 0]], [0.0, tip[frame, 1]])
        start = np.array([x + np.sign(share) * _HALF, 0.0])
        return (cart, rod, *path(frame), *arrow(start, np.array([_ARROW * share, 0.0]), _ARROW))

    return draw


PAPER = Actor(5, models.CARTPOLE, _paper_pose, _view, _body)
ACADOS = Actor(4, models.CARTPOLE_ACADOS, _acados_pose, _view, _body)
