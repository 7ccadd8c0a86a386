"""Systems in motion."""

from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmpc.plot.axes import GREY, LOUD, QUIET, require_matplotlib

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation


def animate_cartpole(
    states: Any,
    dt: float,
    *,
    controls: Any = None,
    length: float = 0.5,
    slowdown: float = 1.0,
    frames_per_second: int = 25,
) -> "FuncAnimation":
    """A cart with its pole in motion, as a matplotlib animation.

    `animation.save("name.gif", writer="pillow")` writes it (needs pillow).

    Args:
        states: [T+1, 5], of `models.cartpole`.
        dt: the length of a step [s].
        controls: [T, 1] forces [N] to draw as an arrow, or None.
        length: half the pole's length [m].
        slowdown: seconds of film for a second of motion.
        frames_per_second: of the film; between the states the motion is interpolated.
    """
    pyplot = require_matplotlib()
    from matplotlib.animation import FuncAnimation

    states = np.asarray(states)
    duration = dt * (len(states) - 1)
    moving = np.linspace(0.0, duration, round(duration * slowdown * frames_per_second) + 1)
    instants = dt * np.arange(len(states))
    angle = np.unwrap(np.arctan2(states[:, 3], states[:, 2]))
    position, angle = (np.interp(moving, instants, values) for values in (states[:, 0], angle))
    force = None
    if controls is not None:
        stage = np.minimum((moving / dt).astype(int), len(controls) - 1)
        force = np.asarray(controls)[stage, 0]
    figure, axis = pyplot.subplots(figsize=(7.0, 4.6), layout="constrained")
    draw = _cartpole_artists(axis, moving, position, angle, 2 * length, force)
    pause = [len(moving) - 1] * frames_per_second  # a moment to see where it ended
    return FuncAnimation(
        figure, draw, frames=[*range(len(moving)), *pause], interval=1000 / frames_per_second
    )


def _cartpole_artists(axis, time, position, angle, pole, force):
    from matplotlib.patches import Rectangle

    half, height, longest_arrow = 0.18, 0.16, 0.5
    tip_x, tip_y = position + pole * np.sin(angle), pole * np.cos(angle)
    reach = max(1.6 * pole, np.max(np.abs(tip_x)), np.max(np.abs(position)) + half + longest_arrow)
    axis.set(aspect="equal", xlim=(-reach - 0.1, reach + 0.1), ylim=(-pole - 0.2, pole + 0.2))
    axis.set(xlabel="position [m]", yticks=[])
    axis.spines[["top", "left", "right"]].set_visible(False)
    axis.axhline(0.0, color="0.75", lw=1.0, zorder=0)
    cart = axis.add_patch(Rectangle((0, -height / 2), 2 * half, height, color=QUIET, zorder=2))
    (trace,) = axis.plot([], [], color=LOUD, lw=1.0, alpha=0.4, zorder=1)
    (rod,) = axis.plot([], [], color=LOUD, lw=5.0, solid_capstyle="round", zorder=3)
    (arrow,) = axis.plot([], [], color=GREY, lw=3.0, zorder=4, solid_capstyle="butt")
    (head,) = axis.plot([], [], color=GREY, ls="", ms=8.0, zorder=4)
    caption = axis.text(0.02, 0.98, "", transform=axis.transAxes, va="top", family="monospace")
    strength = np.zeros_like(time) if force is None else force
    scale = longest_arrow / max(float(np.max(np.abs(strength))), 1e-9)

    def draw(frame):
        x, push = position[frame], scale * strength[frame]
        cart.set_x(x - half)
        rod.set_data([x, tip_x[frame]], [0.0, tip_y[frame]])
        trace.set_data(tip_x[: frame + 1], tip_y[: frame + 1])
        start = x + np.sign(push) * half
        visible = abs(push) > 0.05
        arrow.set_data([start, start + push] if visible else [], [0.0, 0.0] if visible else [])
        head.set_data([start + push] if visible else [], [0.0] if visible else [])
        head.set_marker(">" if push >= 0 else "<")
        text = f"time  {time[frame]:5.2f} s"
        caption.set_text(text if force is None else f"{text}\nforce {force[frame]:5.1f} N")
        return cart, rod, trace, arrow, head, caption

    return draw
