"""What bodies are drawn of: lines that leave a trace, forces as arrows, torques as arcs."""

from collections.abc import Callable

import numpy as np

from jaxmpc.plot.animation.actor import Look
from jaxmpc.plot.axes import GREY, LOUD

_SEEN = 0.04  # the least part of the largest force that is drawn


def flat(axis, x, y, margin: float):
    """Equal scales, and limits that hold all points with a margin; lengths in metres."""
    axis.set(aspect="equal", xlabel="[m]", ylabel="[m]")
    axis.set_xlim(np.nanmin(x) - margin, np.nanmax(x) + margin)
    axis.set_ylim(np.nanmin(y) - margin, np.nanmax(y) + margin)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(color="0.93", lw=0.6)
    axis.set_axisbelow(True)


def trace(axis, path: np.ndarray, look: Look) -> Callable[[int], tuple]:
    """The way [F, 2 or 3] of a point so far."""
    (line,) = axis.plot(*path[:1].T, color=LOUD, lw=1.0, alpha=0.5 * look.alpha, zorder=1)
    put = line.set_data if path.shape[1] == 2 else line.set_data_3d

    def draw(frame: int) -> tuple:
        put(*path[: frame + 1].T)
        return (line,)

    return draw


def force(axis, look: Look) -> Callable[[np.ndarray, np.ndarray, float], tuple]:
    """An arrow: draw(start [2], vector [2], longest); nothing where the vector is short."""
    from matplotlib.patches import FancyArrowPatch

    shape = {"arrowstyle": "-|>", "mutation_scale": 13, "shrinkA": 0, "shrinkB": 0}
    paint = {"color": GREY, "lw": 2.2, "alpha": look.alpha, "zorder": 5}
    arrow = axis.add_patch(FancyArrowPatch((0, 0), (1, 0), **shape, **paint))

    def draw(start: np.ndarray, vector: np.ndarray, longest: float) -> tuple:
        arrow.set_visible(bool(np.hypot(*vector) > _SEEN * longest))
        arrow.set_positions(tuple(start), tuple(np.asarray(start) + vector))
        return (arrow,)

    return draw


def torque(axis, radius: float, look: Look) -> Callable[[np.ndarray, float], tuple]:
    """An arc about a point, from its top: draw(centre [2], share), anticlockwise for shares > 0."""
    paint = {"color": GREY, "alpha": look.alpha, "zorder": 5}
    (arc,) = axis.plot([], [], lw=2.2, **paint)
    (head,) = axis.plot([], [], ls="", ms=8, **paint)

    def draw(centre: np.ndarray, share: float) -> tuple:
        visible = abs(share) > _SEEN
        angles = np.pi / 2 + np.linspace(0, 0.75 * np.pi * share, 25)
        x, y = centre[0] + radius * np.cos(angles), centre[1] + radius * np.sin(angles)
        arc.set_data(x, y)
        head.set_data(x[-1:], y[-1:])
        ahead = np.degrees(angles[-1]) + (0 if share > 0 else 180)
        head.set_marker((3, 0, ahead))
        arc.set_visible(visible)
        head.set_visible(visible)
        return arc, head

    return draw
