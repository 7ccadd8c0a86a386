"""Pictures of trajectories. Needs matplotlib: `pip install 'jaxmpc[plots]'`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmpc.learning.history import History
from jaxmpc.solution import Solution

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation
    from matplotlib.figure import Figure

_QUIET, _LOUD, _GREY = "#4477aa", "#cc3311", "#555555"


def require_matplotlib() -> Any:
    """`matplotlib.pyplot`; an ImportError that says how to get it where it is missing."""
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError(
            "jaxmpc.plot needs matplotlib and pillow: pip install 'jaxmpc[plots]'"
        ) from error
    return pyplot


def plot_solution(solution: Solution, dt: float = 1.0, labels: Sequence[str] = ()) -> "Figure":
    """One panel for each state and each control, over time; of a batch, one line an element.

    Args:
        solution: of one problem, or of a batch of them.
        dt: the length of a step [s].
        labels: n + m names, with units: of the states, then of the controls.

    Returns:
        The figure; `figure.savefig("name.png")` keeps it.

    Raises:
        ImportError: without matplotlib. ValueError: a wrong number of labels.
    """
    states, controls = np.asarray(solution.states), np.asarray(solution.controls)
    n, m = states.shape[-1], controls.shape[-1]
    labels = list(labels) or [f"x[{i}]" for i in range(n)] + [f"u[{j}]" for j in range(m)]
    if len(labels) != n + m:
        raise ValueError(f"plot_solution: got {len(labels)} labels; wanted n + m = {n + m}.")
    columns = [*np.moveaxis(states, -1, 0), *np.moveaxis(controls, -1, 0)]
    return plot_series(dict(zip(labels, columns, strict=True)), dt)


def plot_series(series: Mapping[str, Any], dt: float = 1.0, *, highlight: Any = None) -> "Figure":
    """Series over one time axis, a panel each, with its name as the label.

    Args:
        series: arrays [..., T+1] of what is known at the instants, drawn as lines, and [..., T]
            of what is held between them, drawn as steps; the longest one is of T + 1.
        dt: the length of a step [s].
        highlight: the batch elements to draw over the others: an index, several, or a mask.
    """
    pyplot = require_matplotlib()
    count = len(series)
    figure, axes = pyplot.subplots(
        count,
        1,
        sharex=True,
        squeeze=False,
        figsize=(7.5, 1.0 + 1.75 * count),
        layout="constrained",
    )
    instants = max(np.shape(values)[-1] for values in series.values())
    time = dt * np.arange(instants)
    for axis, (label, values) in zip(axes[:, 0], series.items(), strict=True):
        lines = np.reshape(np.asarray(values), (-1, np.shape(values)[-1]))
        if lines.shape[1] == instants - 1:  # a control is held to the end of its step
            lines, style = np.concatenate([lines, lines[:, -1:]], axis=1), "steps-post"
        else:
            style = "default"
        _lines(axis, time, lines, style, highlight)
        axis.set_ylabel(label)
        axis.margins(x=0)
    axes[-1, 0].set_xlabel("time [s]" if dt != 1.0 else "step")
    figure.align_ylabels()
    return figure


def plot_history(history: History) -> "Figure":
    """Losses over the epochs of a `learning.fit`, and below them what was not solved.

    Args:
        history: of a `learning.Fit`.
    """
    pyplot = require_matplotlib()
    figure, (above, below) = pyplot.subplots(
        2, 1, sharex=True, figsize=(7.5, 5.0), height_ratios=(3, 1), layout="constrained"
    )
    epochs = np.arange(1, len(history.loss) + 1)
    above.semilogy(epochs, history.loss, color=_QUIET, lw=1.8, label="training")
    below.plot(epochs, history.unsolved, color=_QUIET, lw=1.2, drawstyle="steps-mid")
    for place, (name, losses) in enumerate(history.evaluations.items()):
        evaluated = ~np.isnan(losses)
        look = {"color": _LOUD if place == 0 else f"C{place + 3}", "lw": 1.4}
        above.semilogy(epochs[evaluated], losses[evaluated], label=name, **look)
        below.plot(epochs[evaluated], history.evaluations_unsolved[name][evaluated], **look)
    above.set_ylabel("mean loss")
    above.legend(frameon=False)
    below.set(xlabel="epoch", ylabel="not solved")
    for axis in (above, below):
        axis.grid(color="0.9", lw=0.6)
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(x=0)
    return figure


def _lines(axis, time, lines, style, highlight):
    def draw(lines, **look):
        axis.plot(time, lines.T, drawstyle=style, **look)

    alone = len(lines) == 1
    faint = {"lw": 1.8} if alone else {"lw": 0.8, "alpha": max(0.25, min(1.0, 10 / len(lines)))}
    draw(lines, color=_QUIET, **faint)
    if highlight is not None:
        chosen = np.atleast_2d(lines[highlight])
        if len(chosen) <= 3:
            draw(chosen, color="white", lw=3.5)
            draw(chosen, color=_LOUD, lw=2.0)
        else:
            draw(chosen, color=_LOUD, lw=0.9, alpha=0.6)
    axis.grid(color="0.9", lw=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)


def animate_cartpole(
    states: Any,
    dt: float,
    *,
    controls: Any = None,
    length: float = 0.5,
    slowdown: float = 1.0,
    frames_per_second: int = 25,
) -> "FuncAnimation":
    """A cart with its pole in motion, as a matplotlib animation.

    `animation.save("name.gif", writer="pillow")` writes it (needs pillow).

    Args:
        states: [T+1, 5], of `models.cartpole`.
        dt: the length of a step [s].
        controls: [T, 1] forces [N] to draw as an arrow, or None.
        length: half the pole's length [m].
        slowdown: seconds of film for a second of motion.
        frames_per_second: of the film; between the states the motion is interpolated.
    """
    pyplot = require_matplotlib()
    from matplotlib.animation import FuncAnimation

    states = np.asarray(states)
    duration = dt * (len(states) - 1)
    moving = np.linspace(0.0, duration, round(duration * slowdown * frames_per_second) + 1)
    instants = dt * np.arange(len(states))
    angle = np.unwrap(np.arctan2(states[:, 3], states[:, 2]))
    position, angle = (np.interp(moving, instants, values) for values in (states[:, 0], angle))
    force = None
    if controls is not None:
        stage = np.minimum((moving / dt).astype(int), len(controls) - 1)
        force = np.asarray(controls)[stage, 0]
    figure, axis = pyplot.subplots(figsize=(7.0, 4.6), layout="constrained")
    draw = _cartpole_artists(axis, moving, position, angle, 2 * length, force)
    pause = [len(moving) - 1] * frames_per_second  # a moment to see where it ended
    return FuncAnimation(
        figure, draw, frames=[*range(len(moving)), *pause], interval=1000 / frames_per_second
    )


def _cartpole_artists(axis, time, position, angle, pole, force):
    from matplotlib.patches import Rectangle

    half, height, longest_arrow = 0.18, 0.16, 0.5
    tip_x, tip_y = position + pole * np.sin(angle), pole * np.cos(angle)
    reach = max(1.6 * pole, np.max(np.abs(tip_x)), np.max(np.abs(position)) + half + longest_arrow)
    axis.set(aspect="equal", xlim=(-reach - 0.1, reach + 0.1), ylim=(-pole - 0.2, pole + 0.2))
    axis.set(xlabel="position [m]", yticks=[])
    axis.spines[["top", "left", "right"]].set_visible(False)
    axis.axhline(0.0, color="0.75", lw=1.0, zorder=0)
    cart = axis.add_patch(Rectangle((0, -height / 2), 2 * half, height, color=_QUIET, zorder=2))
    (trace,) = axis.plot([], [], color=_LOUD, lw=1.0, alpha=0.4, zorder=1)
    (rod,) = axis.plot([], [], color=_LOUD, lw=5.0, solid_capstyle="round", zorder=3)
    (arrow,) = axis.plot([], [], color=_GREY, lw=3.0, zorder=4, solid_capstyle="butt")
    (head,) = axis.plot([], [], color=_GREY, ls="", ms=8.0, zorder=4)
    caption = axis.text(0.02, 0.98, "", transform=axis.transAxes, va="top", family="monospace")
    strength = np.zeros_like(time) if force is None else force
    scale = longest_arrow / max(float(np.max(np.abs(strength))), 1e-9)

    def draw(frame):
        x, push = position[frame], scale * strength[frame]
        cart.set_x(x - half)
        rod.set_data([x, tip_x[frame]], [0.0, tip_y[frame]])
        trace.set_data(tip_x[: frame + 1], tip_y[: frame + 1])
        start = x + np.sign(push) * half
        visible = abs(push) > 0.05
        arrow.set_data([start, start + push] if visible else [], [0.0, 0.0] if visible else [])
        head.set_data([start + push] if visible else [], [0.0] if visible else [])
        head.set_marker(">" if push >= 0 else "<")
        text = f"time  {time[frame]:5.2f} s"
        caption.set_text(text if force is None else f"{text}\nforce {force[frame]:5.1f} N")
        return cart, rod, trace, arrow, head, caption

    return draw
