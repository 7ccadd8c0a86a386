"""Families of random problems, each function written once for JAX, CasADi and numpy.

The functions end with the module that they take sin, cos, dot from. All random numbers are in
`params` and the bounds, so that one compiled program serves every draw of a size.
"""

import dataclasses
import hashlib
import itertools
import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Size:
    """What a program is compiled for."""

    family: str
    n: int
    m: int
    horizon: int
    rows: int = 0  # of the family's own constraint

    @property
    def name(self) -> str:
        """Such as "box-n4-m2-T30"."""
        return f"{self.family}-n{self.n}-m{self.m}-T{self.horizon}"


@dataclasses.dataclass(frozen=True)
class Functions:
    """What a problem is made of; each function ends with the draw's params and a module."""

    step: Callable
    stage_cost: Callable
    terminal_cost: Callable
    inequality: Callable | None = None  # of x_1 .. x_T
    terminal_equality: Callable | None = None
    stage_equality: Callable | None = None

    @property
    def constrained(self) -> bool:
        """Whether there is more than the dynamics."""
        return (self.inequality, self.terminal_equality, self.stage_equality) != (None,) * 3


@dataclasses.dataclass(frozen=True)
class Draw:
    """One problem: all of its numbers."""

    size: Size
    seed: int
    x0: np.ndarray
    lower: np.ndarray  # [m]
    upper: np.ndarray
    params: dict[str, np.ndarray]
    state_bounds: tuple[np.ndarray, np.ndarray] | None = None  # each [n]

    @property
    def name(self) -> str:
        """Such as "box-n4-m2-T30-seed17"; `draws.load` makes the draw of it."""
        return f"{self.size.name}-seed{self.seed}"

    @property
    def digest(self) -> str:
        """Changes when any number does."""
        arrays = [self.x0, self.lower, self.upper, *(self.state_bounds or ())]
        arrays += [self.params[key] for key in sorted(self.params)]
        raw = b"".join(np.asarray(array, float).tobytes() for array in arrays)
        return hashlib.sha256(raw).hexdigest()[:16]


def _sizes(family: str, *sizes: tuple[int, ...]) -> tuple[Size, ...]:
    return tuple(Size(family, *size) for size in sizes)


SIZES = {
    "box": _sizes(
        "box",
        *((2, 1, 15), (2, 2, 40), (3, 1, 60), (3, 2, 25), (4, 1, 40)),
        *((4, 2, 30), (5, 3, 50), (6, 2, 60), (7, 3, 20), (8, 4, 40)),
    ),
    "state_bounds": _sizes("state_bounds", (2, 1, 30), (4, 2, 30), (5, 2, 50), (8, 4, 25)),
    "terminal_equality": _sizes(
        "terminal_equality", (2, 1, 30, 1), (4, 2, 30, 2), (5, 2, 50, 3), (8, 4, 25, 4)
    ),
    "discs": _sizes("discs", (3, 2, 40, 1), (4, 2, 30, 2), (5, 3, 50, 3), (6, 3, 25, 2)),
    "stage_equality": _sizes(
        "stage_equality", (3, 2, 30, 1), (4, 2, 50, 1), (6, 3, 30, 1), (8, 4, 20, 1)
    ),
}


def size_of(name: str, known: Iterable[Iterable[Size]]) -> tuple[Size, int]:
    """The size, of the known ones, and the seed in a draw's name."""
    found = re.fullmatch(r"(.+)-seed(\d+)", name)
    for size in itertools.chain.from_iterable(known):
        if found and size.name == found[1]:
            return size, int(found[2])
    raise ValueError(f"No draw is called {name!r}.")


def step(x: Any, u: Any, p: Any, np: Any) -> Any:
    """The next state."""
    drift = p["A"] @ x + p["B"] @ u + p["c"] * np.sin(p["W"] @ x)
    return x + p["h"] * (drift + np.tanh(p["V"] @ x) * (p["E"] @ u))


def stage_cost(x: Any, u: Any, p: Any, np: Any) -> Any:
    """Quadratic, cosine and softplus terms of both arguments."""
    control = 0.5 * np.dot(u, p["R"] @ u) + np.dot(p["u_cos"], np.cos(p["F"] @ u))
    control += np.dot(p["u_plus"], _softplus(p["G"] @ u + p["u_shift"], np))
    return p["h"] * (_state_cost(x, p, np) + control)


def terminal_cost(x: Any, p: Any, np: Any) -> Any:
    """The stage's cost of a state, times a weight."""
    return p["weight"] * _state_cost(x, p, np)


def _state_cost(x: Any, p: Any, np: Any) -> Any:
    away = x - p["goal"]
    cost = 0.5 * np.dot(away, p["Q"] @ away) + np.dot(p["x_cos"], np.cos(p["C"] @ x))
    return cost + np.dot(p["x_plus"], _softplus(p["D"] @ x + p["x_shift"], np))


def _softplus(z: Any, np: Any) -> Any:
    """log(1 + exp(z)) without overflow; its derivatives are right everywhere but at z = 0."""
    return np.fmax(z, 0.0) + np.log1p(np.exp(-np.fabs(z)))


def outside_discs(x: Any, p: Any, np: Any) -> Any:
    """Not positive where the first two states are outside of all discs (rows: centre, radius)."""
    discs = p["discs"]
    return discs[:, 2] ** 2 - (x[0] - discs[:, 0]) ** 2 - (x[1] - discs[:, 1]) ** 2


def on_target(x: Any, p: Any, np: Any) -> Any:
    """Zero where the first states are at their targets."""
    return x[: p["target"].shape[0]] - p["target"]


def coupling(x: Any, u: Any, p: Any, np: Any) -> Any:
    """An equation of state and control, linear in the last control."""
    bend = 0.3 * np.sin(p["couple_sin"] @ x) + 0.3 * np.tanh(p["couple_tanh"] @ u)
    return p["couple_u"] @ u + p["couple_x"] @ x + bend


_WITHOUT = Functions(step, stage_cost, terminal_cost)
FUNCTIONS = {
    "box": _WITHOUT,
    "state_bounds": _WITHOUT,
    "terminal_equality": dataclasses.replace(_WITHOUT, terminal_equality=on_target),
    "discs": dataclasses.replace(_WITHOUT, inequality=outside_discs),
    "stage_equality": dataclasses.replace(_WITHOUT, stage_equality=coupling),
}
