"""The interior point: the same answers as ILQR where both apply, and constraints besides bounds."""

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import problems
import pytest

import jaxmpc
from jaxmpc.solvers.multiple_shooting import filter as filters

TIGHT = jaxmpc.InteriorPoint(tolerance=1e-11)


def pendulum_problem(limit):
    def cost(x, u, t, params):
        return 1 - jnp.cos(x[0]) + 0.01 * x[1] ** 2 + params["weight"] * u @ u

    def dynamics(x, u, t, params):
        omega = x[1] + 0.05 * (params["gravity"] * jnp.sin(x[0]) + 3 * u[0])
        return jnp.stack([x[0] + 0.05 * omega, omega])

    return jaxmpc.Problem(dynamics, cost, horizon=25, control_dim=1, control_bounds=(-limit, limit))


PARAMS = {"gravity": jnp.array(10.0), "weight": jnp.array(0.005)}
X0 = jnp.array([0.9, -0.4])


def loss(solver, x0, params, limit):
    solution = jaxmpc.solve(pendulum_problem(limit), x0, params, solver=solver)
    weights = jnp.cos(jnp.arange(25.0))[:, None]
    return jnp.sum(weights * solution.controls) + jnp.sum(solution.multipliers.upper)


def test_the_same_solution_and_gradient_as_ilqr_with_active_bounds():
    arguments = (X0, PARAMS, jnp.array(2.0))
    problem = pendulum_problem(2.0)
    expected = jaxmpc.solve(problem, X0, PARAMS, solver=jaxmpc.ILQR(tolerance=1e-11))
    solution = jaxmpc.solve(problem, X0, PARAMS, solver=TIGHT)
    assert expected.converged and solution.converged
    assert (
        jnp.sum(expected.multipliers.lower > 0) >= 3
        and jnp.sum(expected.multipliers.upper > 0) >= 3
    )
    for field in ("states", "controls", "cost", "costates"):
        np.testing.assert_allclose(
            getattr(solution, field), getattr(expected, field), rtol=1e-7, atol=1e-8
        )
    for new, old in zip(solution.multipliers, expected.multipliers, strict=True):
        np.testing.assert_allclose(new, old, atol=1e-7)
    np.testing.assert_allclose(solution.gains.feedback, expected.gains.feedback, atol=1e-6)
    gradients = [
        jax.grad(loss, (1, 2, 3))(solver, *arguments)
        for solver in (TIGHT, jaxmpc.ILQR(tolerance=1e-11))
    ]
    jax.tree.map(
        lambda new, old: np.testing.assert_allclose(new, old, rtol=1e-6, atol=1e-7), *gradients
    )


def test_gradients_of_the_gains_agree_with_differences():
    def stiffness(solver, x0):
        gains = jaxmpc.solve(pendulum_problem(2.0), x0, PARAMS, solver=solver).gains
        return jnp.sum(gains.feedback**2) + jnp.sum(jnp.sin(gains.feedback))

    solver = jaxmpc.ILQR(tolerance=1e-11)
    function = jax.jit(lambda x0: stiffness(solver, x0))
    step = 1e-5 * jnp.eye(2)
    expected = [(function(X0 + e) - function(X0 - e)) / 2e-5 for e in step]
    for either in (solver, TIGHT):
        gradient = jax.grad(lambda x0, either=either: stiffness(either, x0))(X0)
        np.testing.assert_allclose(gradient, expected, rtol=1e-6)


@pytest.mark.slow
def test_unrolled_iterations_have_nearly_the_same_gradient():
    """Up to the barrier that is left; no part of the implicit rule is used."""

    def function(x0, params, adjoint):
        solution = jaxmpc.solve(
            pendulum_problem(2.0), x0, params, solver=jaxmpc.InteriorPoint(), adjoint=adjoint
        )
        return jnp.sum(jnp.cos(jnp.arange(25.0)) * solution.controls[:, 0])

    unrolled, implicit = (
        jax.jit(jax.grad(lambda x0, params, a=a: function(x0, params, a), (0, 1)))(X0, PARAMS)
        for a in (jaxmpc.UnrolledAdjoint(40), jaxmpc.ImplicitAdjoint())
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3), unrolled, implicit)


@pytest.mark.parametrize("name", ["cartpole_acados_80", "unicycle_free", "unicycle_box"])
def test_standard_problems_from_their_guesses(name):
    case = problems.load(name)
    solution = jaxmpc.solve(
        case.problem,
        case.x0,
        case.params,
        controls=case.controls,
        states=case.states,
        solver=jaxmpc.InteriorPoint(),
    )
    assert solution.converged
    assert abs(case.excess(solution.cost)) < 1e-6
    assert solution.residuals.largest() <= 1e-8


@pytest.mark.slow
def test_a_batch_equals_its_elements():
    starts = jnp.array([[0.9, -0.4], [0.1, 0.0], [jnp.nan, 0.0], [2.0, 1.0]])

    def solve(x0):
        return jaxmpc.solve(pendulum_problem(2.0), x0, PARAMS, solver=jaxmpc.InteriorPoint())

    batch = jax.vmap(solve)(starts)
    assert batch.status[2] == jaxmpc.Status.non_finite
    for k in (0, 1, 3):
        alone = solve(starts[k])
        assert alone.converged and batch.converged[k]
        np.testing.assert_allclose(batch.controls[k], alone.controls, atol=1e-8)


def test_equal_bounds_fix_a_control():
    lower = jnp.full((25, 1), -2.0).at[3].set(0.5)
    upper = jnp.full((25, 1), 2.0).at[3].set(0.5)
    problem = pendulum_problem(2.0)
    problem = jaxmpc.Problem(
        problem.dynamics,
        problem.stage_cost,
        horizon=25,
        control_dim=1,
        control_bounds=(lower, upper),
    )
    solution = jaxmpc.solve(problem, X0, PARAMS, solver=TIGHT)
    expected = jaxmpc.solve(problem, X0, PARAMS, solver=jaxmpc.ILQR(tolerance=1e-11))
    assert solution.converged
    assert solution.controls[3, 0] == 0.5
    np.testing.assert_allclose(solution.controls, expected.controls, atol=1e-7)
    assert expected.multipliers.lower[3, 0] + expected.multipliers.upper[3, 0] > 1e-3
    for name in ("lower", "upper"):
        found, wanted = (getattr(s.multipliers, name) for s in (solution, expected))
        np.testing.assert_allclose(found, wanted, atol=1e-7)


def test_float32():
    problem = pendulum_problem(2.0)
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), PARAMS)
    solution = jaxmpc.solve(problem, X0.astype(jnp.float32), params, solver=jaxmpc.InteriorPoint())
    expected = jaxmpc.solve(problem, X0, PARAMS)
    assert solution.converged and solution.controls.dtype == jnp.float32
    np.testing.assert_allclose(solution.cost, expected.cost, rtol=1e-3)


def cart_problem(state_limit):
    """A cart with drag: a moving stage inequality, a state bound, a terminal equality."""

    def dynamics(x, u, t, params):
        v = x[1] + 0.1 * u[0] - 0.1 * params["drag"] * x[1] ** 2
        return jnp.stack([x[0] + 0.1 * x[1] + 0.005 * u[0], v])

    return jaxmpc.Problem(
        dynamics,
        lambda x, u, t, params: 0.05 * params["weight"] * x @ x + 0.005 * u @ u,
        lambda x, params: 0.5 * jnp.sum((x - params["goal"]) ** 2),
        horizon=20,
        control_dim=1,
        control_bounds=(-1.4, 1.4),
        state_bounds=(None, jnp.stack([jnp.inf, state_limit])),
        stage_inequality=lambda x, u, t, params: (x[1] - params["speed"] - 0.05 * x[0])[None],
        terminal_equality=lambda x, params: (x - params["goal"])[:1],
    )


CART = {
    "drag": jnp.array(0.2),
    "weight": jnp.array(1.0),
    "goal": jnp.array([1.0, 0.0]),
    "speed": jnp.array(0.6),
}


def solve_cart(params, x0, state_limit):
    problem = cart_problem(state_limit)
    return jaxmpc.solve(problem, x0, params, solver=TIGHT)


def cart_loss(params, x0, state_limit):
    solution = solve_cart(params, x0, state_limit)
    m = solution.multipliers
    return (
        jnp.sum(jnp.sin(solution.controls))
        + jnp.sum(solution.states[:, 1] ** 3)
        + jnp.sum(m.stage_inequality**2)
        + m.terminal_equality[0]
        + jnp.sum(m.state_upper)
    )


@pytest.mark.parametrize("state_limit", [0.9, 0.605])
def test_gradients_with_general_constraints_agree_with_differences(state_limit):
    arguments = (CART, jnp.array([0.0, 0.0]), jnp.array(state_limit))
    solution = jax.jit(solve_cart)(*arguments)
    assert solution.converged
    assert solution.residuals.feasibility < 1e-9
    active = solution.multipliers.stage_inequality > 1e-6
    bounded = solution.multipliers.state_upper > 1e-6
    assert jnp.sum(active) >= 3 or jnp.sum(bounded) >= 3
    function = jax.jit(cart_loss)
    gradient = jax.jit(jax.grad(cart_loss, (0, 1, 2)))(*arguments)
    flat, unravel = jax.flatten_util.ravel_pytree(arguments)
    step = 1e-5
    differences = [
        (function(*unravel(flat.at[k].add(step))) - function(*unravel(flat.at[k].add(-step))))
        / (2 * step)
        for k in range(flat.size)
    ]
    computed = jax.flatten_util.ravel_pytree(gradient)[0]
    scale = np.max(np.abs(differences))
    np.testing.assert_allclose(computed, differences, atol=1e-5 * scale)


@pytest.mark.parametrize("barrier", [0.1, 1.0, 10.0])
def test_a_large_barrier_is_kept(barrier):
    problem = jaxmpc.Problem(
        lambda x, u, t, p: x + 0.1 * u,
        lambda x, u, t, p: x @ x + u @ u,
        horizon=3,
        control_dim=1,
        control_bounds=(-1.0, 1.0),
    )
    solution = jaxmpc.solve(
        problem, jnp.array([30.0]), solver=jaxmpc.InteriorPoint(barrier=barrier)
    )
    assert solution.converged
    products = (solution.controls + 1) * solution.multipliers.lower
    np.testing.assert_allclose(products, barrier, rtol=1e-6)


def test_a_row_with_a_coefficient_of_zero_is_decided_by_x0_at_the_start():
    """The first row does not see the control, and x0 is outside of it: nothing can be done."""
    C, D = jnp.array([[1.0, 0.0], [0.0, 0.0]]), jnp.array([[0.0], [1.0]])

    def build(coefficients):
        return jaxmpc.Problem(
            lambda x, u, t, p: x + 0.5 * jnp.array([x[1], u[0]]),
            lambda x, u, t, p: x @ x + 0.1 * u @ u,
            horizon=20,
            control_dim=1,
            stage_inequality=lambda x, u, t, p: C @ x + coefficients @ u - jnp.array([1.0, 2.0]),
        )

    x0 = jnp.array([1.1, -0.4])
    solution = jaxmpc.solve(build(D), x0)
    assert solution.converged
    np.testing.assert_allclose(solution.violations.stage_inequality[0], [0.1, 0.0], atol=1e-12)
    np.testing.assert_array_equal(solution.violations.stage_inequality[1:], 0)
    felt = jaxmpc.solve(build(jnp.array([[1.0], [0.0]])), x0)  # here the control can do something
    assert felt.converged
    np.testing.assert_allclose(felt.violations.stage_inequality, 0, atol=1e-8)


def test_the_filter_blocks_what_is_no_better():
    now = filters.Merit(jnp.array(1.0), jnp.array(5.0))
    memory = filters.remember(filters.empty(now.violation), now, jnp.array(True))
    assert memory.length == 1
    trials = filters.Merit(jnp.array([0.5, 2.0, 2.0, jnp.nan]), jnp.array([9.0, 9.0, 1.0, 0.0]))
    accepted, _ = filters.judge(memory, now, trials, jnp.ones(4), jnp.array(-1.0))
    assert accepted.tolist() == [True, False, True, False]
    unchanged = filters.remember(memory, now, jnp.array(False))
    assert unchanged.length == 1
