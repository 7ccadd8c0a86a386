"""The state and the length of a pendulum from noisy angles, beside IPOPT.

    pip install casadi; python -m bench.loops.estimation

The first half of moving-horizon estimation: a free initial state with an arrival cost, process
noise as controls, and one parameter, all of one least-squares problem of 60 stages. IPOPT solves
the same one in CasADi. The derivative of the estimated length in the weight of the noise is
compared with central differences of IPOPT's solutions. Prints, and writes bench/results.
"""

# pyright: reportAttributeAccessIssue=false, reportMissingImports=false
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxmpc
from bench import machine
from jaxmpc import free_parameters

T, DT, GRAVITY, LENGTH = 60, 0.05, 9.81, 0.7
ANGLE, PUSH = 0.05, 0.5  # standard deviations of what is measured [rad], of the noise [rad/s^2]
PRIOR, WEIGHT = np.array([0.8, 0.0]), 0.1  # of the arrival cost


def rate(x, length, push, sin, stack):
    """The time derivative of (angle from hanging, rate)."""
    return stack([x[1], -GRAVITY / length * sin(x[0]) + push])


def moved(x, length, push, sin, stack):
    """A step of the midpoint rule."""
    middle = x + 0.5 * DT * rate(x, length, push, sin, stack)
    return x + DT * rate(middle, length, push, sin, stack)


def measured() -> tuple[np.ndarray, np.ndarray]:
    """The true states, and the angles with noise."""
    random, states = np.random.default_rng(0), [np.array([1.2, -0.5])]
    for _ in range(T):
        states.append(moved(states[-1], LENGTH, PUSH * random.normal(), np.sin, np.array))
    truth = np.stack(states)
    return truth, truth[:, 0] + ANGLE * random.normal(size=T + 1)


def estimator():
    """The problem with a free state and a free length."""
    problem = jaxmpc.Problem(
        lambda x, w, t, p: moved(x, p["length"], w[0], jnp.sin, jnp.stack),
        lambda x, w, t, p: (
            (x[0] - p["angles"][t]) ** 2 / ANGLE**2 + p["weight"] * w[0] ** 2 / PUSH**2
        ),
        lambda x, p: (x[0] - p["angles"][T]) ** 2 / ANGLE**2,
        horizon=T,
        control_dim=1,
    )
    free = free_parameters.optimize_initial_state(
        problem, lambda x, p: WEIGHT * jnp.sum((x - PRIOR) ** 2), state_dim=2
    )
    return free_parameters.optimize_parameters(
        free, lambda params, p: {**params, "length": p[0]}, [0.2], [3.0]
    )


def ours(angles: np.ndarray) -> dict[str, Any]:
    """The estimate, and the derivative of the length in the weight of the noise."""
    problem = estimator()
    rows = np.stack([angles, np.gradient(angles, DT)], axis=1)
    controls = free_parameters.initial_state_guess(np.zeros((T, 1)), rows[0])
    states, controls = free_parameters.augment_guess(rows, controls, [1.0])
    assert states is not None

    def length(weight):
        params = {"angles": jnp.asarray(angles), "weight": weight}
        solution = jaxmpc.solve(problem, states[0], params, states=states, controls=controls)
        x, v, p = free_parameters.split_trajectory(solution.states, solution.controls, 1)
        x, _ = free_parameters.split_initial_state(x, v)
        return p[0], (x, solution)

    run = jax.jit(
        jax.value_and_grad(length, has_aux=True), compiler_options=jaxmpc.compiler_options()
    )
    (value, (x, solution)), slope = jax.block_until_ready(run(1.0))
    seconds = []
    for _ in range(20):
        start = time.perf_counter()
        jax.block_until_ready(run(1.0))
        seconds.append(time.perf_counter() - start)
    return {
        "length": float(value),
        "first_state": np.asarray(x[0]).tolist(),
        "cost": float(solution.cost),
        "slope": float(slope),
        "converged": bool(solution.converged),
        "iterations": int(solution.iterations),
        "solve_and_gradient_ms": 1e3 * float(np.median(seconds)),
        "states": np.asarray(x),
    }


def by_ipopt(angles: np.ndarray, weight: float) -> dict[str, Any]:
    """The same problem, states and noise as unknowns, by CasADi and IPOPT."""
    import casadi as ca

    x, w, length = ca.MX.sym("x", 2, T + 1), ca.MX.sym("w", 1, T), ca.MX.sym("l")
    cost = WEIGHT * ca.sumsqr(x[:, 0] - PRIOR) + ca.sumsqr(x[0, :].T - angles) / ANGLE**2
    cost += weight * ca.sumsqr(w) / PUSH**2
    gaps = [
        moved(x[:, t], length, w[t], ca.sin, lambda parts: ca.vertcat(*parts)) - x[:, t + 1]
        for t in range(T)
    ]
    unknowns = ca.veccat(x, w, length)
    nlp = {"x": unknowns, "f": cost, "g": ca.veccat(*gaps)}
    quiet = {"ipopt.print_level": 0, "print_time": False, "ipopt.tol": 1e-12}
    solver = ca.nlpsol("solver", "ipopt", nlp, quiet)
    guess = np.concatenate(
        [np.stack([angles, np.gradient(angles, DT)], axis=1).ravel(), np.zeros(T), [1.0]]
    )
    start = time.perf_counter()
    found = solver(x0=guess, lbg=0, ubg=0)
    seconds = time.perf_counter() - start
    values = np.asarray(found["x"]).ravel()
    return {
        "length": float(values[-1]),
        "first_state": values[:2].tolist(),
        "cost": float(found["f"]),
        "ms": 1e3 * seconds,
    }


def main():
    """Estimate by both, compare, keep."""
    jax.config.update("jax_enable_x64", True)
    here, (truth, angles) = machine.describe(), measured()
    own = ours(angles)
    states = own.pop("states")
    ipopt = by_ipopt(angles, 1.0)
    h = 1e-3
    ipopt["slope"] = (by_ipopt(angles, 1 + h)["length"] - by_ipopt(angles, 1 - h)["length"]) / (
        2 * h
    )
    truth_row = {"length": LENGTH, "first_state": truth[0].tolist()}
    for name, row in (("truth", truth_row), ("jaxmpc", own), ("ipopt", ipopt)):
        print(name, row)
    print("rms error of the angle, measured and estimated:", _rms(angles - truth[:, 0]), end=" ")
    print(_rms(states[:, 0] - truth[:, 0]))
    rows = [{"contender": "jaxmpc", **own}, {"contender": "ipopt", **ipopt}]
    print("written:", machine.save_own("estimation", here, rows).name)


def _rms(errors) -> float:
    return float(np.sqrt(np.mean(np.asarray(errors) ** 2)))


if __name__ == "__main__":
    main()
