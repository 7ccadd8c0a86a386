"""Independent judges, in NumPy: nothing here shares code with jaxmpc.

The problem's own functions are only evaluated, never differentiated by JAX.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

# Differences of fourth order, f'(x) = sum_k weight_k f(x + offset_k h) / h: offsets, weights.
_CENTRAL = np.array([-2.0, -1.0, 0.0, 1.0, 2.0]), np.array([1.0, -8.0, 0.0, 8.0, -1.0]) / 12
_ONE_SIDED = np.arange(5.0), np.array([-25.0, 48.0, -36.0, 16.0, -3.0]) / 12


class LQ(NamedTuple):
    """A dense solution: the trajectory, its costates, and the multipliers of held controls."""

    states: np.ndarray
    controls: np.ndarray
    costates: np.ndarray
    held: np.ndarray


def central_difference(evaluate, x, h):
    """The Jacobian [len(x), ...] of a function that takes a batch of points [K, len(x)].

    Error: h^4/30 times the fifth derivative, and eps/h times the function's own error.
    """
    x = np.asarray(x, float)
    h = np.broadcast_to(h, x.shape)
    offsets, weights = _CENTRAL[0][[0, 1, 3, 4]], _CENTRAL[1][[0, 1, 3, 4]]
    shifts = offsets[:, None, None] * np.diag(h)  # [4, len(x), len(x)]
    values = np.asarray(evaluate((x + shifts).reshape(-1, x.size)))
    values = values.reshape(4, x.size, *values.shape[1:])
    slopes = np.tensordot(weights, values, axes=1)
    return slopes / h.reshape(-1, *[1] * (slopes.ndim - 1))


# --- Linear-quadratic problems, as dense linear systems ---


def solve_lq(problem, held=None, values=None) -> LQ:
    """Solve an `LQProblem` (any 9-tuple in its order) by one dense KKT system.

    `held` [T, m] marks controls that are kept at `values`. The Lagrangian is
    cost + lambda_0.(x0 - x_0) + sum lambda_{t+1}.(A x + B u + c - x_{t+1}) + held.(u - values).
    """
    hessian, gradient, constraints, offset = _stacked(problem)
    horizon, m = np.shape(problem[4])
    n, size = len(problem[8]), len(gradient)
    if held is not None:
        rows = np.eye(size)[(horizon + 1) * n :][np.ravel(held)]
        constraints = np.vstack([constraints, rows])
        offset = np.concatenate([offset, -np.asarray(values)[held]])
    count = len(offset)
    kkt = np.block([[hessian, constraints.T], [constraints, np.zeros((count, count))]])
    solution = np.linalg.solve(kkt, np.concatenate([-gradient, -offset]))
    z, multipliers = solution[:size], solution[size:]
    split = (horizon + 1) * n
    forces = np.zeros((horizon, m))
    if held is not None:
        forces[held] = multipliers[split:]
    states, costates = z[:split].reshape(-1, n), multipliers[:split].reshape(-1, n)
    return LQ(states, z[split:].reshape(-1, m), costates, forces)


def _stacked(problem):
    """Hessian, gradient, constraint matrix and offset over z = (x_0 .. x_T, u_0 .. u_{T-1})."""
    Q, S, R, q, r, A, B, c, x0 = (np.asarray(part, float) for part in problem)
    (horizon, m), n = r.shape, len(x0)
    split = (horizon + 1) * n
    size = split + horizon * m
    hessian, constraints = np.zeros((size, size)), np.zeros((split, size))
    constraints[:n, :n] = -np.eye(n)
    for t in range(horizon + 1):
        x, x_next = slice(t * n, (t + 1) * n), slice((t + 1) * n, (t + 2) * n)
        u = slice(split + t * m, split + (t + 1) * m)
        hessian[x, x] = Q[t]
        if t < horizon:
            hessian[u, u], hessian[u, x], hessian[x, u] = R[t], S[t], S[t].T
            constraints[x_next, x], constraints[x_next, u] = A[t], B[t]
            constraints[x_next, x_next] = -np.eye(n)
    gradient = np.concatenate([q.ravel(), r.ravel()])
    return hessian, gradient, constraints, np.concatenate([x0, c.ravel()])


def lq_residual(problem, states, controls, costates, held=None) -> float:
    """The largest violation of the KKT conditions, relative to the size of their terms.

    Also for problems whose dense matrix does not fit in memory.
    """
    Q, S, R, q, r, A, B, c, x0 = (np.asarray(part, float) for part in problem)
    x, u, lam = (np.asarray(part, float) for part in (states, controls, costates))
    terms = [
        (np.einsum("tij,tj->ti", A, x[:-1]), np.einsum("tij,tj->ti", B, u), c, -x[1:]),
        (
            np.einsum("tij,tj->ti", Q[:-1], x[:-1]),
            np.einsum("tji,tj->ti", S, u),
            q[:-1],
            np.einsum("tji,tj->ti", A, lam[1:]),
            -lam[:-1],
        ),
        (Q[-1] @ x[-1], q[-1], -lam[-1]),
        (x0, -x[0]),
    ]
    force = [np.einsum("tij,tj->ti", S, x[:-1]), np.einsum("tij,tj->ti", R, u), r]
    force.append(np.einsum("tji,tj->ti", B, lam[1:]))
    if held is not None:
        force = [np.where(held, 0.0, part) for part in force]
    return max(_relative(parts) for parts in (*terms, force))


def _relative(parts):
    size = max(1.0, max(np.max(np.abs(part)) for part in parts))
    return np.max(np.abs(sum(parts))) / size


def condensed(problem):
    """The Hessian, gradient and constant of a convex LQ problem in its controls alone."""
    horizon, m = np.shape(problem[4])
    hessian, gradient, _, _ = _stacked(problem)
    A, B, c, x0 = (np.asarray(part, float) for part in problem[5:])
    n = len(x0)
    state, forced = x0, np.zeros((n, horizon * m))
    states, sensitivities = [state], [forced]
    for t in range(horizon):
        forced = A[t] @ forced
        forced[:, t * m : (t + 1) * m] += B[t]
        state = A[t] @ state + c[t]
        states.append(state)
        sensitivities.append(forced)
    z0 = np.concatenate([*states, np.zeros(horizon * m)])
    to_z = np.vstack([*sensitivities, np.eye(horizon * m)])
    reduced = to_z.T @ hessian @ to_z
    constant = 0.5 * z0 @ hessian @ z0 + gradient @ z0
    return reduced, to_z.T @ (hessian @ z0 + gradient), constant


def solve_box_lq(problem, lower, upper):
    """The controls [T, m] and the cost of a convex LQ problem with bounds, by an active set.

    The condensed Hessian of an unstable system is badly conditioned, so it only says which bounds
    hold; the answer is the dense KKT system's, and the bounds are corrected by its multipliers.
    """
    shape = np.shape(problem[4])
    hessian, gradient, _ = condensed(problem)
    low, high = (np.broadcast_to(bound, shape) for bound in (lower, upper))
    guess = solve_box_qp(hessian, gradient, low.ravel(), high.ravel()).reshape(shape)
    side = np.where(guess <= low, -1, np.where(guess >= high, 1, 0))
    for _ in range(20 * side.size):
        solution = solve_lq(problem, side != 0, np.where(side < 0, low, high))
        u = solution.controls
        # Positive: beyond a bound, or held by a bound that pulls.
        wrong = np.maximum(low - u, u - high) * (side == 0) - side * solution.held
        wrong[low >= high] = 0.0
        worst = np.unravel_index(np.argmax(wrong), shape)
        if wrong[worst] <= 1e-10:
            u = np.where(side < 0, low, np.where(side > 0, high, u))  # exactly at its bound
            return u, _lq_cost(problem, solution)
        side[worst] = 0 if side[worst] != 0 else (-1 if u[worst] < low[worst] else 1)
    raise RuntimeError("the active set did not settle")


def _lq_cost(problem, solution):
    hessian, gradient, _, _ = _stacked(problem)
    z = np.concatenate([solution.states.ravel(), solution.controls.ravel()])
    return 0.5 * z @ hessian @ z + gradient @ z


def solve_box_qp(H, g, lower, upper):
    """min 1/2 u'Hu + g'u over lower <= u <= upper, H positive definite: a primal active set.

    Each round moves to the minimiser over the free entries, or to the first bound in the way;
    there, the bound whose multiplier is most wrong is given up. Ends in finitely many rounds.
    """
    u = np.clip(np.zeros_like(g), lower, upper)
    side = np.where(lower >= upper, -1, 0)
    for _ in range(100 * len(g)):
        free = side == 0
        move = np.zeros_like(g)
        if free.any():
            move[free] = np.linalg.solve(H[np.ix_(free, free)], -(H @ u + g)[free])
        room = np.where(move > 0, upper - u, np.where(move < 0, lower - u, np.inf))
        ratio = np.where(move != 0, room / np.where(move == 0, 1.0, move), np.inf)
        first = np.argmin(ratio)
        if ratio[first] < 1:
            u = u + ratio[first] * move
            side[first] = 1 if move[first] > 0 else -1
            u[first] = upper[first] if move[first] > 0 else lower[first]
            continue
        u = u + move
        wrong = side * (H @ u + g) * (lower < upper)  # positive: the bound pulls
        if np.max(wrong) <= 1e-11 * max(1.0, np.max(np.abs(g))):
            return u
        side[np.argmax(wrong)] = 0
    raise RuntimeError("the active set did not settle")


# --- Nonlinear problems ---


class KKT(NamedTuple):
    """What a trajectory is: the scaled stationarity residual and what it was computed from."""

    stationarity: float  # max |u - clip(u - gradient, lower, upper)| / scale
    defect: float  # max |f(x_t, u_t) - x_{t+1}|, |x0 - x_0|
    outside: float  # how far controls are outside their bounds
    gradient: np.ndarray  # [T, m], of the Lagrangian in the controls
    costates: np.ndarray  # [T+1, n]
    cost: float


def kkt(problem, x0, params, states, controls, h=2e-4) -> KKT:
    """Judge a trajectory by central differences of the problem's functions (near 1e-11 exact).

    The scale is IPOPT's: max(100, mean |costate or multiplier|) / 100. With `h` a function needs
    fifth derivatives below about 1e8 for that accuracy.
    """
    states, controls = np.asarray(states, float), np.asarray(controls, float)
    horizon, n = len(controls), states.shape[1]
    lower, upper = _limits(problem)
    values, slopes = _expand(problem, params, states, controls, h)
    terminal = problem.terminal_cost
    end, costate = 0.0, np.zeros(n)
    if terminal is not None:
        batch = jax.jit(jax.vmap(lambda x: terminal(x, params)))
        end, costate = float(terminal(states[-1], params)), central_difference(batch, states[-1], h)
    costates, gradient = [costate], np.empty_like(controls)
    for t in reversed(range(horizon)):
        total = slopes[t, :, n] + slopes[t, :, :n] @ costate  # of stage cost + lambda . f
        costate, gradient[t] = total[:n], total[n:]
        costates.append(costate)
    costates = np.stack(costates[::-1])
    step = controls - np.clip(controls - gradient, lower, upper)
    held = (controls <= lower) & (gradient > 0) | (controls >= upper) & (gradient < 0)
    size = np.sum(np.abs(costates)) + np.sum(np.abs(gradient[held]))
    scale = max(100.0, size / (costates.size + gradient.size)) / 100
    defect = max(np.max(np.abs(values[:, :n] - states[1:])), np.max(np.abs(x0 - states[0])))
    outside = max(0.0, np.max(lower - controls), np.max(controls - upper))
    cost = np.sum(values[:, n]) + end
    return KKT(np.max(np.abs(step)) / scale, defect, outside, gradient, costates, cost)


def stationarity_in_scales(problem, verdict: KKT, solution) -> float:
    """The residual of a verdict in units of the solution's scales, as the solution reports it."""
    lower, upper = _limits(problem)
    controls, gradient = np.asarray(solution.controls), verdict.gradient
    held = (controls <= lower) & (gradient > 0) | (controls >= upper) & (gradient < 0)
    cost = float(solution.scales.cost)
    gradient = np.abs(gradient) * np.asarray(solution.scales.controls) / cost
    costates = np.abs(verdict.costates) * np.asarray(solution.scales.states) / cost
    size = np.sum(costates) + np.sum(gradient[held])
    scale = max(100.0, size / (costates.size + gradient.size)) / 100
    return np.max(gradient[~held], initial=0.0) / scale


def largest_violation(problem, x0, params, states, controls, scales=None) -> float:
    """Of x_0, the dynamics, the bounds and all constraints; zero at a feasible trajectory.

    In units of `scales`, if they are given.
    """
    states, controls = np.asarray(states, float), np.asarray(controls, float)

    def rows(function, *args):
        return jnp.zeros(0) if function is None else function(*args)

    def stage(x, u, t):
        functions = problem.dynamics, problem.stage_inequality, problem.stage_equality
        return [rows(function, x, u, t, params) for function in functions]

    times, end = jnp.arange(problem.horizon), (states[-1], params)
    simulated, below, zero = jax.jit(jax.vmap(stage))(states[:-1], controls, times)
    below_last, zero_last = (
        rows(function, *end)
        for function in (problem.terminal_inequality, problem.terminal_equality)
    )
    (low, high), (lowest, highest) = problem.limits(float), problem.state_limits(len(x0), float)
    of = {} if scales is None else scales._asdict()
    excesses = [
        (np.abs(states[0] - x0), "states"),
        (np.abs(simulated - states[1:]), "states"),
        (np.maximum(low - controls, controls - high), "controls"),
        (np.maximum(lowest - states[1:], states[1:] - highest), "states"),
        (below, "stage_inequality"),
        (np.abs(zero), "stage_equality"),
        (below_last, "terminal_inequality"),
        (np.abs(zero_last), "terminal_equality"),
    ]
    found = [np.asarray(excess) / np.asarray(of.get(name, 1.0)) for excess, name in excesses]
    return max(float(np.max(excess, initial=0.0)) for excess in found)


def _limits(problem):
    lower, upper = problem.control_bounds or (None, None)
    shape = (problem.horizon, problem.control_dim)
    low = np.broadcast_to(-np.inf if lower is None else np.asarray(lower), shape)
    return low, np.broadcast_to(np.inf if upper is None else np.asarray(upper), shape)


def _expand(problem, params, states, controls, h):
    """(f, cost) at every stage [T, n+1] and its derivatives [T, n+m, n+1] by differences."""
    n = states.shape[1]

    @jax.jit
    def evaluate(z):
        def stage(z, t):
            f = problem.dynamics(z[:n], z[n:], t, params)
            return jnp.append(f, problem.stage_cost(z[:n], z[n:], t, params))

        return jax.vmap(jax.vmap(stage), (0, None))(z, jnp.arange(problem.horizon))

    z = np.concatenate([states[:-1], controls], axis=1)
    lower, upper = _limits(problem)
    inward = np.zeros_like(z)
    inward[:, n:] = np.where(controls >= upper, -1, np.where(controls <= lower, 1, 0))
    slopes = []
    for i in range(z.shape[1]):  # one coordinate of every stage at once: stages do not mix
        # Never outside the bounds, where a model may saturate its control.
        side = inward[:, i]
        offsets = np.where(side == 0, _CENTRAL[0][:, None], side * _ONE_SIDED[0][:, None])
        weights = np.where(side == 0, _CENTRAL[1][:, None], side * _ONE_SIDED[1][:, None])
        moved = np.tile(z, (5, 1, 1))
        moved[:, :, i] += h * offsets
        slopes.append(np.einsum("kt,ktj->tj", weights, np.asarray(evaluate(moved))) / h)
    return np.asarray(evaluate(z[None]))[0], np.stack(slopes, axis=1)
