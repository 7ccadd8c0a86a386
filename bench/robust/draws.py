"""The random numbers of the families; constrained problems are feasible by construction.

A witness, the trajectory of controls within their bounds, satisfies every constraint that is
drawn; it is not the guess that the solvers start from.
"""

import dataclasses
import zlib

import numpy as np

from bench.robust.families import (
    FUNCTIONS,
    SIZES,
    Draw,
    Functions,
    Size,
    coupling,
    size_of,
)
from bench.robust.tasks import TASKS


def draws(family: str, start: int, count: int) -> list[Draw]:
    """Those of the seeds `start`, .., `start + count - 1`, which take turns among the sizes."""
    sizes = SIZES[family]
    return [draw(sizes[seed % len(sizes)], seed) for seed in range(start, start + count)]


def starts(task: str, start: int, count: int) -> list[Draw]:
    """A task of `tasks` from the starts of so many seeds."""
    return [TASKS[task].draw(seed) for seed in range(start, start + count)]


def load(name: str) -> Draw:
    """The draw of a name."""
    return draw(*size_of(name, [*SIZES.values(), [task.size for task in TASKS.values()]]))


def functions_of(size: Size) -> Functions:
    """Those of the family, or of the task."""
    return TASKS[size.family].functions if size.family in TASKS else FUNCTIONS[size.family]


def draw(size: Size, seed: int) -> Draw:
    """The problem of a size and a seed."""
    if size.family in TASKS:
        return TASKS[size.family].draw(seed)
    rng = np.random.default_rng([zlib.crc32(size.name.encode()), seed])
    found = _box(size, seed, rng)
    return _CONSTRAIN.get(size.family, lambda problem, _: problem)(found, rng)


def zero_controls(problem: Draw) -> np.ndarray:
    """[T, m]: zeros, moved inside the bounds."""
    return np.tile(np.clip(0.0, problem.lower, problem.upper), (problem.size.horizon, 1))


def rollout(problem: Draw, controls: np.ndarray) -> np.ndarray:
    """The states [T+1, n] of controls."""
    step, states = functions_of(problem.size).step, [problem.x0]
    for u in controls:
        states.append(np.asarray(step(states[-1], u, problem.params, np), float))
    return np.array(states)


def _log_uniform(rng, low: float, high: float, size=None):
    return np.exp(rng.uniform(np.log(low), np.log(high), size))


def _box(size: Size, seed: int, rng) -> Draw:
    n, m = size.n, size.m
    root, bend, waves = np.sqrt(n), _log_uniform(rng, 0.3, 3.0), _log_uniform(rng, 0.1, 3.0)
    factor = rng.normal(size=(n, rng.integers(1, n + 1)))
    params = {
        "h": _log_uniform(rng, 0.03, 0.12),
        "A": rng.uniform(0.3, 1.5) * rng.normal(size=(n, n)) / root - 0.3 * np.eye(n),
        "B": _log_uniform(rng, 0.5, 2.0) * rng.normal(size=(n, m)),
        "c": bend * rng.normal(size=n),
        "W": _log_uniform(rng, 0.5, 3.0) * rng.normal(size=(n, n)) / root,
        "V": rng.normal(size=(n, n)) / root,
        "E": bend * rng.normal(size=(n, m)),
        "Q": factor @ factor.T / root + 0.01 * np.eye(n),
        "R": np.diag(_log_uniform(rng, 0.02, 3.0, m)),
        "goal": rng.integers(0, 2) * rng.normal(size=n),
        "C": _log_uniform(rng, 0.5, 2.0) * rng.normal(size=(n, n)) / root,
        "x_cos": waves * rng.normal(size=n),
        "D": 2.0 * rng.normal(size=(n, n)) / root,
        "x_shift": rng.normal(size=n),
        "x_plus": waves * rng.uniform(0, 1, n),
        "F": rng.normal(size=(m, m)),
        "u_cos": 0.3 * waves * rng.normal(size=m),
        "G": 2.0 * rng.normal(size=(m, m)),
        "u_shift": rng.normal(size=m),
        "u_plus": 0.3 * waves * rng.uniform(0, 1, m),
        "weight": _log_uniform(rng, 0.3, 30.0),
    }
    width = _log_uniform(rng, 0.3, 8.0, m)
    lower, upper = -width * rng.uniform(0.3, 1, m), width * rng.uniform(0.3, 1, m)
    lower = np.where(rng.uniform(size=m) < 0.1, 0.1 * upper, lower)  # zero is not allowed
    lower = np.where(rng.uniform(size=m) < 0.1, -np.inf, lower)
    upper = np.where(rng.uniform(size=m) < 0.1, np.inf, upper)
    x0 = rng.uniform(0.5, 2.0) * rng.normal(size=n)
    params = {name: np.asarray(value, float) for name, value in params.items()}
    return Draw(size, seed, x0, lower, upper, params)


def _random_controls(problem: Draw, rng) -> np.ndarray:
    """Sinusoids within the bounds."""
    low, high = np.maximum(problem.lower, -3.0), np.minimum(problem.upper, 3.0)
    m, times = problem.size.m, np.linspace(0, 1, problem.size.horizon)[:, None]
    wave = np.sin(2 * np.pi * (rng.uniform(0, 2, m) * times + rng.uniform(0, 1, m)))
    return (low + high) / 2 + 0.45 * (high - low) * wave


def _with_state_bounds(problem: Draw, rng) -> Draw:
    """A box around some of the witness's states, tight on some sides."""
    n, witness = problem.size.n, rollout(problem, _random_controls(problem, rng))
    low, high = witness.min(0), witness.max(0)
    margin = 0.02 + rng.uniform(0, 0.3, (2, n)) * (high - low)
    free = rng.uniform(size=(2, n)) < 0.4
    free[rng.integers(2), rng.integers(n)] = False
    bounds = low - margin[0], high + margin[1]
    lower, upper = np.where(free[0], -np.inf, bounds[0]), np.where(free[1], np.inf, bounds[1])
    return dataclasses.replace(problem, state_bounds=(lower, upper))


def _with_target(problem: Draw, rng) -> Draw:
    witness = rollout(problem, _random_controls(problem, rng))
    target = witness[-1, : problem.size.rows]
    return dataclasses.replace(problem, params={**problem.params, "target": target})


def _with_discs(problem: Draw, rng) -> Draw:
    """Discs near the way from the start to a goal on the other side, and off the witness."""
    goal = problem.params["goal"].copy()
    goal[:2] = -problem.x0[:2] + 0.5 * rng.normal(size=2)
    problem = dataclasses.replace(problem, params={**problem.params, "goal": goal})
    witness = rollout(problem, _random_controls(problem, rng))[:, :2]
    idle = rollout(problem, zero_controls(problem))[1:, :2]
    start, discs = problem.x0[:2], []
    for _ in range(200):
        way = start + rng.uniform(0.2, 0.8) * (goal[:2] - start)
        centre = way if rng.uniform() < 0.5 else idle[rng.integers(len(idle))]
        centre = centre + 0.2 * rng.normal(size=2)
        room = np.linalg.norm(np.vstack([witness, start, goal[:2]]) - centre, axis=1).min()
        discs.append([*centre, min(0.9 * room, rng.uniform(0.2, 1.0))])
    discs.sort(key=lambda disc: disc[2] < 0.15)  # the first that are large enough
    rows = np.array(discs[: problem.size.rows])
    return dataclasses.replace(problem, params={**problem.params, "discs": rows})


def _with_coupling(problem: Draw, rng) -> Draw:
    """The last control follows from the others; its bounds are widened to let the witness pass."""
    n, m = problem.size.n, problem.size.m
    params = {
        **problem.params,
        "couple_u": rng.normal(size=(1, m)),
        "couple_x": rng.uniform(0.1, 0.6) * rng.normal(size=(1, n)),
        "couple_sin": rng.normal(size=(1, n)),
        "couple_tanh": rng.normal(size=(1, m)),
    }
    params["couple_u"][0, -1] = rng.choice([-1.0, 1.0]) * rng.uniform(0.5, 1.5)
    params["couple_tanh"][0, -1] = 0.0
    x, controls, last = problem.x0, _random_controls(problem, rng), []
    for u in controls:
        u[-1] = 0.0
        u[-1] = -coupling(x, u, params, np)[0] / params["couple_u"][0, -1]
        u[-1] = np.clip(u[-1], -20.0, 20.0)
        last.append(u[-1])
        x = FUNCTIONS["stage_equality"].step(x, u, params, np)
    lower, upper = problem.lower.copy(), problem.upper.copy()
    lower[-1] = min(lower[-1], min(last) - 0.1)
    upper[-1] = max(upper[-1], max(last) + 0.1)
    return dataclasses.replace(problem, params=params, lower=lower, upper=upper)


_CONSTRAIN = {
    "state_bounds": _with_state_bounds,
    "terminal_equality": _with_target,
    "discs": _with_discs,
    "stage_equality": _with_coupling,
}
