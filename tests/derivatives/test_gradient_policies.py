"""Gradients beyond the plain one: second order, failures, kinks, large networks, training."""

import functools

import equinox as eqx
import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import reference
from jax.flatten_util import ravel_pytree

import jaxmpc
from jaxmpc import ILQR, ImplicitAdjoint, Status, UnrolledAdjoint

T = 10
TIGHT = ILQR(tolerance=1e-12)


def dynamics(x, u, t, params):
    gravity = params["gravity"] * jnp.sin(x[0])
    return x + 0.1 * jnp.stack([x[1], gravity + u[0]])


def cost(x, u, t, params):
    return params["weight"] * jnp.sum(x**2) + 0.1 * u[0] ** 2 + 0.01 * u[0] ** 4


def terminal_cost(x, params):
    return 5.0 * jnp.sum(x**2)


def problem_with(lower, upper):
    return jaxmpc.Problem(
        dynamics,
        cost,
        terminal_cost,
        horizon=T,
        control_dim=1,
        control_bounds=(lower, upper),
    )


X0 = np.array([1.0, 0.5])
PARAMS = {"gravity": jnp.asarray(3.0), "weight": jnp.asarray(1.0)}


def controls_of(x0, params, lower=-3.0, **options):
    return jaxmpc.solve(problem_with(lower, 5.0), x0, params, **options).controls


# --- Second order ---


def flat_loss(flat):
    """Of (x0, gravity, weight, lower bound): some controls are at the bound, none weakly."""
    params = {"gravity": flat[2], "weight": flat[3]}
    controls = controls_of(flat[:2], params, flat[4], solver=TIGHT)
    return jnp.sum(jnp.cos(jnp.arange(T)) * controls[:, 0])


@pytest.fixture(scope="module")
def second_order():
    flat = jnp.array([1.0, 0.5, 3.0, 1.0, -3.0])
    controls = controls_of(flat[:2], PARAMS, solver=TIGHT)
    assert 1 <= np.sum(controls == -3.0) <= T - 2
    gradient = jax.jit(jax.grad(flat_loss))
    batched = jax.jit(jax.vmap(jax.grad(flat_loss)))
    # Fourth-order differences of gradients that are good to about 1e-11.
    return flat, gradient, reference.central_difference(batched, flat, 1e-3)


def test_gradient_of_the_small_problem(second_order):
    flat, gradient, _ = second_order
    differences = reference.central_difference(jax.jit(jax.vmap(flat_loss)), flat, 1e-3)
    np.testing.assert_allclose(gradient(flat), differences, rtol=1e-7, atol=1e-8)


def test_jacrev_of_grad(second_order):
    """Sign and value of every second derivative, bounds included."""
    flat, _, differences = second_order
    hessian = jax.jit(jax.jacrev(jax.grad(flat_loss)))(flat)
    assert np.min(np.abs(differences[:4, :4])) > 1e-3  # no entry is right by being zero
    np.testing.assert_allclose(hessian, differences, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-8)


def test_grad_of_grad(second_order):
    flat, _, differences = second_order

    def along(scale):
        return flat_loss(flat.at[2].set(scale))

    second = jax.jit(jax.grad(jax.grad(along)))(flat[2])
    np.testing.assert_allclose(second, differences[2, 2], rtol=1e-6)


def scalar_problem(bounds):
    """S1 of PROBLEMS.md: one control, min (u - theta^2)^2."""
    return jaxmpc.Problem(
        lambda x, u, t, theta: x + u,
        lambda x, u, t, theta: jnp.sum((u - theta**2) ** 2),
        horizon=1,
        control_dim=1,
        control_bounds=bounds,
    )


def scalar_control(theta, bounds=(-1.0, 1.0), **options):
    return jaxmpc.solve(scalar_problem(bounds), jnp.zeros(1), theta, **options).controls[0, 0]


def test_s1_and_its_second_derivative():
    slope = jax.jit(jax.vmap(jax.grad(scalar_control)))
    theta = jnp.array([0.3, -0.7, 1.2])
    np.testing.assert_allclose(slope(theta), [0.6, -1.4, 0.0], atol=1e-12)
    second = jax.jit(jax.vmap(jax.grad(jax.grad(scalar_control))))
    np.testing.assert_allclose(second(theta), [2.0, 2.0, 0.0], atol=1e-12)


# --- Kinks (smoothing: see test_smoothing.py) ---


def test_a_weakly_active_bound_gives_a_one_sided_gradient():
    gradient = jax.jit(jax.grad(scalar_control))(jnp.asarray(1.0))
    assert min(abs(gradient - 0.0), abs(gradient - 2.0)) < 1e-12


# --- Elements that did not converge ---


def assert_close(actual, expected, rtol):
    """Equal to rounding (rtol), also where an entry is zero."""

    def check(a, b):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-12)

    jax.tree.map(check, actual, expected)


def losses(adjoint, solver=None):
    def loss(x0s, params):
        solve = functools.partial(controls_of, adjoint=adjoint, solver=solver)
        return jnp.sum(jax.vmap(solve, (0, None))(x0s, params) ** 2)

    return jax.jit(jax.grad(loss, (0, 1)))


STARTS = jnp.array([[1.0, 0.5], [-0.4, 0.2], [0.7, -1.0]])


def test_shared_parameters_gather_the_gradients_of_a_batch():
    """The gradient of a vmapped sum is the sum of the gradients, not a multiple of it."""

    def loss(params, lower, x0):
        return jnp.sum(controls_of(x0, params, lower) ** 2)

    gradient = jax.jit(jax.grad(loss, (0, 1)))
    lower = jnp.full((T, 1), -3.0)
    alone = [gradient(PARAMS, lower, x0) for x0 in STARTS]

    def summed(params, lower):
        return jnp.sum(jax.vmap(loss, (None, None, 0))(params, lower, STARTS))

    together = jax.jit(jax.grad(summed, (0, 1)))(PARAMS, lower)
    expected = jax.tree.map(lambda *leaves: sum(leaves), *alone)
    assert_close(together, expected, rtol=1e-9)


@pytest.mark.parametrize("policy", ["zero", "nan"])
def test_a_failed_element_in_a_batch(policy):
    gradient = losses(ImplicitAdjoint(on_failure=policy))
    good_x0, good_params = gradient(STARTS[jnp.array([0, 2])], PARAMS)
    x0, params = gradient(STARTS.at[1, 0].set(jnp.nan), PARAMS)
    np.testing.assert_allclose(x0[jnp.array([0, 2])], good_x0, rtol=1e-9)
    if policy == "zero":  # parameters that all elements share are not poisoned by one
        np.testing.assert_array_equal(x0[1], 0.0)
        assert_close(params, good_params, rtol=1e-9)
    else:
        assert np.all(np.isnan(x0[1]))
        assert all(np.isnan(leaf) for leaf in jax.tree.leaves(params))


def test_starved_elements_by_policy():
    solver = ILQR(max_iterations=1)
    solution = jaxmpc.solve(problem_with(-3.0, 5.0), STARTS[0], PARAMS, solver=solver)
    assert solution.status == Status.max_iterations
    zero = losses(ImplicitAdjoint(), solver)(STARTS, PARAMS)
    nan = losses(ImplicitAdjoint(on_failure="nan"), solver)(STARTS, PARAMS)
    keep = losses(ImplicitAdjoint(on_failure="keep"), solver)(STARTS, PARAMS)
    assert all(np.all(leaf == 0) for leaf in jax.tree.leaves(zero))
    assert all(np.all(np.isnan(leaf)) for leaf in jax.tree.leaves(nan))
    assert all(np.all(np.isfinite(leaf) & (leaf != 0)) for leaf in jax.tree.leaves(keep))


# --- Other adjoints and arguments ---


def test_unrolled_agrees_at_convergence():
    def loss(params, x0, adjoint):
        return jnp.sum(controls_of(x0, params, -30.0, adjoint=adjoint) ** 2)

    gradient = jax.jit(jax.grad(loss, (0, 1)), static_argnums=2)
    implicit = gradient(PARAMS, jnp.asarray(X0), ImplicitAdjoint())
    unrolled = gradient(PARAMS, jnp.asarray(X0), UnrolledAdjoint(12))
    # Newton's last step squares the error of the derivative too: 1e-8 is left at most.
    assert_close(unrolled, implicit, rtol=1e-6)


def test_unrolled_too_short_says_so():
    adjoint = UnrolledAdjoint(2)
    solution = jaxmpc.solve(problem_with(-3.0, 5.0), X0, PARAMS, adjoint=adjoint)
    assert solution.status == Status.max_iterations
    assert not solution.converged
    verdict = reference.kkt(problem_with(-3.0, 5.0), X0, PARAMS, solution.states, solution.controls)
    expected = reference.stationarity_in_scales(problem_with(-3.0, 5.0), verdict, solution)
    np.testing.assert_allclose(solution.residuals.stationarity, expected, rtol=1e-6)


def test_guesses_have_zero_cotangents():
    warm = jaxmpc.solve(problem_with(-3.0, 5.0), X0, PARAMS)
    assert warm.converged

    def loss(controls, states, warm):
        problem = problem_with(-3.0, 5.0)
        guessed = jaxmpc.solve(problem, X0, PARAMS, controls=controls, states=states)
        warmed = jaxmpc.solve(problem, X0, PARAMS, warm_start=warm)
        return jnp.sum(guessed.controls**2) + jnp.sum(warmed.controls**2)

    gradient = jax.jit(jax.grad(loss, (0, 1, 2), allow_int=True))
    for leaf in jax.tree.leaves(gradient(warm.controls, warm.states, warm)):
        assert leaf.dtype == jax.dtypes.float0 or np.all(leaf == 0)


def test_damping_shrinks_the_gradient():
    plain, damped = (
        losses(ImplicitAdjoint(damping=damping))(STARTS, PARAMS)[1]["gravity"]
        for damping in (0.0, 10.0)
    )
    assert abs(damped) < 0.5 * abs(plain)


# --- A network of 10,000 parameters in cost and dynamics, and training ---


def network_problem():
    def of_network(x, u, t, model):
        return x + 0.1 * model(jnp.concatenate([x, u]))[:2]

    def network_cost(x, u, t, model):
        learned = model(jnp.concatenate([x, u]))[2]
        return jnp.sum(x**2) + jnp.sum(u**2) + 0.1 * jnp.tanh(learned) ** 2

    return jaxmpc.Problem(
        of_network, network_cost, horizon=40, control_dim=1, control_bounds=(-1.0, 1.0)
    )


@pytest.fixture(scope="module")
def network():
    model = eqx.nn.MLP(3, 3, 96, 2, activation=jnp.tanh, key=jax.random.key(0))
    arrays, static = eqx.partition(model, eqx.is_array)
    flat, unravel = ravel_pytree(arrays)
    assert 9_000 < flat.size < 11_000

    def loss(flat):
        model = eqx.combine(unravel(flat), static)
        solution = jaxmpc.solve(network_problem(), jnp.asarray(X0), model, solver=TIGHT)
        return jnp.sum(solution.controls**2)

    return flat, loss


def test_gradient_of_a_network(network):
    flat, loss = network
    gradient = jax.jit(jax.grad(loss))(flat)
    rng = np.random.default_rng(0)
    directions = jnp.asarray(rng.standard_normal((3, flat.size)))
    along = jax.jit(jax.vmap(lambda s: jax.vmap(lambda d, s: loss(flat + s * d))(directions, s)))
    differences = reference.central_difference(along, np.zeros(3), 1e-5)
    np.testing.assert_allclose(directions @ gradient, np.diag(differences), rtol=1e-5)


def test_gradient_memory_grows_with_the_parameters_only(network):
    """No [T, n, parameters] Jacobian: neither compiled nor anywhere in the program."""
    flat, loss = network
    program = jax.jit(jax.grad(loss)).lower(flat)
    dense = 40 * 2 * flat.size * 8  # bytes of a Jacobian of the dynamics
    assert program.compile().memory_analysis().temp_size_in_bytes < dense / 2
    sizes = [v.aval.size for v in variables(jax.make_jaxpr(jax.grad(loss))(flat).jaxpr)]
    assert max(sizes) < 40 * flat.size


def variables(jaxpr):
    for equation in jaxpr.eqns:
        yield from (v for v in equation.outvars if hasattr(v.aval, "size"))
        for inner in jax.extend.core.jaxprs_in_params(equation.params):
            yield from variables(inner)


def test_training_in_a_jitted_optax_step():
    """Parameters are found again from the controls of an expert, through the solver."""
    expert = jax.jit(jax.vmap(controls_of, (0, None)))(STARTS, PARAMS)
    optimizer = optax.adam(0.1)
    params = {"gravity": jnp.full((), 1.5, float), "weight": jnp.full((), 2.0, float)}

    @jax.jit
    def step(params, state):
        def loss(params):
            return jnp.mean((jax.vmap(controls_of, (0, None))(STARTS, params) - expert) ** 2)

        value, gradient = jax.value_and_grad(loss)(params)
        with jax.numpy_dtype_promotion("standard"):  # Optax's own arithmetic asks for it
            updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state, value

    state, values = optimizer.init(params), []
    for _ in range(150):
        params, state, value = step(params, state)
        values.append(float(value))
    assert step._cache_size() == 1
    assert values[-1] < 1e-4 * values[0]
    for name, true in PARAMS.items():
        np.testing.assert_allclose(params[name], true, rtol=0.05)
