"""The Riccati recursion parallel in time, against the sequential one and dense linear algebra."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from test_lq import random_problem

from jaxmpc.lq import LQProblem
from jaxmpc.lq.riccati import parallel, sequential as riccati
from jaxmpc.lq.riccati.choice import Recursion
from jaxmpc.lq.riccati.factorization import substitute


@jax.jit
def sequential(problem, free, fixed):
    matrices = riccati.factor(problem, free)
    return matrices, substitute(problem, matrices, fixed)


def in_parallel(problem, free, fixed, block=1):
    matrices = parallel.factor(problem, free, block)
    chosen = matrices._replace(recursion=Recursion(block))
    return matrices, substitute(problem, chosen, fixed)


in_parallel = jax.jit(in_parallel, static_argnames="block")


def everything_free(problem):
    return jnp.ones_like(problem.r, bool), jnp.zeros_like(problem.r)


def assert_close(ours, theirs, tolerance=1e-9):
    for name, a, b in zip(("states", "controls", "costates"), ours, theirs, strict=False):
        scale = np.max(np.abs(b))
        np.testing.assert_allclose(a, b, atol=tolerance * scale, rtol=0, err_msg=name)


def assert_same(problem, free=None, fixed=None, block=1, dense=True, tolerance=1e-9):
    if free is None:
        free, fixed = everything_free(problem)
    matrices, ours = in_parallel(problem, free, fixed, block)
    expected, theirs = sequential(problem, free, fixed)
    assert expected.is_convex() and matrices.is_convex()
    assert_close(ours, theirs, tolerance)
    assert_close((matrices.V, matrices.K), (expected.V, expected.K), tolerance)
    np.testing.assert_allclose(ours.feedforward, theirs.feedforward, atol=1e-8)
    if dense:
        assert_close(ours, reference.solve_lq(problem, ~np.asarray(free), fixed), tolerance)


SIZES = [(1, 1), (2, 1), (4, 2), (8, 4), (12, 4)]
# One compilation each: all sizes at two horizons, all horizons at one size.
SHAPES = [(17, *size) for size in SIZES] + [(horizon, 4, 2) for horizon in (1, 2, 3, 50)]
LONG = [(200, *size) for size in SIZES]


@pytest.mark.parametrize("block", [1, 4])
@pytest.mark.parametrize("horizon,n,m", SHAPES)
def test_equals_sequential_and_dense(horizon, n, m, block):
    assert_same(random_problem(horizon, n, m), block=block)


@pytest.mark.slow
@pytest.mark.parametrize("block", [1, 8, 32])
@pytest.mark.parametrize("horizon,n,m", LONG)
def test_long_horizons(horizon, n, m, block):
    assert_same(random_problem(horizon, n, m), block=block, dense=n < 8)


@pytest.mark.parametrize("block", [2, 3, 5, 17, 40])
def test_any_block_for_any_horizon(block):
    assert_same(random_problem(17, 4, 2), block=block)


def unstable(horizon=50, n=4, m=2):
    problem = random_problem(horizon, n, m)
    A = np.random.RandomState(1).randn(n, n)
    A *= 1.3 / np.max(np.abs(np.linalg.eigvals(A)))
    return problem._replace(A=jnp.broadcast_to(A, (horizon, n, n)))


def singular():
    """No cost on controls: only B'V B is definite."""
    problem = random_problem(50, 4, 2)
    return problem._replace(S=0 * problem.S, R=0 * problem.R)


def double_integrators():
    """No cost on controls or velocities: even B'Q B is zero, the next stage's is not."""
    problem = random_problem(50, 4, 2)
    A, B, Q = np.eye(4), np.zeros((4, 2)), np.diag([1.0, 1.0, 0.0, 0.0])
    A[:2, 2:] = B[2:] = 0.1 * np.eye(2)
    Q = jnp.concatenate([jnp.broadcast_to(Q, (50, 4, 4)), jnp.eye(4)[None]])
    # Without a control cost the last stage reaches the terminal velocity only.
    return problem._replace(
        Q=Q,
        S=0 * problem.S,
        R=0 * problem.R,
        A=jnp.broadcast_to(A, (50, 4, 4)),
        B=jnp.broadcast_to(B, (50, 4, 2)),
    )


def indefinite():
    """A convex problem plus x_{t+1}'W x_{t+1} - x_t'W x_t: same minimiser, Q and R indefinite."""
    problem = random_problem(50, 4, 2)
    W = 3 * np.random.RandomState(2).randn(51, 4, 4)
    W = W + np.swapaxes(W, 1, 2)
    W[0] = 0

    def moved(a, b):
        return jnp.einsum("tki,tkl,tlj->tij", a, W[1:], b)

    A, B = problem.A, problem.B
    Q = (problem.Q - W).at[:-1].add(moved(A, A))
    return problem._replace(Q=Q, S=problem.S + moved(B, A), R=problem.R + moved(B, B))


def barriers(largest=6.0):
    """Rows with weights from 1e-8 up, as an interior point has them near its end."""
    problem = random_problem(50, 4, 2)
    random = np.random.RandomState(3)
    rows = random.randn(50, 2, 6) * (random.rand(50, 2, 6) < 0.5)
    weights = 10 ** random.uniform(-8, largest, (50, 2))
    H = np.einsum("tpi,tp,tpj->tij", rows, weights, rows)
    return problem._replace(
        Q=problem.Q.at[:-1].add(H[:, :4, :4]),
        S=problem.S + H[:, 4:, :4],
        R=problem.R + H[:, 4:, 4:],
    )


@pytest.mark.parametrize("block", [1, 8])
@pytest.mark.parametrize("make", [unstable, singular, double_integrators, indefinite, barriers])
def test_hard_problems(make, block):
    problem = make()
    if make is indefinite:
        assert np.min(np.linalg.eigvalsh(problem.R)) < -1 > np.min(np.linalg.eigvalsh(problem.Q))
    assert_same(problem, block=block)


@pytest.mark.parametrize("block", [1, 8])
def test_extreme_weights_are_no_worse_than_sequential(block):
    # Weights over 18 decades: neither has nine digits, the KKT conditions still hold.
    problem = barriers(10.0)
    free, fixed = everything_free(problem)
    matrices, ours = in_parallel(problem, free, fixed, block)
    expected, theirs = sequential(problem, free, fixed)
    assert expected.is_convex() and matrices.is_convex()
    assert_close(ours[:2], theirs[:2], 1e-6)
    residuals = [reference.lq_residual(problem, *solution[:3]) for solution in (ours, theirs)]
    assert residuals[0] < 100 * residuals[1] + 1e-9


@pytest.mark.parametrize("block", [1, 4])
def test_fixed_controls(block):
    problem = random_problem(17, 4, 3)
    random = np.random.RandomState(3)
    free = random.rand(17, 3) < 0.6
    free[5] = False  # a whole stage
    fixed = np.where(free, 0.0, random.randn(17, 3))
    assert_same(problem, jnp.asarray(free), jnp.asarray(fixed), block)


@pytest.mark.parametrize("block", [1, 4])
def test_nonconvex_is_reported(block):
    problem = random_problem(17, 4, 2)
    free, fixed = everything_free(problem)
    for concave in (
        problem._replace(R=problem.R - 100 * jnp.eye(2)[None]),
        problem._replace(R=problem.R.at[9].add(-100 * jnp.eye(2))),
        problem._replace(Q=problem.Q.at[-1].add(-100 * jnp.eye(4))),
        problem._replace(Q=problem.Q.at[9].add(-30 * jnp.eye(4))),
        problem._replace(Q=problem.Q.at[3].set(jnp.nan)),
    ):
        assert not sequential(concave, free, fixed)[0].is_convex()
        assert not in_parallel(concave, free, fixed, block)[0].is_convex()


@pytest.mark.parametrize("shift", np.linspace(-6, 6, 25))
def test_agrees_about_convexity(shift):
    # From convex to concave in small steps; one compilation.
    problem = random_problem(17, 4, 2)
    problem = problem._replace(Q=problem.Q + shift * jnp.eye(4)[None])
    free, fixed = everything_free(problem)
    expected, theirs = sequential(problem, free, fixed)
    matrices, ours = in_parallel(problem, free, fixed)
    assert matrices.is_convex() == expected.is_convex()
    if expected.is_convex():
        assert_close(ours, theirs, 1e-8)


def test_a_scan_gone_wrong_is_reported(monkeypatch):
    # With a reference that costs all digits and no second scan the Hessians are wrong.
    monkeypatch.setattr(parallel, "_PRICE", 1e14)
    monkeypatch.setattr(parallel, "_LOOK_AHEAD", 1)
    problem = unstable()
    wrong = parallel.factor(problem, passes=1)
    assert np.max(np.abs(wrong.V - riccati.factor(problem).V)) > 1e-3
    assert not wrong.is_convex()
    assert riccati.factor(problem).is_convex()


def test_vmapped_equals_alone():
    problems = [random_problem(17, 4, 2, seed) for seed in range(3)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *problems)
    free, fixed = everything_free(stacked)
    _, together = jax.jit(jax.vmap(lambda *a: in_parallel(*a, block=4)))(stacked, free, fixed)
    for i, problem in enumerate(problems):
        _, alone = in_parallel(problem, free[i], fixed[i], 4)
        assert_close([part[i] for part in together[:3]], alone[:3], 1e-12)


@pytest.mark.parametrize("block", [1, 8])
@pytest.mark.parametrize("make", [random_problem, unstable, singular, indefinite])
def test_float32_loses_no_more_than_sequential(make, block):
    problem = make(50, 4, 2) if make is random_problem else make()
    free, fixed = everything_free(problem)
    _, truth = sequential(problem, free, fixed)
    single = LQProblem(*(part.astype(jnp.float32) for part in problem))
    fixed = fixed.astype(jnp.float32)
    matrices, ours = in_parallel(single, free, fixed, block)
    assert matrices.is_convex() and matrices.V.dtype == jnp.float32
    _, theirs = sequential(single, free, fixed)
    for a, b, true in zip(ours[:3], theirs[:3], truth[:3], strict=True):
        a, b, true = (np.asarray(values, float) for values in (a, b, true))
        scale = np.max(np.abs(true))
        lost = np.max(np.abs(b - true)) / scale
        assert np.max(np.abs(a - true)) / scale < 10 * lost + 1e-5
