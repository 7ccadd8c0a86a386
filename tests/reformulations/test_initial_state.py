"""A free initial state: least squares in closed form, and a pendulum estimated from its angles."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmpc
from jaxmpc import free_parameters

N, M, T = 2, 1, 6


def linear(prior_weight=2.0):
    """Fit x_0 and w of x+ = A x + B w to measurements y_t of x[0]: a least-squares problem."""
    random = np.random.default_rng(0)
    data = {
        "A": jnp.array([[1.0, 0.1], [-0.2, 0.9]]),
        "B": jnp.array([[0.0], [0.1]]),
        "y": jnp.asarray(random.normal(size=T + 1)),
        "prior": jnp.array([0.3, -0.1]),
        "weight": jnp.array(prior_weight),
    }
    problem = jaxmpc.Problem(
        lambda x, w, t, p: p["A"] @ x + p["B"] @ w,
        lambda x, w, t, p: (x[0] - p["y"][t]) ** 2 + 5.0 * w[0] ** 2,
        lambda x, p: (x[0] - p["y"][T]) ** 2,
        horizon=T,
        control_dim=M,
    )

    def arrival(x, p):
        return p["weight"] * jnp.sum((x - p["prior"]) ** 2)

    return problem, arrival, data


def least_squares(data):
    """The same by `lstsq` in [x_0, w_0 .. w_{T-1}]."""
    A, B, y = (np.asarray(data[name]) for name in ("A", "B", "y"))
    rows, values = [], []
    influence = np.hstack([np.eye(N), np.zeros((N, T * M))])
    for t in range(T + 1):
        rows.append(influence[0])
        values.append(y[t])
        if t < T:
            influence = A @ influence
            influence[:, N + t] += B[:, 0]
    for t in range(T):
        rows.append(np.sqrt(5.0) * np.eye(N + T)[N + t])
        values.append(0.0)
    for i in range(N):
        rows.append(np.sqrt(float(data["weight"])) * np.eye(N + T)[i])
        values.append(np.sqrt(float(data["weight"])) * float(data["prior"][i]))
    return np.linalg.lstsq(np.stack(rows), np.array(values), rcond=None)[0]


@pytest.mark.parametrize("solver", ["SQP", "ILQR", "InteriorPoint"])
def test_linear_least_squares(solver):
    problem, arrival, data = linear()
    free = free_parameters.optimize_initial_state(problem, arrival, state_dim=N)
    solution = jaxmpc.solve(free, jnp.full(N, 7.0), data, solver=getattr(jaxmpc, solver)())
    assert solution.converged
    states, controls = free_parameters.split_initial_state(solution.states, solution.controls)
    expected = least_squares(data)
    np.testing.assert_allclose(states[0], expected[:N], atol=1e-7)
    np.testing.assert_allclose(controls[:, 0], expected[N:], atol=1e-7)
    np.testing.assert_allclose(
        states[1], data["A"] @ states[0] + data["B"] @ controls[0], atol=1e-9
    )


def test_bounds_and_derivatives():
    problem, arrival, data = linear()

    def first(weight, upper, x0):
        free = free_parameters.optimize_initial_state(
            problem, arrival, state_dim=N, upper=upper, lower=-5.0
        )
        solution = jaxmpc.solve(free, x0, {**data, "weight": weight})
        states, _ = free_parameters.split_initial_state(solution.states, solution.controls)
        return states[0]

    weight, x0 = data["weight"], jnp.zeros(N)
    loose, tight = jnp.full(N, 5.0), jnp.array([5.0, -0.5])
    slope = jax.jacrev(first)(weight, loose, x0)
    h = 1e-5
    expected = (first(weight + h, loose, x0) - first(weight - h, loose, x0)) / (2 * h)
    np.testing.assert_allclose(slope, expected, rtol=1e-6)
    np.testing.assert_array_equal(jax.jacrev(first, 2)(weight, loose, x0), 0)
    held = first(weight, tight, x0)
    np.testing.assert_allclose(held[1], -0.5, atol=1e-9)
    by_bound = jax.jacrev(first, 1)(weight, tight, x0)
    expected = (first(weight, tight + h, x0) - first(weight, tight - h, x0)) / (2 * h)
    np.testing.assert_allclose(by_bound[:, 1], expected, rtol=1e-6)


def test_a_state_and_a_parameter_of_a_pendulum():
    """Without noise in the data the true ones are found, from a poor guess."""
    horizon, dt = 30, 0.05

    def dynamics(x, w, t, p):
        middle = x + 0.5 * dt * jnp.stack([x[1], -9.81 / p["length"] * jnp.sin(x[0])])
        slope = jnp.stack([middle[1], -9.81 / p["length"] * jnp.sin(middle[0])])
        return x + dt * slope + dt * jnp.stack([jnp.zeros_like(x[0]), w[0]])

    truth = [jnp.array([1.0, -0.5])]
    for _ in range(horizon):
        truth.append(dynamics(truth[-1], jnp.zeros(1), 0, {"length": 0.7}))
    angles = jnp.stack(truth)[:, 0]
    problem = jaxmpc.Problem(
        dynamics,
        lambda x, w, t, p: (x[0] - p["angles"][t]) ** 2 + 10.0 * w[0] ** 2,
        lambda x, p: (x[0] - p["angles"][horizon]) ** 2,
        horizon=horizon,
        control_dim=1,
    )
    free = free_parameters.optimize_initial_state(
        problem, lambda x, p: 1e-8 * jnp.sum(x**2), state_dim=2
    )

    def merge(params, p):
        return {**params, "length": p[0]}

    both = free_parameters.optimize_parameters(free, merge, [0.1], [5.0])
    controls = free_parameters.initial_state_guess(np.zeros((horizon, 1)), [0.5, 0.0])
    states, controls = free_parameters.augment_guess(np.ones((horizon + 1, 2)), controls, [1.0])
    solution = jaxmpc.solve(both, states[0], {"angles": angles}, states=states, controls=controls)
    assert solution.converged
    states, controls, length = free_parameters.split_trajectory(
        solution.states, solution.controls, 1
    )
    states, noise = free_parameters.split_initial_state(states, controls)
    np.testing.assert_allclose(length, [0.7], atol=1e-5)
    np.testing.assert_allclose(states, jnp.stack(truth), atol=1e-5)
    assert np.abs(noise).max() < 1e-5


def test_bad_input():
    problem, arrival, _ = linear()
    with pytest.raises(TypeError, match="arrival_cost must be a function"):
        free_parameters.optimize_initial_state(problem, 3.0, state_dim=N)
    with pytest.raises(ValueError, match=r"upper must be a scalar or \[n\] = \(2,\), got \(3,\)"):
        free_parameters.optimize_initial_state(problem, arrival, state_dim=N, upper=np.ones(3))
    with pytest.raises(ValueError, match="state_dim must be an int of at least 1"):
        free_parameters.optimize_initial_state(problem, arrival, state_dim=0)
    with pytest.raises(ValueError, match="have no room for the free state"):
        free_parameters.split_initial_state(np.zeros((4, 2)), np.zeros((3, 2)))
