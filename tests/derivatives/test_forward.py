"""Forward mode and diagnostics, on the paper's pendulum with bounds tighter than its clip."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import bounded_twice

import jaxmpc
from jaxmpc import integrators, models

TIGHT = jaxmpc.ILQR(tolerance=1e-12)
PARAMS = {name: jnp.asarray(value) for name, value in models.PENDULUM.items()}
TANGENTS = (
    jnp.array([0.1, 0.2, 0.3]),
    {"gravity": jnp.array(0.5), "mass": jnp.array(-0.2), "length": None},
    (-0.1, 0.2),
)


def pendulum(lower=-1.5, upper=1.5):
    return jaxmpc.Problem(
        integrators.discrete(models.pendulum),
        models.pendulum_cost,
        horizon=20,
        control_dim=1,
        control_bounds=(lower, upper),
    )


@jax.jit
def solve_along(x0, step):
    """The solution of the problem moved by a step along TANGENTS."""
    moved = pendulum(-1.5 - 0.1 * step, 1.5 + 0.2 * step)
    params = dict(PARAMS)
    params["gravity"] += 0.5 * step
    params["mass"] -= 0.2 * step
    return jaxmpc.solve(moved, x0 + step * TANGENTS[0], params, solver=TIGHT)


@pytest.fixture(scope="module", params=[0, 3, 7])
def start(request):
    return jnp.asarray(models.paper_initial_states("pendulum")[request.param])


def test_forward_mode_equals_central_differences(start):
    solution = solve_along(start, 0.0)
    tangent = jaxmpc.solution_jvp(pendulum(), start, PARAMS, solution, TANGENTS)
    h = 1e-5
    plus, minus = solve_along(start, h), solve_along(start, -h)
    assert int(jaxmpc.gradient_diagnostics(pendulum(), start, PARAMS, solution).active) >= 1
    for name in ("states", "controls", "cost", "costates", "multipliers"):
        ours = jax.tree.leaves(getattr(tangent, name))
        ends = (jax.tree.leaves(getattr(end, name)) for end in (plus, minus))
        for part, after, before in zip(ours, *ends, strict=True):
            # h^2 of the third derivative and 1e-12 / h of the solver: both below 1e-6.
            np.testing.assert_allclose(part, (after - before) / (2 * h), atol=1e-6, err_msg=name)


def test_forward_mode_is_the_transpose_of_reverse_mode(start):
    solution = solve_along(start, 0.0)
    tangents = (TANGENTS[0], TANGENTS[1])
    tangent = jaxmpc.solution_jvp(pendulum(), start, PARAMS, solution, tangents)
    weights = jnp.asarray(np.random.RandomState(0).randn(21, 3))

    def loss(x0, params):
        return jnp.sum(weights * jaxmpc.solve(pendulum(), x0, params, solver=TIGHT).states)

    d_x0, d_params = jax.jit(jax.grad(loss, (0, 1)))(start, PARAMS)
    reverse = d_x0 @ TANGENTS[0] + 0.5 * d_params["gravity"] - 0.2 * d_params["mass"]
    np.testing.assert_allclose(reverse, jnp.sum(weights * tangent.states), rtol=1e-9)


def test_tangents_that_do_not_fit_are_refused(start):
    solution = solve_along(start, 0.0)
    with pytest.raises(ValueError, match=r"tangents must be \(x0_dot, params_dot\)"):
        jaxmpc.solution_jvp(pendulum(), start, PARAMS, solution, (start,))


def test_a_failed_solution_has_a_zero_tangent(start):
    failed = jaxmpc.solve(pendulum(), start, PARAMS, solver=jaxmpc.ILQR(max_iterations=1))
    assert not failed.converged
    tangent = jaxmpc.solution_jvp(pendulum(), start, PARAMS, failed, TANGENTS)
    assert all(jnp.all(leaf == 0) for leaf in jax.tree.leaves(tangent))


def test_params_may_hold_a_function():
    def problem(push):
        return jaxmpc.Problem(
            lambda x, u, t, p: x + p["gain"] * push(p)(u),
            lambda x, u, t, p: x @ x + u @ u,
            horizon=3,
            control_dim=1,
        )

    x0, gain = jnp.ones(1), jnp.array(0.5)
    with_it = problem(lambda p: p["push"]), x0, {"gain": gain, "push": jnp.tanh}
    without = problem(lambda p: jnp.tanh), x0, {"gain": gain}
    solutions = [jaxmpc.solve(*case) for case in (with_it, without)]
    found = jaxmpc.solution_jvp(
        *with_it, solutions[0], (x0, {"gain": jnp.array(1.0), "push": None})
    )
    expected = jaxmpc.solution_jvp(*without, solutions[1], (x0, {"gain": jnp.array(1.0)}))
    np.testing.assert_allclose(found.controls, expected.controls, rtol=1e-12)
    assert jaxmpc.gradient_diagnostics(*with_it, solutions[0]).reliable


def scalar(target, upper=1.0, weight=1.0):
    """min weight (u - target)^2 over |u| <= upper; the state only remembers."""
    return jaxmpc.Problem(
        lambda x, u, t, p: u,
        lambda x, u, t, p: weight * (u[0] - target) ** 2,
        horizon=1,
        control_dim=1,
        control_bounds=(-upper, upper),
    )


@pytest.mark.parametrize(
    ("target", "margin", "active"), [(0.5, 1.0, 0), (1.0, 0.0, 0), (3.0, 4.0, 1)]
)
def test_diagnostics_of_a_bound(target, margin, active):
    """Inside: curvature 2 times the distance 0.5. At the bound: a kink. Outside: 2 (3 - 1)."""
    problem, x0 = scalar(target), jnp.zeros(1)
    solution = jaxmpc.solve(problem, x0)
    found = jaxmpc.gradient_diagnostics(problem, x0, None, solution)
    np.testing.assert_allclose(found.complementarity_margin, margin, atol=1e-9)
    assert int(found.active) == active
    if not active:
        np.testing.assert_allclose(found.smallest_pivot, 2.0)
        np.testing.assert_allclose(found.condition, 1.0)


def test_diagnostics_of_a_flat_cost():
    problem, x0 = scalar(0.0, weight=0.0), jnp.zeros(1)
    found = jaxmpc.gradient_diagnostics(problem, x0, None, jaxmpc.solve(problem, x0))
    assert found.smallest_pivot <= 0 and found.condition == jnp.inf


def terminal(goal, inequality=None, equality=None):
    """Two controls to the last state x = u: its cost and its rows alone."""
    return jaxmpc.Problem(
        lambda x, u, t, p: u,
        lambda x, u, t, p: jnp.zeros(()),
        lambda x, p: jnp.sum((x - jnp.asarray(goal)) ** 2),
        horizon=1,
        control_dim=2,
        terminal_inequality=inequality,
        terminal_equality=equality,
    )


ROWS = {  # inequality, equality, reliable, independence, margin, weakly active, active
    "none active": (lambda x, p: x - 9, None, True, 1.0, 2 * 8, 0, 0),
    "one active": (lambda x, p: x[:1], None, True, 1.0, 2 * 1, 0, 1),
    # rows (1, 0) and (1, 1) / sqrt 2 have the Gram matrix [[1, c], [c, 1]], c^2 = 1/2
    "oblique": (
        None,
        lambda x, p: jnp.stack([x[0], x[0] + x[1]]),
        True,
        (1 - 0.5**0.5) / (1 + 0.5**0.5),
        np.inf,
        0,
        2,
    ),
    "identical": (lambda x, p: x[jnp.array([0, 0])], None, False, 0.0, 1.0, 0, 2),
    "nearly identical": (
        None,
        lambda x, p: jnp.stack([x[0], x[0] + 1e-3 * x[1]]),
        True,
        2.5e-7,
        np.inf,
        0,
        2,
    ),
    "weakly active": (lambda x, p: x[:1] - 1, None, False, 1.0, 0.0, 1, None),
}


@pytest.mark.parametrize("name", ROWS)
def test_diagnostics_of_rows(name):
    """min (x - 1)^2: rank-deficient active sets and kinks are flagged, and nothing else."""
    inequality, equality, reliable, independence, margin, weak, active = ROWS[name]
    problem, x0 = terminal((1.0, 1.0), inequality, equality), jnp.zeros(2)
    solution = jaxmpc.solve(problem, x0)
    assert solution.converged
    found = jaxmpc.gradient_diagnostics(problem, x0, None, solution)
    assert bool(found.reliable) == reliable
    np.testing.assert_allclose(found.independence, independence, rtol=1e-3, atol=1e-8)
    np.testing.assert_allclose(found.complementarity_margin, margin, rtol=1e-3, atol=2e-4)
    assert int(found.weakly_active) == weak
    assert active is None or int(found.active) == active
    assert found.smallest_pivot >= 2 * (1 - 1e-9)  # much more where rows leave nothing free


def test_a_bound_of_the_state_that_active_controls_decide_is_flagged():
    """x_1 = u_0 = 1 by both bounds: their multipliers are not unique."""
    problem = bounded_twice()
    solution = jaxmpc.solve(problem, jnp.zeros(1))
    found = jaxmpc.gradient_diagnostics(problem, jnp.zeros(1), None, solution)
    assert not found.reliable and int(found.active) == 2
    np.testing.assert_allclose(found.independence, 0, atol=1e-12)


def test_describe_one_and_a_batch(start):
    solution = solve_along(start, 0.0)
    report = jaxmpc.describe(solution)
    assert "converged" in report and "cost" in report and "tolerance       1.00e-12\n" in report
    rounded = solution.residuals._replace(stationarity=2 * solution.tolerance)
    rounded = dataclasses.replace(solution, residuals=rounded)
    assert "1.00e-12, met to working precision" in jaxmpc.describe(rounded)
    # The number of active bounds does not depend on the units of the cost.
    multipliers = jax.tree.map(lambda leaf: 1e-15 * leaf, solution.multipliers)
    scales = solution.scales._replace(cost=1e-15 * solution.scales.cost)
    tiny = dataclasses.replace(solution, multipliers=multipliers, scales=scales)
    counts = [s.split("active bounds")[1] for s in (report, jaxmpc.describe(tiny))]
    assert counts[0] == counts[1] and "  0 of 20" not in counts[0]
    starts = jnp.stack([start, start * jnp.nan, start])
    report = jaxmpc.describe(jax.vmap(solve_along, (0, None))(starts, 0.0))
    assert "3 solutions, 2 converged" in report
    assert "1 non_finite (first: element 1)" in report and "tolerance       1.00e-12" in report
    with pytest.raises(TypeError, match="solution must be a Solution, got dict"):
        jaxmpc.describe({})
