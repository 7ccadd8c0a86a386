"""Sequential quadratic programming: other solvers' answers, and what single shooting loses."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest
import reference

import jaxmpc
from jaxmpc import ILQR, SQP, ImplicitAdjoint, Status, UnrolledAdjoint, lq

TIGHT = SQP(tolerance=1e-11)
LIMIT = 1.0


def pendulum(x, u, t, params):
    omega = x[1] + 0.05 * (params["gravity"] * jnp.sin(x[0]) + 3 * u[0])
    return jnp.stack([x[0] + 0.05 * omega, omega])


def swing(x, u, t, params):
    return 1 - jnp.cos(x[0]) + 0.01 * x[1] ** 2 + params["weight"] * u @ u


def problem_with(limit):
    return jaxmpc.Problem(pendulum, swing, horizon=25, control_dim=1, control_bounds=limit)


PARAMS = {"gravity": jnp.array(10.0), "weight": jnp.array(0.005)}
X0 = jnp.array([0.9, -0.4])


@pytest.mark.parametrize("name", ["pendulum", "unicycle_free", "unicycle_box"])
def test_the_oracle_agrees(name):
    case = problems.load(name)
    x0 = case.x0[0] if case.batched else case.x0
    solution = jaxmpc.solve(case.problem, jnp.asarray(x0), case.params, solver=SQP())
    assert solution.converged
    verdict = reference.kkt(case.problem, x0, case.params, solution.states, solution.controls)
    error = 1e-8 * np.max(solution.scales.controls) / solution.scales.cost
    found = reference.stationarity_in_scales(case.problem, verdict, solution)
    assert found < 1e-8 + error
    assert verdict.outside == 0  # bounds hold exactly
    assert verdict.defect < 1e-8 * np.max(solution.scales.states)
    np.testing.assert_allclose(solution.cost, verdict.cost, rtol=1e-8)


def test_bounded_linear_problems_take_one_iteration():
    rng = np.random.default_rng(0)
    n, m, horizon = 4, 2, 20
    A = np.eye(n) + 0.2 * rng.standard_normal((n, n))
    B = rng.standard_normal((n, m))

    def cost(x, u, t, params):
        return 0.5 * x @ x + 0.05 * u @ u

    problem = jaxmpc.Problem(
        lambda x, u, t, params: A @ x + B @ u,
        cost,
        horizon=horizon,
        control_dim=m,
        control_bounds=(-0.3, 0.3),
    )
    x0 = jnp.asarray(rng.standard_normal((8, n)))
    solutions = jaxmpc.solve_batch(problem, x0, solver=SQP())
    assert np.all(solutions.converged) and np.all(solutions.iterations == 1)
    assert 0.1 < np.mean(np.abs(solutions.controls) == 0.3) < 0.9
    repeat = lambda matrix, times: np.tile(matrix, (times, *[1] * np.ndim(matrix)))  # noqa: E731
    for x, controls in zip(x0, solutions.controls, strict=True):
        model = lq.LQProblem(
            Q=repeat(np.eye(n), horizon + 1) * (np.arange(horizon + 1) < horizon)[:, None, None],
            S=np.zeros((horizon, m, n)),
            R=repeat(0.1 * np.eye(m), horizon),
            q=np.zeros((horizon + 1, n)),
            r=np.zeros((horizon, m)),
            A=repeat(A, horizon),
            B=repeat(B, horizon),
            c=np.zeros((horizon, n)),
            x0=x,
        )
        model = jax.tree.map(jnp.asarray, model)
        np.testing.assert_allclose(controls, lq.solve(model, -0.3, 0.3).controls, atol=1e-9)


@pytest.mark.parametrize("limit", [None, (-20.0, 20.0)])
@pytest.mark.parametrize("rate", [3.0, 10.0])
def test_unstable_dynamics(rate, limit):
    """Their rollout of zero controls reaches 10^50; the optimum is a matter of one LQ problem."""
    problem = jaxmpc.Problem(
        lambda x, u, t, params: rate * x + u,
        lambda x, u, t, params: 0.5 * x @ x + 0.05 * u @ u,
        horizon=50,
        control_dim=1,
        control_bounds=limit,
    )
    solution = jaxmpc.solve(problem, jnp.ones(1), solver=SQP())
    assert solution.converged and solution.iterations <= 2
    value = 0.0
    for _ in range(50):  # the Riccati recursion; no bound is active
        value = 1.0 + rate**2 * value * 0.1 / (value + 0.1)
    assert np.max(np.abs(solution.controls)) < 20
    np.testing.assert_allclose(solution.cost, 0.5 * value, rtol=1e-8)


@pytest.mark.parametrize("x0", [(-2.71306987, 0.89737736), (-2.39759, -0.978719)])
def test_defects_that_saturate_every_control(x0):
    """Long free swings: to close all defects at once would take the bounds of all controls."""

    def swing_100(x, u, t, params):  # explicit Euler: unstable, and energy is pumped in
        return jnp.stack([x[0] + 0.05 * x[1], x[1] + 0.05 * (9.81 * jnp.sin(x[0]) + u[0])])

    def cost(x, u, t, params):
        return 1 - jnp.cos(x[0]) + 0.05 * x[1] ** 2 + 0.001 * u @ u

    long = jaxmpc.Problem(swing_100, cost, horizon=100, control_dim=1, control_bounds=(-8, 8))
    solution = jaxmpc.solve(long, jnp.array(x0), solver=SQP())
    assert solution.converged
    verdict = reference.kkt(long, np.array(x0), None, solution.states, solution.controls)
    # The oracle's costates go backwards through unstable dynamics: 5e-9 of its own is rounding.
    assert verdict.stationarity < 1e-7
    assert verdict.outside == 0
    assert verdict.defect < 1e-8 * np.max(solution.scales.states)


def test_it_is_at_ilqrs_minimum():
    problem = problem_with((-LIMIT, LIMIT))
    found = jaxmpc.solve(problem, X0, PARAMS, solver=TIGHT)
    other = jaxmpc.solve(problem, X0, PARAMS, solver=ILQR(tolerance=1e-11))
    assert found.converged and other.converged
    assert np.any(np.abs(found.controls) == LIMIT)
    np.testing.assert_allclose(found.controls, other.controls, atol=1e-8)
    np.testing.assert_allclose(found.costates, other.costates, atol=1e-7)
    for one, two in zip(found.multipliers, other.multipliers, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-7)
    np.testing.assert_allclose(found.gains.feedback, other.gains.feedback, atol=1e-6)


@pytest.mark.parametrize("adjoint", [ImplicitAdjoint(), UnrolledAdjoint(12)])
def test_gradient_against_differences(adjoint):
    def loss(flat):
        params = {"gravity": flat[2], "weight": flat[3]}
        problem = problem_with((-flat[4], LIMIT))
        solution = jaxmpc.solve(problem, flat[:2], params, solver=TIGHT, adjoint=adjoint)
        return jnp.sum(jnp.cos(jnp.arange(25)) * solution.controls[:, 0])

    flat = jnp.array([0.9, -0.4, 10.0, 0.005, LIMIT])
    expected = reference.central_difference(jax.jit(jax.vmap(loss)), flat, 1e-5)
    assert np.min(np.abs(expected[:4])) > 1e-3  # none is right by being zero
    np.testing.assert_allclose(jax.jit(jax.grad(loss))(flat), expected, rtol=1e-5, atol=1e-6)


def test_a_solution_is_where_it_starts():
    problem = problem_with((-LIMIT, LIMIT))
    cold = jaxmpc.solve(problem, X0, PARAMS, solver=SQP())
    again = jaxmpc.solve(problem, X0, PARAMS, warm_start=cold, solver=SQP())
    assert again.converged and again.iterations <= 1  # its scales are those of the solution
    near = jaxmpc.solve(problem, X0 + 1e-3, PARAMS, warm_start=cold, solver=SQP())
    assert near.converged and near.iterations < cold.iterations


def test_bad_numbers_stay_in_their_lane():
    def solve(x0, lower):
        return jaxmpc.solve(problem_with((lower, LIMIT)), x0, PARAMS, solver=SQP())

    lower = jnp.array([-1.0, jnp.nan, -1.0, 2.0])
    x0 = jnp.stack([X0, X0, X0 * jnp.nan, X0])
    solutions = jax.vmap(solve)(x0, lower)
    expected = [Status.converged, Status.infeasible, Status.non_finite, Status.infeasible]
    np.testing.assert_array_equal(solutions.status, expected)
    np.testing.assert_allclose(solutions.controls[0], solve(X0, -1.0).controls, atol=1e-10)


@pytest.mark.parametrize("fall", [lambda x, u: -x @ x, lambda x, u: jnp.sum(u)])
def test_costs_without_a_minimum(fall):
    problem = jaxmpc.Problem(
        lambda x, u, t, params: x + u,
        lambda x, u, t, params: fall(x, u),
        horizon=10,
        control_dim=1,
    )
    assert jaxmpc.solve(problem, jnp.ones(1), solver=SQP()).status == Status.unbounded


def test_constraints_are_for_the_interior_point():
    problem = jaxmpc.Problem(
        pendulum, swing, horizon=25, control_dim=1, terminal_equality=lambda x, params: x
    )
    with pytest.raises(ValueError, match=r"solver is SQP.*InteriorPoint"):
        jaxmpc.solve(problem, X0, PARAMS, solver=SQP())


OVER_DEVICES = """
import jax
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_enable_x64", True)
import jax.numpy as jnp
import numpy as np
import jaxmpc
from test_sqp import PARAMS, X0, problem_with
x0 = X0 + 0.1 * jnp.arange(4.0)[:, None]
mesh = jax.make_mesh((2,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))
problem, solver = problem_with((-1.0, 1.0)), jaxmpc.SQP()
shared = jaxmpc.solve_batch(problem, x0, PARAMS, mesh=mesh, solver=solver)
alone = jaxmpc.solve_batch(problem, x0, PARAMS, solver=solver)
assert np.all(alone.converged) and np.all(shared.converged)
np.testing.assert_allclose(shared.controls, alone.controls, atol=1e-10)
print("agree")
"""


def test_over_two_devices():
    here = os.path.dirname(__file__)
    root = os.path.dirname(os.path.dirname(here))
    path = os.pathsep.join([here, os.path.join(root, "tests"), root])
    done = subprocess.run(
        [sys.executable, "-c", OVER_DEVICES],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "JAX_PLATFORMS": "cpu"},
    )
    assert "agree" in done.stdout, done.stderr
