"""What the steps of a control loop took."""

from typing import Any

import numpy as np

from jaxmpc.checks import check_positive, check_type
from jaxmpc.control import TimingReport
from jaxmpc.plot.axes import GREY, LOUD, QUIET, one


def plot_timing(report: TimingReport, *, bins: int = 60, axes: Any = None) -> Any:
    """The times of a loop's steps as a histogram, on log axes, beside their deadline.

    Args:
        report: of a loop, as `loop.report()` returns it.
        bins: how many bars.
        axes: where to draw; None makes a figure.

    Returns:
        The axes.

    Example:
        >>> from jaxmpc import plot
        >>> report = jaxmpc.control.TimingReport([0.001, 0.002, 0.004], deadline=0.003)
        >>> plot.plot_timing(report).get_xscale()
        'log'
    """
    check_type("plot_timing", "report", report, TimingReport)
    check_positive("plot_timing", "bins", bins, whole=True)
    axis = one("plot_timing", axes, (7.5, 3.6))
    times = 1e3 * np.maximum(report.seconds, 1e-9)
    edges = np.geomspace(times.min() * 0.99, times.max() * 1.01, bins + 1)
    axis.hist(times, bins=list(edges), color=QUIET)
    marks = {"median": report.median, "p99": report.p99, "p99.9": report.p999}
    for (name, value), dash in zip(marks.items(), ("-", "--", ":"), strict=True):
        text = f"{name} {1e3 * value:.3g} ms"
        axis.axvline(1e3 * value, color=GREY, lw=1.2, ls=dash, label=text)
    if np.isfinite(report.deadline):
        text = f"deadline {1e3 * report.deadline:.3g} ms, {report.missed} missed"
        axis.axvline(1e3 * report.deadline, color=LOUD, lw=2.4, label=text)
    axis.set(xscale="log", yscale="log", xlabel="time of a step [ms]", ylabel="steps")
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter(lambda x, _: f"{x:g}" if f"{x:e}"[0] in "25" else "")
    axis.legend(frameon=False, fontsize="small")
    return axis
