"""What all pictures share: matplotlib where it is installed, colours, lines."""

from typing import Any

import numpy as np

QUIET, LOUD, GREY = "#4477aa", "#cc3311", "#555555"


def require_matplotlib() -> Any:
    """`matplotlib.pyplot`; an ImportError that says how to get it where it is missing."""
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError(
            "jaxmpc.plot needs matplotlib and pillow: pip install 'jaxmpc[plots]'"
        ) from error
    return pyplot


def panels(count: int):
    """A figure with a panel for each signal, one above the other, over one time axis."""
    figure, axes = require_matplotlib().subplots(
        count,
        1,
        sharex=True,
        squeeze=False,
        figsize=(7.5, 1.0 + 1.75 * count),
        layout="constrained",
    )
    for axis in axes[:, 0]:
        tidy(axis)
    return figure, axes[:, 0]


def draw_lines(axis, time, lines, style, highlight):
    """Lines over time: faint if there are many, with the chosen ones over them."""

    def draw(lines, **look):
        axis.plot(time, lines.T, drawstyle=style, **look)

    alone = len(lines) == 1
    faint = {"lw": 1.8} if alone else {"lw": 0.8, "alpha": max(0.25, min(1.0, 10 / len(lines)))}
    draw(lines, color=QUIET, **faint)
    if highlight is not None:
        chosen = np.atleast_2d(lines[highlight])
        if len(chosen) <= 3:
            draw(chosen, color="white", lw=3.5)
            draw(chosen, color=LOUD, lw=2.0)
        else:
            draw(chosen, color=LOUD, lw=0.9, alpha=0.6)


def tidy(axis):
    """A light grid, and no frame where nothing is read off."""
    axis.grid(color="0.9", lw=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.margins(x=0)
