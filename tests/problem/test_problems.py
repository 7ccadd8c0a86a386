"""The table of test problems against the CasADi definitions that its optima come from."""

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest

# A scale; what the CasADi definitions give for the controls scale * sin(1, 2, .., T m): the total
# cost and, where there are such constraints, the sum of stage inequalities and terminal equalities.
SPOT = {
    "cartpole_acados": (5.0, 34716.0480619),
    "cartpole_acados_80": (20.0, 40756.9639234),
    "car_parking": (0.3, 6.01767269777),
    "unicycle_box": (0.3, 3122.18915039),
    "unicycle_free": (1.0, 3070.98872671),
    "humanoid_lqr": (0.1, 844675546579),
    "batched_lqr_box": (0.5, 45314365.4064),
    "batched_lqr_free": (0.5, 45314365.4064),
    "pendulum": (1.0, 27.9506985967),
    "pendulum_complex": (1.0, 28.1612575651),
    "cartpole": (10.0, 32.2727269634),
    "dint_min_energy": (0.5, 0.0643570412551, -0.952780698153),
    "dint_altro": (0.5, 1.34387255847, -0.861033886834),
    "bryson_denham": (0.5, 0.0624026108726, 3.02140765983),
    "vdp_bounded": (0.3, 36.4802434613),
    "pendulum_altro": (0.5, 4.92536594645, -3.22135139843),
    "cartpole_altro": (1.0, 491.479387221, -2.90674044792),
    "acrobot_altro": (1.0, 518.665845693, -3.18893831295),
    "dubins_3obs_altro": (0.5, 134.548530236, -1509.72637678),
    "dubins_parallel_park_altro": (0.5, 112.080939198, -1.49646519952),
    "quadrotor_zigzag_altro": (0.1, 89261.3199191),
    "quadrotor_2columns": (0.1, 105873.197603, -432.359645591),
    "chain_mass_acados": (0.5, 160.851633468),
    "bicycle_park_altro": (0.3, 8.1327326084, -1.9986881815),
    "rocket_soc_altro": (10.0, 126453988.609, -667.501988548),
    "quadcopter_linear_osqp": (0.5, 114.297791692),
    "oscillating_masses_wang_boyd": (0.5, 204.800292753),
    "arm3_reach": (0.3, 0.13503777488, 0.260305861952),
    "hourglass_mintime_acados": (3.0, 0.42336002418, -18.3897610835),
    "particle_steering_cops": (1.0, 0.909297426826, 20.5227262654),
    "goddard_cops": (0.05, -0.9987850957, 0.399986146316),
}


def nothing(*args):
    return jnp.zeros(1)


def rollout(case, x0, controls, params):
    """The total cost of some controls, and the sum of all values of general constraints."""
    problem = case.problem
    inequality = problem.stage_inequality or nothing

    def stage(x, tu):
        t, u = tu
        values = problem.stage_cost(x, u, t, params), jnp.sum(inequality(x, u, t, params))
        return problem.dynamics(x, u, t, params), values

    x, values = jax.lax.scan(stage, jnp.asarray(x0), (jnp.arange(problem.horizon), controls))
    terminal = problem.terminal_cost or nothing, problem.terminal_equality or nothing
    ends = (function(x, params) for function in terminal)
    return tuple(jnp.sum(value) + jnp.sum(end) for value, end in zip(values, ends, strict=True))


def spot_controls(case, scale):
    shape = (case.problem.horizon, case.problem.control_dim)
    return scale * jnp.sin(jnp.arange(1.0, float(np.prod(shape)) + 1)).reshape(shape)


def test_every_case_has_a_spot_value():
    assert set(SPOT) == set(problems.CASES)


@pytest.mark.parametrize("name", SPOT)
def test_cost_and_constraints_of_a_rollout(name):
    case, (scale, *expected) = problems.load(name), SPOT[name]
    x0 = case.x0[5] if case.batched else case.x0
    run = jax.jit(lambda *args: rollout(case, *args))
    values = run(x0, spot_controls(case, scale), case.params)
    np.testing.assert_allclose(values[: len(expected)], expected, rtol=1e-9)
    constraints = case.problem.stage_inequality, case.problem.terminal_equality
    assert (len(expected) == 2) == any(constraints)
    assert case.name == name
    assert not case.batched or len(case.optima) == len(case.x0)


@pytest.mark.parametrize("name", SPOT)
def test_a_guess_has_finite_values(name):
    case = problems.load(name)
    problem = case.problem
    x0 = case.x0[0] if case.batched else case.x0
    shapes = (problem.horizon, problem.control_dim), (problem.horizon + 1, len(x0))
    controls = np.zeros(shapes[0]) if case.controls is None else case.controls
    states = np.tile(x0, (shapes[1][0], 1)) if case.states is None else case.states
    assert (controls.shape, states.shape) == shapes

    def stage(x, u, t):
        functions = problem.dynamics, problem.stage_cost, problem.stage_inequality or nothing
        return [function(x, u, t, case.params) for function in functions]

    values = jax.jit(jax.vmap(stage))(states[:-1], controls, jnp.arange(problem.horizon))
    assert all(np.all(np.isfinite(value)) for value in values)


@pytest.mark.parametrize("name", [name for name in SPOT if len(SPOT[name]) == 3])
def test_every_parameter_of_a_constrained_case_matters(name):
    case = problems.load(name)
    controls = spot_controls(case, SPOT[name][0])
    slopes = jax.jit(jax.jacrev(lambda params: rollout(case, case.x0, controls, params)))
    by_cost, by_constraints = slopes(jax.tree.map(jnp.asarray, case.params))
    assert len(by_cost) >= 2
    for key, slope in by_cost.items():
        both = np.stack([slope, by_constraints[key]])
        assert np.all(np.isfinite(both)) and np.any(both), key
    assert any(np.any(slope) for slope in by_constraints.values())


def test_excess_is_measured_from_the_nearest_optimum():
    case = problems.load("cartpole_acados")
    best = case.optima[1]
    np.testing.assert_allclose(case.excess(best * (1 + 1e-3)), 1e-3)
    np.testing.assert_allclose(case.excess(case.optima[0] * (1 - 1e-3)), -1e-3)
    batch = problems.load("cartpole")
    costs = np.array([optima[-1] for optima in batch.optima])
    costs[3] -= 0.5 * max(1, abs(costs[3]))
    expected = np.zeros(120)
    expected[3] = -0.5
    np.testing.assert_allclose(batch.excess(costs), expected, atol=1e-12)


def test_the_same_case_each_time():
    assert problems.load("unicycle_box") is problems.load("unicycle_box")
