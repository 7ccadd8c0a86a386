"""Gradients on the standard problems that are not in test_gradients.py, along random directions."""

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest

import jaxmpc

NAMES = ["car_parking", "unicycle_box", "unicycle_free", "humanoid_lqr", "batched_lqr_box"]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_gradient_along_a_direction(name):
    case = problems.load(name)
    x0 = jnp.asarray(case.x0[0] if case.batched else case.x0)
    rng = np.random.RandomState(1)
    direction = jnp.asarray(rng.randn(*x0.shape))
    solver = jaxmpc.ILQR(tolerance=1e-10)
    first = jaxmpc.solve(case.problem, x0, case.params, states=case.states, solver=solver)
    weights = jnp.asarray(rng.randn(*first.controls.shape))

    @jax.jit
    def loss(x0):
        solution = jaxmpc.solve(
            case.problem, x0, case.params, controls=first.controls, solver=solver
        )
        return jnp.sum(weights * solution.controls) + solution.cost, solution.converged

    h = 1e-5
    values, converged = zip(*(loss(x0 + k * h * direction) for k in (-2, -1, 1, 2)), strict=True)
    assert all(converged)
    slope = (8 * (values[2] - values[1]) - (values[3] - values[0])) / (12 * h)
    gradient = jax.grad(lambda x0: loss(x0)[0])(x0)
    # 1e-10 / h of the solver's tolerance, relative to slopes of 10 and more.
    np.testing.assert_allclose(gradient @ direction, slope, rtol=1e-6)
