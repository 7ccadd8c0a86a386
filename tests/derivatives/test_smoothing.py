"""Smoothing by the barrier parameter: the kink of a one-dimensional problem, in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmpc
from jaxmpc import ImplicitAdjoint, Soft

THETA = np.array([0.5, 0.9, 0.999, 1.0, 1.001, 1.1, 2.0])


def kink(**constraint):
    """min (x - theta^2)^2 over one step x = u: constrained to |x| <= 1 in one way or another."""
    return jaxmpc.Problem(
        lambda x, u, t, theta: u,
        lambda x, u, t, theta: jnp.zeros(()),
        lambda x, theta: (x[0] - theta**2) ** 2,
        horizon=1,
        control_dim=1,
        **constraint,
    )


WAYS = {
    "control_bounds": {"control_bounds": (-1.0, 1.0)},
    "state_bounds": {"state_bounds": (-1.0, 1.0)},
    "stage_inequality": {
        "stage_inequality": lambda x, u, t, theta: jnp.stack([u[0] - 1, -1 - u[0]])
    },
    "terminal_inequality": {
        "terminal_inequality": lambda x, theta: jnp.stack([x[0] - 1, -1 - x[0]])
    },
}


def central_path(theta, kappa):
    """x and dx/dtheta of  2 (x - theta^2) + kappa / (1 - x) - kappa / (1 + x) = 0, |x| < 1."""
    x = np.array([_bisected(value, kappa) for value in theta])
    return x, 4 * theta / (2 + kappa / (1 - x) ** 2 + kappa / (1 + x) ** 2)


def _bisected(theta, kappa):
    low, high = -1.0, 1.0
    for _ in range(200):
        x = 0.5 * (low + high)
        slope = 2 * (x - theta**2) + kappa / (1 - x) - kappa / (1 + x)
        low, high = (x, high) if slope < 0 else (low, x)
    return x


@pytest.mark.parametrize(
    ("name", "kappa"),
    [
        ("control_bounds", 1e-2),
        ("stage_inequality", 1e-2),
        pytest.param("state_bounds", 1e-2, marks=pytest.mark.slow),
        pytest.param("state_bounds", 1e-4, marks=pytest.mark.slow),
        pytest.param("terminal_inequality", 1e-2, marks=pytest.mark.slow),
    ],
)
def test_the_gradient_is_that_of_the_central_path(name, kappa):
    problem, adjoint = kink(**WAYS[name]), ImplicitAdjoint(smoothing=kappa)

    def state(theta):
        return jaxmpc.solve(problem, jnp.zeros(1), theta, adjoint=adjoint).states[1, 0]

    values, slopes = jax.jit(jax.vmap(jax.value_and_grad(state)))(jnp.asarray(THETA))
    # The solution itself is not smoothed: that of |x| <= 1.
    np.testing.assert_allclose(values, np.minimum(THETA**2, 1), atol=1e-4)
    _, expected = central_path(THETA, kappa)
    # The path is found to 1e-8 kappa; bisection to the rounding of 1 - x.
    np.testing.assert_allclose(slopes, expected, rtol=2e-8)
    assert np.all(np.diff(expected[1:]) < 0)  # falls smoothly from 2 theta to 0


def test_second_derivatives_are_those_of_the_central_path():
    """Of a nonlinear function of the control, whose value is that of the solution itself."""
    kappa, theta = 1e-2, 0.9
    adjoint = ImplicitAdjoint(smoothing=kappa)

    def value(theta):
        found = jaxmpc.solve(kink(**WAYS["control_bounds"]), jnp.zeros(1), theta, adjoint=adjoint)
        return jnp.exp(found.controls[0, 0])

    (behind, there, ahead) = central_path(theta + np.array([-1e-5, 0, 1e-5]), kappa)[1]
    wanted = np.exp(theta**2) * (there**2 + (ahead - behind) / 2e-5)
    np.testing.assert_allclose(jax.jit(jax.grad(jax.grad(value)))(theta), wanted, rtol=1e-6)


def test_without_smoothing_the_kink_is_there():
    problem = kink(**WAYS["terminal_inequality"])

    def state(theta):
        return jaxmpc.solve(problem, jnp.zeros(1), theta).states[1, 0]

    slopes = jax.jit(jax.vmap(jax.grad(state)))(jnp.array([0.9, 0.999, 1.001, 1.1]))
    np.testing.assert_allclose(slopes, [1.8, 1.998, 0.0, 0.0], atol=1e-6)


@pytest.mark.parametrize("equality", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_soft_row_has_two_kinks_and_both_are_smoothed(equality):
    """Against differences of the minimiser of the barrier problem, excesses eliminated."""
    kappa, price = 1e-2, Soft(0.5, 0.3)
    if equality:
        problem = kink(terminal_equality=lambda x, theta: x - 1, soft={"terminal_equality": price})
    else:
        problem = kink(
            terminal_inequality=lambda x, theta: x - 1, soft={"terminal_inequality": price}
        )
    adjoint = ImplicitAdjoint(smoothing=kappa)

    def state(theta):
        return jaxmpc.solve(problem, jnp.zeros(1), theta, adjoint=adjoint).states[1, 0]

    def minimiser(theta):
        def slope(x):
            g = x - 1
            # A grid of excesses, refined: the least of the barrier's values is its value.
            low, high = max(g, 0.0), max(g, 0.0) + 5
            for _ in range(200):
                e = 0.5 * (low + high)
                rises = 0.5 + 0.3 * e - kappa / e - kappa / (e - g)
                if equality:
                    rises += 0.5 + 0.3 * (e - g)
                low, high = (e, high) if rises < 0 else (low, e)
            push = kappa / (e - g) - (0.5 + 0.3 * (e - g) if equality else 0.0)
            return 2 * (x - theta**2) + push

        low, high = -3.0, 6.0
        for _ in range(100):
            x = 0.5 * (low + high)
            low, high = (x, high) if slope(x) < 0 else (low, x)
        return x

    theta = np.array([0.8, 1.0, 1.1, 1.2, 1.5])
    slopes = jax.jit(jax.vmap(jax.grad(state)))(jnp.asarray(theta))
    expected = [(minimiser(t + 1e-4) - minimiser(t - 1e-4)) / 2e-4 for t in theta]
    np.testing.assert_allclose(slopes, expected, rtol=1e-5)


@pytest.mark.slow
def test_forward_mode_and_multipliers_agree_with_reverse_mode():
    problem, adjoint = kink(**WAYS["state_bounds"]), ImplicitAdjoint(smoothing=1e-3)
    theta = jnp.array(1.001)

    def outputs(theta):
        solution = jaxmpc.solve(problem, jnp.zeros(1), theta, adjoint=adjoint)
        return solution.states[1, 0], solution.multipliers.state_upper[0, 0], solution.cost

    reverse = jax.jit(jax.jacrev(outputs))(theta)
    solution = jaxmpc.solve(problem, jnp.zeros(1), theta)
    tangents = (jnp.zeros(1), jnp.array(1.0))
    tangent = jaxmpc.solution_jvp(problem, jnp.zeros(1), theta, solution, tangents, adjoint=adjoint)
    forward = tangent.states[1, 0], tangent.multipliers.state_upper[0, 0], tangent.cost
    np.testing.assert_allclose(forward, reverse, rtol=1e-6)
    x, slope = central_path(np.array([1.001]), 1e-3)
    np.testing.assert_allclose(reverse[0], slope[0], rtol=1e-7)
    np.testing.assert_allclose(reverse[1], 1e-3 / (1 - x[0]) ** 2 * slope[0], rtol=1e-6)
