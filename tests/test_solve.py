"""What `solve` returns: the known optima, to the tolerance asked for, judged independently."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest
import reference

import jaxmpc
from jaxmpc import ILQR, SQP, Status

ROWS = ("unicycle_box", "unicycle_free", "batched_lqr_box", "batched_lqr_free")
HEAVY = ("car_parking", "humanoid_lqr")
EXPERTS = {"pendulum": 13.956, "pendulum_complex": 11.294, "cartpole": 22.085}  # PAPER.md
# Differences of quadratics are exact whatever the step, so a long one has the least rounding.
STEP = {"batched_lqr_box": 1.0, "batched_lqr_free": 1.0, "humanoid_lqr": 1.0, "car_parking": 5e-5}


@functools.cache
def solved(name, solver=None):
    """The case and its solutions, one a start; solved as users would, cold."""
    case = problems.load(name)
    solve = functools.partial(jaxmpc.solve, controls=case.controls, solver=solver)
    if case.batched:
        solve = jax.vmap(solve, (None, 0, None))
    return case, jax.jit(solve)(case.problem, jnp.asarray(case.x0), case.params)


def element(solution, index):
    return jax.tree.map(lambda leaf: leaf[index], solution)


def judge(case, solution, index=None):
    """The independent verdict on a solution, or on one element of a batch of them."""
    if index is not None:
        solution = element(solution, index)
    x0 = case.x0 if index is None else case.x0[index]
    h = STEP.get(case.name, 2e-4)
    args = (solution.states, solution.controls)
    return solution, reference.kkt(case.problem, x0, case.params, *args, h=h)


def assert_reaches_optimum(name):
    case, solution = solved(name)
    assert np.all(solution.status == Status.converged)
    assert np.all(solution.converged)
    # The table's own rule: 1e-6 relative (its values have at least 7 digits).
    assert np.max(np.abs(case.excess(solution.cost))) < 1e-6
    # The worst of a batch and two others; of a single problem, itself.
    worst = int(np.argmax(solution.residuals.largest()))
    for index in sorted({0, 7, worst}) if case.batched else (None,):
        one, verdict = judge(case, solution, index)
        found = reference.stationarity_in_scales(case.problem, verdict, one)
        # The oracle is good to 1e-11 of its terms, and these are up to 1e4.
        error = 1e-8 * np.max(one.scales.controls) / one.scales.cost
        assert found < 1e-8 + error
        np.testing.assert_allclose(one.residuals.stationarity, found, atol=error)
        assert verdict.outside == 0  # bounds hold exactly, not up to a tolerance
        # Multiple shooting closes the dynamics to a hundredth of the tolerance, in their scales.
        assert verdict.defect < 1e-10 * np.max(one.scales.states)
        np.testing.assert_allclose(one.cost, verdict.cost, rtol=1e-12)
        size = np.max(np.abs(verdict.costates))
        np.testing.assert_allclose(one.costates, verdict.costates, atol=1e-6 * size)


@pytest.mark.parametrize("name", [*ROWS, *EXPERTS])
def test_optimum(name):
    assert_reaches_optimum(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", HEAVY)
def test_optimum_of_a_large_problem(name):
    assert_reaches_optimum(name)


@pytest.mark.parametrize("name", ["cartpole_acados", "cartpole_acados_80"])
def test_cartpole_of_acados_from_guessed_states(name):
    case = problems.load(name)
    solution = jaxmpc.solve(case.problem, case.x0, case.params, states=case.states)
    assert solution.converged
    assert abs(case.excess(solution.cost)) < 1e-6
    _, verdict = judge(case, solution)
    # With costates of its own, which sum up what is left of the equations of all stages.
    assert verdict.stationarity < 1e-7


@pytest.mark.parametrize("name", EXPERTS)
def test_mean_cost_of_the_papers_experts(name):
    case, solution = solved(name)
    # PAPER.md gives five digits.
    assert abs(np.mean(solution.cost) - EXPERTS[name]) < 5e-4
    limit = case.problem.control_bounds[1]
    at_bound = np.mean(np.abs(solution.controls) == limit)
    if name == "pendulum":
        assert round(at_bound, 2) == 0.72
    if name == "cartpole":
        assert at_bound == 0


def joint_lq(params, horizon):
    """Rows 25 as matrices: cost z'Hz without 1/2, terminal x'x."""
    ones, n = np.ones((horizon, 1, 1)), len(params["b"])
    H = 2 * params["H"]
    Q = np.concatenate([ones * H[:n, :n], 2 * np.eye(n)[None]])
    q, r = np.zeros((horizon + 1, n)), np.zeros((horizon, len(H) - n))
    matrices = (Q, ones * H[n:, :n], ones * H[n:, n:], q, r, ones * params["A"])
    return (*matrices, ones * params["B"], ones[:, 0] * params["b"])


@pytest.mark.parametrize(("name", "umax"), [("batched_lqr_box", 1.0), ("batched_lqr_free", 1e4)])
def test_bounded_lq_against_an_active_set(name, umax):
    case, solution = solved(name)
    matrices = joint_lq(case.params, 20)
    exact = [reference.solve_box_lq((*matrices, x0), -umax, umax) for x0 in case.x0]
    # Both are exact up to a residual of 1e-8 (second order in the cost).
    np.testing.assert_allclose(solution.controls, [u for u, _ in exact], atol=1e-7)
    np.testing.assert_allclose(solution.cost, [cost for _, cost in exact], rtol=1e-9)


# --- Accuracy and termination ---


@pytest.mark.parametrize("name", ["unicycle_box", "unicycle_free", "pendulum", "cartpole"])
def test_the_tolerance_asked_for_is_reached(name):
    case, solution = solved(name, ILQR(tolerance=1e-10))
    assert np.all(solution.status == Status.converged)
    assert np.all(solution.residuals.largest() <= 1e-10)
    _, verdict = judge(case, solution, 5 if case.batched else None)
    # The oracle's own error is 1e-11 of costates that reach 20 (pendulum, cart-pole) and 1e3.
    noise = 1e-8 if name.startswith("unicycle") else 5e-10
    assert verdict.stationarity < 1e-10 + noise


@pytest.mark.slow
@pytest.mark.parametrize("name", ["car_parking", "cartpole_acados"])
def test_the_tolerance_asked_for_is_reached_on_a_hard_problem(name):
    case, solution = solved(name, ILQR(tolerance=1e-10))
    assert solution.status == Status.converged
    assert solution.residuals.largest() <= 1e-10
    assert abs(case.excess(solution.cost)) < 1e-6


def test_a_constant_in_the_cost_changes_nothing():
    """A cost that is zero at the optimum by cancellation is rounded like its terms are."""
    case, plain = solved("unicycle_free")
    constant = float(plain.cost) / case.problem.horizon
    shifted = dataclasses.replace(
        case.problem, stage_cost=lambda *args: case.problem.stage_cost(*args) - constant
    )
    solve = jax.jit(jaxmpc.solve)
    rng = np.random.default_rng(0)
    for _ in range(10):
        x0 = case.x0 + 1e-4 * rng.standard_normal(3)
        solution = solve(shifted, x0, warm_start=plain, solver=ILQR(tolerance=1e-10))
        assert abs(solution.cost) < 1
        assert solution.status == Status.converged


@pytest.mark.parametrize("limit", [1, 3])
def test_starved_of_iterations(limit):
    case, enough = solved("unicycle_free")
    assert enough.iterations > 3  # or this test tests nothing
    case, solution = solved("unicycle_free", ILQR(max_iterations=limit))
    assert solution.status == Status.max_iterations
    assert not solution.converged
    assert solution.iterations == limit
    _, verdict = judge(case, solution)
    assert verdict.stationarity > 1e-3
    # The residuals, the costates and the cost are those of the returned point.
    expected = reference.stationarity_in_scales(case.problem, verdict, solution)
    np.testing.assert_allclose(solution.residuals.stationarity, expected, rtol=1e-7)
    np.testing.assert_allclose(solution.costates, verdict.costates, rtol=1e-7, atol=1e-6)
    np.testing.assert_allclose(solution.cost, verdict.cost, rtol=1e-12)


def test_the_last_allowed_iteration_may_converge():
    _, enough = solved("unicycle_free")
    _, solution = solved("unicycle_free", SQP(max_iterations=int(enough.iterations)))
    assert solution.status == Status.converged
    np.testing.assert_array_equal(solution.controls, enough.controls)


def test_never_worse_than_the_guess():
    case = problems.load("cartpole")
    rng = np.random.default_rng(0)
    guesses = 120 * (2 * rng.random((16, 20, 1)) - 1)  # some beyond the bounds of 100

    def solve(x0, guess):
        return jaxmpc.solve(
            case.problem, x0, case.params, controls=guess, solver=ILQR(max_iterations=2)
        )

    solution = jax.jit(jax.vmap(solve))(case.x0[:16], guesses)
    start = jax.jit(jax.vmap(lambda x0, u: rollout_cost(case, x0, u)))(
        case.x0[:16], np.clip(guesses, -100, 100)
    )
    assert np.all(solution.cost <= start * (1 + 1e-12))
    assert np.mean(solution.cost < start) > 0.9  # and it does make progress
    assert np.all(solution.status == Status.max_iterations)
    assert np.all(np.abs(solution.controls) <= 100)


def rollout_cost(case, x0, controls):
    def stage(x, tu):
        args = (x, tu[1], tu[0], case.params)
        return case.problem.dynamics(*args), case.problem.stage_cost(*args)

    x, costs = jax.lax.scan(stage, x0, (jnp.arange(case.problem.horizon), controls))
    end = case.problem.terminal_cost
    return jnp.sum(costs) + (0.0 if end is None else end(x, case.params))


def test_a_failed_line_search_returns_the_best_point():
    """A kink that Newton's method cannot see: |x - 1| has no curvature, and no slope at 1."""
    problem = jaxmpc.Problem(
        lambda x, u, t, params: x + u,
        lambda x, u, t, params: jnp.sum(jnp.abs(x - 1)) + 1e-3 * jnp.sum(u**2),
        lambda x, params: 10 * jnp.sum(jnp.abs(x - 1)),
        horizon=5,
        control_dim=1,
    )
    guess = np.full((5, 1), 0.15)
    states = np.concatenate([[0.0], np.cumsum(guess)])
    start = np.sum(np.abs(states[:-1] - 1)) + 10 * abs(states[-1] - 1) + 5e-3 * 0.15**2
    solution = jaxmpc.solve(problem, jnp.zeros(1), controls=guess)
    assert solution.status != Status.converged
    assert solution.cost <= start
    assert np.all(np.isfinite(solution.controls))
    _, verdict = judge(problems.Case("kink", problem, np.zeros(1), None, (), ""), solution)
    np.testing.assert_allclose(solution.cost, verdict.cost, rtol=1e-12)


@pytest.mark.parametrize("hessian", ["gauss_newton", "exact"])
def test_hessian_modes_agree(hessian):
    _case, auto = solved("unicycle_free")
    _, solution = solved("unicycle_free", ILQR(hessian=hessian))
    assert solution.converged
    np.testing.assert_allclose(solution.controls, auto.controls, atol=1e-7)
    assert auto.iterations <= solution.iterations


@pytest.mark.parametrize("name", ["unicycle_free", "unicycle_box"])
def test_trust_region(name):
    _case, free = solved(name)
    _, one_step = solved(name, ILQR(trust_region=0.125, max_iterations=1))
    assert 0 < np.max(np.abs(one_step.controls)) <= 0.125  # the guess is zero
    _, solution = solved(name, ILQR(trust_region=0.125))
    assert solution.converged
    assert solution.iterations > free.iterations
    np.testing.assert_allclose(solution.cost, free.cost, rtol=1e-9)
