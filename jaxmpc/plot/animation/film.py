"""`animate`: states over time as a film of the model."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmpc.checks import check_positive
from jaxmpc.plot.animation.actor import Actor, Look
from jaxmpc.plot.animation.actors import actor_of
from jaxmpc.plot.axes import require_matplotlib, several
from jaxmpc.plot.names import labels
from jaxmpc.plot.solid import solid_axis

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation

_CHARACTERS = 13.0  # of the caption, in an inch
_HEIGHT, _WIDTHS = 4.4, (3.8, 7.0)  # inches, of a new figure


def animate(
    model: Callable,
    states: Any,
    dt: float,
    *,
    controls: Any = None,
    params: Mapping[str, Any] | None = None,
    slowdown: float = 1.0,
    frames_per_second: int = 25,
    axes: Any = None,
) -> "FuncAnimation":
    """A model in motion, as a matplotlib animation.

    `film.save("name.gif", writer="pillow")` writes it, `plot.html(film)` shows it in a notebook.

    Args:
        model: a function of `jaxmpc.models`.
        states: [T+1, n], or [B, T+1, n]: then the first one, and the others faintly.
        dt: the length of a step [s].
        controls: [T, m], or [B, T, m], to be drawn with it; or None.
        params: the model's, for its lengths; what it does not have is the default.
        slowdown: seconds of film for a second of motion.
        frames_per_second: of the film; between the states the motion is interpolated.
        axes: where to draw (of `projection="3d"` for a quadrotor or a chain); None makes a figure.

    Returns:
        A `matplotlib.animation.FuncAnimation`. It rests for a second at the end.

    Raises:
        ImportError: without matplotlib. ValueError: a function that is none of the models; states,
            controls or axes that are not its own.

    Example:
        >>> from jaxmpc import models, plot
        >>> states = jnp.stack([models.pendulum_state(angle) for angle in (0.0, 0.1, 0.2)])
        >>> film = plot.animate(models.pendulum, states, 0.05)
        >>> plot.html(film).gif[:3]  # a cell of a notebook that ends with html(film) shows it
        b'GIF'
    """
    require_matplotlib()
    from matplotlib.animation import FuncAnimation

    actor, p = actor_of(model), _params(model, params)
    check_positive("animate", "dt", dt)
    check_positive("animate", "slowdown", slowdown)
    check_positive("animate", "frames_per_second", frames_per_second, whole=True)
    states, inputs = _checked(model, actor, states, controls)
    pose, instants = actor.pose(states, p), dt * np.arange(states.shape[1])
    duration = dt * (states.shape[1] - 1)
    moving = np.linspace(0.0, duration, round(duration * slowdown * frames_per_second) + 1)
    axis = _axis(actor, axes)
    actor.view(axis, pose, p)
    if axes is None:
        _fit(axis)
    draws, film_inputs = [], None
    for element in reversed(range(len(pose))):  # the first one lies above the others
        between = _interpolated(moving, instants, pose[element])
        stage = np.minimum((moving / dt + 1e-9).astype(int), states.shape[1] - 2)
        film_inputs = None if inputs is None else inputs[element][stage]
        draws.append(actor.body(axis, between, film_inputs, p, Look(element == 0)))
    caption = _caption(
        axis, labels(model, states.shape[-1])[states.shape[-1] :], moving, film_inputs
    )

    def draw(frame: int) -> list:
        return [artist for part in (*draws, caption) for artist in part(frame)]

    if axes is None:  # the layout is found once, and not at each frame
        for _ in range(2):  # equal scales are taken into account by the second pass alone
            axis.figure.draw_without_rendering()
        axis.figure.set_layout_engine("none")
    pause = [len(moving) - 1] * frames_per_second  # a moment to see where it ended
    frames = [*range(len(moving)), *pause]
    return FuncAnimation(axis.figure, draw, frames=frames, interval=1000 / frames_per_second)


def _params(model: Callable, params: Mapping[str, Any] | None) -> dict[str, Any]:
    return {**actor_of(model).defaults, **(params or {})}


def _checked(model: Callable, actor: Actor, states, controls):
    """States [B, T+1, n] and controls [B, T, m]; an error if they are no such things."""
    states, name = np.asarray(states, float), model.__name__
    if states.ndim not in (2, 3) or states.shape[-2] < 2:
        raise ValueError(
            f"animate: states must be [T+1, n] or [B, T+1, n]; got shape {states.shape}."
        )
    if not actor.fits(states.shape[-1]):
        size = actor.size or "6 M + 3"
        known = f": {', '.join(labels(model)[: actor.size])}" if actor.size else ""
        raise ValueError(
            f"animate: states of {name} have n = {size}{known}; got shape {states.shape}."
        )
    inputs = len(labels(model, states.shape[-1])) - states.shape[-1]
    wanted = (*states.shape[:-2], states.shape[-2] - 1, inputs)
    states = states.reshape(-1, *states.shape[-2:])
    if controls is None:
        return states, None
    controls = np.asarray(controls, float)
    if controls.shape != wanted:
        raise ValueError(f"animate: controls must have shape {wanted}; got {controls.shape}.")
    return states, controls.reshape(-1, *controls.shape[-2:])


def _interpolated(moving, instants, pose) -> np.ndarray:
    return np.stack([np.interp(moving, instants, column) for column in pose.T], axis=1)


def _axis(actor: Actor, axes: Any) -> Any:
    size = (1.3 * _HEIGHT, _HEIGHT)
    if actor.solid:
        return solid_axis("animate", axes, size)
    if axes is None:
        _, axes = require_matplotlib().subplots(figsize=size, layout="constrained")
    axis = several("animate", axes, 1)[0]
    if axis.name == "3d":
        raise ValueError("animate: axes of this model must be flat; got some of three dimensions.")
    return axis


def _fit(axis):
    """Give the figure the shape of what is seen."""
    if axis.name != "3d":
        (left, right), (low, high) = axis.get_xlim(), axis.get_ylim()
        width = (_HEIGHT - 0.8) * (right - left) / (high - low) + 0.7
        axis.figure.set_figwidth(min(max(width, _WIDTHS[0]), _WIDTHS[1]))


def _caption(axis, names: list[str], moving, controls) -> Callable[[int], tuple]:
    """Time and controls, above the axes."""
    width = int(_CHARACTERS * axis.bbox.width / axis.figure.dpi)
    parts = [name.rstrip("]").split(" [") for name in names]  # name, and unit if it has one

    def words(frame: int) -> str:
        found = [f"time {moving[frame]:.2f} s"]
        if controls is not None:
            for (name, *unit), value in zip(parts, controls[frame], strict=True):
                found.append(" ".join([name, f"{value:6.2f}", *unit]))
        lines = [found[0]]
        for part in found[1:]:
            joined = f"{lines[-1]}   {part}"
            lines = [*lines[:-1], joined] if len(joined) <= width else [*lines, part]
        return "\n".join(lines)

    text = axis.set_title(words(0), loc="left", family="monospace", fontsize="small")

    def draw(frame: int) -> tuple:
        text.set_text(words(frame))
        return (text,)

    return draw
