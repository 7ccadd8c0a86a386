"""Units do not matter: the same controls, by every solver, whatever they are measured in."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmpc
from jaxmpc import ILQR, SQP, InteriorPoint, Status, models
from jaxmpc.integrators import rk4

WIDE = list(itertools.product((1e-6, 1.0, 1e6), (1e-6, 1.0, 1e6), (1e-8, 1.0, 1e8)))
NARROW = list(itertools.product((1e-3, 1.0, 1e3), (1e-3, 1.0, 1e3), (1e-4, 1.0, 1e4)))


def pendulum(x, u, t, params):
    acceleration = 9.81 / params["length"] * jnp.sin(x[0]) + u[0]
    return x + 0.05 * jnp.stack([x[1], acceleration])


def pendulum_cost(x, u, t, params):
    return 1 - jnp.cos(x[0]) + 0.05 * x[1] ** 2 + 0.001 * u[0] ** 2


def cartpole_cost(x, u, t, params):
    return 0.1 * x @ x + 0.5 * (1 + jnp.cos(x[1])) + 0.01 * u @ u


SYSTEMS = {
    "pendulum": (pendulum, pendulum_cost, {"length": 1.0}, 30, 8.0, [3.0, 0.0]),
    "cartpole": (
        rk4(models.cartpole_acados, 0.05),
        cartpole_cost,
        models.CARTPOLE_ACADOS,
        30,
        20.0,
        [0.3, 2.5, 0.0, 0.0],
    ),
}


def in_units(name, solver, dtype):
    """A compiled function of the units of states, controls and cost: the solution in one's own."""
    dynamics, cost, params, horizon, limit, x0 = SYSTEMS[name]
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), params)
    x0 = jnp.asarray(x0, dtype)

    @jax.jit
    def solved(of_states, of_controls, of_cost):
        problem = jaxmpc.Problem(
            lambda x, u, t, p: of_states * dynamics(x / of_states, u / of_controls, t, p),
            lambda x, u, t, p: of_cost * cost(x / of_states, u / of_controls, t, p),
            horizon=horizon,
            control_dim=1,
            control_bounds=(-limit * of_controls, limit * of_controls),
        )
        solution = jaxmpc.solve(problem, of_states * x0, params, solver=solver)
        return solution.controls / of_controls / limit, solution.status

    return lambda *units: solved(*(jnp.asarray(unit, dtype) for unit in units))


@pytest.mark.parametrize(
    ("name", "solver"),
    [
        ("pendulum", SQP()),
        ("pendulum", InteriorPoint()),
        pytest.param("pendulum", ILQR(), marks=pytest.mark.slow),
        pytest.param("cartpole", SQP(), marks=pytest.mark.slow),
        pytest.param("cartpole", ILQR(), marks=pytest.mark.slow),
        pytest.param("cartpole", InteriorPoint(), marks=pytest.mark.slow),
    ],
)
def test_units_do_not_matter(name, solver):
    solved = in_units(name, solver, jnp.float64)
    expected, status = solved(1.0, 1.0, 1.0)
    assert status == Status.converged
    for units in WIDE:
        controls, status = solved(*units)
        assert status == Status.converged, units
        np.testing.assert_allclose(controls, expected, atol=1e-6, err_msg=str(units))


@pytest.mark.parametrize(
    "solver",
    [SQP(), *(pytest.param(other, marks=pytest.mark.slow) for other in (ILQR(), InteriorPoint()))],
)
def test_units_do_not_matter_in_float32(solver):
    expected, _ = in_units("pendulum", solver, jnp.float64)(1.0, 1.0, 1.0)
    solved = in_units("pendulum", solver, jnp.float32)
    for units in NARROW:
        controls, status = solved(*units)
        assert status == Status.converged, units
        np.testing.assert_allclose(controls, expected, atol=1e-3, err_msg=str(units))


def scalar(step, limit=None):
    bounds = None if limit is None else (-limit, limit)
    return jaxmpc.Problem(
        lambda x, u, t, params: step(x, u),
        lambda x, u, t, params: x @ x + u @ u,
        horizon=50,
        control_dim=1,
        control_bounds=bounds,
    )


@pytest.mark.parametrize(
    ("solver", "limit"),
    [(None, 20.0), (None, None), (InteriorPoint(), 20.0), (InteriorPoint(), None), (ILQR(), None)],
)
def test_unstable_dynamics(solver, limit):
    """The rollout of zero controls is 3^50: finite, and of no use.

    With bounds ILQR, which simulates, is at the mercy of rounding: beyond 10 no control brings the
    state back.
    """
    solution = jaxmpc.solve(scalar(lambda x, u: 3 * x + u, limit), jnp.ones(1), solver=solver)
    assert solution.status == Status.converged
    np.testing.assert_allclose(solution.cost, 9.10977, rtol=1e-6)


@pytest.mark.parametrize(
    ("step", "x0", "cost"),
    [
        (lambda x, u: 10 * x + u, 1.0, 100.0099990002),
        (lambda x, u: x + 0.01 * x**3 + 0.1 * u, 12.0, 52507.78605),  # escapes in finite time
    ],
)
def test_starts_from_rest_where_a_simulation_is_useless(step, x0, cost):
    solution = jaxmpc.solve(scalar(step), jnp.array([x0]), solver=InteriorPoint())
    assert solution.status == Status.converged
    np.testing.assert_allclose(solution.cost, cost, rtol=1e-9)


@pytest.mark.parametrize("solver", [ILQR(), InteriorPoint()])
@pytest.mark.parametrize(
    "cost",
    [
        lambda x, u, t, params: -x @ x,
        lambda x, u, t, params: x[0] + u[0],
        lambda x, u, t, params: x @ x - jnp.exp(u[0]),
    ],
    ids=["concave", "linear", "exponential"],
)
def test_a_cost_without_limit(solver, cost):
    problem = jaxmpc.Problem(
        lambda x, u, t, params: x + 0.1 * jnp.stack([x[1], u[0]]),
        cost,
        horizon=20,
        control_dim=1,
    )
    solution = jaxmpc.solve(problem, jnp.array([1.0, 0.0]), solver=solver)
    assert solution.status == Status.unbounded and not solution.converged


def test_near_rest_in_float32():
    """What the controls could cost is the measure where a trajectory costs next to nothing."""
    problem = jaxmpc.Problem(
        pendulum, pendulum_cost, horizon=30, control_dim=1, control_bounds=(-8, 8)
    )
    starts = jnp.asarray([[1e-2, 0.0], [1e-3, -1e-3], [1e-5, 0.0], [0.0, 0.0]], jnp.float32)
    params = {"length": jnp.float32(1.0)}
    for solver in (ILQR(), InteriorPoint()):
        solution = jax.vmap(lambda x, s=solver: jaxmpc.solve(problem, x, params, solver=s))(starts)
        assert np.all(solution.converged)


def test_a_long_horizon_from_a_receding_guess():
    """From rest at one radian; the optimum of 80 stages, and rest after it."""
    problem = jaxmpc.Problem(
        pendulum, pendulum_cost, horizon=500, control_dim=1, control_bounds=(-8, 8)
    )
    x0, params = jnp.array([1.0, 0.0]), {"length": 1.0}
    states, controls = jaxmpc.receding_guess(problem, x0, params)
    assert states.shape == (501, 2) and controls.shape == (500, 1)
    assert np.all(np.abs(controls) <= 8)
    solution = jaxmpc.solve(
        problem, x0, params, states=states, controls=controls, solver=InteriorPoint()
    )
    assert solution.converged and solution.iterations <= 60
    np.testing.assert_allclose(solution.cost, 48.92795533, rtol=1e-8)
