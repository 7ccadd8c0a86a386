"""Each sentence of `diagnose`, on a problem that has the illness."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import bounded_twice

import jaxmpc
from jaxmpc import ILQR, Status
from jaxmpc.solution import multipliers_of_bounds
from jaxmpc.trajectory import derivatives, open_loop, scales_of
from jaxmpc.trajectory.constraints import violations

DT = 0.1
HORIZON = 20


def double_integrator(x, u, t, params):
    return x + DT * jnp.array([x[1], u[0]])


def quadratic(x, u, t, params):
    return 0.5 * x @ x + 0.05 * u @ u


def build(**changes):
    fields = {"dynamics": double_integrator, "stage_cost": quadratic, "horizon": HORIZON}
    fields |= {"control_dim": 1, "control_bounds": (-1.0, 1.0)}
    return jaxmpc.Problem(**(fields | changes))


BASE = build()
X0 = jnp.array([1.0, 0.0])


@functools.cache
def solved(max_iterations=500):
    return jaxmpc.solve(BASE, X0, solver=ILQR(max_iterations=max_iterations))


def with_status(status, **changes):
    """A solution of the sizes of BASE that claims a status."""
    claimed = jnp.asarray(status, jnp.int32)
    return dataclasses.replace(solved(), status=claimed, **changes)


def claimed(problem, x0, status):
    """What a solver that has done nothing but roll out zero controls might return."""
    return with_status(status, **rolled_out(problem, x0))


@jax.jit
def rolled_out(problem, x0):
    states, controls, cost, magnitude = open_loop(
        problem, x0, None, jnp.zeros((problem.horizon, 1))
    )
    along = derivatives(problem, states, controls, None)
    return {
        "states": states,
        "controls": controls,
        "cost": cost,
        "costates": jnp.zeros_like(states),
        "multipliers": multipliers_of_bounds(controls, controls, states),
        "violations": violations(problem, states, controls, None),
        "scales": scales_of(problem, None, states, controls, magnitude, along),
    }


def lines_of(*args):
    report = jaxmpc.diagnose(*args)
    print(report)
    assert all(len(line) < 80 for line in report.split("\n") if " " in line.strip())
    return unwrapped(report)


def unwrapped(report):
    return report.replace("\n  ", " ").split("\n")


def only(lines, *words):
    """The one line that has all the words in it."""
    found = [line for line in lines if all(word in line for word in words)]
    assert len(found) == 1, f"{words} in {len(found)} of {lines}"
    return found[0]


def no_line(lines, word):
    assert not any(word in line for line in lines), lines


# --- What it takes ---


def test_what_it_refuses():
    solution = solved()
    batch = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), solution)
    with pytest.raises(ValueError, match=r"batch of shape \(2,\). Pick an element"):
        jaxmpc.diagnose(BASE, X0, None, batch)
    with pytest.raises(TypeError, match="solution must be a Solution, got dict"):
        jaxmpc.diagnose(BASE, X0, None, {})
    with pytest.raises(TypeError, match="problem must be a Problem, got NoneType"):
        jaxmpc.diagnose(None, X0, None, solution)
    with pytest.raises(TypeError, match="outside"):
        jax.jit(lambda x0: jaxmpc.diagnose(BASE, x0, None, solution) and x0)(X0)
    with pytest.raises(ValueError, match=r"controls must have shape \[T, m\] = \(5, 1\)"):
        jaxmpc.diagnose(build(horizon=5), X0, None, solution)
    with pytest.raises(ValueError, match=r"x0 must have shape \[n\] = \(2,\)"):
        jaxmpc.diagnose(BASE, jnp.ones(3), None, solution)


def test_a_converged_solution():
    lines = lines_of(BASE, X0, None, solved())
    assert lines[0].startswith("converged: Converged") and len(lines) == 2
    assert "tolerance 1e-08" in lines[1]


# --- Numbers that are not finite ---


def test_inputs_that_are_nan_are_named():
    solution = with_status(Status.non_finite)
    params = {"mass": jnp.nan, "net": [jnp.array([[1.0, 2.0], [3.0, jnp.nan]])], "steps": 3}
    lines = lines_of(BASE, X0.at[1].set(jnp.inf), params, solution)
    only(lines, "x0[1] is infinite")
    only(lines, "params['mass'] is NaN")
    only(lines, "params['net'][0][1, 1] is NaN")
    bounds = jax.jit(lambda b: build(control_bounds=(b, 1.0)))(jnp.nan)
    only(lines_of(bounds, X0, None, solution), "control_bounds (lower) is NaN")


def reservoir(x, u, t, params):
    return jnp.array([x[0] - params["outlet"] * jnp.sqrt(x[0] - 0.5) + DT * u[0], x[1]])


def test_the_operation_that_is_not_finite():
    problem = build(dynamics=reservoir)
    params = {"outlet": 0.2}
    lines = lines_of(problem, X0, params, with_status(Status.non_finite))
    line = only(lines, "dynamics: sqrt is not finite at stage")
    assert "test_diagnose.py, line " in line and "along the rollout of zero controls" in line
    x = 1.0
    stage = 0
    while x >= 0.5:
        x, stage = x - 0.2 * np.sqrt(x - 0.5), stage + 1
    assert f"at stage {stage}, for x = [{x:.4g}, 0], u = [0]" in line


def test_an_operation_whose_value_is_not_chosen_is_not_blamed():
    def cost(x, u, t, params):
        safe = jnp.where(x[0] > 2, jnp.sqrt(x[0] - 2), x[0] ** 2)
        bad = jax.lax.cond(t < 30, lambda: jnp.log(x[0] - 10), lambda: jnp.sqrt(x[0] - 10))
        return safe + bad + 0.05 * u @ u

    lines = lines_of(build(stage_cost=cost), X0, None, with_status(Status.non_finite))
    only(lines, "stage_cost: log is not finite at stage 0, for x = [1, 0], u = [0]")


def test_a_derivative_that_is_not_finite():
    problem = build(stage_cost=lambda x, u, t, p: jnp.linalg.norm(x) + u @ u)
    lines = lines_of(problem, jnp.zeros(2), None, with_status(Status.non_finite))
    only(lines, "stage_cost: the derivative of sqrt is not finite at stage 0, for x = [0, 0]")
    only(lines, "Smooth the function")


def test_a_second_derivative_and_a_function_of_the_last_state():
    rough = build(stage_cost=lambda x, u, t, p: jnp.abs(x[1]) ** 1.5 + u @ u)
    lines = lines_of(rough, X0, None, with_status(Status.non_finite))
    only(lines, "stage_cost: the second derivative of a power is not finite at stage 0")
    end = build(terminal_equality=lambda x, p: jnp.log(x[:1] - 1))
    lines = lines_of(end, X0, None, with_status(Status.non_finite))
    only(lines, "terminal_equality: log is not finite at stage 20, for x = [1, 0]")


# --- Constraints that cannot be met ---


def test_bounds_that_exclude_everything():
    problem = jax.jit(lambda b: build(control_bounds=(b, 1.0)))(2.0)
    lines = lines_of(problem, X0, None, with_status(Status.infeasible))
    only(lines, "control_bounds have lower > upper: u[0] at stage 0", "at least 2 and at most 1")


def test_a_goal_that_is_too_far():
    problem = build(terminal_equality=lambda x, goal: x - goal)
    goal = jnp.array([10.0, 0.0])
    solution = jaxmpc.solve(problem, X0, goal)
    assert solution.status == Status.infeasible
    lines = lines_of(problem, X0, goal, solution)
    only(lines, "terminal_equality: terminal_equality[0] decides", "violated by 8")
    line = only(lines, "With soft={'terminal_equality': jaxmpc.Soft(", "there is a plan")
    off = float(line.rstrip(".").split("violates it by ")[1])
    assert 7 < off < 8.2


def test_a_bound_that_x0_decides():
    """x_1 = x_0 + dt v_0 is beyond its bound whatever u_0 is."""
    problem = build(state_bounds=(None, np.array([1.0, np.inf])))
    x0 = jnp.array([1.2, -1.0])
    solution = claimed(problem, x0, Status.infeasible)
    lines = lines_of(problem, x0, None, solution)
    only(lines, "state_bounds: the upper bound of x[0] at stage 1 decides; it is violated by 0.1")
    only(lines, "x0 decides the upper bound of x[0] at stage 1", "violated by 0.1")
    only(lines, "With soft={'state_bounds': jaxmpc.Soft(", "violates it by 0.1")


# --- Stopped before the tolerance ---


def test_starved_of_iterations():
    solution = solved(2)
    assert solution.status == Status.max_iterations
    lines = lines_of(BASE, X0, None, solution)
    line = only(lines, "The largest residual is the stationarity", "times the tolerance of 1e-08")
    assert "in u[0] at stage " in line
    only(lines, "raise max_iterations")


def test_rounding():
    tolerance, noise = 1e-8 * jnp.ones(()), 3e-7 * jnp.ones(())
    residuals = solved().residuals._replace(stationarity=noise)
    failed = with_status(Status.line_search_failed, residuals=residuals, tolerance=tolerance)
    line = only(lines_of(BASE, X0, None, failed), "That is rounding")
    assert "SQP(tolerance=9e-07)" in line and "float64" not in line


@pytest.mark.parametrize(
    ("status", "words"),
    [(Status.line_search_failed, "kink"), (Status.max_iterations, "the other solver")],
)
def test_far_from_converged(status, words):
    residuals = solved().residuals._replace(stationarity=jnp.ones(()))
    failed = with_status(status, residuals=residuals, iterations=jnp.asarray(500, jnp.int32))
    lines = lines_of(BASE, X0, None, failed)
    only(lines, "1, 1e+08 times the tolerance")
    only(lines, words, "another guess")


def test_controls_on_which_nothing_depends():
    problem = build(control_dim=2, stage_cost=lambda x, u, t, p: x @ x + 0.1 * u[0] ** 2)
    solution = jaxmpc.solve(problem, X0, solver=ILQR(max_iterations=3))
    lines = lines_of(problem, X0, None, solution)
    line = only(lines, "u[1] is singular at 20 of 20 stages")
    assert "Add a small quadratic cost such as" in line and "* u[1]**2" in line


def two_wells(x, u, t, params):
    return (x[0] ** 2 - 1) ** 2 + 0.01 * u @ u


WELLS = build(stage_cost=two_wells)


@pytest.mark.parametrize("status", [Status.converged, Status.regularization_limit])
def test_a_saddle(status):
    """Between the wells nothing pushes, and all costs fall."""
    between = claimed(WELLS, jnp.zeros(2), status)
    lines = lines_of(WELLS, jnp.zeros(2), None, between)
    line = only(lines, "The curvature along u[0] is negative at stage")
    assert "a saddle" in line and "controls=solution.controls + 0.1" in line
    beside = jaxmpc.solve(WELLS, jnp.zeros(2), controls=between.controls + 0.1)
    assert beside.converged and beside.cost < between.cost - 0.01
    no_line(lines, "That is rounding")


# --- Scales and guesses ---


def test_scales_that_are_far_apart():
    scales = solved().scales._replace(states=jnp.array([1e5, 1e-3]))
    failed = with_status(Status.max_iterations, scales=scales)
    line = only(lines_of(BASE, X0, None, failed), "differ by a factor of")
    assert "x[0] (1e+05) and x[1] (0.001) differ by a factor of 1e+08" in line
    costs = build(terminal_cost=lambda x, p: 1e12 * x @ x)
    line = only(lines_of(costs, X0, None, with_status(Status.max_iterations)), "lost beside it")
    assert line.startswith("terminal_cost (1e+12) is 1e+11 times the sum of stage_cost (10)")


def test_standing_still_is_the_better_guess():
    problem = build(dynamics=lambda x, u, t, p: 3 * x + u[0] ** 3, control_bounds=None)
    failed = with_status(Status.max_iterations)
    line = only(lines_of(problem, X0, None, failed), "states=jnp.tile(x0, (T+1, 1))")
    rollout = 0.5 * sum(9.0**t for t in range(HORIZON))
    assert f"costs {rollout:.2g}" in line and "standing still 10." in line
    escape = build(dynamics=lambda x, u, t, p: x + 5 * x**3 + u[0])
    lines = lines_of(escape, X0, None, with_status(Status.non_finite))
    only(lines, "states=jnp.tile(x0, (T+1, 1))", "is not finite, standing still costs 10.")
    no_line(lines_of(BASE, X0, None, with_status(Status.max_iterations)), "jnp.tile")


def test_a_long_horizon():
    problem = build(horizon=150)
    solution = claimed(problem, X0, Status.max_iterations)
    only(lines_of(problem, X0, None, solution), "horizon of 150", "jaxmpc.receding_guess(problem")
    no_line(lines_of(BASE, X0, None, solved(2)), "receding_guess(problem")


# --- Costs without a minimum ---


def test_what_runs_away():
    problem = build(control_bounds=None, stage_cost=lambda x, u, t, p: 0.5 * x @ x - u[0])
    failed = with_status(
        Status.unbounded, controls=1e12 * jnp.ones((HORIZON, 1)), cost=-jnp.asarray(1e12)
    )
    line = only(lines_of(problem, X0, None, failed), "u[0] (up to 1e+12, 1e+12 times its scale)")
    assert "runs away" in line and "control_bounds" in line and "quadratic cost" in line


def test_what_runs_away_from_the_default():
    problem = build(control_bounds=None, stage_cost=lambda x, u, t, p: x[0] + 0.1 * u[0])
    solution = jaxmpc.solve(problem, X0)
    assert solution.status == Status.unbounded
    only(lines_of(problem, X0, None, solution), "u[0] (up to ", "run away", "control_bounds")


# --- Converged, with a gradient that cannot be relied on ---


def test_weakly_active_bounds():
    """At rest at the origin, where a bound holds all controls with no multiplier."""
    problem = build(control_bounds=(-1.0, 0.0))
    lines = lines_of(problem, jnp.zeros(2), None, claimed(problem, jnp.zeros(2), Status.converged))
    only(lines, "Weakly active constraints: 20", "smoothing")


def test_dependent_constraints():
    problem = bounded_twice()
    solution = jaxmpc.solve(problem, jnp.zeros(1))
    only(lines_of(problem, jnp.zeros(1), None, solution), "depend on each other")


def test_what_was_sampled():
    problem = jaxmpc.Problem(
        lambda x, u, t, p: x + 0.1 * u,
        lambda x, u, t, p: x @ x,
        horizon=4,
        control_dim=1,
        control_bounds=(-1.0, 1.0),
        stage_inequality=lambda x, u, t, p: x - 1.0,  # 0.7 is as low as x_3 can be
    )
    solver = jaxmpc.CEM(samples=16, elites=4, iterations=2)
    x0 = jnp.array([1.5])
    solution = jaxmpc.solve(problem, x0, solver=solver, key=jax.random.key(0))
    first, second = unwrapped(jaxmpc.diagnose(problem, x0, None, solution))
    assert first.startswith("sampled: ")
    assert second.startswith("stage_inequality, row 0, is violated by 0.4")
    assert "penalty" in second
    free = dataclasses.replace(problem, stage_inequality=None)
    solution = jaxmpc.solve(free, x0, solver=solver, key=jax.random.key(0))
    assert len(unwrapped(jaxmpc.diagnose(free, x0, None, solution))) == 1
