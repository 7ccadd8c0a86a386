"""The algebraic Riccati equation: its residual, its closed loop, its derivative."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmpc import lq


def draw(seed, n, m, radius):
    random = np.random.default_rng(seed)
    A = random.normal(size=(n, n))
    A *= radius / np.abs(np.linalg.eigvals(A)).max()
    Z = random.normal(size=(n + m, n + m))
    cost = Z @ Z.T + 0.1 * np.eye(n + m)
    parts = (A, random.normal(size=(n, m)), cost[:n, :n], cost[n:, n:], cost[n:, :n])
    return tuple(map(jnp.asarray, parts))


def residual(P, A, B, Q, R, S):
    K = -np.linalg.solve(R + B.T @ P @ B, S + B.T @ P @ A)
    return Q + A.T @ P @ A + (S + B.T @ P @ A).T @ K - P, K


@pytest.mark.parametrize("n, m, radius", [(1, 1, 0.5), (2, 1, 1.0), (6, 2, 1.3), (12, 4, 2.0)])
def test_the_equation_and_the_closed_loop(n, m, radius):
    for seed in range(5):
        matrices = draw(seed, n, m, radius)
        found = lq.infinite_horizon(*matrices)
        off, K = residual(*map(np.asarray, (found.P, *matrices)))
        assert np.abs(off).max() < 1e-9 * np.abs(found.P).max()
        np.testing.assert_allclose(found.K, K, atol=1e-9 * max(1, np.abs(K).max()))
        assert np.abs(np.linalg.eigvals(matrices[0] + matrices[1] @ K)).max() < 1
        assert found.stabilizing
        assert np.linalg.eigvalsh(found.P).min() > 0


def test_it_is_the_limit_of_long_horizons():
    A, B, Q, R, S = draw(1, 3, 2, 1.1)
    horizon = 200
    stages = [jnp.broadcast_to(M, (horizon, *M.shape)) for M in (S, R, A, B)]
    problem = lq.LQProblem(
        Q=jnp.concatenate([jnp.broadcast_to(Q, (horizon, 3, 3)), jnp.zeros((1, 3, 3))]),
        S=stages[0],
        R=stages[1],
        q=jnp.zeros((horizon + 1, 3)),
        r=jnp.zeros((horizon, 2)),
        A=stages[2],
        B=stages[3],
        c=jnp.zeros((horizon, 3)),
        x0=jnp.ones(3),
    )
    solution = lq.solve(problem)
    found = lq.infinite_horizon(A, B, Q, R, S)
    np.testing.assert_allclose(solution.controls[0], found.K @ jnp.ones(3), rtol=1e-9)
    np.testing.assert_allclose(solution.costates[0], found.P @ jnp.ones(3), rtol=1e-9)


def test_derivatives():
    matrices = draw(2, 3, 2, 1.2)
    weights = jnp.asarray(np.random.default_rng(0).normal(size=(3, 3)))
    direction = draw(3, 3, 2, 0.5)

    def along(s):
        moved = [M + s * D for M, D in zip(matrices, direction, strict=True)]
        found = lq.infinite_horizon(*moved)
        return jnp.sum(weights * found.P) + jnp.sum(found.K)

    h = 1e-4
    slope = (along(h) - along(-h)) / (2 * h)
    np.testing.assert_allclose(jax.grad(along)(0.0), slope, rtol=1e-6)
    np.testing.assert_allclose(jax.jvp(along, (0.0,), (1.0,))[1], slope, rtol=1e-6)
    bend = (along(h) - 2 * along(0.0) + along(-h)) / h**2
    np.testing.assert_allclose(jax.grad(jax.grad(along))(0.0), bend, rtol=1e-4)


def test_float32_and_what_cannot_be_stabilized():
    matrices = draw(4, 4, 2, 1.2)
    exact = lq.infinite_horizon(*matrices)
    single = lq.infinite_horizon(*(M.astype(jnp.float32) for M in matrices))
    assert single.P.dtype == jnp.float32 and single.stabilizing
    np.testing.assert_allclose(single.P, exact.P, rtol=2e-3, atol=2e-3)
    A, eye = jnp.diag(jnp.array([1.1, 0.5])), jnp.eye(2)
    lost = lq.infinite_horizon(A, jnp.array([[0.0], [1.0]]), eye, jnp.eye(1))
    assert not lost.stabilizing


def test_bad_shapes():
    eye = jnp.eye(2)
    with pytest.raises(ValueError, match=r"R must have shape \(1, 1\).*got \(2, 2\)"):
        lq.infinite_horizon(eye, eye[:, :1], eye, eye)
    with pytest.raises(ValueError, match="B must have shape|A must have shape"):
        lq.infinite_horizon(eye, eye[0], eye, eye)
