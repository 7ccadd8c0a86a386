"""The course of a solve."""

from typing import Any

import numpy as np

from jaxmpc.checks import check_type
from jaxmpc.diagnosis.convergence import Convergence
from jaxmpc.plot.axes import COLORS, DASHES, GREY, LOUD, MARKERS, require_matplotlib, several, tidy
from jaxmpc.solution import Status

_RESIDUALS = ("stationarity", "feasibility", "complementarity")
_NUMBERS = {"step_size": "step size", "regularization": "regularisation", "barrier": "barrier"}


def plot_convergence(convergence: Convergence, *, axes: Any = None) -> np.ndarray:
    """Cost, residuals, and the solver's own numbers over the iterations, all on log axes.

    The cost is drawn as its distance from the last one, so that it may be of any sign. What is
    zero, unknown or infinite has no place on a log axis and is left out; where no step was taken
    there is a cross at the bottom.

    Args:
        convergence: of `jaxmpc.convergence`.
        axes: three, where to draw; None makes a figure.

    Returns:
        The axes of the cost, of the residuals, and of step size, regularisation and barrier.

    Example:
        >>> from jaxmpc import plot
        >>> axes = plot.plot_convergence(jaxmpc.convergence(problem, x0, params))
        >>> len(axes), axes[0].get_yscale()
        (3, 'log')
    """
    check_type("plot_convergence", "convergence", convergence, Convergence)
    given = axes
    if axes is None:
        _, axes = require_matplotlib().subplots(
            3, 1, sharex=True, figsize=(8.5, 7.0), layout="constrained"
        )
    above, middle, below = axes = several("plot_convergence", axes, 3)
    cost = convergence.cost
    _draw(above, {"cost": np.abs(cost - cost[-1])})
    _draw(middle, {name: getattr(convergence, name) for name in _RESIDUALS})
    solution = convergence.solution
    tolerance = {"color": GREY, "lw": 1.2, "ls": (0, (1, 3))}
    middle.axhline(float(solution.tolerance), label="tolerance", **tolerance)
    _draw(below, {word: getattr(convergence, name) for name, word in _NUMBERS.items()})
    stuck = np.flatnonzero(convergence.step_size[1:] == 0) + 1
    if len(stuck):
        crosses = {"color": LOUD, "clip_on": False, "transform": below.get_xaxis_transform()}
        below.plot(stuck, np.zeros(len(stuck)), "x", label="no step taken", **crosses)
    for axis, label in zip(axes, ("|cost - last cost|", "residual", "solver"), strict=True):
        axis.set_ylabel(label)
        tidy(axis)
        if axis is not above and axis.get_legend_handles_labels()[0]:
            beside = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
            axis.legend(frameon=False, fontsize="small", **beside)
    axes[-1].set_xlabel("iteration")
    if given is None:
        status = Status(int(solution.status))
        above.set_title(f"{status.name} after {int(solution.iterations)} iterations", loc="left")
    return axes


def _draw(axis, lines: dict[str, np.ndarray]):
    """Lines on a log axis, with marks, so that they can be told apart without colour."""
    axis.set_yscale("log")
    for place, (label, values) in enumerate(lines.items()):
        positive = np.isfinite(values) & (values > 0)
        if np.any(positive):
            shown = np.where(positive, values, np.nan)
            look = {"color": COLORS[place], "marker": MARKERS[place], "ls": DASHES[place]}
            axis.plot(np.arange(len(shown)), shown, ms=4, lw=1.3, label=label, **look)
