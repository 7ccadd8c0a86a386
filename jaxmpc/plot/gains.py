"""The feedback gains of a solution."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxmpc.checks import check_type
from jaxmpc.plot.axes import COLORS, DASHES, MARKERS, legend, panels, time_label
from jaxmpc.solution import Solution


def plot_gains(
    solution: Solution, dt: float = 1.0, labels: Sequence[str] = (), *, axes: Any = None
) -> np.ndarray:
    """The entries of the feedback gains over time: a panel a control, a line a state.

    The gain of a control is its answer to a deviation of a state: u = u* + K (x - x*). It is zero
    where the control is at a bound.

    Args:
        solution: of one problem.
        dt: the length of a step [s].
        labels: n + m names: of the states, then of the controls; with a state space that of the
            k directions, then of the controls.
        axes: where to draw, one a control; None makes a figure.

    Returns:
        The axes, an array, one a control.

    Raises:
        ImportError: without matplotlib. TypeError, ValueError: a wrong number of labels or axes,
            or a batch.

    Example:
        >>> from jaxmpc import plot
        >>> axes = plot.plot_gains(solution, 0.1, ["position [m]", "speed [m/s]", "force [N]"])
        >>> len(axes), len(axes[0].lines)  # controls, states
        (1, 2)
    """
    check_type("plot_gains", "solution", solution, Solution)
    gains = np.asarray(solution.gains.feedback)
    if gains.ndim != 3:
        raise ValueError(
            f"plot_gains: solution must be of one problem, with gains [T, m, k]; got {gains.shape}."
        )
    _, m, k = gains.shape
    labels = list(labels) or [*(f"x[{i}]" for i in range(k)), *(f"u[{j}]" for j in range(m))]
    if len(labels) != k + m:
        raise ValueError(f"plot_gains: got {len(labels)} labels; wanted k + m = {k + m}.")
    names = [f"gain of {_word(label)}" for label in labels[k:]]
    drawn = panels("plot_gains", names, time_label(dt), axes)
    held = np.concatenate([gains, gains[-1:]])
    time = dt * np.arange(len(held))
    for control, axis in enumerate(drawn):
        for state in range(k):
            color = COLORS[state % len(COLORS)]  # five and four have no factor in common
            dash = DASHES[state % len(DASHES)]
            label = f"on {_word(labels[state])}"
            look = {"color": color, "ls": dash, "lw": 1.6, "drawstyle": "steps-post"}
            if k > len(DASHES):  # marks tell apart what dashes do not
                apart = max(1, len(held) // 6)
                look |= {"marker": MARKERS[state % len(MARKERS)], "ms": 4}
                look |= {"markevery": (state * apart // k, apart)}
            axis.plot(time, held[:, control, state], label=label, **look)
    if axes is None:
        legend(drawn)
    return drawn


def _word(label: str) -> str:
    """A name without its unit."""
    return label.split(" [")[0]
