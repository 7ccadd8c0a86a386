"""States on their space as one reads them: angles without jumps, attitudes as angles or axes."""

from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmpc.plot.axes import require_matplotlib
from jaxmpc.spaces import Circle, Product, Space, UnitQuaternion

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_AXES = {"x": "#cc3311", "y": "#228833", "z": "#4477aa"}  # of the body


def readable(space: Space | None, states: Any) -> dict[str, np.ndarray]:
    """The columns of states [..., T+1, n] by name: angles unwrapped, attitudes as three angles."""
    states = np.asarray(states)
    columns: dict[str, np.ndarray] = {}
    for factor, start in _factors(space, 0):
        dim = states.shape[-1] if factor is None else factor.dim
        part = states[..., start : start + dim]
        if isinstance(factor, UnitQuaternion):
            angles = np.unwrap(roll_pitch_yaw(part), axis=-2)
            names = [f"{name} [rad]" for name in ("roll", "pitch", "yaw")]
        elif isinstance(factor, Circle):
            angles, names = np.unwrap(part, axis=-2), [f"x[{start}] [rad]"]
        else:
            angles, names = part, [f"x[{start + i}]" for i in range(dim)]
        for name, values in zip(names, np.moveaxis(angles, -1, 0), strict=True):
            taken = name in columns  # by another body
            columns[f"{name} of x[{start}:]" if taken else name] = values
    return columns


def _factors(space: Space | None, start: int) -> list[tuple[Any, int]]:
    """The spaces that a space is made of, and where the numbers of each begin."""
    if not isinstance(space, Product):
        return [(space, start)]
    parts = zip(space.factors, space.starts(), strict=True)
    return [pair for factor, (i, _) in parts for pair in _factors(factor, start + i)]


def roll_pitch_yaw(quaternions: Any) -> np.ndarray:
    """The angles [rad] of turns about x, then y, then z of the world: [..., 4] -> [..., 3]."""
    given = np.asarray(quaternions)
    w, x, y, z = np.moveaxis(given / np.linalg.norm(given, axis=-1, keepdims=True), -1, 0)
    roll = np.arctan2(2 * (w * x + y * z), 1 - 2 * (x**2 + y**2))
    pitch = np.arcsin(np.clip(2 * (w * y - z * x), -1, 1))
    yaw = np.arctan2(2 * (w * z + x * y), 1 - 2 * (y**2 + z**2))
    return np.stack([roll, pitch, yaw], axis=-1)


def plot_attitudes(
    quaternions: Any, positions: Any = None, *, every: int = 5, size: float | None = None
) -> "Figure":
    """The axes of a body in space: x red, y green, z blue, from its place at every so many states.

    Args:
        quaternions: [T+1, 4], (w, x, y, z) from the body to the world.
        positions: [T+1, 3]; None sets the body side by side, one place a state that is drawn.
        every: draws the axes at each so manyth state.
        size: the length of the axes, in units of the positions; None finds one that can be seen.

    Returns:
        The figure; `figure.savefig("name.png")` keeps it.

    Raises:
        ImportError: without matplotlib.
    """
    q = np.asarray(quaternions, float)[::every]
    q = q / np.linalg.norm(q, axis=1, keepdims=True)
    along = np.stack([1.5 * np.arange(len(q)), *np.zeros((2, len(q)))], axis=1)
    places = along if positions is None else np.asarray(positions, float)[::every]
    extent = max(float(np.max(np.ptp(places, axis=0))), 1e-9)
    length = size or (1.0 if positions is None else 0.12 * extent)
    figure = require_matplotlib().figure(figsize=(7.5, 5.0), layout="constrained")
    axis: Any = figure.add_subplot(projection="3d")
    for (name, color), unit in zip(_AXES.items(), np.eye(3), strict=True):
        twice = 2 * np.cross(q[:, 1:], unit)
        ends = places + length * (unit + q[:, :1] * twice + np.cross(q[:, 1:], twice))
        for start, end in zip(places, ends, strict=True):
            axis.plot(*np.stack([start, end], axis=1), color=color, lw=1.8)
        axis.plot([], [], [], color=color, label=f"{name} of the body")
    if positions is not None:
        axis.plot(*np.asarray(positions, float).T, color="0.6", lw=1.0)
    low, high = places.min(axis=0) - length, places.max(axis=0) + length
    axis.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), zlim=(low[2], high[2]))
    axis.set_box_aspect(high - low, zoom=0.85)
    labels = ("", "", "") if positions is None else ("x", "y", "z")
    axis.set(xlabel=labels[0], ylabel=labels[1], zlabel=labels[2])
    if positions is None:
        axis.set_axis_off()
    axis.legend(frameon=False, fontsize="small", loc="upper left")
    return figure
