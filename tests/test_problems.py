"""The table of test problems against the CasADi definitions that its optima come from."""

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest

# Total cost, as the CasADi definitions give it, of the controls scale * sin(1, 2, .., T m).
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
}


def total_cost(case, x0, controls):
    def stage(x, tu):
        t, u = tu
        cost = case.problem.stage_cost(x, u, t, case.params)
        return case.problem.dynamics(x, u, t, case.params), cost

    stages = jnp.arange(case.problem.horizon)
    x, costs = jax.lax.scan(stage, jnp.asarray(x0), (stages, controls))
    terminal = case.problem.terminal_cost
    return jnp.sum(costs) + (0 if terminal is None else terminal(x, case.params))


def test_every_case_has_a_spot_value():
    assert set(SPOT) == set(problems.CASES)


@pytest.mark.parametrize("name", SPOT)
def test_cost_of_a_rollout(name):
    case, (scale, expected) = problems.load(name), SPOT[name]
    shape = (case.problem.horizon, case.problem.control_dim)
    controls = scale * jnp.sin(jnp.arange(1.0, np.prod(shape) + 1)).reshape(shape)
    x0 = case.x0[5] if case.batched else case.x0
    cost = jax.jit(lambda x0, controls: total_cost(case, x0, controls))(x0, controls)
    np.testing.assert_allclose(cost, expected, rtol=1e-9)
    assert case.name == name
    assert not case.batched or len(case.optima) == len(case.x0)


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
