"""What all pictures share: matplotlib where it is installed, panels, colours, lines, legends."""

from collections.abc import Sequence
from typing import Any

import numpy as np

QUIET, LOUD, GREY = "#4477aa", "#cc3311", "#555555"
# For several lines in one panel: they differ by more than their colour.
COLORS = ("#4477aa", "#cc3311", "#000000", "#dd9900", "#999999")
DASHES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v")
_LARGEST = (11.0, 8.0)  # inches: a figure that stays on a screen
_WIDE, _ROW, _REST = 7.5, 1.75, 1.0  # of a single column


def require_matplotlib() -> Any:
    """`matplotlib.pyplot`; an ImportError that says how to get it where it is missing.

    Example:
        >>> jaxmpc.plot.require_matplotlib().__name__
        'matplotlib.pyplot'
    """
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError(
            "jaxmpc.plot needs matplotlib and pillow: pip install 'jaxmpc[plots]'"
        ) from error
    return pyplot


def panels(owner: str, labels: Sequence[str], time: str, axes: Any = None) -> np.ndarray:
    """A panel for each label over one time axis: those that were given, or those of a new figure.

    Up to four stand one above the other, more in a grid that stays on a screen. `time` is what is
    written below them.
    """
    count = len(labels)
    if axes is not None:
        axes = several(owner, axes, count)
        for axis, label in zip(axes, labels, strict=True):
            axis.set(xlabel=time, ylabel=label)
    else:
        axes = _new_panels(labels, time)
    for axis in axes:
        tidy(axis)
    return axes


def _new_panels(labels: Sequence[str], time: str) -> np.ndarray:
    count = len(labels)
    columns = 1 if count <= 4 else 2 if count <= 8 else 3 if count <= 18 else 4
    rows = -(-count // columns)
    width = _WIDE if columns == 1 else _LARGEST[0]
    height = min(_REST + _ROW * rows, _LARGEST[1])
    figure, grid = require_matplotlib().subplots(
        rows, columns, sharex=True, squeeze=False, figsize=(width, height), layout="constrained"
    )
    axes = grid.ravel()
    for spare in axes[count:]:
        spare.remove()
    axes = axes[:count]
    for place, (axis, label) in enumerate(zip(axes, labels, strict=True)):
        if columns == 1:
            axis.set_ylabel(label)
        else:
            axis.set_title(label, loc="left", fontsize="small", pad=3)
            axis.tick_params(labelsize="small")
        if place + columns >= count:  # the lowest of its column
            axis.tick_params(labelbottom=True)
    for axis in axes[(rows - 1) * columns :]:
        axis.set_xlabel(time)
    if columns == 1:
        figure.align_ylabels()
    return axes


def several(owner: str, axes: Any, count: int) -> np.ndarray:
    """The first `count` of given axes, in a row; an error where there are fewer."""
    given = np.array(axes, dtype=object).ravel()
    wrong = [axis for axis in given if not hasattr(axis, "plot")]
    if wrong:
        raise TypeError(
            f"{owner}: axes must be matplotlib axes, or an array of them; got "
            f"{type(wrong[0]).__name__}."
        )
    if len(given) < count:
        raise ValueError(f"{owner}: axes are {len(given)}; wanted {count}, one for each panel.")
    return given[:count]


def one(owner: str, axes: Any, size: tuple[float, float]) -> Any:
    """The axes that were given, or those of a new figure, tidy."""
    if axes is None:
        _, axes = require_matplotlib().subplots(figsize=size, layout="constrained")
    axis = several(owner, axes, 1)[0]
    tidy(axis)
    return axis


def time_label(dt: float) -> str:
    """What is written below a time axis: nobody knows the unit of a dt of one."""
    return "time [s]" if dt != 1.0 else "stage"


def draw_lines(axis, time, lines, style="default", highlight=None):
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


def legend(axes: np.ndarray):
    """One legend below all panels of a figure, of what has a label."""
    found: dict[str, Any] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    if found:
        axes[0].figure.legend(
            found.values(),
            found.keys(),
            loc="outside lower center",
            ncols=min(len(found), 4),
            frameon=False,
            fontsize="small",
        )


def tidy(axis):
    """A light grid, and no frame where nothing is read off."""
    axis.grid(color="0.9", lw=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.margins(x=0)
