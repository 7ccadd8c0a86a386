"""A receding horizon: what a primal-dual warm start saves."""

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest

import jaxmpc


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["oscillating_masses_wang_boyd", "dubins_3obs_altro", "quadrotor_2columns"],
)
def test_a_receding_horizon_needs_half_of_the_iterations(name):
    """Each step with a disturbance of 1e-3; the same optima, cold and warm."""
    case = problems.load(name)

    @jax.jit
    def cold(x0):
        return jaxmpc.solve(
            case.problem, x0, case.params, controls=case.controls, states=case.states
        )

    @jax.jit
    def warm(x0, before):
        return jaxmpc.solve(case.problem, x0, case.params, warm_start=jaxmpc.shift(before))

    random, solution = np.random.RandomState(0), cold(jnp.asarray(case.x0))
    iterations = []
    for _ in range(10):
        x0 = solution.states[1] + 1e-3 * random.randn(case.x0.shape[0])
        solution, other = warm(x0, solution), cold(x0)
        assert solution.converged and other.converged
        assert solution.cost <= other.cost * (1 + 1e-6)
        iterations.append((int(other.iterations), int(solution.iterations)))
    cold_median, warm_median = np.median(iterations, axis=0)
    assert warm_median <= 0.5 * cold_median
