"""Gradients of solutions against central differences of problems solved again, to rounding."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest
import reference
from jax.flatten_util import ravel_pytree

import jaxmpc
from jaxmpc import ILQR, ImplicitAdjoint, integrators, models

T, BATCH = 20, 3
TIGHT = ILQR(tolerance=1e-11)


class Theta(NamedTuple):
    """All that the gradients are with respect to; x0 is [B, n], the bounds are [T, m]."""

    x0: jax.Array
    dynamics: dict
    cost: dict
    lower: jax.Array
    upper: jax.Array


OUTPUTS = ("states", "controls", "cost", "costates", "multipliers")


def paper_problem(model, lower, upper):
    def cost(x, u, t, params):
        return models.diagonal_cost(x, u, params["q"], params["p"])

    return jaxmpc.Problem(
        integrators.discrete(model), cost, horizon=T, control_dim=1, control_bounds=(lower, upper)
    )


def outputs(model, theta, guesses, solver, adjoint=ImplicitAdjoint()):
    """Every differentiable part of the solutions [B, ...], and the solutions themselves."""
    problem = paper_problem(model, theta.lower, theta.upper)
    params = {**theta.dynamics, **theta.cost}

    def solve(x0, guess):
        return jaxmpc.solve(problem, x0, params, controls=guess, solver=solver, adjoint=adjoint)

    solution = jax.vmap(solve)(theta.x0, guesses)
    return {name: getattr(solution, name) for name in OUTPUTS}, solution


def build_theta(name, dtype=np.float64):
    """Starts whose bounds are active, and none of them weakly; bounds inside the model's clip."""
    if name == "pendulum":
        angle, rate = np.array([-1.262, 1.321, 1.491]), np.array([-0.785, 0.652, 0.555])
        x0 = np.stack([np.cos(angle), np.sin(angle), rate], axis=1)
        dynamics, cost, limit = models.PENDULUM, models.PENDULUM_COST, 1.5
    else:
        angle, rate = np.array([-0.365, 0.508, 0.768]), np.array([-0.973, 0.216, -0.877])
        cart = np.array([[-0.06, 0.156], [-0.5, -0.017], [0.117, 0.436]])
        x0 = np.column_stack([cart, np.cos(angle), np.sin(angle), rate])
        dynamics, cost, limit = models.CARTPOLE, models.CARTPOLE_COST, 8.0
    lower = -limit - 0.05 * np.sin(np.arange(T))[:, None]
    theta = Theta(x0, dict(dynamics), {k: np.array(v) for k, v in cost.items()}, lower, -lower)
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), theta)


class Check(NamedTuple):
    """A problem at hand: its functions, compiled once, and its Jacobian by differences."""

    theta: Theta
    solution: jaxmpc.Solution
    jacobian: dict  # of each output: [len(theta), *output.shape]
    gradient: object  # (theta, weights, guesses) -> Theta
    model: object


@functools.cache
def check(name) -> Check:
    model, theta = getattr(models, name), build_theta(name)
    flat, unravel = ravel_pytree(theta)
    solve = jax.jit(functools.partial(outputs, model, solver=TIGHT))
    zeros = jnp.zeros((BATCH, T, 1))
    _, base = solve(theta, zeros)
    active = (base.multipliers.lower > 0) | (base.multipliers.upper > 0)
    assert 0.1 < np.mean(active) < 0.9  # or the test would not test active bounds

    @jax.jit
    @functools.partial(jax.vmap, in_axes=0)
    def perturbed(point):
        result, solution = outputs(model, unravel(point), base.controls, TIGHT)
        same = (solution.multipliers.lower > 0) | (solution.multipliers.upper > 0)
        ok = jnp.all(same == active) & (jnp.max(solution.residuals.largest()) < 1e-10)
        return result, ok

    def evaluate(points):
        result, ok = perturbed(jnp.asarray(points))
        assert np.all(ok)  # else the differences straddle a kink, or are not solved tightly
        return np.concatenate([ravel_rows(result[name]) for name in OUTPUTS], axis=1)

    # Fourth-order differences with these steps are good to some 1e-8: an error of 1e-11 in the
    # solutions over the smaller steps, and a truncation of h^4 with the larger ones.
    steps = np.where(flat == 0, 1e-5, 5e-4 * np.abs(flat))
    flat_jacobian = reference.central_difference(evaluate, flat, steps)
    jacobian, start = {}, 0
    for output in OUTPUTS:
        size = ravel_pytree(getattr(base, output))[0].size
        jacobian[output] = flat_jacobian[:, start : start + size]
        start += size
    return Check(theta, base, jacobian, jax.jit(gradient_of(model, ILQR(tolerance=1e-10))), model)


def ravel_rows(tree):
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]
    return np.concatenate([leaf.reshape(len(leaf), -1) for leaf in leaves], axis=1)


def gradient_of(model, solver, adjoint=ImplicitAdjoint()):
    def loss(theta, weights, guesses):
        result, _ = outputs(model, theta, guesses, solver, adjoint)
        return sum(jnp.vdot(weights[k], ravel_pytree(result[k])[0]) for k in OUTPUTS)

    return jax.grad(loss)


def weights_for(at: Check, chosen):
    rng = np.random.default_rng(1)
    sizes = {name: ravel_pytree(getattr(at.solution, name))[0].size for name in OUTPUTS}
    drawn = {name: rng.standard_normal(size) for name, size in sizes.items()}
    return {name: jnp.asarray(w if name in chosen else 0 * w) for name, w in drawn.items()}


def blocks(theta):
    """One vector for each thing that the gradient is with respect to."""
    parts = {"x0": theta.x0, "lower": theta.lower, "upper": theta.upper}
    parts |= {**theta.dynamics, **theta.cost}
    return {name: np.ravel(part) for name, part in parts.items()}


def assert_agree(gradient, expected, rtol):
    """Relative to the largest entry of each block, so that no small block hides."""
    for name, wanted in blocks(expected).items():
        size = np.max(np.abs(wanted))
        assert size > 0
        np.testing.assert_allclose(
            blocks(gradient)[name], wanted, rtol=0, atol=rtol * size, err_msg=name
        )


ALL = (*tuple((name,) for name in OUTPUTS), OUTPUTS)


@pytest.mark.parametrize("chosen", ALL, ids=lambda c: c[0] if len(c) == 1 else "all")
@pytest.mark.parametrize("name", ["pendulum", "cartpole"])
def test_gradient(name, chosen):
    """The issue's measure: 1e-6 relative in float64, active bounds, T = 20, a batch of 3."""
    at = check(name)
    weights = weights_for(at, chosen)
    gradient = at.gradient(at.theta, weights, jnp.zeros((BATCH, T, 1)))
    differences = sum(at.jacobian[k] @ np.asarray(weights[k]) for k in OUTPUTS)
    assert_agree(gradient, ravel_pytree(at.theta)[1](jnp.asarray(differences)), 1e-6)


@pytest.mark.parametrize("name", ["pendulum", "cartpole"])
def test_gradient_in_float32(name):
    """1e-3 relative, against differences in float64.

    Solved to 1e-5: at the default of 1e-4 the controls of the pendulum, which cost 0.001 u^2,
    are themselves 1e-2 off, and its gradient 3e-3.
    """
    at = check(name)
    weights = weights_for(at, OUTPUTS)
    single = jax.tree.map(lambda leaf: leaf.astype(np.float32), (at.theta, weights))
    zeros = jnp.zeros((BATCH, T, 1), np.float32)
    gradient = jax.jit(gradient_of(at.model, ILQR(tolerance=1e-5)))(*single, zeros)
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(gradient))
    differences = sum(at.jacobian[k] @ np.asarray(weights[k]) for k in OUTPUTS)
    assert_agree(gradient, ravel_pytree(at.theta)[1](jnp.asarray(differences)), 1e-3)


def test_scalar_and_per_control_bounds():
    """A bound that is broadcast gathers the cotangents of all the stages that it bounds."""
    model, theta = models.pendulum, build_theta("pendulum")

    def loss(lower, upper):
        moved = theta._replace(lower=lower, upper=upper)
        result, _ = outputs(model, moved, jnp.zeros((BATCH, T, 1)), ILQR(tolerance=1e-10))
        return jnp.sum(jnp.sin(jnp.arange(BATCH * T)) * result["controls"].ravel())

    low, high = jnp.asarray(-1.5), jnp.asarray(1.4)
    full = jax.jit(jax.grad(loss, (0, 1)))(jnp.full((T, 1), low), jnp.full((T, 1), high))
    for shape in ((), (1,)):
        gradient = jax.jit(jax.grad(loss, (0, 1)))(low.reshape(shape), high.reshape(shape))
        for part, whole in zip(gradient, full, strict=True):
            assert part.shape == shape
            assert abs(np.sum(whole)) > 1e-3
            np.testing.assert_allclose(np.sum(part), np.sum(whole), rtol=1e-9)


def test_feedback_gain_is_the_derivative_of_the_first_control():
    at = check("cartpole")
    first = np.asarray(at.jacobian["controls"]).reshape(-1, BATCH, T)[: BATCH * 5]
    for i in range(BATCH):
        expected = first[5 * i : 5 * (i + 1), i, 0]
        np.testing.assert_allclose(at.solution.gains.feedback[i, 0, 0], expected, atol=1e-6)


def test_the_gauss_newton_adjoint_is_another_gradient():
    """What the 2018 paper does: on the cart-pole it is not the gradient of the solution."""
    at = check("cartpole")
    weights = weights_for(at, ("controls",))
    adjoint = ImplicitAdjoint(hessian="gauss_newton")
    gradient = jax.jit(gradient_of(at.model, ILQR(tolerance=1e-10), adjoint))
    approximate = gradient(at.theta, weights, jnp.zeros((BATCH, T, 1)))
    exact = at.gradient(at.theta, weights, jnp.zeros((BATCH, T, 1)))
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(approximate))
    for name in ("length", "masspole"):
        ratio = approximate.dynamics[name] / exact.dynamics[name]
        assert abs(ratio - 1) > 0.02


def test_the_gauss_newton_adjoint_is_exact_without_curvature():
    case = problems.load("batched_lqr_box")

    def loss(params, adjoint):
        solution = jaxmpc.solve(case.problem, case.x0[0], params, adjoint=adjoint)
        return jnp.sum(jnp.sin(jnp.arange(80.0)) * solution.controls.ravel())

    gradient = jax.jit(jax.grad(loss), static_argnums=1)
    exact = gradient(case.params, ImplicitAdjoint())
    other = gradient(case.params, ImplicitAdjoint(hessian="gauss_newton"))
    for name in case.params:
        assert np.max(np.abs(exact[name])) > 0
        np.testing.assert_allclose(other[name], exact[name], rtol=1e-9, atol=1e-9)


# --- The cart-pole of acados: numbers that four other programs agree on ---


@pytest.fixture(scope="module")
def acados():
    case = problems.load("cartpole_acados")

    def first_control(x0, params, guess):
        solver = ILQR(tolerance=1e-9)
        solution = jaxmpc.solve(case.problem, x0, params, controls=guess, solver=solver)
        return solution.controls[0, 0], solution

    cold = jaxmpc.solve(case.problem, case.x0, case.params)
    assert abs(cold.cost - 6216.178632646) < 1e-4
    gradient = jax.jit(jax.value_and_grad(first_control, (0, 1), has_aux=True))
    return gradient(jnp.asarray(case.x0), case.params, cold.controls)


@pytest.mark.slow
def test_acados_cartpole(acados):
    (_, solution), (d_x0, d_params) = acados
    assert solution.converged
    assert np.sum(np.abs(solution.controls) == 20) == 26
    # They are listed with six decimals (q_theta with six digits).
    np.testing.assert_allclose(d_x0, problems.CARTPOLE_DU0_DX0, rtol=0, atol=2e-6)
    for name, expected in problems.CARTPOLE_DU0_DPARAMS.items():
        atol = 1e-9 if name == "q_theta" else 2e-6
        np.testing.assert_allclose(d_params[name], expected, rtol=0, atol=atol, err_msg=name)


@pytest.mark.slow
def test_forward_mode_agrees_on_the_acados_cartpole(acados):
    (_, solution), (d_x0, d_params) = acados
    case = problems.load("cartpole_acados")
    rng = np.random.default_rng(0)
    x_dot = rng.standard_normal(4)
    p_dot = {name: float(v) * rng.standard_normal() for name, v in case.params.items()}
    forward = jax.jit(jaxmpc.solution_jvp)
    tangent = forward(case.problem, jnp.asarray(case.x0), case.params, solution, (x_dot, p_dot))
    expected = d_x0 @ x_dot + sum(d_params[name] * p_dot[name] for name in p_dot)
    np.testing.assert_allclose(tangent.controls[0, 0], expected, rtol=1e-9)


# --- Angles ---


@pytest.mark.parametrize("angle", [0.0, np.pi, -np.pi], ids=["upright", "hanging", "seam"])
def test_a_pendulum_at_rest(angle):
    """At an equilibrium, and at atan2's seam (sin = +-0, cos = -1): equal to differences.

    The pendulum is periodic in its angle, so the seam of atan2 is none of its own. The
    differences move the starts along the circle, across the seam, and in velocity.
    """
    theta, wide = build_theta("pendulum"), jnp.full((T, 1), 40.0)
    weights = jnp.asarray(np.random.default_rng(2).standard_normal((BATCH, T, 1)))
    # Hanging at rest there are two equal minima: all of the solves take the same one.
    push = jnp.ones((BATCH, T, 1))

    def controls(moves, guesses):
        angles = angle + moves[:BATCH]
        x0 = jnp.stack([jnp.cos(angles), jnp.sin(angles), moves[BATCH:]], axis=1)
        moved = theta._replace(x0=x0, lower=-wide, upper=wide)
        return outputs(unclipped_pendulum, moved, guesses, TIGHT)[0]["controls"]

    zero = jnp.zeros(2 * BATCH)
    base = jax.jit(controls)(zero, push)

    def loss(moves):
        return jnp.vdot(weights, controls(moves, base))

    gradient = jax.jit(jax.grad(loss))(zero)
    differences = reference.central_difference(jax.jit(jax.vmap(loss)), zero, 1e-4)
    assert np.max(np.abs(differences)) > 1e-3
    size = np.max(np.abs(differences))
    np.testing.assert_allclose(gradient, differences, rtol=0, atol=1e-6 * size)


def unclipped_pendulum(x, u, params):
    theta = jnp.arctan2(x[1], x[0])
    swing = 3 * params["gravity"] / (2 * params["length"]) * jnp.sin(theta)
    velocity = x[2] + 0.05 * (swing + 3 * u[0] / (params["mass"] * params["length"] ** 2))
    return models.pendulum_state(theta + 0.05 * velocity, velocity)


@pytest.mark.parametrize("bounds", [None, (-0.3, 0.3)])
def test_batches_of_linear_systems(bounds):
    """Their Jacobians are constants that the batch shares, and only offsets differ."""
    problem = jaxmpc.Problem(
        lambda x, u, t, p: x + 0.1 * u + 0.01 * p,
        lambda x, u, t, p: x @ x + u @ u,
        horizon=3,
        control_dim=2,
        control_bounds=bounds,
    )
    starts = jnp.array([[1.0, 1.0], [2.0, -1.0], [-4.0, 3.0], [0.1, 0.0]])
    offsets = 10.0 * starts[::-1]

    def total(solve, offsets):
        return jnp.sum(solve(starts, offsets).controls ** 2)

    def alone(x0, offset):
        return jnp.sum(jaxmpc.solve(problem, x0, offset).controls ** 2)

    expected = [jax.grad(alone, 1)(*pair) for pair in zip(starts, offsets, strict=True)]
    many = jax.vmap(lambda x0, offset: jaxmpc.solve(problem, x0, offset))
    for solve in (many, lambda *given: jaxmpc.solve_batch(problem, *given, params_axes=0)):
        found = jax.jit(jax.grad(total, 1), static_argnums=0)(solve, offsets)
        np.testing.assert_allclose(found, np.stack(expected), rtol=1e-9, atol=1e-12)
    assert np.max(np.abs(expected)) > 1e-3
