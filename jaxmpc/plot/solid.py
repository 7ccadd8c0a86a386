"""What pictures in three dimensions share."""

from typing import Any

import numpy as np

from jaxmpc.plot.axes import require_matplotlib, several

_THINNEST = 0.5  # of the longest side of the box: a thinner one hides what is in it


def solid_axis(owner: str, axes: Any, size: tuple[float, float]) -> Any:
    """The axes that were given, if they have three dimensions, or those of a new figure."""
    if axes is None:
        figure = require_matplotlib().figure(figsize=size, layout="constrained")
        return figure.add_subplot(projection="3d")
    axis = several(owner, axes, 1)[0]
    if axis.name != "3d":
        raise ValueError(f'{owner}: axes must be of projection="3d"; got flat ones.')
    return axis


def solid_view(axis, points: np.ndarray, margin: float):
    """Limits [m] that hold all points [..., 3], at equal scales, on white."""
    points = points.reshape(-1, 3)
    low, high = np.nanmin(points, axis=0) - margin, np.nanmax(points, axis=0) + margin
    longest = float(np.max(high - low))
    missing = np.maximum(_THINNEST * longest - (high - low), 0.0) / 2
    low, high = low - missing, high + missing
    axis.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), zlim=(low[2], high[2]))
    axis.set_box_aspect(high - low, zoom=0.75)
    for name, pad in (("x", 4), ("y", 8), ("z", 16)):  # points, clear of the numbers
        getattr(axis, f"set_{name}label")(f"{name} [m]", labelpad=pad)
    axis.tick_params(axis="z", pad=6)
    axis.tick_params(labelsize="small")
    shares = (high - low) / longest
    for side, share in zip((axis.xaxis, axis.yaxis, axis.zaxis), shares, strict=True):
        side.set_pane_color((1.0, 1.0, 1.0, 0.0))
        side.get_major_locator().set_params(nbins=max(2, round(5 * share)))
