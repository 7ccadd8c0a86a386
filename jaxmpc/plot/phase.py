"""One state over another."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxmpc.plot.axes import LOUD, QUIET, one


def plot_phase(
    states: Any, i: int = 0, j: int = 1, labels: Sequence[str] = (), *, axes: Any = None
) -> Any:
    """A phase portrait: state j over state i, from a hollow circle to a square.

    Args:
        states: a `Solution`, a `Simulation`, or an array [..., T+1, n]; of a batch, one line an
            element.
        i, j: which states.
        labels: the names of all states (those of controls may follow), or of these two.
        axes: where to draw; None makes a figure.

    Returns:
        The axes.

    Raises:
        ImportError: without matplotlib. ValueError: for something that has no such states.

    Example:
        >>> from jaxmpc import plot
        >>> axis = plot.plot_phase(solution, 0, 1, labels=["position [m]", "speed [m/s]"])
        >>> axis.get_xlabel(), axis.get_ylabel()
        ('position [m]', 'speed [m/s]')
    """
    values = np.asarray(getattr(states, "states", states))
    if values.ndim < 2 or not np.issubdtype(values.dtype, np.number):
        raise ValueError(
            "plot_phase: states must be [..., T+1, n], or have such states; got shape "
            f"{values.shape} and dtype {values.dtype}."
        )
    n = values.shape[-1]
    for name, entry in (("i", i), ("j", j)):
        if not isinstance(entry, int) or not -n <= entry < n:
            raise ValueError(
                f"plot_phase: {name} must be the number of one of the {n} states, got {entry!r}."
            )
    axis = one("plot_phase", axes, (5.0, 4.2))
    names = _names(labels, i % n, j % n, n)
    lines = values[..., [i, j]].reshape(-1, values.shape[-2], 2)
    alone = len(lines) == 1
    look = {"lw": 1.8} if alone else {"lw": 0.9, "alpha": max(0.3, min(1.0, 10 / len(lines)))}
    for line in lines:
        axis.plot(*line.T, color=QUIET, **look)
        _arrow(axis, line, look.get("alpha", 1.0))
    ends = {"ls": "", "zorder": 3, "ms": 6 if alone else 4}
    first = {"marker": "o", "mfc": "white", "mec": QUIET, "mew": 1.4}
    axis.plot(*lines[:, 0].T, label="start", **first, **ends)
    axis.plot(*lines[:, -1].T, marker="s", color=LOUD, label="end", **ends)
    axis.margins(0.05)
    axis.set(xlabel=names[0], ylabel=names[1])
    axis.legend(frameon=False, fontsize="small")
    return axis


def _names(labels: Sequence[str], i: int, j: int, n: int) -> tuple[str, str]:
    if not len(labels):
        return f"x[{i}]", f"x[{j}]"
    if len(labels) == 2 < n or (len(labels) == n == 2 and (i, j) == (0, 1)):
        return labels[0], labels[1]
    if len(labels) < n:
        raise ValueError(f"plot_phase: got {len(labels)} labels; wanted those of {n} states, or 2.")
    return labels[i], labels[j]


def _arrow(axis, line, alpha: float):
    """The direction, half way along the line."""
    lengths = np.linalg.norm(
        np.diff(line, axis=0) / np.maximum(np.ptp(line, axis=0), 1e-12), axis=1
    )
    travelled = np.cumsum(lengths)
    if not np.all(np.isfinite(travelled)) or travelled[-1] <= 0:
        return
    place = int(np.searchsorted(travelled, travelled[-1] / 2))
    head = {"arrowstyle": "-|>", "color": QUIET, "alpha": alpha, "lw": 0, "shrinkA": 0}
    head |= {"shrinkB": 0, "mutation_scale": 18}
    axis.annotate("", xy=line[place + 1], xytext=line[place], arrowprops=head)
