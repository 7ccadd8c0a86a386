"""Many trajectories as a fan."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxmpc.checks import check_type
from jaxmpc.control import Simulation
from jaxmpc.plot.axes import QUIET, legend, panels, time_label
from jaxmpc.plot.columns import columns_of
from jaxmpc.solution import Solution
from jaxmpc.spaces import Space

_QUANTILES = ((0.05, 0.95), (0.25, 0.75))


def plot_fan(
    batch: Solution | Simulation,
    dt: float = 1.0,
    labels: Sequence[str] = (),
    *,
    state_space: Space | None = None,
    axes: Any = None,
) -> np.ndarray:
    """A batch of solutions or closed loops: the median, and bands of half and nine tenths of them.

    Args:
        batch: with leaves [B, ...], as of `solve_batch`, or of `simulate` under `vmap`.
        dt, labels, state_space: as for `plot_solution`.
        axes: where to draw, one a signal; None makes a figure.

    Returns:
        The axes, an array, one a signal.

    Raises:
        ImportError: without matplotlib. TypeError, ValueError: a wrong number of labels or axes,
            or a single trajectory.

    Example:
        >>> from jaxmpc import plot
        >>> starts = jnp.array([[1.0, 0.0], [2.0, 0.0]])
        >>> axes = plot.plot_fan(jaxmpc.solve_batch(problem, starts, params), 0.1)
        >>> len(axes)
        3
    """
    check_type("plot_fan", "batch", batch, Solution | Simulation)
    if np.ndim(batch.states) < 3:
        raise ValueError(
            "plot_fan: batch must be of several, with states [B, T+1, n]; got shape "
            f"{np.shape(batch.states)}. For one there is plot_solution or plot_closed_loop."
        )
    columns = columns_of("plot_fan", batch.states, batch.controls, labels, state_space)
    drawn = panels("plot_fan", [c.label for c in columns], time_label(dt), axes)
    for axis, column in zip(drawn, columns, strict=True):
        lines = column.lines()
        time = dt * np.arange(lines.shape[1])
        step = "post" if column.held else None
        for (low, high), shade in zip(_QUANTILES, (0.18, 0.35), strict=True):
            band = np.nanquantile(lines, (low, high), axis=0)
            name = f"{high - low:.0%} of {len(lines)}"
            axis.fill_between(time, *band, color=QUIET, alpha=shade, lw=0, step=step, label=name)
        middle, style = np.nanmedian(lines, axis=0), column.style
        axis.plot(time, middle, color=QUIET, lw=1.8, drawstyle=style, label="median")
    if axes is None:
        legend(drawn)
    return drawn
