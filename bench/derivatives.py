"""A task's functions and their derivatives at given trajectories, in numpy alone.

Nothing here shares code with a contender. First derivatives are complex steps, exact to
rounding; second ones are differences of those. Trajectories are states [B, T+1, n] and controls
[B, T, m]; the functions are called once, with all points of all trajectories as columns.
"""

import dataclasses

import numpy as np

from bench.task import Task

_TINY = 1e-30  # a complex step this small has no truncation error
_STEP = 1e-5  # of the differences, relative to max(1, |z|)


@dataclasses.dataclass(frozen=True)
class Expansion:
    """First derivatives along trajectories; z = (x, u)."""

    cost: np.ndarray  # [B]
    defects: np.ndarray  # [B, T, n]: step(x_t, u_t) - x_{t+1}
    dynamics: np.ndarray  # [B, T, n, n+m]
    slopes: np.ndarray  # [B, T, n+m]
    terminal: np.ndarray  # [B, n]
    inequality: np.ndarray  # [B, T, p], of x_0 .. x_{T-1}
    inequality_slopes: np.ndarray  # [B, T, p, n]


def expand(task: Task, states: np.ndarray, controls: np.ndarray, values: np.ndarray) -> Expansion:
    """Values and first derivatives."""
    batch, horizon, n = len(states), task.horizon, task.state_dim
    params = columns(task, values)
    points = np.concatenate([states[:, :-1], controls], axis=2).reshape(-1, n + task.control_dim).T
    last = states[:, -1].T

    def back(leaf):  # [..., B T] -> [B, T, ...]
        return np.moveaxis(leaf, -1, 0).reshape(batch, horizon, *leaf.shape[:-1])

    cost = back(np.real(_stage_cost(task, points, params)))
    terminal, terminal_slopes = np.zeros(batch), np.zeros((batch, n))
    if task.terminal_cost is not None:
        function = task.terminal_cost
        terminal = function(last, params, np)
        terminal_slopes = _complex_steps(lambda x: function(x, params, np), last).T
    return Expansion(
        cost=cost.sum(1) + terminal,
        defects=back(_step(task, points, params)) - states[:, 1:],
        dynamics=back(np.swapaxes(_complex_steps(lambda z: _step(task, z, params), points), 0, 1)),
        slopes=back(_complex_steps(lambda z: _stage_cost(task, z, params), points)),
        terminal=terminal_slopes,
        inequality=back(_inequality(task, points[:n], params)),
        inequality_slopes=back(
            np.swapaxes(_complex_steps(lambda x: _inequality(task, x, params), points[:n]), 0, 1)
        ),
    )


def hessians(task: Task, states, controls, values, costates, rows):
    """The Lagrangian's, by stage [B, T, n+m, n+m] and of the last state [B, n, n].

    `costates` [B, T, n] go with the dynamics, `rows` [B, T, p] with the inequalities.
    """
    batch, horizon, n = len(states), task.horizon, task.state_dim
    params, size = columns(task, values), n + task.control_dim
    points = np.concatenate([states[:, :-1], controls], axis=2).reshape(-1, size).T
    weights, prices = costates.reshape(-1, n).T, rows.reshape(batch * horizon, -1).T

    def lagrangian(z):
        of_rows = (prices * _inequality(task, z[:n], params)).sum(0)
        return _stage_cost(task, z, params) + (weights * _step(task, z, params)).sum(0) + of_rows

    stage = _differences(lambda z: _complex_steps(lagrangian, z), points)
    stage = np.moveaxis(stage, -1, 0).reshape(batch, horizon, size, size)
    last = np.zeros((batch, n, n))
    if task.terminal_cost is not None:
        function = task.terminal_cost
        last = np.moveaxis(
            _differences(
                lambda x: _complex_steps(lambda z: function(z, params, np), x), states[:, -1].T
            ),
            -1,
            0,
        )
    return (stage + np.swapaxes(stage, 2, 3)) / 2, (last + np.swapaxes(last, 1, 2)) / 2


def rollout(task: Task, x0s: np.ndarray, controls: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The states [B, T+1, n] from x0s [B, n] under controls [B, T, m]."""
    states, params = [np.asarray(x0s, float).T], columns(task, values)
    for t in range(task.horizon):
        states.append(np.stack(task.step(states[-1], controls[:, t].T, params, np)))
    return np.moveaxis(np.stack(states), 2, 0)


def columns(task: Task, values: np.ndarray) -> dict[str, np.ndarray]:
    """The parameters by name, vectors as columns, to go with states [n, anything]."""
    named = task.split(values)
    return {name: v[:, None] if np.ndim(v) == 1 else v for name, v in named.items()}


def _step(task: Task, z, params):
    return np.stack(task.step(z[: task.state_dim], z[task.state_dim :], params, np))


def _stage_cost(task: Task, z, params):
    cost = task.stage_cost(z[: task.state_dim], z[task.state_dim :], params, np)
    return np.broadcast_to(cost, z.shape[1:])


def _inequality(task: Task, x, params):
    if task.stage_inequality is None:
        return np.zeros((0, x.shape[1]), x.dtype)
    return np.stack(task.stage_inequality(x, params, np))


def _complex_steps(function, points: np.ndarray) -> np.ndarray:
    """The derivatives [n, ..., K] of function(points [n, K]) -> [..., K]."""
    z, slopes = points.astype(complex), []
    for i in range(len(z)):
        z[i] += 1j * _TINY
        slopes.append(np.imag(function(z)) / _TINY)
        z[i] = z[i].real
    return np.stack(slopes)


def _differences(function, points: np.ndarray) -> np.ndarray:
    """The derivatives [n, ..., K] of a real function by central differences."""
    found = []
    for i in range(len(points)):
        h = _STEP * np.maximum(1.0, np.abs(points[i]))
        ahead, behind = points.copy(), points.copy()
        ahead[i] += h
        behind[i] -= h
        found.append((function(ahead) - function(behind)) / (2 * h))
    return np.stack(found)
