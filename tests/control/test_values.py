"""V and Q, against `solve` with equal bounds at t = 0, and their derivatives."""

import dataclasses

import jax
import jax.numpy as jnp
import loops
import numpy as np
import pytest

import jaxmpc
from jaxmpc import control


def test_action_value_is_a_solve_with_the_first_control_fixed():
    problem = loops.problem()
    u0 = jnp.array([-0.7])
    low, high = problem.limits(u0.dtype)
    fixed = dataclasses.replace(problem, control_bounds=(low.at[0].set(u0), high.at[0].set(u0)))
    expected = jaxmpc.solve(fixed, loops.X0, loops.PARAMS)
    assert expected.converged
    found = control.action_value(problem, loops.X0, u0, loops.PARAMS)
    np.testing.assert_allclose(found, expected.cost, rtol=1e-12)
    np.testing.assert_allclose(expected.controls[0], u0)


def test_value_and_action_value_agree_at_the_optimum_and_in_their_derivatives():
    problem = loops.problem()
    solution = jaxmpc.solve(problem, loops.X0, loops.PARAMS)
    x0, best = jnp.asarray(loops.X0), solution.controls[0]
    V = control.value(problem, x0, loops.PARAMS)
    np.testing.assert_allclose(V, solution.cost)
    Q = control.action_value(problem, x0, best, loops.PARAMS)
    np.testing.assert_allclose(Q, V, rtol=1e-9)
    u0 = jnp.array([-0.4])

    def value(x, u, effort):
        return control.action_value(problem, x, u, {**loops.PARAMS, "effort": effort})

    effort = loops.PARAMS["effort"]
    gradient = jax.grad(value, (0, 1, 2))(x0, u0, effort)
    h = 1e-5
    for k, expected in enumerate(
        (
            [
                (value(x0.at[i].add(h), u0, effort) - value(x0.at[i].add(-h), u0, effort)) / 2 / h
                for i in range(2)
            ],
            (value(x0, u0 + h, effort) - value(x0, u0 - h, effort)) / 2 / h,
            (value(x0, u0, effort + h) - value(x0, u0, effort - h)) / 2 / h,
        )
    ):
        np.testing.assert_allclose(gradient[k].ravel(), np.ravel(expected), rtol=1e-6)
    # The slope in the control vanishes where it is best (no bound is active there).
    assert abs(best[0]) < 1.49 or gradient[1] != 0


def test_a_discount():
    problem = loops.problem(horizon=4)
    discount = jnp.array(0.8)
    less = control.discounted(problem, discount)
    solution = jaxmpc.solve(less, loops.X0, loops.PARAMS)
    terms = [
        problem.stage_cost(solution.states[t], solution.controls[t], t, loops.PARAMS)
        for t in range(4)
    ]
    terms.append(problem.terminal_cost(solution.states[4], loops.PARAMS))
    expected = sum(0.8**t * term for t, term in enumerate(terms))
    np.testing.assert_allclose(solution.cost, expected)

    def value(discount):
        return control.value(control.discounted(problem, discount), loops.X0, loops.PARAMS)

    slope = jax.grad(value)(discount)
    expected = (value(discount + 1e-5) - value(discount - 1e-5)) / 2e-5
    np.testing.assert_allclose(slope, expected, rtol=1e-7)


def test_no_value_where_nothing_was_solved():
    short = jaxmpc.SQP(max_iterations=1)
    problem = loops.problem()
    assert np.isnan(control.value(problem, 3 * loops.X0, loops.PARAMS, solver=short))
    slope = jax.grad(lambda x: control.value(problem, x, loops.PARAMS, solver=short))
    np.testing.assert_array_equal(slope(jnp.asarray(3 * loops.X0)), 0)


def test_bad_input():
    with pytest.raises(ValueError, match=r"u0 must have shape \[m\] = \(1,\), got \(2,\)"):
        control.action_value(loops.problem(), loops.X0, np.zeros(2), loops.PARAMS)
    for discount in (1.5, 0.0):
        with pytest.raises(ValueError, match="discount must be"):
            control.discounted(loops.problem(), discount)
    with pytest.raises(TypeError, match="u0 must be an array .* got None"):
        control.action_value(loops.problem(), loops.X0, None, loops.PARAMS)
    with pytest.raises(TypeError, match="problem must be a Problem"):
        control.discounted("p", 0.9)
