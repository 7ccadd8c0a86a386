"""Closed loops: what was planned over what happened."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxmpc.checks import check_positive, check_type
from jaxmpc.control import Simulation
from jaxmpc.control.closed_loop import Prediction
from jaxmpc.plot.axes import GREY, LOUD, QUIET, legend, panels, time_label
from jaxmpc.plot.columns import columns_of, readable
from jaxmpc.plot.limits import mark_bounds
from jaxmpc.problem import Problem
from jaxmpc.spaces import Space


def plot_closed_loop(
    simulation: Simulation,
    dt: float = 1.0,
    labels: Sequence[str] = (),
    every: int = 5,
    *,
    problem: Problem | None = None,
    state_space: Space | None = None,
    axes: Any = None,
) -> np.ndarray:
    """A closed loop, with every so many plans as thin lines, and marks where none was found.

    Args:
        simulation: of one loop.
        dt: the length of a sample [s].
        labels: n + m names, with units: of the states, then of the controls.
        every: draws the plan of each so manyth sample, where plans were kept.
        problem: what was solved at each sample: its bounds are drawn as by `plot_solution`, those
            that are the same at all stages.
        state_space: as for `plot_solution`.
        axes: where to draw, one a signal; None makes a figure.

    Returns:
        The axes, an array, one a signal.

    Raises:
        ImportError: without matplotlib. ValueError: a wrong number of labels or axes, or a batch.

    Example:
        >>> from jaxmpc import plot
        >>> loop = jaxmpc.simulate(controller, plant, x0, 5, params)
        >>> axes = plot.plot_closed_loop(loop, 0.1, ["position [m]", "speed [m/s]", "force [N]"])
        >>> [axis.get_ylabel() for axis in axes]
        ['position [m]', 'speed [m/s]', 'force [N]']
    """
    check_type("plot_closed_loop", "simulation", simulation, Simulation)
    check_positive("plot_closed_loop", "every", every, whole=True)
    if np.ndim(simulation.states) != 2:
        raise ValueError(
            "plot_closed_loop: simulation must be of one loop, with states [S+1, n]; got shape "
            f"{np.shape(simulation.states)}. For a batch there is plot_fan."
        )
    if problem is not None:
        check_type("plot_closed_loop", "problem", problem, Problem)
        state_space = problem.state_space if state_space is None else state_space
    given = (simulation.states, simulation.controls, labels, state_space)
    columns = columns_of("plot_closed_loop", *given)
    drawn = panels("plot_closed_loop", [c.label for c in columns], time_label(dt), axes)
    plans = simulation.predictions
    failed = np.flatnonzero(np.asarray(simulation.failures))
    planned = None if plans is None else _planned(plans, simulation.states, state_space)
    for place, (axis, column) in enumerate(zip(drawn, columns, strict=True)):
        style = column.style
        kept = [] if planned is None else planned[place][::every]
        for number, plan in enumerate(kept):
            plan = np.append(plan, plan[-1]) if column.held else plan
            time = dt * (number * every + np.arange(len(plan)))
            label = "what was planned" if number == 0 else None
            axis.plot(time, plan, color=LOUD, lw=0.7, alpha=0.6, drawstyle=style, label=label)
        (happened,) = column.lines()
        time = dt * np.arange(len(happened))
        look = {"color": QUIET, "lw": 2.2, "drawstyle": style}
        axis.plot(time, happened, label="what happened", **look)
        if len(failed):
            marks = {"color": GREY, "ms": 6, "mew": 1.5, "label": "an earlier plan followed"}
            axis.plot(dt * failed, happened[failed], "x", **marks)
    if problem is not None:
        mark_bounds(drawn, columns, problem, np.shape(simulation.states)[-1], dt)
    if axes is None:
        legend(drawn)
    return drawn


def _planned(plans: Prediction, states, state_space: Space | None) -> list[np.ndarray]:
    """The plans' columns [S, T+1] and [S, T]; their angles begin at the turn of those that came."""
    before = np.asarray(states)[:-1, None]
    with_first = np.concatenate([before, np.asarray(plans.states)], axis=1)
    came = readable(state_space, states)
    found = []
    for name, values in readable(state_space, with_first).items():
        turns = np.round((came[name][:-1] - values[:, 0]) / (2 * np.pi)) if state_space else 0.0
        found.append(values[:, 1:] + 2 * np.pi * np.reshape(turns, (-1, 1)))
    return [*found, *np.moveaxis(np.asarray(plans.controls), -1, 0)]
