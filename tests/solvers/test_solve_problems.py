"""Kinds of problems: linear-quadratic, time-varying, every form of bounds, forms of parameters."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

import jaxmpc
from jaxmpc import ILQR, Status

T, N, M = 12, 3, 2


def lq_dynamics(x, u, t, params):
    return params.A[t] @ x + params.B[t] @ u + params.c[t]


def lq_cost(x, u, t, params):
    quadratic = 0.5 * x @ params.Q[t] @ x + u @ params.S[t] @ x + 0.5 * u @ params.R[t] @ u
    return quadratic + params.q[t] @ x + params.r[t] @ u


def lq_terminal_cost(x, params):
    return 0.5 * x @ params.Q[-1] @ x + params.q[-1] @ x


def lq_problem(control_bounds=None):
    return jaxmpc.Problem(
        lq_dynamics,
        lq_cost,
        lq_terminal_cost,
        horizon=T,
        control_dim=M,
        control_bounds=control_bounds,
    )


def lq_data(seed=0):
    """A well-conditioned problem whose every matrix depends on the stage."""
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal((T + 1, N + M, N + M))
    C = factors @ np.swapaxes(factors, 1, 2) / (N + M) + np.eye(N + M)
    return jaxmpc.lq.LQProblem(
        Q=C[:, :N, :N],
        S=C[:-1, N:, :N],
        R=C[:-1, N:, N:],
        q=rng.standard_normal((T + 1, N)),
        r=rng.standard_normal((T, M)),
        A=rng.standard_normal((T, N, N)) / np.sqrt(N),
        B=rng.standard_normal((T, N, M)),
        c=rng.standard_normal((T, N)),
        x0=rng.standard_normal(N),
    )


@pytest.fixture(scope="module")
def data():
    return lq_data()


@pytest.fixture(scope="module")
def solve_lq(data):
    """(lower, upper) -> Solution, for arrays [T, M]; compiled once."""

    @jax.jit
    def solve(lower, upper):
        return jaxmpc.solve(lq_problem((lower, upper)), jnp.asarray(data.x0), data)

    return lambda lower, upper: solve(*(jnp.broadcast_to(b, (T, M)) for b in (lower, upper)))


# --- Linear-quadratic and time-varying ---


@pytest.mark.parametrize("hessian", ["auto", "gauss_newton", "exact"])
def test_lq_takes_exactly_one_iteration(data, hessian):
    """Newton's method on a quadratic. That A, B, c, Q ... depend on t shows that t is used."""
    solver = ILQR(hessian=hessian)
    solution = jaxmpc.solve(lq_problem(), data.x0, data, solver=solver)
    dense = reference.solve_lq(data)
    assert solution.status == Status.converged
    assert solution.iterations == 1
    # Two direct methods on a well-conditioned system: rounding, times some hundred.
    for name in ("states", "controls", "costates"):
        expected = getattr(dense, name)
        np.testing.assert_allclose(getattr(solution, name), expected, atol=1e-12 * 1e2)
    residual = reference.lq_residual(data, solution.states, solution.controls, solution.costates)
    assert residual < 1e-12


def test_a_solved_problem_takes_no_iteration(data):
    first = jaxmpc.solve(lq_problem(), data.x0, data)
    again = jaxmpc.solve(lq_problem(), data.x0, data, warm_start=first)
    assert again.status == Status.converged
    assert again.iterations == 0
    np.testing.assert_array_equal(again.controls, first.controls)


def test_t_is_an_integer_array():
    def cost(x, u, t, params):
        assert isinstance(t, jax.Array)
        assert jnp.issubdtype(t.dtype, jnp.integer)
        assert t.shape == ()
        return jnp.sum((u - t.astype(u.dtype)) ** 2) + 0.0 * jnp.sum(x)

    problem = jaxmpc.Problem(lambda x, u, t, params: x + u, cost, horizon=4, control_dim=1)
    solution = jaxmpc.solve(problem, jnp.zeros(1))
    np.testing.assert_allclose(solution.controls[:, 0], np.arange(4.0), atol=1e-12)


def test_one_stage_and_no_terminal_cost():
    problem = jaxmpc.Problem(
        lambda x, u, t, params: x + u,
        lambda x, u, t, params: jnp.sum((x + u - 1) ** 2),
        horizon=1,
        control_dim=1,
    )
    solution = jaxmpc.solve(problem, jnp.array([3.0]))
    assert solution.converged
    np.testing.assert_allclose(solution.controls, [[-2.0]])
    np.testing.assert_allclose(solution.cost, 0.0, atol=1e-15)


# --- Bounds ---


def bounds_of(kind):
    lower, upper = np.full((T, M), -0.3), np.full((T, M), 0.4)
    if kind == "per_stage":
        lower = lower - 0.05 * np.arange(T)[:, None]
        upper = upper + 0.1 * np.cos(np.arange(T * M)).reshape(T, M)
    if kind == "per_control":
        lower, upper = np.tile([-0.1, -0.5], (T, 1)), np.tile([0.2, 0.7], (T, 1))
    if kind == "upper_only":
        lower = np.full((T, M), -np.inf)
    if kind == "lower_only":
        upper = np.full((T, M), np.inf)
    if kind == "some_infinite":
        lower[::2], upper[1::3, 0] = -np.inf, np.inf
    if kind == "some_equal":
        lower[3], upper[3] = 0.25, 0.25
        lower[5:, 1] = upper[5:, 1] = -0.2
    if kind == "all_equal":
        upper = lower
    if kind == "away_from_zero":  # the default guess, zero, is outside
        lower, upper = np.full((T, M), 0.5), np.full((T, M), 1.0)
    return lower, upper


KINDS = ("per_stage", "per_control", "upper_only", "lower_only", "some_infinite")
KINDS += ("some_equal", "all_equal", "away_from_zero")


@pytest.mark.parametrize("kind", KINDS)
def test_bounds_against_an_active_set(solve_lq, data, kind):
    lower, upper = bounds_of(kind)
    solution = solve_lq(lower, upper)
    controls, cost = reference.solve_box_lq(data, lower, upper)
    assert solution.status == Status.converged
    assert np.mean((controls == lower) | (controls == upper)) > 0.1  # bounds that matter
    # Residual 1e-8 at most, over a reduced Hessian whose eigenvalues are above 1.
    np.testing.assert_allclose(solution.controls, controls, atol=2e-8)
    np.testing.assert_allclose(solution.cost, cost, rtol=1e-12)
    assert np.all((solution.controls >= lower) & (solution.controls <= upper))
    held = (controls == lower) | (controls == upper)
    force = reference.solve_lq(data, held, controls).held  # minus the Lagrangian's gradient
    both = solution.multipliers.upper - solution.multipliers.lower
    np.testing.assert_allclose(both, force, atol=1e-7)
    assert np.all(solution.multipliers.lower >= 0)
    assert np.all(solution.multipliers.upper >= 0)
    assert np.all(solution.multipliers.lower[np.isinf(lower)] == 0)


@pytest.mark.parametrize(
    "form",
    [
        (-0.3, 0.4),
        (None, 0.4),
        (-0.3, None),
        (-1, np.inf),
        (np.array([-0.1, -0.5]), 0.4),
        [np.float32(-0.25), np.full((T, M), 0.4)],
    ],
    ids=["scalars", "no_lower", "no_upper", "int_and_inf", "per_control", "list_and_per_stage"],
)
def test_forms_of_bounds(solve_lq, data, form):
    lower, upper = (b if b is not None else s * np.inf for b, s in zip(form, (-1, 1), strict=True))
    solution = jaxmpc.solve(lq_problem(form), data.x0, data)
    expected = solve_lq(lower, upper)
    # The same computation, but the compiler may fold constant bounds in: rounding only.
    np.testing.assert_allclose(solution.controls, expected.controls, atol=1e-13)
    np.testing.assert_array_equal(solution.status, expected.status)


def test_infeasible_bounds_in_one_element(data):
    lower = np.stack([np.full((T, M), -0.3)] * 3)
    lower[1, 4, 0] = 0.5  # above upper

    def solve(lower):
        return jaxmpc.solve(lq_problem((lower, 0.4)), jnp.asarray(data.x0), data)

    solution = jax.jit(jax.vmap(solve))(lower)
    wanted = [Status.converged, Status.infeasible, Status.converged]
    np.testing.assert_array_equal(solution.status, wanted)
    np.testing.assert_array_equal(solution.controls[0], solution.controls[2])
    assert np.all(np.isfinite(solution.controls[1]))


# --- Forms of parameters, and values that the functions close over ---


class Model(eqx.Module):
    """Parameters as an Equinox module, with a static field and a leaf that is no number."""

    weight: jax.Array
    activation: object
    power: int = eqx.field(static=True)


def swing_dynamics(weight, activation=jnp.sin):
    def dynamics(x, u, t, params):
        gravity = activation(x[0]) * (params["weight"] if weight is None else weight)
        return x + 0.1 * jnp.stack([x[1], gravity + u[0]])

    return dynamics


def swing_cost(x, u, t, params):
    return jnp.sum(x**2) + 0.1 * u[0] ** 2


def swing_terminal_cost(x, params):
    return 5.0 * jnp.sum(x**2)


def swing_problem(dynamics):
    return jaxmpc.Problem(
        dynamics,
        swing_cost,
        swing_terminal_cost,
        horizon=10,
        control_dim=1,
        control_bounds=(-1.5, 1.5),
    )


X0 = np.array([1.0, -0.3])


@pytest.fixture(scope="module")
def swing():
    problem = swing_problem(swing_dynamics(None))
    return jax.jit(lambda weight: jaxmpc.solve(problem, jnp.asarray(X0), {"weight": weight}))


def test_params_none_dict_and_module(swing):
    expected = swing(2.0)
    none = jaxmpc.solve(swing_problem(swing_dynamics(2.0)), X0)

    def of_module(x, u, t, model):
        gravity = model.activation(x[0]) ** model.power * model.weight
        return x + 0.1 * jnp.stack([x[1], gravity + u[0]])

    module = jaxmpc.solve(swing_problem(of_module), X0, Model(jnp.asarray(2.0), jnp.sin, 1))
    assert expected.converged
    # Three programs of the same function: they differ by rounding.
    np.testing.assert_allclose(none.controls, expected.controls, atol=1e-12)
    np.testing.assert_allclose(module.controls, expected.controls, atol=1e-12)


def test_a_module_as_dynamics():
    """Its arrays are leaves of the problem: traced, not constants."""

    class Swing(eqx.Module):
        weight: jax.Array

        def __call__(self, x, u, t, params):
            return x + 0.1 * jnp.stack([x[1], self.weight * jnp.sin(x[0]) + u[0]])

    count = []

    @jax.jit
    def solve(problem):
        count.append(1)
        return jaxmpc.solve(problem, jnp.asarray(X0)).controls

    a, b = (solve(swing_problem(Swing(jnp.asarray(w)))) for w in (1.0, 2.0))
    assert len(count) == 1
    assert np.max(np.abs(a - b)) > 1e-2


def test_closed_over_values(swing):
    """Under jit, vmap and grad they are traced: not stale, not silently zero."""
    weights = jnp.array([1.0, 2.0])

    def loss(weight):
        solution = jaxmpc.solve(swing_problem(swing_dynamics(weight)), jnp.asarray(X0))
        return jnp.sum(solution.controls**2), solution.controls

    expected = [swing(w).controls for w in weights]
    slope = jax.jit(jax.grad(lambda w: jnp.sum(swing(w).controls ** 2)))
    jitted = jax.jit(jax.value_and_grad(loss, has_aux=True))
    for i, weight in enumerate(weights):
        (_, controls), gradient = jitted(weight)
        np.testing.assert_allclose(controls, expected[i], atol=1e-12)
        np.testing.assert_allclose(gradient, slope(weight), rtol=1e-10)
    lanes = jax.jit(jax.vmap(jax.value_and_grad(loss, has_aux=True)))
    (_, batched), gradients = lanes(weights)
    np.testing.assert_allclose(batched, np.stack(expected), atol=1e-12)
    np.testing.assert_allclose(gradients, [slope(w) for w in weights], rtol=1e-10)
    assert abs(slope(weights[0])) > 1e-3


# --- The iteration table ---


def test_verbose_prints_a_table(capsys):
    problem = swing_problem(swing_dynamics(2.0))
    solution = jaxmpc.solve(problem, jnp.asarray(X0), solver=ILQR(verbose=True))
    jax.effects_barrier()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + solution.iterations  # a header, and one more row than steps
    for word in ("iteration", "cost", "stationarity", "step size", "mu"):
        assert word in lines[0]
    np.testing.assert_allclose(float(lines[-1].split()[1]), solution.cost, rtol=1e-8)


def test_a_table_that_is_not_asked_for_is_compiled_out(capsys):
    problem = swing_problem(swing_dynamics(2.0))

    def program(verbose):
        solver = ILQR(verbose=verbose)
        return str(jax.make_jaxpr(lambda x0: jaxmpc.solve(problem, x0, solver=solver))(X0))

    assert "callback" not in program(False)
    assert "callback" in program(True)
    jaxmpc.solve(problem, X0)
    jax.effects_barrier()
    assert capsys.readouterr().out == ""
