"""The independent judge: KKT residuals, and the gradient of a solution by solving again.

What a contender claims is never asked: only its states and controls count, and the multipliers
are found here. Derivatives are those of `bench.derivatives`.
"""

import dataclasses

import numpy as np

from bench.derivatives import Expansion, expand, hessians
from bench.task import Task

_NEAR = 1e-4  # an inequality this close to zero may have a multiplier
_DENSE = 1000  # costates of a start, above which they come from the adjoint recursion alone


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What given trajectories are: cost [B], KKT residual [B] scaled and not, at a bound."""

    cost: np.ndarray
    residual: np.ndarray
    unscaled: np.ndarray
    at_bound: float


def judge(task: Task, x0s: np.ndarray, states: np.ndarray, controls: np.ndarray) -> Verdict:
    """Measure the KKT residual of trajectories [B, T+1, n], [B, T, m], scaled as IPOPT scales it.

        residual = max(|defects|, violation, |gradient of the Lagrangian in x| / s_d,
                       |g| min(1, distance to the bound that g pushes to) / s_d),
        s_d = max(100, |multipliers|_1 / their number) / 100,

    with g the Lagrangian's gradient in u and the multipliers those that leave least. So a bound
    counts by the product of multiplier and distance, as in interior points. A trajectory that
    starts elsewhere, or leaves a bound, violates by that much. Source: Waechter, Biegler (2006).
    """
    found = expand(task, states, controls, task.values)
    costates, rows = _multipliers(task, found, controls)
    in_x, g = _stationarity(task, found, costates, rows)
    room = np.where(g > 0, controls - task.lower, task.upper - controls)
    push = np.abs(g) * np.clip(room, 0.0, 1.0)
    beyond = np.maximum(task.lower - controls, controls - task.upper)
    infeasible = (
        *(np.abs(found.defects), np.abs(states[:, 0] - x0s), np.maximum(beyond, 0.0)),
        *((np.maximum(found.inequality[:, 1:], 0.0),) if found.inequality.size else ()),
    )
    feasibility = np.max([np.abs(v).max(axis=tuple(range(1, v.ndim))) for v in infeasible], axis=0)
    wrong = [np.abs(in_x).max((1, 2)), push.max((1, 2))]
    if rows.size:
        wrong += [np.maximum(-rows, 0.0).max((1, 2)), np.abs(rows * found.inequality).max((1, 2))]
    bound = np.abs(np.where(free(task, controls), 0.0, g)).sum((1, 2))
    count = task.horizon * (task.state_dim + 2 * task.control_dim)
    size = np.abs(costates).sum((1, 2)) + np.abs(rows).sum((1, 2)) + bound
    scale = np.maximum(100.0, size / count) / 100.0
    worst = np.max(wrong, axis=0)
    return Verdict(
        found.cost,
        np.maximum(feasibility, worst / scale),
        np.maximum(feasibility, worst),
        float(np.mean(~free(task, controls))),
    )


def loss_gradient_error(task: Task, x0s, states, controls, gradient) -> float:
    """max |g - fd| / max |fd| over derivatives fd of the loss along directions in the parameters.

    The directions are the parameters' own axes or, where there are many, six random ones. Each
    difference is of fourth order with relative steps of 1e-3, every perturbed problem solved
    again from the solution (what is at a bound stays there), so the error is near 1e-9.
    """
    values, few = task.values, len(task.values) <= 12
    base = _Newton(task, x0s, states, controls)
    normal = np.random.default_rng(0).normal(size=(6, len(values)))
    directions = np.diag(np.abs(values)) if few else normal
    slopes = []
    for direction in directions:
        loss = {
            k: task.loss_of(base.controls_at(values + k * 1e-3 * direction)) for k in (-2, -1, 1, 2)
        }
        slopes.append((8 * (loss[1] - loss[-1]) - (loss[2] - loss[-2])) / 12e-3)
    # along axes: per unit of the parameter, so that the largest derivative sets the scale
    lengths = np.abs(values) if few else 1.0
    truth, claimed = np.array(slopes) / lengths, directions @ gradient / lengths
    size = np.abs(truth).max()  # zero where the controls of the loss are at their bounds
    return float(np.abs(claimed - truth).max() / (size if size > 0 else 1.0))


def free(task: Task, controls: np.ndarray) -> np.ndarray:
    """Which controls are not at a bound."""
    margin = 1e-6 * (task.upper - task.lower)
    return (controls > task.lower + margin) & (controls < task.upper - margin)


def _stationarity(task: Task, found: Expansion, costates, rows):
    """The Lagrangian's gradient in x_1 .. x_T [B, T, n] and in u [B, T, m]."""
    n = task.state_dim
    total = found.slopes + np.einsum("btij,bti->btj", found.dynamics, costates)
    total[..., :n] += np.einsum("btij,bti->btj", found.inequality_slopes, rows)
    in_x = np.concatenate([total[:, 1:, :n], found.terminal[:, None]], axis=1) - costates
    return in_x, total[..., n:]


def _multipliers(task: Task, found: Expansion, controls: np.ndarray):
    """Costates [B, T, n] and multipliers of inequalities [B, T, p] that leave least, in squares.

    The rows are those of all states, and of the controls that are clearly off their bounds.
    """
    batch, horizon, n = found.defects.shape
    costates, rows = _adjoint(found), np.zeros_like(found.inequality)
    if horizon * n > _DENSE:
        return costates, rows
    jacobian, active = _constraint_jacobian(task, found), _active(found)
    away = 1e-4 * (task.upper - task.lower)
    inside = (controls > task.lower + away) & (controls < task.upper - away)
    slopes = np.concatenate([found.slopes[:, 1:, :n], found.terminal[:, None]], axis=1)
    for b in range(batch):
        used = np.r_[np.ones(horizon * n, bool), inside[b].ravel()]
        kept = np.r_[np.ones(horizon * n, bool), active[b].ravel()]
        right = np.r_[slopes[b].ravel(), found.slopes[b, :, n:].ravel()]
        answer = np.zeros(len(kept))
        answer[kept] = np.linalg.lstsq(jacobian[b][kept][:, used].T, -right[used], rcond=None)[0]
        costates[b] = answer[: horizon * n].reshape(horizon, n)
        rows[b] = answer[horizon * n :].reshape(rows[b].shape)
    return costates, rows


def _adjoint(found: Expansion) -> np.ndarray:
    costates, costate = np.empty_like(found.defects), found.terminal
    n = costate.shape[1]
    for t in reversed(range(costates.shape[1])):
        costates[:, t] = costate
        moved = np.einsum("bij,bi->bj", found.dynamics[:, t, :, :n], costate)
        costate = found.slopes[:, t, :n] + moved
    return costates


def _active(found: Expansion) -> np.ndarray:
    active = found.inequality > -_NEAR
    active[:, :1] = False  # x_0 is given
    return active


def _constraint_jacobian(task: Task, found: Expansion) -> np.ndarray:
    """Of defects and inequalities [B, T n + T p, T n + T m] in (x_1 .. x_T, u_0 .. u_{T-1})."""
    batch, horizon, n = found.defects.shape
    m, p = task.control_dim, found.inequality.shape[2]
    jacobian = np.zeros((batch, horizon * (n + p), horizon * (n + m)))
    for t in range(horizon):
        defect = slice(t * n, t * n + n)
        jacobian[:, defect, defect] = -np.eye(n)
        first = horizon * n
        u, row = (slice(first + t * k, first + t * k + k) for k in (m, p))
        jacobian[:, defect, u] = found.dynamics[:, t, :, n:]
        if t > 0:
            x = slice((t - 1) * n, t * n)
            jacobian[:, defect, x] = found.dynamics[:, t, :, :n]
            jacobian[:, row, x] = found.inequality_slopes[:, t]
    return jacobian


class _Newton:
    """The solution near a given one, for other parameters: chords on the KKT system.

    States, controls and multipliers are all unknowns, so that unstable dynamics do no harm. What
    is active (controls at bounds, inequalities with a multiplier) stays so.
    """

    def __init__(self, task: Task, x0s, states, controls):
        self._task, self._x0s = task, x0s
        found = expand(task, states, controls, task.values)
        costates, rows = _multipliers(task, found, controls)
        self._free, self._tight = free(task, controls), rows > 1e-6
        self._held = controls
        point = (states[:, 1:], controls, costates, np.where(self._tight, rows, 0.0))
        for _ in range(2):  # Newton's steps to rounding, so that the chords have its matrix
            self._point, self._inverse = point, self._inverted(point)
            point = self._solved(task.values, 5)
        self._point = point

    def controls_at(self, values: np.ndarray) -> np.ndarray:
        """The optimal controls [B, T, m] for these parameters."""
        return self._solved(values, 40)[1]

    def _solved(self, values, steps):
        point, best, answer = self._point, np.inf, self._point
        for _ in range(steps):
            wrong = self._residual(point, values)
            if (size := np.abs(wrong).max()) >= best:
                break
            best, answer = size, point
            move = np.einsum("bij,bj->bi", self._inverse, wrong)
            cuts = np.cumsum([leaf[0].size for leaf in point])[:-1]
            moves = np.split(move, cuts, axis=1)
            point = tuple(a - b.reshape(a.shape) for a, b in zip(point, moves, strict=True))
        scale = max(1.0, float(np.abs(answer[2]).max()))
        if not best < 1e-7 * scale and steps > 10:
            raise RuntimeError(f"the reference solve stopped at a residual of {best:.1e}")
        return answer

    def _trajectory(self, point):
        return np.concatenate([self._x0s[:, None], point[0]], axis=1), point[1]

    def _residual(self, point, values) -> np.ndarray:
        _, controls, costates, rows = point
        found = expand(self._task, *self._trajectory(point), values)
        in_x, in_u = _stationarity(self._task, found, costates, rows)
        in_u = np.where(self._free, in_u, controls - self._held)
        tight = np.where(self._tight, found.inequality, rows)
        return np.concatenate(
            [leaf.reshape(len(in_u), -1) for leaf in (in_x, in_u, found.defects, tight)], axis=1
        )

    def _inverted(self, point) -> np.ndarray:
        """The inverse of the residual's Jacobian [B, size, size]."""
        task, (_, _, costates, rows) = self._task, point
        trajectory = self._trajectory(point)
        found = expand(task, *trajectory, task.values)
        stage, last = hessians(task, *trajectory, task.values, costates, rows)
        batch, horizon, n = found.defects.shape
        m = task.control_dim
        states, primal = horizon * n, horizon * (n + m)
        jacobian = _constraint_jacobian(task, found)
        matrix = np.zeros((batch, primal + jacobian.shape[1], primal + jacobian.shape[1]))
        for t in range(horizon):
            u = np.arange(states + t * m, states + t * m + m)
            z = np.r_[np.arange((t - 1) * n, t * n), u] if t > 0 else u
            matrix[np.ix_(range(batch), z, z)] = stage[:, t] if t > 0 else stage[:, t, n:, n:]
        x = np.arange(states - n, states)
        matrix[np.ix_(range(batch), x, x)] += last
        matrix[:, primal:, :primal] = jacobian
        matrix[:, :primal, primal:] = np.swapaxes(jacobian, 1, 2)
        all_states = np.ones((batch, states), bool)
        moving = [leaf.reshape(batch, -1) for leaf in (self._free, self._tight)]
        fixed = ~np.concatenate([all_states, moving[0], all_states, moving[1]], axis=1)
        return np.linalg.inv(np.where(fixed[:, :, None], np.eye(matrix.shape[1]), matrix))
