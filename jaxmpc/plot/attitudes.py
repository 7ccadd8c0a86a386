"""Attitudes in space, as the axes of a body."""

from typing import Any

import numpy as np

from jaxmpc.plot.solid import solid_axis, solid_view

_AXES = {"x": ("#cc3311", ":"), "y": ("#228833", "--"), "z": ("#4477aa", "-")}  # of the body


def plot_attitudes(
    quaternions: Any,
    positions: Any = None,
    *,
    every: int = 5,
    size: float | None = None,
    axes: Any = None,
) -> Any:
    """The axes of a body in space, from its place at every so many states.

    x is red and dotted, y green and dashed, z, which is up where the body is level, blue and solid.

    Args:
        quaternions: [T+1, 4], (w, x, y, z) from the body to the world.
        positions: [T+1, 3]; None sets the body side by side, one place a state that is drawn.
        every: draws the axes at each so manyth state.
        size: the length of the axes, in units of the positions; None finds one that can be seen.
        axes: where to draw, of `projection="3d"`; None makes a figure.

    Returns:
        The axes: `axes.figure.savefig("name.png")` keeps them.

    Raises:
        ImportError: without matplotlib. ValueError: axes that are flat.

    Example:
        >>> from jaxmpc import plot
        >>> level, upside_down = [1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]
        >>> axes = plot.plot_attitudes(np.array([level, upside_down]))
        >>> axes.name
        '3d'
    """
    q = np.asarray(quaternions, float)[::every]
    q = q / np.linalg.norm(q, axis=1, keepdims=True)
    along = np.stack([1.5 * np.arange(len(q)), *np.zeros((2, len(q)))], axis=1)
    places = along if positions is None else np.asarray(positions, float)[::every]
    extent = max(float(np.max(np.ptp(places, axis=0))), 1e-9)
    length = size or (1.0 if positions is None else 0.12 * extent)
    axis = solid_axis("plot_attitudes", axes, (8.5, 2.6) if positions is None else (7.5, 5.0))
    for (name, (color, dash)), unit in zip(_AXES.items(), np.eye(3), strict=True):
        twice = 2 * np.cross(q[:, 1:], unit)
        ends = places + length * (unit + q[:, :1] * twice + np.cross(q[:, 1:], twice))
        for start, end in zip(places, ends, strict=True):
            line = np.stack([start, end], axis=1)
            (drawn,) = axis.plot(*line, color=color, ls=dash, lw=1.8)
            if positions is None:  # the axes are a square: a long row goes beyond it
                drawn.set(clip_on=False, in_layout=False)
        axis.plot([], [], [], color=color, ls=dash, label=f"{name} of the body")
    if positions is None:
        low, high = places.min(axis=0) - length, places.max(axis=0) + length
        axis.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), zlim=(low[2], high[2]))
        axis.set_box_aspect(high - low, zoom=min(2.9, 0.4 * (high - low)[0] / length))
        axis.view_init(elev=20, azim=-80)
        axis.set_axis_off()
    else:
        axis.plot(*np.asarray(positions, float).T, color="0.6", lw=1.0)
        solid_view(axis, places, length)
    axis.legend(frameon=False, fontsize="small", loc="upper left", ncols=3)
    return axis
