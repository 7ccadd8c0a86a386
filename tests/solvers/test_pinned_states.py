"""States that equal bounds fix at a stage: equalities, with everything that goes with them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmpc
from jaxmpc import ImplicitAdjoint, Status
from jaxmpc.diagnosis.case import Case
from jaxmpc.diagnosis.infeasibility import hard_violations

T, DT, STAGE = 20, 0.1, 9
X0 = jnp.array([1.0, 0.0])


def build(low, high, **changes):
    """A mass that must be at `low` = `high` when ten of twenty steps are over; |u| <= 3."""
    lower = jnp.full((T, 2), -jnp.inf).at[STAGE, 0].set(low).at[:, 1].set(-2.0)
    upper = jnp.full((T, 2), jnp.inf).at[STAGE, 0].set(high).at[:, 1].set(2.0)
    problem = jaxmpc.Problem(
        lambda x, u, t, weight: jnp.stack([x[0] + DT * x[1], x[1] + DT * u[0]]),
        lambda x, u, t, weight: x @ x + weight * u @ u + 0.1 * jnp.cos(x[0]),
        horizon=T,
        control_dim=1,
        control_bounds=(-3.0, 3.0),
        state_bounds=(lower, upper),
    )
    return dataclasses.replace(problem, **changes)


def as_equality(place):
    """The same problem by a stage equality."""
    plain = build(-jnp.inf, jnp.inf)

    def at_stage(x, u, t, weight):
        return jnp.where(t == STAGE + 1, x[:1] - place, 0.0)

    return dataclasses.replace(plain, stage_equality=at_stage)


@pytest.mark.parametrize("place", [1.2, 0.3])
def test_it_is_an_equality(place):
    pinned = jax.jit(lambda p: jaxmpc.solve(build(p, p), X0, 0.1))(place)
    wanted = jax.jit(lambda p: jaxmpc.solve(as_equality(p), X0, 0.1))(place)
    assert pinned.status == Status.converged
    np.testing.assert_allclose(pinned.states[STAGE + 1, 0], place, atol=1e-9)
    np.testing.assert_allclose(pinned.controls, wanted.controls, atol=1e-7)
    y = wanted.multipliers.stage_equality[STAGE + 1, 0]
    of = pinned.multipliers
    assert np.all(of.state_lower >= 0) and np.all(of.state_upper >= 0)
    np.testing.assert_allclose(of.state_upper[STAGE, 0] - of.state_lower[STAGE, 0], y, rtol=1e-6)


def value(place, adjoint=ImplicitAdjoint(), weight=0.1):
    solution = jaxmpc.solve(build(place, place), X0, weight, adjoint=adjoint)
    priced = jnp.sum(solution.multipliers.state_upper - solution.multipliers.state_lower)
    return jnp.sum(solution.controls[:3]) + solution.cost + 0.1 * priced


@pytest.mark.parametrize("place", [1.2, 0.3])
def test_its_derivatives_are_right(place):
    gradient = jax.jit(jax.grad(value))(place)
    f, h = jax.jit(value), 1e-5
    differences = (f(place + h) - f(place - h)) / (2 * h)
    np.testing.assert_allclose(gradient, differences, rtol=1e-6)


def test_the_state_follows_its_bound():
    def state(place):
        return jaxmpc.solve(build(place, place), X0, 0.1).states[STAGE + 1, 0]

    np.testing.assert_allclose(jax.grad(state)(0.3), 1.0, rtol=1e-9)


def far_away(x, u, t, weight):
    return jnp.stack([x[1] - 50.0, -x[1] - 50.0])


@pytest.mark.slow
def test_smooth_derivatives_keep_it_fixed():
    adjoint = ImplicitAdjoint(smoothing=1e-3)

    def gradient(build):
        def value(place, weight):
            problem = dataclasses.replace(build(place), stage_inequality=far_away)
            solution = jaxmpc.solve(problem, X0, weight, adjoint=adjoint)
            of = solution.multipliers
            pushes = jnp.sum(of.lower + of.upper) + jnp.sum(of.stage_inequality)
            return jnp.sum(solution.controls[:3]) + jnp.sum(solution.states[:, 1]) + 0.1 * pushes

        return jax.jit(jax.grad(value, (0, 1)))(0.3, 0.1)

    pinned, wanted = gradient(lambda p: build(p, p)), gradient(as_equality)
    np.testing.assert_allclose(pinned, wanted, rtol=1e-6)


@pytest.mark.slow
def test_forward_mode_agrees():
    problem = build(0.3, 0.3)
    solution = jaxmpc.solve(problem, X0, 0.1)
    along = jnp.zeros((T, 2)).at[STAGE, 0].set(1.0)
    tangents = (None, None, None, (along, along))
    for adjoint in (ImplicitAdjoint(), ImplicitAdjoint(smoothing=1e-3)):
        moved = jaxmpc.solution_jvp(problem, X0, 0.1, solution, tangents, adjoint=adjoint)
        np.testing.assert_allclose(moved.states[STAGE + 1, 0], 1.0, rtol=1e-7)
        of = moved.multipliers
        total = jnp.sum(moved.controls[:3]) + moved.cost
        total += 0.1 * jnp.sum(of.state_upper - of.state_lower)
        reverse = jax.grad(lambda p, a=adjoint: value(p, a))(0.3)
        np.testing.assert_allclose(total, reverse, rtol=1e-6)


def test_a_warm_start_is_one():
    problem = build(0.3, 0.3)
    cold = jaxmpc.solve(problem, X0, 0.1)
    warm = jaxmpc.solve(problem, X0 + 1e-3, 0.1, warm_start=cold)
    assert warm.converged and warm.iterations < cold.iterations


def test_one_that_cannot_be_met_is_named():
    problem = build(9.0, 9.0)
    solution = jaxmpc.solve(problem, X0, 0.1)
    assert solution.status == Status.infeasible
    assert "state_lower[0] at stage 10" in jaxmpc.describe(solution)
    assert len(hard_violations(Case(problem, X0, 0.1, solution))) == 1


def test_a_soft_one_has_a_price():
    soft = {"state_bounds": jaxmpc.Soft(jnp.array([2.0, jnp.inf]), 0.0)}
    solution = jaxmpc.solve(build(3.0, 3.0, soft=soft), X0, 0.1)
    assert solution.converged
    assert solution.violations.state_lower[STAGE, 0] > 0.1  # 2 a metre is worth less than going
    pushed = solution.multipliers.state_lower[STAGE, 0]
    np.testing.assert_allclose(pushed, 2.0, rtol=1e-6)
