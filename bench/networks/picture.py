"""The picture of all that was measured."""

from pathlib import Path
from typing import Any

import numpy as np

from jaxmpc.plot import require_matplotlib

_COLOURS = ("#4477aa", "#cc3311")


def draw(content: dict[str, Any], path: Path):
    """Write a PNG of six panels."""
    pyplot = require_matplotlib()
    figure, axes = pyplot.subplots(2, 3, figsize=(15, 8.2), layout="constrained")
    systems = content["stages"]
    _stages(axes[0, 0], systems, "several_step_error", "10-step error, RMS [scale of a step]")
    _stages(axes[0, 1], systems, "median_imitation_loss", "median imitation loss [bounds' width²]")
    _stages(axes[0, 2], systems, "feedback_regret", "mean regret, with feedback [cost]")
    _costs(axes[1, 0], content["costs"])
    _windows(axes[1, 1], content["failures"]["long windows"])
    _times(axes[1, 2], content["timing"])
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", color="0.9", lw=0.6)
        axis.set_axisbelow(True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _stages(axis, systems, key: str, label: str):
    """Bars for each stage, side by side for the systems."""
    names = [row["stage"] for row in systems[0]["stages"]]
    places = np.arange(len(names))
    for k, (system, colour) in enumerate(zip(systems, _COLOURS, strict=True)):
        heights = [row[key] for row in system["stages"]]
        axis.bar(places + 0.4 * k - 0.2, heights, 0.38, color=colour, label=system["system"])
    axis.set_yscale("log")
    axis.set_xticks(places, [name.replace(" ", "\n") for name in names])
    axis.set_ylabel(label)
    axis.set_title("Each stage on what it has not seen")
    axis.legend(frameon=False)


def _costs(axis, costs):
    for row, colour in zip(costs, (*_COLOURS, "#555555"), strict=True):
        axis.plot(row["losses"], color=colour, label=row["cost"])
    axis.set_yscale("log")
    axis.set(xlabel="epoch", ylabel="imitation loss [bounds' width²]")
    axis.set_title("Learning a cost from experts: training")
    axis.legend(frameon=False)


def _windows(axis, rows):
    steps = [row["steps"] for row in rows]
    axis.plot(steps, [row["gradient_norm"] for row in rows], "o-", color=_COLOURS[1])
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xticks(steps, [str(step) for step in steps])
    axis.minorticks_off()
    axis.set(xlabel="steps of a window", ylabel="norm of the loss's gradient")
    axis.set_title("Exploding gradient: predicting a falling pole")


def _times(axis, timing):
    names, solve, gradient = [], [], []
    for threads, rows in timing.items():
        for row in rows:
            names.append(f"{row['dtype']}\n" + threads.replace(" ", "\n"))
            solve.append(row["solve"]["ms"])
            gradient.append(row["solve_and_gradient"]["ms"])
    places = np.arange(len(names))
    axis.bar(places - 0.2, solve, 0.38, color=_COLOURS[0], label="solve")
    axis.bar(places + 0.2, gradient, 0.38, color=_COLOURS[1], label="solve and gradient")
    axis.set_xticks(places, names)
    axis.set_ylabel("time [ms] for 64 starts")
    axis.set_title("2 × 128 network as dynamics, planar quadrotor")
    axis.legend(frameon=False)
