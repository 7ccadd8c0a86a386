"""The independent judge: KKT residuals and solution gradients, in numpy alone.

Nothing here shares code with a contender. Jacobians are complex steps (exact to rounding), the
gradient is the adjoint recursion, and the derivative of a solution is a central difference of
problems solved again, to rounding, by Newton's method on the controls.
"""

import dataclasses

import numpy as np

from bench.task import Task

_TINY = 1e-30  # a complex step this small has no truncation error


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What given controls are: cost [B], KKT residual [B] scaled and not, fraction at a bound."""

    cost: np.ndarray
    residual: np.ndarray
    unscaled: np.ndarray
    at_bound: float


def judge(task: Task, x0s: np.ndarray, controls: np.ndarray) -> Verdict:
    """Roll the controls out and measure the KKT residual, scaled as IPOPT scales it.

        residual = max |u - clip(u - g, lower, upper)| / s_d,
        s_d = max(100, (|costates|_1 + |bound multipliers|_1) / (T n + 2 T m)) / 100

    with g the gradient of the cost along the rollout, so that dynamics hold exactly and what a
    multiple-shooting solver left in its defects shows in g. Source: Waechter, Biegler (2006).
    """
    cost, gradient, costates = _gradient(task, x0s, controls, task.values)
    step = controls - np.clip(controls - gradient, task.lower, task.upper)
    bound = np.where(_free(task, controls), 0.0, gradient)
    count = task.horizon * (task.state_dim + 2 * task.control_dim)
    multipliers = np.abs(costates).sum((0, 2)) + np.abs(bound).sum((1, 2))
    unscaled = np.abs(step).max((1, 2))
    scale = np.maximum(100.0, multipliers / count) / 100.0
    return Verdict(cost, unscaled / scale, unscaled, float(np.mean(~_free(task, controls))))


def loss_gradient(task: Task, x0s: np.ndarray, controls: np.ndarray) -> np.ndarray:
    """d (sum of squared optimal controls) / d params, near the given solutions: [B, params].

    Fourth-order central differences with relative steps of 1e-3, every perturbed problem solved
    again from `controls` (controls at a bound stay there), so the error is near 1e-9.
    """
    base = _newton(task, x0s, controls, task.values)
    columns = []
    for i, value in enumerate(task.values):
        h, losses = 1e-3 * abs(value), {}
        for k in (-2, -1, 1, 2):
            params = task.values.copy()
            params[i] += k * h
            losses[k] = (_newton(task, x0s, base, params) ** 2).sum((1, 2))
        difference = 8 * (losses[1] - losses[-1]) - (losses[2] - losses[-2])
        columns.append(difference / (12 * h))
    return np.stack(columns, axis=1)


def rollout(task: Task, x0s: np.ndarray, controls: np.ndarray, params: np.ndarray) -> np.ndarray:
    """The states [n, B, T+1] from x0s [B, n] under controls [B, T, m]: the batch is not first."""
    states = [np.asarray(x0s, float).T]
    for t in range(task.horizon):
        states.append(np.stack(task.step(states[-1], controls[:, t].T, params, np)))
    return np.stack(states, axis=-1)


def _gradient(task: Task, x0s, controls, params):
    """Cost [B], its gradient [B, T, m] and the costates [n, B, T], lambda_1 .. lambda_T."""
    n, m = task.state_dim, task.control_dim
    x = rollout(task, x0s, controls, params)[..., :-1]
    z = np.concatenate([x, np.moveaxis(controls, -1, 0)]).astype(complex)
    dynamics, costs = [], []  # derivatives of all stages at once, one direction at a time
    for i in range(n + m):
        z[i] += 1j * _TINY
        dynamics.append(np.imag(np.stack(task.step(z[:n], z[n:], params, np))) / _TINY)
        costs.append(np.imag(np.asarray(task.stage_cost(z[:n], z[n:]))) / _TINY)
        z[i] = z[i].real
    jacobian, slope = np.stack(dynamics), np.stack(costs)  # [n+m, n, B, T], [n+m, B, T]
    costate, costates = np.zeros(x.shape[:2]), []
    gradient = np.empty_like(controls)
    for t in reversed(range(task.horizon)):
        costates.append(costate)
        total = slope[..., t] + np.einsum("ijb,jb->ib", jacobian[..., t], costate)
        gradient[:, t], costate = total[n:].T, total[:n]
    cost = np.real(task.stage_cost(z[:n], z[n:])).sum(-1)
    return cost, gradient, np.stack(costates[::-1], axis=-1)


def _newton(task: Task, x0s, controls, params, rounds=8, chords=25):
    """The stationary controls near the given ones; the Hessian is kept while it contracts."""
    free, controls = _free(task, controls).reshape(len(x0s), -1), controls.copy()
    best = np.full(len(x0s), np.inf)
    answer = controls.copy()
    for _ in range(rounds):
        inverse = np.linalg.inv(_hessian(task, x0s, controls, params, free))
        for _ in range(chords):
            gradient = _gradient(task, x0s, controls, params)[1].reshape(len(x0s), -1) * free
            size = np.abs(gradient).max(1)
            better = size < best
            answer[better], best = controls[better], np.minimum(best, size)
            if not better.any():
                break
            move = np.einsum("bij,bj->bi", inverse, gradient)
            controls = controls - move.reshape(controls.shape)
        controls = answer.copy()
        if best.max() < 1e-10:
            break
    if not best.max() < 1e-9:
        raise RuntimeError(f"the reference solve stopped at a gradient of {best.max():.1e}")
    return answer


def _hessian(task: Task, x0s, controls, params, free):
    """Hessians [B, T m, T m] by differences of the gradient; rows of held controls are unit."""
    batch, size = free.shape
    h = 1e-4 * np.eye(size).reshape(size, 1, task.horizon, task.control_dim)
    tiled = np.tile(x0s, (size, 1))

    def gradients(shift):
        moved = (controls + shift).reshape(-1, task.horizon, task.control_dim)
        return _gradient(task, tiled, moved, params)[1].reshape(size, batch, size)

    hessian = np.moveaxis((gradients(h) - gradients(-h)) / 2e-4, 0, 1)
    hessian = (hessian + np.swapaxes(hessian, 1, 2)) / 2
    mask = free[:, :, None] & free[:, None, :]
    return np.where(mask, hessian, np.eye(size))


def _free(task: Task, controls):
    margin = 1e-6 * (task.upper - task.lower)
    return (controls > task.lower + margin) & (controls < task.upper - margin)
