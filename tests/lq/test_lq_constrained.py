"""LQ problems with linear rows, against a dense KKT matrix."""

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np

from jaxmpc.lq.constrained import constrained_factor, solve_rows
from jaxmpc.lq.problem import LQProblem
from jaxmpc.lq.rows import Jacobian, Rows

T, N, M = 6, 3, 2


def example(seed=0, repeated=False):
    random = np.random.RandomState(seed)

    def definite(count, size):
        a = random.randn(count, size, size)
        return a @ a.transpose(0, 2, 1) + np.eye(size)

    problem = LQProblem(
        Q=definite(T + 1, N),
        S=0.1 * random.randn(T, M, N),
        R=definite(T, M),
        q=random.randn(T + 1, N),
        r=random.randn(T, M),
        A=np.eye(N) + 0.3 * random.randn(T, N, N),
        B=random.randn(T, N, M),
        c=random.randn(T, N),
        x0=random.randn(N),
    )
    stage, stage_values = np.zeros((T, 1, N + M)), np.zeros((T, 1))
    stage[2:4, 0], stage_values[2:4, 0] = random.randn(2, N + M), random.randn(2)
    last, last_values = random.randn(1, N), random.randn(1)
    if repeated:
        last, last_values = np.repeat(last, 2, axis=0), np.repeat(last_values, 2)
    jacobian = Jacobian(jnp.asarray(stage), jnp.asarray(last))
    values = Rows(jnp.asarray(stage_values), jnp.asarray(last_values))
    return jax.tree.map(jnp.asarray, problem), jacobian, values


def dense(problem, jacobian, values):
    """States and controls of the minimiser by one dense KKT system; rows may repeat."""
    size = (T + 1) * N + T * M

    def cost(z):
        x, u = z[: (T + 1) * N].reshape(T + 1, N), z[(T + 1) * N :].reshape(T, M)
        total = 0.5 * jnp.einsum("ti,tij,tj", x, problem.Q, x) + jnp.sum(problem.q * x)
        total += jnp.einsum("ti,tij,tj", u, problem.S, x[:-1]) + jnp.sum(problem.r * u)
        return total + 0.5 * jnp.einsum("ti,tij,tj", u, problem.R, u)

    def rows(z):
        x, u = z[: (T + 1) * N].reshape(T + 1, N), z[(T + 1) * N :].reshape(T, M)
        ahead = jnp.einsum("tij,tj->ti", problem.A, x[:-1])
        ahead += jnp.einsum("tij,tj->ti", problem.B, u) + problem.c - x[1:]
        reached = jacobian.times(jnp.concatenate([x[:-1], u], axis=1), x[-1])
        off = [a - b for a, b in zip(reached, values, strict=True)]
        return jnp.concatenate([jnp.ravel(a) for a in (problem.x0 - x[0], ahead, *off)])

    zero = jnp.zeros(size)
    H, g = jax.hessian(cost)(zero), jax.grad(cost)(zero)
    J, b = jax.jacobian(rows)(zero), rows(zero)
    K = np.block([[H, J.T], [J, np.zeros((len(b), len(b)))]])
    z = np.linalg.lstsq(K, -np.concatenate([g, b]), rcond=1e-13)[0][:size]
    return z[: (T + 1) * N].reshape(T + 1, N), z[(T + 1) * N :].reshape(T, M)


@jax.jit
def solve(problem, jacobian, values):
    free = jnp.ones((T, M), bool)
    matrices = jax.lax.stop_gradient(constrained_factor(problem, jacobian, free))
    return solve_rows(problem, jacobian, values, matrices, jnp.zeros((T, M)))


def test_agrees_with_the_dense_system():
    for repeated in (False, True):
        arguments = example(repeated=repeated)
        states, controls = dense(*arguments)
        solution, _ = solve(*arguments)
        np.testing.assert_allclose(solution.states, states, atol=1e-9)
        np.testing.assert_allclose(solution.controls, controls, atol=1e-9)


def test_multipliers_balance_the_gradient():
    problem, jacobian, values = example()
    solution, multipliers = solve(problem, jacobian, values)
    stages, last = jacobian.transposed_times(multipliers)
    gradient = problem.r + jnp.einsum("tij,tj->ti", problem.S, solution.states[:-1])
    gradient += jnp.einsum("tij,tj->ti", problem.R, solution.controls) + stages[:, N:]
    gradient += jnp.einsum("tij,ti->tj", problem.B, solution.costates[1:])
    np.testing.assert_allclose(gradient, 0, atol=1e-9)
    end = problem.Q[-1] @ solution.states[-1] + problem.q[-1] + last
    np.testing.assert_allclose(solution.costates[-1], end, atol=1e-9)


def test_first_and_second_derivatives_agree_with_differences():
    arguments = example()

    def loss(arguments):
        solution, multipliers = solve(*arguments)
        controls = jnp.sum(jnp.sin(solution.controls)) + jnp.sum(solution.costates[2] ** 2)
        return controls + jnp.sum(multipliers.terminal) + jnp.sum(multipliers.stage**2)

    flat, unravel = jax.flatten_util.ravel_pytree(arguments)
    along = unravel(jnp.asarray(np.random.RandomState(1).randn(flat.size)))
    # The Hessians stay symmetric, and rows that are absent stay so.
    problem = along[0]._replace(
        Q=along[0].Q + along[0].Q.transpose(0, 2, 1), R=along[0].R + along[0].R.transpose(0, 2, 1)
    )
    present = jnp.any(arguments[1].stage != 0, axis=2).astype(float)
    jacobian = along[1]._replace(stage=along[1].stage * present[:, :, None])
    along = (problem, jacobian, along[2]._replace(stage=along[2].stage * present))

    def moved(step):
        return jax.tree.map(lambda a, d: a + step * d, arguments, along)

    @jax.jit
    def slope(step):
        gradient = jax.grad(loss)(moved(step))
        return sum(
            jnp.sum(g * d)
            for g, d in zip(jax.tree.leaves(gradient), jax.tree.leaves(along), strict=True)
        )

    h = 1e-5
    expected = (loss(moved(h)) - loss(moved(-h))) / (2 * h)
    np.testing.assert_allclose(slope(0.0), expected, rtol=1e-6)
    second = (slope(h) - slope(-h)) / (2 * h)
    np.testing.assert_allclose(jax.grad(slope)(0.0), second, rtol=1e-5)
