"""Trajectories over time."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxmpc.checks import check_positive, check_type
from jaxmpc.plot.axes import draw_lines, legend, panels, time_label
from jaxmpc.plot.columns import columns_of
from jaxmpc.plot.limits import check_fits, mark_limits
from jaxmpc.problem import Problem
from jaxmpc.solution import Solution
from jaxmpc.spaces import Space


def plot_solution(
    solution: Solution,
    dt: float = 1.0,
    labels: Sequence[str] = (),
    *,
    problem: Problem | None = None,
    state_space: Space | None = None,
    axes: Any = None,
) -> np.ndarray:
    """One panel for each state and each control, over time; of a batch, one line an element.

    With the problem: bounds are dashed, stages at a bound are shaded (in a batch the darker, the
    more elements are there), and stages that violate a constraint by more than ten times the
    tolerance are marked: those of a state's bounds on its line, the others below all panels.

    Args:
        solution: of one problem, or of a batch of them.
        dt: the length of a step [s].
        labels: n + m names, with units: of the states, then of the controls. `plot.labels` has
            those of the models.
        problem: what was solved.
        state_space: that of the problem, if that is not given: its angles are drawn without jumps,
            its quaternions as three angles (so that there are fewer panels).
        axes: where to draw, one a panel; None makes a figure.

    Returns:
        The axes, an array, one a signal: `axes[0].figure.savefig("name.png")` keeps them.

    Raises:
        ImportError: without matplotlib. TypeError, ValueError: a wrong number of labels or axes,
            or the solution of another problem.

    Example:
        >>> from jaxmpc import plot
        >>> names = ["position [m]", "speed [m/s]", "force [N]"]
        >>> axes = plot.plot_solution(solution, 0.1, names, problem=problem)
        >>> [axis.get_ylabel() for axis in axes]
        ['position [m]', 'speed [m/s]', 'force [N]']
    """
    check_type("plot_solution", "solution", solution, Solution)
    check_positive("plot_solution", "dt", dt)
    if problem is not None:
        check_fits("plot_solution", solution, problem)
        state_space = problem.state_space if state_space is None else state_space
    given = (solution.states, solution.controls, labels, state_space)
    columns = columns_of("plot_solution", *given)
    drawn = panels("plot_solution", [c.label for c in columns], time_label(dt), axes)
    time = dt * np.arange(np.shape(solution.states)[-2])
    for axis, column in zip(drawn, columns, strict=True):
        draw_lines(axis, time, column.lines(), column.style)
    if problem is not None:
        mark_limits(drawn, columns, solution, problem, dt)
        if axes is None:
            legend(drawn)
    return drawn


def plot_series(
    series: Mapping[str, Any], dt: float = 1.0, *, highlight: Any = None, axes: Any = None
) -> np.ndarray:
    """Series over one time axis, a panel each, with its name as the label.

    Args:
        series: arrays [..., T+1] of what is known at the instants, drawn as lines, and [..., T]
            of what is held between them, drawn as steps; the longest one is of T + 1.
        dt: the length of a step [s].
        highlight: the batch elements to draw over the others: an index, several, or a mask.
        axes: where to draw, one a series; None makes a figure.

    Returns:
        The axes, an array, one a series.

    Example:
        >>> from jaxmpc import plot
        >>> speed, force = solution.states[:, 1], solution.controls[:, 0]
        >>> axes = plot.plot_series({"speed [m/s]": speed, "force [N]": force}, 0.1)
        >>> axes[0].get_ylabel()
        'speed [m/s]'
    """
    axes = panels("plot_series", list(series), time_label(dt), axes)
    instants = max(np.shape(values)[-1] for values in series.values())
    time = dt * np.arange(instants)
    for axis, values in zip(axes, series.values(), strict=True):
        lines = np.reshape(np.asarray(values), (-1, np.shape(values)[-1]))
        held = lines.shape[1] == instants - 1  # a control is held to the end of its step
        lines = np.concatenate([lines, lines[:, -1:]], axis=1) if held else lines
        draw_lines(axis, time, lines, "steps-post" if held else "default", highlight)
    return axes
