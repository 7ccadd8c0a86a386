"""The augmented problems agree with the original one along any trajectory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmpc
from jaxmpc import slew_rate

N, M, T = 2, 1, 6
RNG = np.random.RandomState(1)
X0, PREVIOUS = RNG.randn(N), RNG.randn(M)
CONTROLS = jnp.array(RNG.randn(T, M))


def dynamics(x, u, t, params):
    return x + 0.1 * jnp.stack([jnp.sin(x[1]), params * u[0] + t])


def stage_cost(x, u, t, params):
    return jnp.sum(x**4) + t * jnp.cosh(u[0])


def terminal_cost(x, params):
    return jnp.sum(jnp.exp(x))


def stage_inequality(x, u, t, params):
    return x - u - t


def original(**options):
    options = {"control_bounds": (-0.5, np.array([[1.0], [2], [3], [4], [5], [6]])), **options}
    return jaxmpc.Problem(dynamics, stage_cost, terminal_cost, horizon=T, control_dim=M, **options)


def run(problem, x, controls):
    """States, total cost, and the stage inequalities along a rollout."""
    states, cost, inequality = [x], 0.0, []
    for t, u in enumerate(controls):
        cost = cost + problem.stage_cost(x, u, t, 2.0)
        if problem.stage_inequality is not None:
            inequality.append(problem.stage_inequality(x, u, t, 2.0))
        x = problem.dynamics(x, u, t, 2.0)
        states.append(x)
    return jnp.stack(states), cost + problem.terminal_cost(x, 2.0), inequality


def slews(controls):
    return np.diff(np.concatenate([PREVIOUS[None], controls]), axis=0)


def start():
    return slew_rate.augment_state(X0, PREVIOUS)


@pytest.mark.parametrize(
    ("weight", "at"),
    [(3.0, lambda t: 3.0), ([3.0], lambda t: 3.0), (np.arange(6.0).reshape(6, 1, 1), float)],
    ids=["number", "diagonal", "per stage"],
)
def test_penalty(weight, at):
    problem = original(stage_inequality=stage_inequality)
    states, cost, inequality = run(problem, jnp.array(X0), CONTROLS)
    penalized = slew_rate.penalize_slew_rate(problem, weight)
    new_states, new_cost, new_inequality = run(penalized, start(), CONTROLS)
    penalty = sum(0.5 * at(t) * float(du[0]) ** 2 for t, du in enumerate(slews(CONTROLS)))
    np.testing.assert_allclose(new_cost, cost + penalty, rtol=1e-12)
    np.testing.assert_allclose(jnp.stack(new_inequality), jnp.stack(inequality))
    kept_states, applied = slew_rate.split_states(new_states, M)
    np.testing.assert_allclose(kept_states, states)
    np.testing.assert_allclose(applied, CONTROLS)
    assert penalized.control_bounds is problem.control_bounds


def test_bound():
    problem = original(stage_inequality=stage_inequality)
    states, cost, inequality = run(problem, jnp.array(X0), CONTROLS)
    bounded = slew_rate.bound_slew_rate(problem, -0.1, None)
    new_states, new_cost, new_inequality = run(bounded, start(), slews(CONTROLS))
    np.testing.assert_allclose(new_cost, cost, rtol=1e-12)
    kept_states, applied = slew_rate.split_states(new_states, M)
    np.testing.assert_allclose(kept_states, states, rtol=1e-12)
    np.testing.assert_allclose(applied, CONTROLS, rtol=1e-12)
    assert bounded.control_bounds == (-0.1, None)
    for t, (new, old) in enumerate(zip(new_inequality, inequality, strict=True)):
        expected = [*old, CONTROLS[t, 0] - (t + 1), -0.5 - CONTROLS[t, 0]]
        np.testing.assert_allclose(new, expected, rtol=1e-12)


def test_bounds_that_bind_nothing_make_no_constraint():
    for bounds in (None, (None, None), (-np.inf, np.array([np.inf]))):
        bounded = slew_rate.bound_slew_rate(original(control_bounds=bounds), -1, 1)
        assert bounded.stage_inequality is None
    one_side = slew_rate.bound_slew_rate(original(control_bounds=(None, 2.0)), -1, 1)
    assert one_side.stage_inequality(start(), jnp.zeros(M), 0, 2.0).shape == (1,)


def test_an_infinite_entry_of_a_bound_is_always_met():
    upper = np.full((T, M), 2.0)
    upper[3] = np.inf
    bounded = slew_rate.bound_slew_rate(original(control_bounds=(None, upper)), -1, 1)

    def violation(u, t):
        return bounded.stage_inequality(start(), u, t, 2.0)[0]

    value, slope = jax.value_and_grad(violation)(jnp.array([100.0]), 3)
    assert value == -1 and slope == 0
    np.testing.assert_allclose(violation(jnp.array([100.0]), 2), 98 + PREVIOUS[0])


def test_other_constraints_see_the_original_state():
    def terminal(x, params):
        return x - params

    problem = original(
        stage_equality=stage_inequality, terminal_equality=terminal, terminal_inequality=terminal
    )
    bounded = slew_rate.bound_slew_rate(problem, -1, 1)
    expected = stage_inequality(X0, PREVIOUS + 0.5, 3, 2.0)
    result = bounded.stage_equality(start(), jnp.array([0.5]), 3, 2.0)
    np.testing.assert_allclose(result, expected)
    np.testing.assert_allclose(bounded.terminal_equality(start(), 2.0), X0 - 2)
    np.testing.assert_allclose(bounded.terminal_inequality(start(), 2.0), X0 - 2)


def test_stays_a_pytree_with_differentiable_leaves():
    def loss(weight, lower):
        problem = original(control_bounds=(lower, None))
        penalized = slew_rate.penalize_slew_rate(problem, weight)
        bounded = slew_rate.bound_slew_rate(penalized, -0.1, 0.1)
        z, du = slew_rate.augment_state(start(), PREVIOUS), jnp.array([0.5])
        violation = bounded.stage_inequality(z, du, 0, 2.0)
        return bounded.stage_cost(z, du, 0, 2.0) + 10 * violation[0]

    by_weight, by_lower = jax.jit(jax.grad(loss, argnums=(0, 1)))(3.0, -0.5)
    np.testing.assert_allclose(by_weight, 0.5 * 0.5**2)
    np.testing.assert_allclose(by_lower, 10.0)
    structures = {
        jax.tree.structure(slew_rate.penalize_slew_rate(problem, 3.0))
        for problem in (original(), original())
    }
    assert len(structures) == 1  # an equal problem does not retrace


def test_augment_state_keeps_float32():
    state = slew_rate.augment_state(jnp.ones(2, jnp.float32), np.ones(1))
    assert state.dtype == jnp.float32
    np.testing.assert_array_equal(state, 1)


def test_bounds_of_the_state_do_not_bound_the_last_control():
    bounds = (np.array([-1.0, -np.inf]), np.array([1.0, 2.0]))
    soft = {"state_bounds": jaxmpc.Soft([10.0, 20.0])}
    problem = jaxmpc.Problem(
        lambda x, u, t, p: x,
        lambda x, u, t, p: x @ x,
        horizon=3,
        control_dim=1,
        state_bounds=bounds,
        soft=soft,
    )
    augmented = slew_rate.bound_slew_rate(problem, -0.1, 0.1)
    np.testing.assert_array_equal(augmented.state_bounds[0], [-1, -np.inf, -np.inf])
    np.testing.assert_array_equal(augmented.state_bounds[1], [1, 2, np.inf])
    np.testing.assert_array_equal(augmented.soft["state_bounds"].linear, [10, 20, np.inf])
