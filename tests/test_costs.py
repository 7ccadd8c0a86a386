"""Quadratic costs against their formulas, in every form of the weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmpc import costs

RNG = np.random.RandomState(0)
N, M, T = 3, 2, 5
X, U = RNG.randn(N), RNG.randn(M)
X_REF, U_REF = RNG.randn(T + 1, N), RNG.randn(T, M)
Q, R, S = RNG.randn(T, N, N), RNG.randn(T, M, M), RNG.randn(T, N, M)


def test_quadratic_with_everything():
    cost = jax.jit(costs.quadratic(Q, R, cross=S, x_ref=X_REF, u_ref=U_REF))
    for t in range(T):
        dx, du = X - X_REF[t], U - U_REF[t]
        expected = 0.5 * dx @ Q[t] @ dx + 0.5 * du @ R[t] @ du + dx @ S[t] @ du
        np.testing.assert_allclose(cost(X, U, t, None), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("weight", "matrix"),
    [
        (2.5, 2.5 * np.eye(N)),
        (np.array([1.0, 2, 3]), np.diag([1.0, 2, 3])),
        ((1.0, 2.0, 3.0), np.diag([1.0, 2, 3])),
        (Q[0], Q[0]),
    ],
    ids=["number", "diagonal", "tuple", "matrix"],
)
def test_forms_of_a_weight(weight, matrix):
    expected = 0.5 * X @ matrix @ X
    np.testing.assert_allclose(costs.quadratic(weight, 0.0)(X, U, 0), expected, rtol=1e-12)
    np.testing.assert_allclose(costs.terminal_quadratic(weight)(X, None), expected, rtol=1e-12)


def test_a_square_weight_is_a_matrix_even_when_the_horizon_has_its_size():
    weight = Q[:N]  # [T, n, n] with T = n
    cost = costs.quadratic(weight[0], 0.0)
    np.testing.assert_allclose(cost(X, U, 2), 0.5 * X @ weight[0] @ X, rtol=1e-12)


def test_a_reference_that_ends_early_holds_its_last_entry():
    cost = costs.quadratic(1.0, 0.0, x_ref=X_REF[:2])
    np.testing.assert_allclose(cost(X, U, 4), 0.5 * np.sum((X - X_REF[1]) ** 2), rtol=1e-12)


def test_terminal_quadratic_measures_the_distance_to_the_goal():
    dx = X - X_REF[-1]
    cost = costs.terminal_quadratic(Q[0], X_REF[-1])
    np.testing.assert_allclose(cost(X), 0.5 * dx @ Q[0] @ dx, rtol=1e-12)


def test_weights_and_references_are_differentiable():
    def loss(weights, reference):
        return costs.quadratic(weights, 1.0, x_ref=reference)(X, U, 2, None)

    reference = jnp.array(X_REF)
    by_weight, by_reference = jax.grad(loss, argnums=(0, 1))(jnp.ones(N), reference)
    np.testing.assert_allclose(by_weight, 0.5 * (X - X_REF[2]) ** 2, rtol=1e-12)
    np.testing.assert_allclose(by_reference[2], X_REF[2] - X, rtol=1e-12)
    np.testing.assert_array_equal(by_reference[jnp.array([0, 1, 3, 4])], 0)


def test_follows_the_dtype_of_the_state():
    x, u = jnp.array(X, jnp.float32), jnp.array(U, jnp.float32)
    cost = costs.quadratic(Q, R, cross=S, x_ref=X_REF, u_ref=U_REF)
    assert cost(x, u, jnp.array(1), None).dtype == jnp.float32
    assert costs.terminal_quadratic(np.float64(2.0), X_REF[0])(x, None).dtype == jnp.float32
    assert costs.smooth_abs(x, np.float64(0.1)).dtype == jnp.float32


def test_equal_constants_give_equal_costs():
    assert costs.quadratic(1.0, (2.0, 3.0)) == costs.quadratic(1.0, (2.0, 3.0))
    assert hash(costs.quadratic(1.0, (2.0, 3.0))) == hash(costs.quadratic(1.0, (2.0, 3.0)))
    assert costs.terminal_quadratic(1.0) != costs.terminal_quadratic(2.0)
    assert costs.terminal_quadratic(1.0, Q) == costs.terminal_quadratic(1.0, Q)
    assert costs.terminal_quadratic(1.0, Q) != costs.terminal_quadratic(1.0, Q.copy())


def test_arrays_are_leaves_whose_values_do_not_retrace():
    traces = []

    @jax.jit
    def evaluate(cost):
        traces.append(1)
        return cost(jnp.ones(N), jnp.ones(M), 0, None)

    values = [evaluate(costs.quadratic(weight * jnp.ones(N), jnp.zeros(M))) for weight in (1, 2)]
    assert len(traces) == 1
    np.testing.assert_allclose(values, [1.5, 3.0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: costs.quadratic(np.ones((T, N)), 1.0), r"Q has shape \(5, 3\); wanted .* n = 3"),
        (lambda: costs.quadratic(1.0, np.ones(3)), r"R has shape \(3,\); wanted .* n = 2"),
        (lambda: costs.quadratic(1.0, 1.0, cross=np.ones((2, 3))), r"cross has shape \(2, 3\)"),
        (
            lambda: costs.quadratic(1.0, 1.0, x_ref=np.ones(2)),
            r"x_ref has shape \(2,\); wanted \(3,",
        ),
        (lambda: costs.quadratic(1.0, 1.0, u_ref=0.0), r"u_ref has shape \(\); wanted \(2,\)"),
    ],
)
def test_stage_errors_name_the_argument(make, message):
    with pytest.raises(ValueError, match=message):
        make()(X, U, 0, None)


def test_terminal_errors_name_the_argument():
    with pytest.raises(ValueError, match="Q has shape .*T is for stage costs"):
        costs.terminal_quadratic(Q)(X, None)
    with pytest.raises(ValueError, match="x_ref has shape .*one goal"):
        costs.terminal_quadratic(1.0, X_REF)(X, None)


def test_smooth_abs():
    x = np.array([-3.0, -0.1, 0.0, 2.0])
    np.testing.assert_allclose(costs.smooth_abs(x, 0.1), np.sqrt(x**2 + 0.01) - 0.1, rtol=1e-12)
    single = costs.smooth_abs(jnp.float32(1e-4), 1.0)  # the plain formula gives 0 in float32
    np.testing.assert_allclose(single, 5e-9, rtol=1e-5)
    curvature = jax.grad(jax.grad(costs.smooth_abs))(0.0, 0.1)
    np.testing.assert_allclose(curvature, 10.0, rtol=1e-12)
    entries = costs.smooth_abs(jnp.array([1.0, 1.0]), (0.1, 10.0))
    np.testing.assert_allclose(entries, np.sqrt([1.01, 101.0]) - [0.1, 10.0], rtol=1e-9)
