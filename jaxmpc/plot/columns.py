"""States and controls as one reads them: a column a signal, angles without jumps, attitudes as
three angles."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxmpc.spaces import Circle, Product, Space, UnitQuaternion

_ANGLES = ("roll [rad]", "pitch [rad]", "yaw [rad]")


class Column(NamedTuple):
    """A signal.

    Attributes:
        label: its name.
        values: [..., T+1] of a state, [..., T] of a control.
        entry: which number of the state or of the control it is; None where it is made of several.
        held: whether it is a control, which is held from one instant to the next.
    """

    label: str
    values: np.ndarray
    entry: int | None
    held: bool = False

    @property
    def style(self) -> str:
        """How matplotlib is to draw it."""
        return "steps-post" if self.held else "default"

    def lines(self) -> np.ndarray:
        """[B, T+1], one line an element; the last control is held to the end of its step."""
        lines = np.reshape(self.values, (-1, self.values.shape[-1]))
        return np.concatenate([lines, lines[:, -1:]], axis=1) if self.held else lines


def columns_of(
    owner: str, states, controls, labels: Sequence[str], space: Space | None = None
) -> list[Column]:
    """States [..., T+1, n], then controls [..., T, m]; x[0] .. and u[0] .. without labels.

    `labels` are of the columns, or of all n + m numbers: three angles have names of their own then.
    """
    states, controls = np.asarray(states), np.asarray(controls)
    own, m, n = _state_columns(space, states), controls.shape[-1], states.shape[-1]
    inputs = np.moveaxis(controls, -1, 0)
    columns = own + [Column(f"u[{j}]", inputs[j], j, True) for j in range(m)]
    labels = list(labels)
    if len(labels) == n + m != len(columns):
        kept = [labels[c.entry] if c.entry is not None else c.label for c in own]
        labels = kept + labels[n:]
    if labels and len(labels) != len(columns):
        or_all = f" (or {n + m}, of all numbers)" if n + m != len(columns) else ""
        raise ValueError(
            f"{owner}: got {len(labels)} labels; wanted n + m = {len(columns)}{or_all}."
        )
    named = zip(columns, labels or [c.label for c in columns], strict=True)
    return [column._replace(label=str(label)) for column, label in named]


def readable(space: Space | None, states: Any) -> dict[str, np.ndarray]:
    """The columns of states [..., T+1, n] by name: angles unwrapped, attitudes as three angles."""
    return {column.label: column.values for column in _state_columns(space, np.asarray(states))}


def _state_columns(space: Space | None, states: np.ndarray) -> list[Column]:
    columns: list[Column] = []
    taken: set[str] = set()
    for factor, start in _factors(space, 0):
        dim = states.shape[-1] if factor is None else factor.dim
        part = states[..., start : start + dim]
        places: list[Any] = [start + i for i in range(dim)]
        names = [f"x[{place}]" for place in places]
        if isinstance(factor, UnitQuaternion):
            part, places = np.unwrap(roll_pitch_yaw(part), axis=-2), [None, None, None]
            names = [f"{name} of x[{start}:]" if name in taken else name for name in _ANGLES]
            taken.update(_ANGLES)
        elif isinstance(factor, Circle):
            part, names = np.unwrap(part, axis=-2), [f"x[{start}] [rad]"]
        values = np.moveaxis(part, -1, 0)
        columns += map(Column, names, values, places)
    return columns


def _factors(space: Space | None, start: int) -> list[tuple[Any, int]]:
    """The spaces that a space is made of, and where the numbers of each begin."""
    if not isinstance(space, Product):
        return [(space, start)]
    parts = zip(space.factors, space.starts(), strict=True)
    return [pair for factor, (i, _) in parts for pair in _factors(factor, start + i)]


def roll_pitch_yaw(quaternions: Any) -> np.ndarray:
    """The angles [rad] of turns about x, then y, then z of the world: [..., 4] -> [..., 3]."""
    given = np.asarray(quaternions)
    w, x, y, z = np.moveaxis(given / np.linalg.norm(given, axis=-1, keepdims=True), -1, 0)
    roll = np.arctan2(2 * (w * x + y * z), 1 - 2 * (x**2 + y**2))
    pitch = np.arcsin(np.clip(2 * (w * y - z * x), -1, 1))
    yaw = np.arctan2(2 * (w * z + x * y), 1 - 2 * (y**2 + z**2))
    return np.stack([roll, pitch, yaw], axis=-1)
