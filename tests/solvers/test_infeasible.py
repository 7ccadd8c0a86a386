"""What comes back when constraints cannot be met, or numbers are bad: a double integrator."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmpc
from jaxmpc import Soft, Status
from jaxmpc.solvers.interior_point.verdict import Verdict, status_of
from jaxmpc.solvers.loop import Guess

DT = 0.1
A, B = np.array([[1, DT], [0, 1]]), np.array([[DT**2 / 2], [DT]])
SPEED = (np.array([-np.inf, -1.0]), np.array([np.inf, 1.0]))


def build(**constraints):
    """20 steps towards rest at the origin with |u| <= 1 and |v| <= 1."""
    return jaxmpc.Problem(
        lambda x, u, t, goal: jnp.asarray(A, x.dtype) @ x + jnp.asarray(B, x.dtype) @ u,
        lambda x, u, t, goal: 0.5 * x @ x + 0.05 * u @ u,
        lambda x, goal: 5 * x @ x,
        horizon=20,
        control_dim=1,
        control_bounds=(-1.0, 1.0),
        **{"state_bounds": SPEED, **constraints},
    )


BOUNDED = build()
TO_GOAL = build(terminal_equality=lambda x, goal: x - goal)
GOOD = jnp.array([1.0, 0.0])
TOO_FAST = jnp.array([1.0, 1.5])  # v_1 is 1.4 at least, v_5 the first that can be 1
solve = jax.jit(jaxmpc.solve)


def test_an_initial_state_from_which_a_bound_cannot_be_met():
    solution = solve(BOUNDED, TOO_FAST)
    assert solution.status == Status.infeasible and not solution.converged
    # The least violation: brake with all that there is until the bound is met.
    np.testing.assert_allclose(solution.controls[:5, 0], -1, atol=1e-6)
    excess = np.maximum(solution.states[1:, 1] - 1, 0)
    np.testing.assert_allclose(excess, [0.4, 0.3, 0.2, 0.1] + [0.0] * 16, atol=1e-6)
    np.testing.assert_allclose(solution.violations.state_upper[:, 1], excess, atol=1e-12)
    in_scale = 0.4 / solution.scales.states[1]
    np.testing.assert_allclose(solution.residuals.feasibility, in_scale, atol=1e-6)
    assert_plausible(solution)
    report = jaxmpc.describe(solution)
    assert "infeasible" in report and "state_upper[1] at stage 1 by 0.4, and 3 more" in report


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_a_wall_that_cannot_be_reached_is_infeasible_in_both_precisions(dtype):
    """README's cart: in float32 rounding grants short steps for ever, which lead nowhere."""
    cart = jaxmpc.Problem(
        lambda x, u, t, limit: x + jnp.asarray(0.1, x.dtype) * jnp.array([x[1], u[0]]),
        lambda x, u, t, limit: 0.5 * u @ u,
        horizon=30,
        control_dim=1,
        control_bounds=(-2, 2),
        stage_inequality=lambda x, u, t, limit: jnp.array([x[1] - limit]),
        terminal_equality=lambda x, limit: x - jnp.array([1.5, 0.0], x.dtype),
    )
    x0 = jnp.zeros(2, dtype)
    slow = jax.jit(jax.vmap(lambda limit: jaxmpc.solve(cart, x0, limit)))
    solutions = slow(jnp.array([0.1, 0.4, 0.5, 0.55, 0.6], dtype))
    wanted = [Status.infeasible] * 4 + [Status.converged]
    np.testing.assert_array_equal(solutions.status, wanted)
    # At 0.1 and 0.4 m/s, 29 stages of 0.1 s: so far it can come, in the units of the problem.
    short = 1.5 - 2.8 * np.array([0.1, 0.4])
    found = solutions.violations.terminal_equality[:2, 0]
    np.testing.assert_allclose(found, short, atol=0.05)


@pytest.mark.parametrize(
    "bounds, status", [({}, Status.infeasible), ({"state_bounds": None}, Status.line_search_failed)]
)
def test_searches_that_fail_say_infeasible_only_where_there_is_a_constraint(bounds, status):
    problem, solver = build(**bounds), jaxmpc.InteriorPoint()
    state = solver.init(problem, GOOD, None, Guess(jnp.zeros((20, 1)), None, None))
    state = state._replace(failures=jnp.array(99, jnp.int32))
    verdict = Verdict(*[jnp.array(False)] * len(Verdict._fields))._replace(infeasible=True)
    assert status_of(state, verdict) == status


def test_a_goal_that_cannot_be_reached():
    solution = solve(TO_GOAL, GOOD, jnp.array([10.0, 0.0]))
    assert solution.status == Status.infeasible
    # From 1 m, at rest, 1 m further is all that 2 s allow with |u| <= 1 and rest at the end.
    np.testing.assert_allclose(solution.states[-1], [2.0, 0.0], atol=1e-5)
    np.testing.assert_allclose(solution.violations.terminal_equality, [8.0, 0.0], atol=1e-5)
    in_scale = 8.0 / solution.scales.terminal_equality[0]
    np.testing.assert_allclose(solution.residuals.feasibility, in_scale, atol=1e-5)
    assert_plausible(solution)
    assert "terminal_equality[0] by 8" in jaxmpc.describe(solution)


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf, -jnp.inf])
def test_numbers_that_are_not_finite(bad):
    for start in (GOOD.at[0].set(bad), GOOD.at[1].set(bad)):
        solution = solve(BOUNDED, start)
        assert solution.status == Status.non_finite and not solution.converged
        assert np.all(np.isfinite(solution.controls)) and np.all(np.abs(solution.controls) <= 1)
        assert np.all(np.isfinite(solution.gains.feedback))
    assert solve(BOUNDED, GOOD).converged  # the next good call works


def assert_plausible(solution):
    """Controls inside their bounds, finite numbers, states that follow from the controls."""
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(solution))
    assert np.all(np.abs(solution.controls) <= 1)
    x = solution.states
    np.testing.assert_allclose(x[1:], x[:-1] @ A.T + solution.controls @ B.T, atol=1e-9)
    cost = jnp.sum(0.5 * x[:-1] ** 2) + jnp.sum(0.05 * solution.controls**2) + 5 * x[-1] @ x[-1]
    np.testing.assert_allclose(solution.cost, cost, rtol=1e-12)


def test_neighbours_in_a_batch_are_not_disturbed():
    """Bit for bit: alone, beside bad ones, and beside good ones."""
    good = jnp.array([[1.0, 0.0], [0.5, 0.5], [0.3, -0.2]])
    mixed = [good[0], GOOD * jnp.nan, good[1], TOO_FAST, GOOD.at[1].set(jnp.inf), good[2]]
    many = jax.jit(jax.vmap(jaxmpc.solve, (None, 0)))
    batch = many(BOUNDED, jnp.stack(mixed))
    wanted = [0, Status.non_finite, 0, Status.infeasible, Status.non_finite, 0]
    np.testing.assert_array_equal(batch.status, wanted)
    others = many(BOUNDED, jnp.stack([good[k // 2] for k in range(6)]))
    for k, (place, other) in enumerate(zip((0, 2, 5), (0, 2, 4), strict=True)):
        alone = solve(BOUNDED, good[k])
        for name in ("states", "controls", "cost", "costates", "multipliers", "iterations"):
            in_batch, beside = (
                jax.tree.map(lambda leaf, i=i: leaf[i], getattr(s, name))
                for s, i in ((batch, place), (others, other))
            )
            jax.tree.map(np.testing.assert_array_equal, in_batch, getattr(alone, name))
            jax.tree.map(np.testing.assert_array_equal, in_batch, beside)
    report = jaxmpc.describe(batch)
    assert "3 converged" in report and "1 infeasible (first: element 3)" in report
    assert "state_upper[1] at stage 1 of element 3 by 0.4" in report


def test_bad_elements_have_no_part_in_a_gradient():
    def loss(weight, starts):
        problem = dataclasses.replace(
            BOUNDED, stage_cost=lambda x, u, t, goal: 0.5 * x @ x + 0.05 * weight * u @ u
        )
        batch = jax.vmap(jaxmpc.solve, (None, 0))(problem, starts)
        return jnp.sum(jnp.where(batch.converged[:, None, None], batch.controls, 0.0) ** 2)

    gradient = jax.jit(jax.grad(loss, (0, 1)))
    mixed = gradient(1.0, jnp.stack([GOOD, GOOD * jnp.nan, TOO_FAST]))
    alone = gradient(1.0, jnp.stack([GOOD, GOOD, GOOD]))
    np.testing.assert_allclose(mixed[0], alone[0] / 3, rtol=1e-9)
    np.testing.assert_allclose(mixed[1][0], alone[1][0], rtol=1e-9)
    np.testing.assert_array_equal(mixed[1][1:], 0.0)


def test_starved_of_iterations():
    solution = jaxmpc.solve(BOUNDED, GOOD, solver=jaxmpc.InteriorPoint(max_iterations=3))
    assert solution.status == Status.max_iterations and solution.iterations == 3
    assert solution.residuals.largest() > 1e-8


def test_a_failed_solution_is_a_safe_warm_start():
    for failed in (solve(BOUNDED, TOO_FAST), solve(BOUNDED, GOOD * jnp.nan)):
        solution = jaxmpc.solve(BOUNDED, GOOD, warm_start=failed)
        assert solution.converged
        np.testing.assert_allclose(solution.cost, solve(BOUNDED, GOOD).cost, rtol=1e-7)


# --- Rows at odds with each other ---


def test_a_row_of_the_given_state_is_reported_and_decides_nothing():
    problem = build(state_bounds=None, stage_inequality=lambda x, u, t, goal: x[:1] - 0.95)
    solution = jaxmpc.solve(problem, GOOD)
    assert not solution.converged  # v_0 = 0: x_1 is 0.995 at least
    solution = jaxmpc.solve(problem, jnp.array([1.0, -1.0]))
    assert solution.converged and solution.residuals.feasibility < 1e-8
    np.testing.assert_allclose(solution.violations.stage_inequality[0], [0.05])
    assert solution.multipliers.stage_inequality[0] == 0
    assert "stage_inequality[0] at stage 0" in jaxmpc.describe(solution)


def test_contradicting_rows():
    def rows(x, goal):
        return jnp.stack([x[0], x[0] - 1])

    solution = jaxmpc.solve(build(terminal_equality=rows), GOOD)
    assert solution.status == Status.infeasible
    np.testing.assert_allclose(jnp.sum(solution.violations.terminal_equality), 1.0, atol=1e-6)
    assert_plausible(solution)


def test_repeated_rows_change_nothing_and_are_flagged():
    def once(x, u, t, goal):
        return -0.4 - x[1:]

    def twice(x, u, t, goal):
        return jnp.stack([-0.4 - x[1], -0.4 - x[1]])

    problems = [build(state_bounds=None, stage_inequality=rows) for rows in (once, twice)]
    single, double = (jaxmpc.solve(problem, GOOD) for problem in problems)
    assert single.converged and double.converged
    np.testing.assert_allclose(double.controls, single.controls, atol=1e-6)
    both = jnp.sum(double.multipliers.stage_inequality, axis=1)
    np.testing.assert_allclose(both, single.multipliers.stage_inequality[:, 0], atol=1e-5)
    found = [
        jaxmpc.gradient_diagnostics(problem, GOOD, None, solution)
        for problem, solution in zip(problems, (single, double), strict=True)
    ]
    assert found[0].reliable and found[0].independence > 1e-3
    assert not found[1].reliable and found[1].independence < 1e-8


def test_a_constraint_that_is_not_a_number_at_the_guess():
    problem = build(stage_inequality=lambda x, u, t, goal: jnp.log(x[:1] - 0.999))
    solution = jaxmpc.solve(problem, jnp.array([0.5, 0.0]))
    assert solution.status == Status.non_finite
    assert np.all(np.isfinite(solution.controls))


# --- Soft constraints ---


def test_a_soft_bound_is_violated_where_it_must_be():
    soft = dataclasses.replace(BOUNDED, soft={"state_bounds": Soft([np.inf, 50.0])})
    solution = jaxmpc.solve(soft, TOO_FAST)
    assert solution.converged and solution.residuals.feasibility < 1e-8
    slack = solution.violations.state_upper[:, 1]
    np.testing.assert_allclose(slack, [0.4, 0.3, 0.2, 0.1] + [0.0] * 16, atol=1e-6)
    # The multiplier of a violated row is its price.
    paid = 50.0 + 0.5 * slack[:4]
    np.testing.assert_allclose(solution.multipliers.state_upper[:4, 1], paid, rtol=1e-6)
    assert "slack           state_upper[1] at stage 1 by 0.4" in jaxmpc.describe(solution)


@pytest.mark.slow
def test_a_price_above_the_multiplier_makes_a_soft_bound_hard():
    tight = build(state_bounds=(np.array([-np.inf, -0.4]), None))
    hard = jaxmpc.solve(tight, GOOD)
    most = float(jnp.max(hard.multipliers.state_lower))
    assert most > 0.1
    exact = dataclasses.replace(tight, soft={"state_bounds": Soft(1.1 * most)})
    solution = jaxmpc.solve(exact, GOOD)
    assert solution.converged
    np.testing.assert_allclose(solution.controls, hard.controls, atol=1e-6)
    assert jnp.max(solution.violations.state_lower) < 1e-7
    cheap = dataclasses.replace(tight, soft={"state_bounds": Soft(0.5 * most)})
    solution = jaxmpc.solve(cheap, GOOD)
    assert solution.converged and jnp.max(solution.violations.state_lower) > 1e-3
    assert solution.cost < hard.cost


def soft_loss(price, start):
    """With one terminal row violated and one met, and a soft bound that holds.

    (Speeds that whole steps of |u| = 1 do not add up to: else the active rows are dependent.)
    """
    problem = dataclasses.replace(
        TO_GOAL,
        state_bounds=(np.array([-np.inf, -0.37]), None),
        soft={"terminal_equality": Soft(price[:2], price[2]), "state_bounds": Soft(price[3])},
    )
    solver = jaxmpc.InteriorPoint(tolerance=1e-11)
    solution = jaxmpc.solve(problem, start, jnp.array([-10.0, 0.3]), solver=solver)
    m = solution.multipliers
    mixed = jnp.sum(jnp.sin(solution.controls)) + jnp.sum(m.terminal_equality**2) / 100
    return mixed + jnp.sum(m.state_lower) + solution.cost / 100, solution


def test_gradients_with_soft_rows_agree_with_differences():
    price, start = jnp.array([3.0, 50.0, 0.4, 30.0]), GOOD
    (_, solution), gradient = jax.jit(jax.value_and_grad(soft_loss, (0, 1), has_aux=True))(
        price, start
    )
    assert solution.converged
    slack = solution.violations
    assert slack.terminal_equality[0] > 1 and slack.terminal_equality[1] < 1e-8
    assert jnp.max(solution.multipliers.state_lower) > 0.1
    function = jax.jit(lambda price, start: soft_loss(price, start)[0])
    h = 1e-5
    for k, given in enumerate((price, start)):
        for i in range(given.size):
            moved = [
                function(
                    *(a.at[i].add(s * h) if j == k else a for j, a in enumerate((price, start)))
                )
                for s in (1, -1)
            ]
            expected = (moved[0] - moved[1]) / (2 * h)
            np.testing.assert_allclose(gradient[k][i], expected, rtol=1e-5, atol=1e-6)


def test_a_car_past_a_disc_on_its_way():
    """From the straight guess the violation has a local minimum at the disc."""
    problem = jaxmpc.Problem(
        jaxmpc.integrators.rk4(
            lambda x, u, p: jnp.stack([u[0] * jnp.cos(x[2]), u[0] * jnp.sin(x[2]), u[1]]), 0.1
        ),
        lambda x, u, t, p: 0.05 * (u @ u),
        horizon=25,
        control_dim=2,
        control_bounds=(-2.0, 2.0),
        stage_inequality=lambda x, u, t, p: (
            0.25**2 - jnp.sum((x[:2] - jnp.array([0.5, 0.01])) ** 2)
        )[None],
        terminal_equality=lambda x, p: x - jnp.array([1.0, 0.0, 0.0]),
    )
    solution = solve(problem, jnp.zeros(3))
    assert solution.converged
    assert solution.residuals.feasibility <= 1e-8
