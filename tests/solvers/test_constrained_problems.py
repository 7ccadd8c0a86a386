"""The table's rows with general constraints, solved cold as users would: `jaxmpc.solve`."""

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest
import reference

import jaxmpc
from jaxmpc import Status

QUICK = ("dint_min_energy", "dint_altro", "oscillating_masses_wang_boyd")
SLOW = (
    "bryson_denham",
    "rocket_soc_altro",
    "vdp_bounded",
    "pendulum_altro",
    "cartpole_altro",
    "acrobot_altro",
    "dubins_3obs_altro",
    "dubins_parallel_park_altro",
    "quadrotor_zigzag_altro",  # bounds of controls only: by ILQR
    "quadrotor_2columns",
    "chain_mass_acados",
    "bicycle_park_altro",
    "hourglass_mintime_acados",
    "quadcopter_linear_osqp",
    "arm3_reach",
    "particle_steering_cops",
    "goddard_cops",
)


def solved(case, x0):
    return jaxmpc.solve(case.problem, x0, case.params, controls=case.controls, states=case.states)


def test_every_constrained_row_is_solved():
    constrained = {
        name for name in problems.CASES if problems.load(name).problem.has_general_constraints
    }
    assert constrained | {"quadrotor_zigzag_altro"} == {*QUICK, *SLOW}


@pytest.mark.parametrize(
    "name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
)
def test_optimum(name):
    case = problems.load(name)
    solution = solved(case, jnp.asarray(case.x0))
    assert solution.status == Status.converged
    # The table's own rule: 1e-6 relative (its values have at least 7 digits).
    assert abs(case.excess(solution.cost)) < 1e-6
    assert solution.residuals.feasibility < 1e-8
    # Rounding apart: states of up to 100, and inequalities that are their squares.
    trajectory = solution.states, solution.controls
    found = reference.largest_violation(case.problem, case.x0, case.params, *trajectory)
    assert found < 1e-8 + 1e-11


def test_a_batch_equals_its_elements():
    case = problems.load("dint_altro")
    x0 = jnp.asarray(case.x0 + 0.05 * np.random.RandomState(0).randn(8, 2)).at[2, 0].set(jnp.nan)

    def solve(x0):
        return solved(case, x0)

    batch = jax.vmap(solve)(x0)
    expected = np.full(8, Status.converged)
    expected[2] = Status.non_finite
    np.testing.assert_array_equal(batch.status, expected)
    assert len(set(batch.iterations.tolist())) > 2  # lanes that end at different times
    assert np.all(np.isfinite(batch.controls))
    for lane in range(8):
        alone, one = solve(x0[lane]), jax.tree.map(lambda leaf, k=lane: leaf[k], batch)
        assert one.status == alone.status and one.iterations == alone.iterations
        for name in ("states", "controls", "cost", "costates", "multipliers", "gains"):
            pair = (getattr(solution, name) for solution in (one, alone))
            # Two programs of the same iterations: they differ by rounding.
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-9), *pair)
