"""Closed loops: what was planned over what happened, many loops as a fan, times of steps."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from jaxmpc.checks import check_positive, check_type
from jaxmpc.control import Simulation, TimingReport
from jaxmpc.control.closed_loop import Prediction
from jaxmpc.plot.attitudes import readable
from jaxmpc.plot.axes import GREY, LOUD, QUIET, panels, require_matplotlib, tidy
from jaxmpc.plot.series import labelled
from jaxmpc.spaces import Space

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ABOVE = {
    "frameon": False,
    "fontsize": "small",
    "ncols": 3,
    "loc": "lower right",
    "bbox_to_anchor": (1, 1),
}
_QUANTILES = ((0.05, 0.95), (0.25, 0.75))


def plot_closed_loop(
    simulation: Simulation,
    dt: float = 1.0,
    labels: Sequence[str] = (),
    every: int = 5,
    *,
    state_space: Space | None = None,
) -> "Figure":
    """A closed loop, with every so many plans as thin lines, and marks where none was found.

    Args:
        simulation: of one loop.
        dt: the length of a sample [s].
        labels: n + m names, with units: of the states, then of the controls.
        every: draws the plan of each so manyth sample, where plans were kept.
        state_space: as for `plot_solution`.

    Returns:
        The figure; `figure.savefig("name.png")` keeps it.

    Raises:
        ImportError: without matplotlib. ValueError: a wrong number of labels, or a batch.
    """
    check_type("plot_closed_loop", "simulation", simulation, Simulation)
    check_positive("plot_closed_loop", "every", every, whole=True)
    if np.ndim(simulation.states) != 2:
        raise ValueError(
            "plot_closed_loop: simulation must be of one loop, with states [S+1, n]; got shape "
            f"{np.shape(simulation.states)}. For a batch there is plot_fan."
        )
    given = (simulation.states, simulation.controls, labels, state_space)
    columns = labelled("plot_closed_loop", *given)
    figure, axes = panels(len(columns))
    plans = simulation.predictions
    failed = np.flatnonzero(np.asarray(simulation.failures))
    planned = None if plans is None else _planned(plans, simulation.states, state_space)
    n = len(columns) - np.shape(simulation.controls)[1]
    for place, (axis, (label, values)) in enumerate(zip(axes, columns.items(), strict=True)):
        style = "default" if place < n else "steps-post"
        if planned is not None:
            kept = planned[place]
            for start in range(0, len(kept), every):
                time = dt * (start + np.arange(kept.shape[1]))
                axis.plot(time, kept[start], color=LOUD, lw=0.7, alpha=0.5, drawstyle=style)
        axis.plot(dt * np.arange(len(values)), values, color=QUIET, lw=2.0, drawstyle=style)
        if len(failed):
            axis.plot(dt * failed, np.asarray(values)[failed], "x", color=GREY, ms=5)
        axis.set_ylabel(label)
    axes[-1].set_xlabel("time [s]" if dt != 1.0 else "sample")
    figure.align_ylabels()
    _legend(axes[0], plans is not None, len(failed) > 0)
    return figure


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


def plot_fan(
    simulation: Simulation,
    dt: float = 1.0,
    labels: Sequence[str] = (),
    *,
    state_space: Space | None = None,
) -> "Figure":
    """A batch of closed loops: the median, and bands that hold half and nine tenths of them.

    Args:
        simulation: with leaves [B, ...], as of `simulate` under `vmap`.
        dt, labels, state_space: as for `plot_closed_loop`.
    """
    check_type("plot_fan", "simulation", simulation, Simulation)
    if np.ndim(simulation.states) != 3:
        raise ValueError(
            "plot_fan: simulation must be of a batch, with states [B, S+1, n]; got shape "
            f"{np.shape(simulation.states)}."
        )
    given = (simulation.states, simulation.controls, labels, state_space)
    columns = labelled("plot_fan", *given)
    figure, axes = panels(len(columns))
    for axis, (label, values) in zip(axes, columns.items(), strict=True):
        time = dt * np.arange(np.shape(values)[1])
        for (low, high), shade in zip(_QUANTILES, (0.18, 0.35), strict=True):
            band = np.nanquantile(values, (low, high), axis=0)
            name = f"{high - low:.0%} of the loops"
            axis.fill_between(time, *band, color=QUIET, alpha=shade, lw=0, label=name)
        axis.plot(time, np.nanmedian(values, axis=0), color=QUIET, lw=1.8, label="median")
        axis.set_ylabel(label)
    axes[0].legend(
        frameon=False, fontsize="small", ncols=3, loc="lower right", bbox_to_anchor=(1, 1)
    )
    axes[-1].set_xlabel("time [s]" if dt != 1.0 else "sample")
    figure.align_ylabels()
    return figure


def plot_timing(report: TimingReport, bins: int = 60) -> "Figure":
    """The times of a loop's steps as a histogram, on log axes, beside their deadline."""
    check_type("plot_timing", "report", report, TimingReport)
    pyplot = require_matplotlib()
    figure, axis = pyplot.subplots(figsize=(7.5, 3.6), layout="constrained")
    times = 1e3 * np.maximum(report.seconds, 1e-9)
    edges = np.geomspace(times.min() * 0.99, times.max() * 1.01, bins + 1)
    axis.hist(times, bins=list(edges), color=QUIET)
    marks = {"median": report.median, "p99": report.p99, "p99.9": report.p999}
    for (name, value), dash in zip(marks.items(), ("-", "--", ":"), strict=True):
        text = f"{name} {1e3 * value:.3g} ms"
        axis.axvline(1e3 * value, color=GREY, lw=1.2, ls=dash, label=text)
    if np.isfinite(report.deadline):
        text = f"deadline {1e3 * report.deadline:.3g} ms, {report.missed} missed"
        axis.axvline(1e3 * report.deadline, color=LOUD, lw=2.0, label=text)
    axis.set(xscale="log", yscale="log", xlabel="time of a step [ms]", ylabel="steps")
    for formatted in (axis.xaxis.set_major_formatter, axis.xaxis.set_minor_formatter):
        formatted("{x:g}")
    tidy(axis)
    axis.legend(frameon=False, fontsize="small")
    return figure


def _legend(axis, plans: bool, failures: bool):
    axis.plot([], [], color=QUIET, lw=2.0, label="what happened")
    if plans:
        axis.plot([], [], color=LOUD, lw=0.7, label="what was planned")
    if failures:
        axis.plot([], [], "x", color=GREY, label="an earlier plan followed")
    axis.legend(**_ABOVE)
