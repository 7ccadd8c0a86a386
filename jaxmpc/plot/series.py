"""Trajectories over time."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmpc.plot.attitudes import readable
from jaxmpc.plot.axes import draw_lines, panels
from jaxmpc.solution import Solution
from jaxmpc.spaces import Space

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_solution(
    solution: Solution,
    dt: float = 1.0,
    labels: Sequence[str] = (),
    *,
    state_space: Space | None = None,
) -> "Figure":
    """One panel for each state and each control, over time; of a batch, one line an element.

    Args:
        solution: of one problem, or of a batch of them.
        dt: the length of a step [s].
        labels: n + m names, with units: of the states, then of the controls.
        state_space: that of the problem: its angles are drawn without jumps, its quaternions as
            three angles (so that n is less).

    Returns:
        The figure; `figure.savefig("name.png")` keeps it.

    Raises:
        ImportError: without matplotlib. ValueError: a wrong number of labels.
    """
    given = (solution.states, solution.controls, labels, state_space)
    return plot_series(labelled("plot_solution", *given), dt)


def labelled(
    owner: str, states, controls, labels: Sequence[str], state_space: Space | None = None
) -> dict[str, np.ndarray]:
    """The columns of states and controls by their names; x[0] .. and u[0] .. without labels."""
    own, controls = readable(state_space, states), np.asarray(controls)
    n, m = len(own), controls.shape[-1]
    labels = list(labels) or [*own, *(f"u[{j}]" for j in range(m))]
    if len(labels) != n + m:
        raise ValueError(f"{owner}: got {len(labels)} labels; wanted n + m = {n + m}.")
    columns = [*own.values(), *np.moveaxis(controls, -1, 0)]
    return dict(zip(labels, columns, strict=True))


def plot_series(series: Mapping[str, Any], dt: float = 1.0, *, highlight: Any = None) -> "Figure":
    """Series over one time axis, a panel each, with its name as the label.

    Args:
        series: arrays [..., T+1] of what is known at the instants, drawn as lines, and [..., T]
            of what is held between them, drawn as steps; the longest one is of T + 1.
        dt: the length of a step [s].
        highlight: the batch elements to draw over the others: an index, several, or a mask.
    """
    figure, axes = panels(len(series))
    instants = max(np.shape(values)[-1] for values in series.values())
    time = dt * np.arange(instants)
    for axis, (label, values) in zip(axes, series.items(), strict=True):
        lines = np.reshape(np.asarray(values), (-1, np.shape(values)[-1]))
        if lines.shape[1] == instants - 1:  # a control is held to the end of its step
            lines, style = np.concatenate([lines, lines[:, -1:]], axis=1), "steps-post"
        else:
            style = "default"
        draw_lines(axis, time, lines, style, highlight)
        axis.set_ylabel(label)
    axes[-1].set_xlabel("time [s]" if dt != 1.0 else "step")
    figure.align_ylabels()
    return figure
