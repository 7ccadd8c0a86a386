"""What a model must say of itself to be filmed."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Look(NamedTuple):
    """How a body is drawn: as the one that matters, or as a faint one of many."""

    loud: bool = True

    @property
    def alpha(self) -> float:
        """The opacity."""
        return 1.0 if self.loud else 0.25


class Actor(NamedTuple):
    """A body in motion.

    Attributes:
        size: the number n of states; None: 6 M + 3 of a chain of M masses.
        defaults: the model's parameters.
        pose: (states [B, T+1, n], params) -> [B, T+1, q], numbers between which one may
            interpolate: angles without jumps, quaternions without changes of sign.
        view: (axis, pose [B, T+1, q], params): sets what is seen of the world, and draws what
            stands still in it.
        body: (axis, pose [F, q], controls [F, m] or None, params, `Look`) -> draw(frame), which
            moves the body and returns the artists that it moved.
        solid: whether it moves in three dimensions.
    """

    size: int | None
    defaults: dict[str, Any]
    pose: Callable
    view: Callable
    body: Callable
    solid: bool = False

    def fits(self, n: int) -> bool:
        """Whether a state may have that many numbers."""
        return n == self.size if self.size is not None else n >= 9 and n % 6 == 3


def unwrapped(states: Any, *entries: int) -> np.ndarray:
    """States with some of their angles without jumps."""
    states = np.array(states, float)
    for entry in entries:
        states[..., entry] = np.unwrap(states[..., entry], axis=-1)
    return states


def polar_angle(cosine: Any, sine: Any) -> np.ndarray:
    """The angle of [..., T+1] without jumps."""
    return np.unwrap(np.arctan2(sine, cosine), axis=-1)


def rotated(points: np.ndarray, angle: float) -> np.ndarray:
    """Points [k, 2] turned about the origin."""
    cos, sin = np.cos(angle), np.sin(angle)
    return points @ np.array([[cos, sin], [-sin, cos]])


def shares(controls: np.ndarray | None, frames: int, m: int) -> np.ndarray:
    """Controls [F, m] as parts of the largest; zeros where nobody gave any."""
    if controls is None:
        return np.zeros((frames, m))
    return controls / max(float(np.nanmax(np.abs(controls))), 1e-9)
