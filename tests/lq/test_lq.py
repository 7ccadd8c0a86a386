"""The LQ library against dense linear algebra."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

from jaxmpc import lq
from jaxmpc.lq.bounds.box_qp import box_qp
from jaxmpc.lq.bounds.control_limited import control_limited_policy
from jaxmpc.lq.differentiable import control_gradient


def random_problem(horizon, n, m, seed=0, growth=0.2):
    """A convex time-varying problem with cross and affine terms and unstable dynamics."""
    rng = np.random.RandomState(seed)
    half = rng.randn(horizon, n + m, n + m) / np.sqrt(n + m)
    H = np.einsum("tij,tkj->tik", half, half) + 0.1 * np.eye(n + m)
    problem = lq.LQProblem(
        Q=np.concatenate([H[:, :n, :n], 2 * np.eye(n)[None]]),
        S=H[:, n:, :n],
        R=H[:, n:, n:],
        q=rng.randn(horizon + 1, n),
        r=rng.randn(horizon, m),
        A=np.eye(n) + growth * rng.randn(horizon, n, n) / np.sqrt(n),
        B=rng.randn(horizon, n, m),
        c=rng.randn(horizon, n),
        x0=rng.randn(n),
    )
    return lq.LQProblem(*map(jnp.asarray, problem))


SIZES = [(5, 2, 1), (20, 4, 2), (15, 13, 4), (10, 6, 9), (100, 80, 30)]
solve = jax.jit(lq.solve)


@pytest.mark.parametrize("horizon,n,m", SIZES)
def test_residual_is_rounding(horizon, n, m):
    problem = random_problem(horizon, n, m)
    solution = solve(problem)
    # 1e-12 of the largest term: the condition of these problems times eps is below that.
    assert reference.lq_residual(problem, *solution[:3]) < 1e-12


@pytest.mark.parametrize("horizon,n,m", SIZES[:4])
def test_equals_dense_kkt(horizon, n, m):
    problem = random_problem(horizon, n, m)
    solution, dense = solve(problem), reference.solve_lq(problem)
    for ours, theirs in zip(solution[:3], dense[:3], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-9 * np.max(np.abs(theirs)))


def test_policy_is_the_solution_from_any_state():
    problem = random_problem(8, 3, 2)
    solution = solve(problem)
    moved = problem._replace(x0=problem.x0 + jnp.array([0.3, -0.2, 0.1]))
    policy = solution.feedforward[0] + solution.feedback[0] @ moved.x0
    np.testing.assert_allclose(policy, solve(moved).controls[0], atol=1e-12)


def test_factor_serves_other_affine_terms():
    problem, other = random_problem(20, 4, 2), random_problem(20, 4, 2, seed=1)
    changed = problem._replace(q=other.q, r=other.r, c=other.c, x0=other.x0)
    reused = lq.solve(changed, factor=lq.factor(problem))
    np.testing.assert_allclose(reused.controls, solve(changed).controls, atol=1e-12)


def test_factor_with_fixed_controls():
    problem = random_problem(12, 4, 3)
    free = jnp.asarray(np.random.RandomState(3).rand(12, 3) < 0.6)
    solution = lq.solve(problem, factor=lq.factor(problem, free))
    dense = reference.solve_lq(problem, ~np.asarray(free), np.zeros((12, 3)))
    np.testing.assert_allclose(solution.controls, dense.controls, atol=1e-10)


def test_only_symmetric_parts_count():
    problem = random_problem(6, 3, 2)
    skew = jnp.asarray(np.random.RandomState(0).randn(6, 2, 2))
    tilted = problem._replace(R=problem.R + skew - jnp.swapaxes(skew, 1, 2))
    np.testing.assert_allclose(solve(tilted).controls, solve(problem).controls, atol=1e-12)


def test_nonconvex_is_reported():
    problem = random_problem(6, 3, 2)
    assert lq.factor(problem).is_convex()
    assert not lq.factor(problem._replace(R=problem.R - 100 * jnp.eye(2)[None])).is_convex()


BOXES = [(20, 4, 1, 0.3), (20, 8, 4, 0.5), (40, 4, 2, 0.2), (10, 6, 9, 0.4)]


@pytest.mark.parametrize("horizon,n,m,limit", BOXES)
def test_bounded_equals_active_set(horizon, n, m, limit):
    problem = random_problem(horizon, n, m)
    solution = solve(problem, -limit, 0.8 * limit)
    controls, _ = reference.solve_box_lq(problem, -limit, 0.8 * limit)
    for bound in (-limit, 0.8 * limit):
        assert np.sum(np.isclose(controls, bound)) > 2  # both sides are put to the test
    np.testing.assert_allclose(solution.controls, controls, atol=1e-9)


@pytest.mark.parametrize("horizon,n,m,limit", [*BOXES, (100, 80, 30, 0.3)])
def test_bounded_residual_is_rounding(horizon, n, m, limit):
    problem = random_problem(horizon, n, m)
    solution = solve(problem, -limit, limit)
    assert jnp.max(jnp.abs(solution.controls)) <= limit
    held = np.abs(np.asarray(solution.controls)) == limit
    assert reference.lq_residual(problem, *solution[:3], held) < 1e-12
    # A bound pushes outwards wherever it holds.
    push = -np.asarray(control_gradient(problem, solution)) * np.sign(solution.controls)
    assert np.min(push[held]) > -1e-9


def test_what_grows_beyond_an_indefinite_stage_is_no_nan_of_the_problem():
    """A stage without a minimiser, and before it so many unstable ones that the value overflows."""
    horizon = 120
    problem = random_problem(horizon, 2, 1)
    unstable = jnp.tile(1e3 * jnp.eye(2), (horizon, 1, 1))
    problem = problem._replace(A=unstable, R=problem.R.at[-1].set(-1e9))
    low = jnp.full((horizon, 1), -jnp.inf)
    policy = control_limited_policy(problem, low, -low, jnp.zeros(1))
    assert not policy.definite
    assert np.isfinite([policy.slope, policy.curvature]).all()
    assert not policy.k.any()
    broken = problem._replace(Q=problem.Q.at[3, 0, 0].set(jnp.nan))
    assert np.isnan(control_limited_policy(broken, low, -low, jnp.zeros(1)).slope)


def test_bounds_of_every_kind():
    problem = random_problem(12, 4, 3)
    lower = jnp.asarray(np.random.RandomState(1).choice([-jnp.inf, -0.3, 0.1], (12, 3)))
    upper = jnp.where(lower == 0.1, 0.1, jnp.asarray([0.2, jnp.inf, 0.4]))
    solution = solve(problem, lower, upper)
    low, high = np.asarray(lower), np.asarray(upper)
    far = 1e6  # the oracle wants numbers
    controls, _ = reference.solve_box_lq(problem, np.maximum(low, -far), np.minimum(high, far))
    np.testing.assert_allclose(solution.controls, controls, atol=1e-8)


def test_vmapped_equals_alone():
    problems = [random_problem(20, 4, 1, seed) for seed in range(5)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *problems)
    together = jax.jit(jax.vmap(lambda p: lq.solve(p, -0.3, 0.24)))(stacked)
    for i, problem in enumerate(problems):
        alone = solve(problem, -0.3, 0.24)
        np.testing.assert_allclose(together.controls[i], alone.controls, atol=1e-12)


def _weighted(problem, lower, upper, weights):
    solution = lq.solve(problem, lower, upper)
    return sum(jnp.sum(w * part) for w, part in zip(weights, solution[:3], strict=True))


@pytest.mark.parametrize("bounded", [False, True])
def test_gradients_of_every_argument(bounded):
    problem = random_problem(6, 3, 2)
    solution = solve(problem)
    rng = np.random.RandomState(7)
    weights = [jnp.asarray(rng.randn(*part.shape)) for part in solution[:3]]
    limit = jnp.asarray(0.4 if bounded else 1e3)
    if bounded:
        assert 2 < jnp.sum(jnp.abs(solve(problem, -limit, limit).controls) == limit) < 12

    def loss(problem, lower, upper):
        return _weighted(problem, lower, upper, weights)

    # One direction for each matrix and each bound, all differences in one program.
    theta = (problem, -limit, limit)
    leaves, treedef = jax.tree.flatten(theta)
    directions = []
    for k, leaf in enumerate(leaves):
        zeros = [jnp.zeros_like(other) for other in leaves]
        zeros[k] = jnp.asarray(rng.randn(*leaf.shape))
        directions.append(jax.tree.unflatten(treedef, zeros))
    stacked = jax.tree.map(lambda *parts: jnp.stack(parts), *directions)

    @jax.jit
    @jax.vmap
    def slopes(direction):
        def along(step):
            return loss(*jax.tree.map(lambda a, d: a + step * d, theta, direction))

        h = 1e-4
        near, far = along(h) - along(-h), along(2 * h) - along(-2 * h)
        return (8 * near - far) / (12 * h)

    gradient = jax.jit(jax.grad(loss, (0, 1, 2)))(*theta)
    names = [*problem._fields, "lower", "upper"]
    for name, direction, slope in zip(names, directions, slopes(stacked), strict=True):
        products = jax.tree.map(lambda g, d: jnp.sum(g * d), gradient, direction)
        ours = sum(jax.tree.leaves(products))
        np.testing.assert_allclose(ours, slope, rtol=1e-7, atol=1e-8, err_msg=name)


def test_second_derivative():
    problem = random_problem(6, 3, 2)

    def loss(scale):
        solution = lq.solve(problem._replace(B=scale * problem.B), -0.4, 0.4)
        return jnp.sum(solution.controls**2)

    slope = jax.jit(jax.grad(loss))
    step = 1e-5
    difference = (slope(1.0 + step) - slope(1.0 - step)) / (2 * step)
    np.testing.assert_allclose(jax.jit(jax.grad(jax.grad(loss)))(1.0), difference, rtol=1e-6)


def test_joint_matrices():
    problem = random_problem(5, 3, 2)
    C = jnp.concatenate(
        [
            jnp.concatenate([problem.Q[:-1], jnp.swapaxes(problem.S, 1, 2)], 2),
            jnp.concatenate([problem.S, problem.R], 2),
        ],
        1,
    )
    c = jnp.concatenate([problem.q[:-1], problem.r], 1)
    F = jnp.concatenate([problem.A, problem.B], 2)
    joint = lq.from_joint(C, c, F, problem.c, problem.x0)
    np.testing.assert_array_equal(joint.S, problem.S)
    nothing = problem._replace(Q=problem.Q.at[-1].set(0), q=problem.q.at[-1].set(0))
    np.testing.assert_allclose(solve(joint).controls, solve(nothing).controls, atol=1e-12)


def test_errors_name_the_argument():
    problem = random_problem(5, 3, 2)
    with pytest.raises(ValueError, match=r"S must have shape \(5, 2, 3\).*got \(5, 3, 2\)"):
        lq.solve(problem._replace(S=jnp.swapaxes(problem.S, 1, 2)))
    with pytest.raises(ValueError, match="lower"):
        lq.solve(problem, jnp.zeros(3), jnp.ones(2))
    with pytest.raises(ValueError, match="factor and bounds"):
        lq.solve(problem, -1.0, 1.0, factor=lq.factor(problem))


# --- The box QP of one stage ---


@pytest.mark.parametrize("m", [1, 2, 4, 9])
def test_box_qp_is_exact_in_each_element(m):
    rng = np.random.RandomState(m)
    half = rng.randn(200, m, m)
    H = half @ np.swapaxes(half, 1, 2) + 0.01 * np.eye(m)
    g = 3 * rng.randn(200, m)
    lower, upper = -rng.rand(200, m), rng.rand(200, m)
    lower[:20, 0] = upper[:20, 0] = 0.0
    lower[20:40] = 0.0
    solution = jax.jit(jax.vmap(box_qp))(*map(jnp.asarray, (H, g, lower, upper)))
    for i in range(200):
        expected = reference.solve_box_qp(H[i], g[i], lower[i], upper[i])
        np.testing.assert_allclose(solution.u[i], expected, atol=1e-9 * (1 + np.abs(g[i]).max()))


def test_box_qp_on_a_concave_interval_takes_the_better_end():
    solution = box_qp(-jnp.eye(1), jnp.array([0.2]), jnp.array([-1.0]), jnp.array([1.0]))
    assert solution.u[0] == -1.0 and solution.factor.is_positive()
    unbounded = box_qp(-jnp.eye(1), jnp.array([0.2]), jnp.array([-jnp.inf]), jnp.array([jnp.inf]))
    assert not unbounded.factor.is_positive()


@pytest.mark.parametrize("limit", [1e4, 1.0, 0.3])
def test_bounds_on_an_unstable_system(limit):
    """The LQRs of arXiv 2505.01353, from a few starts; with 0.3 most controls are at a bound."""
    random = np.random.RandomState(42)
    A, B, c = np.eye(8) + 0.2 * random.randn(8, 8), random.randn(8, 4), random.randn(8)
    starts = jnp.asarray(random.randn(128, 8)[:6])

    def solve(x0):
        def along(matrix, count=20):
            return jnp.broadcast_to(jnp.asarray(matrix), (count, *np.shape(matrix)))

        problem = lq.LQProblem(
            Q=along(2 * np.eye(8), 21),
            S=along(np.zeros((4, 8))),
            R=along(2 * np.eye(4)),
            q=along(np.zeros(8), 21),
            r=along(np.zeros(4)),
            A=along(A),
            B=along(B),
            c=along(c),
            x0=x0,
        )
        solution = lq.solve(problem, -limit, limit)
        return solution, control_gradient(problem, solution)

    solution, gradient = jax.jit(jax.vmap(solve))(starts)
    controls = np.asarray(solution.controls)
    assert np.all(np.abs(controls) <= limit)
    at_bound = np.abs(controls) == limit
    assert (np.mean(at_bound) > 0.3) == (limit == 0.3)
    # Free: no gradient. At a bound: the gradient pushes against it.
    size = 1e-9 * np.max(np.abs(np.asarray(solution.costates)))
    assert np.all(np.abs(gradient)[~at_bound] <= size)
    assert np.all((np.sign(controls) * gradient)[at_bound] <= size)


def test_a_bounded_problem_that_is_not_convex_is_not_a_number():
    problem = random_problem(5, 2, 1)
    concave = problem._replace(Q=-10 * problem.Q)

    def loss(x0):
        return jnp.sum(lq.solve(concave._replace(x0=x0), -1.0, 1.0).controls)

    value, gradient = jax.value_and_grad(loss)(problem.x0)
    assert np.isnan(value)
    assert np.all(np.isnan(gradient))


def test_a_batch_with_bounds_is_each_element_alone():
    problem = random_problem(9, 3, 2)
    starts = jnp.asarray(np.random.RandomState(1).randn(40, 3))

    def solve(x0, upper):
        return lq.solve(problem._replace(x0=x0), -0.2, upper).controls

    def loss(solver, starts, upper):
        return jnp.sum(jnp.sin(solver(starts, upper)))

    def alone(starts, upper):
        return jax.lax.map(lambda x0: solve(x0, upper), starts)

    together = jax.vmap(solve, (0, None))
    values = [jax.jit(solver)(starts, 0.1) for solver in (together, alone)]
    assert 0 < np.mean(values[0] == 0.1) < 1
    np.testing.assert_allclose(*values, rtol=1e-9, atol=1e-12)
    gradient = jax.jit(jax.grad(loss, (1, 2)), static_argnums=0)
    for a, b in zip(gradient(together, starts, 0.1), gradient(alone, starts, 0.1), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)
