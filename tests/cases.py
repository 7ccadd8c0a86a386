"""What a row of the table of test problems is, and what several rows share in their definitions."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

import jaxmpc

CASES: dict[str, Callable[[], "Case"]] = {}


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """A problem with its start, or a batch of starts, and the local minima that are known."""

    name: str
    problem: jaxmpc.Problem
    x0: np.ndarray  # [n], or [B, n] of a batch
    params: Any
    optima: tuple[float, ...] | tuple[tuple[float, ...], ...]  # the minima; of a batch, per start
    source: str
    controls: np.ndarray | None = None  # initial guess [T, m], the same for a whole batch
    states: np.ndarray | None = None  # infeasible guess [T+1, n] for multiple shooting

    @property
    def batched(self) -> bool:
        return np.ndim(self.x0) == 2

    def excess(self, cost):
        """(cost - nearest optimum) / max(1, |that optimum|); of a batch, an array [B]."""
        if self.batched:
            pairs = zip(np.asarray(cost), self.optima, strict=True)
            return np.array([_excess(float(c), optima) for c, optima in pairs])
        return _excess(float(cost), self.optima)


def _excess(cost, optima):
    nearest = min(optima, key=lambda optimum: abs(cost - optimum))
    return (cost - nearest) / max(1.0, abs(nearest))


def case(build: Callable[[], Case]) -> Callable[[], Case]:
    build = functools.lru_cache(build)  # the same functions each time: nothing is traced twice
    CASES[build.__name__] = build
    return build


def load(name: str) -> Case:
    return CASES[name]()


# --- Costs and constraints of many rows; `goal` and `control_weight` are parameters. ---


def half_square(weights, z):
    """1/2 z' diag(weights) z, in the dtype of z."""
    return 0.5 * jnp.sum(jnp.asarray(weights, z.dtype) * z**2)


def from_goal(x, params):
    return x - jnp.asarray(params["goal"], x.dtype)


def tracking_cost(weights, dt):
    """1/2 dt ((x - goal)' diag(weights) (x - goal) + control_weight u' u)."""

    def stage_cost(x, u, t, params):
        distance = half_square(weights, from_goal(x, params))
        return dt * (distance + half_square(params["control_weight"], u))

    return stage_cost


def goal_cost(weights):
    """1/2 (x - goal)' diag(weights) (x - goal)."""
    return lambda x, params: half_square(weights, from_goal(x, params))


def effort(dt):
    """1/2 dt control_weight u' u."""
    return lambda x, u, t, params: dt * half_square(params["control_weight"], u)


def no_cost(x, u, t, params):
    return jnp.zeros_like(x, shape=())


def outside_circles(x, u, t, params):
    """The position x[:2] keeps a `radius` away from each of the `centers` [p, 2]."""
    centers, radius = (jnp.asarray(params[key], x.dtype) for key in ("centers", "radius"))
    return radius**2 - jnp.sum((x[None, :2] - centers) ** 2, axis=1)


def bounds_before_goal(lower, upper, horizon, reached=slice(None)):
    """State bounds [T, n] whose `reached` entries an equality takes over at the last stage."""
    lower, upper = (np.tile(np.asarray(bound, float), (horizon, 1)) for bound in (lower, upper))
    lower[-1, reached], upper[-1, reached] = -np.inf, np.inf
    return lower, upper


# --- Guesses. ---


def constant(value, length):
    """The same value at `length` stages."""
    return np.tile(np.asarray(value, float), (length, 1))


def along(states, horizon):
    """[T+1, n] from `states`, a function of the fraction 0 .. 1 of the horizon."""
    return np.array([states(k / horizon) for k in range(horizon + 1)], float)


# --- A problem of no table. ---


def bounded_twice():
    """x_1 = u_0, which the control's bound and the state's hold at 1: one multiplier too many."""
    return jaxmpc.Problem(
        lambda x, u, t, p: u,
        lambda x, u, t, p: (u[0] - 3) ** 2,
        lambda x, p: (x[0] - 3) ** 2,
        horizon=1,
        control_dim=1,
        control_bounds=(None, 1.0),
        state_bounds=(None, 1.0),
    )
