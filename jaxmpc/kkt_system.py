"""The KKT system of a problem at a point: its Lagrangian, its LQ form, its active bounds."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from jaxmpc.adjoint import ImplicitAdjoint
from jaxmpc.lq.problem import LQProblem
from jaxmpc.lq.riccati import factor, substitute
from jaxmpc.problem import Problem, terminal_cost
from jaxmpc.solution import Gains, Multipliers
from jaxmpc.trajectory import bound_multipliers, lagrangian_hessian, linearize

Theta = tuple[Problem, Float[Array, " n"], PyTree]  # everything that a solution depends on
KKTPoint = tuple[Float[Array, "T1 n"], Float[Array, "T m"], Float[Array, "T1 n"]]


def lagrangian(theta: Theta, states, controls, costates) -> Float[Array, ""]:
    """cost + sum_t lambda_{t+1} . (f(x_t, u_t) - x_{t+1}) + lambda_0 . (x0 - x_0), no bounds."""
    problem, x0, params = theta
    times = jnp.arange(problem.horizon)

    def stage(x, u, t, costate, x_next):
        defect = problem.dynamics(x, u, t, params) - x_next
        return problem.stage_cost(x, u, t, params) + jnp.dot(costate, defect)

    total = jnp.sum(jax.vmap(stage)(states[:-1], controls, times, costates[1:], states[1:]))
    return total + terminal_cost(problem, states[-1], params) + costates[0] @ (x0 - states[0])


def quadratic_model(adjoint: ImplicitAdjoint, theta: Theta, point: KKTPoint) -> LQProblem:
    """The LQ problem whose KKT matrix is that of the problem at a point; linear terms zero."""
    problem, x0, params = theta
    states, controls, costates = point
    n = states.shape[1]
    curved = costates if adjoint.hessian == "exact" else jnp.zeros_like(costates)
    stages, terminal = lagrangian_hessian(problem, states, controls, curved, params)
    A, B, _, _ = linearize(problem, states, controls, params)
    R = stages[:, n:, n:] + adjoint.damping * jnp.eye(problem.control_dim, dtype=x0.dtype)
    return LQProblem(
        Q=jnp.concatenate([stages[:, :n, :n], terminal[None]]),
        S=stages[:, n:, :n],
        R=R,
        q=jnp.zeros_like(states),
        r=jnp.zeros_like(controls),
        A=A,
        B=B,
        c=jnp.zeros_like(states[1:]),
        x0=jnp.zeros_like(x0),
    )


def lagrangian_control_gradient(theta: Theta, point: KKTPoint) -> Float[Array, "T m"]:
    """The Lagrangian's gradient in the controls; minus the signed multiplier of the bounds."""
    return jax.grad(lagrangian, 2)(theta, *point)


class Bounds(NamedTuple):
    """How the bounds enter the KKT matrix: which controls are free, and what the others follow.

    With smoothing every control is free and `upper_barrier`, `lower_barrier` are the weights
    that the central path adds to the Hessian.
    """

    free: Bool[Array, "T m"]
    lower_barrier: Float[Array, "T m"]
    upper_barrier: Float[Array, "T m"]


def active_bounds(
    adjoint: ImplicitAdjoint, theta: Theta, point: KKTPoint, model: LQProblem
) -> Bounds:
    """Decide by multiplier and distance: a bound is active where it is met and pushed against.

    A control that meets its bound with a multiplier of zero (a kink) counts as free.
    """
    problem, x0, _ = theta
    controls = point[1]
    lower, upper = problem.limits(x0.dtype)
    gradient = lagrangian_control_gradient(theta, point)
    multipliers = bound_multipliers(gradient, controls, lower, upper)
    zero = jnp.zeros_like(controls)
    if adjoint.smoothing == 0:
        active = (multipliers.lower > 0) | (multipliers.upper > 0) | (lower >= upper)
        return Bounds(~active, zero, zero)
    # In one dimension with curvature h the central path has  h s_k - kappa / s_k = h s - z,
    # where s and z are distance and multiplier at the solution.
    h = jnp.maximum(jnp.diagonal(model.R, axis1=1, axis2=2), jnp.finfo(x0.dtype).tiny)

    def barrier(distance, multiplier):
        shifted = h * jnp.where(jnp.isfinite(distance), distance, 0.0) - multiplier
        root = jnp.sqrt(shifted**2 + 4 * h * adjoint.smoothing)
        # The second form has no cancellation where the bound is strongly active.
        other = 4 * h * adjoint.smoothing / (root - shifted)
        smooth = jnp.where(shifted >= 0, shifted + root, other) / (2 * h)
        return jnp.where(jnp.isfinite(distance), adjoint.smoothing / smooth**2, 0.0)

    equal = lower >= upper
    return Bounds(
        ~equal,
        jnp.where(equal, 0.0, barrier(controls - lower, multipliers.lower)),
        jnp.where(equal, 0.0, barrier(upper - controls, multipliers.upper)),
    )


def bound_slope(
    theta: Theta, toward_lower: Float[Array, "T m"], toward_upper: Float[Array, "T m"]
) -> Float[Array, ""]:
    """sum toward_lower . lower + toward_upper . upper over finite bounds, as a function of them."""
    problem, x0, _ = theta
    lower, upper = (
        jnp.where(jnp.isfinite(bound), bound, 0.0) for bound in problem.limits(x0.dtype)
    )
    return jnp.sum(toward_lower * lower) + jnp.sum(toward_upper * upper)


def multipliers(theta: Theta, point: KKTPoint) -> Multipliers:
    """The multipliers of the control bounds at a point."""
    problem, x0, _ = theta
    gradient = lagrangian_control_gradient(theta, point)
    return bound_multipliers(gradient, point[1], *problem.limits(x0.dtype))


def gains(adjoint: ImplicitAdjoint, theta: Theta, point: KKTPoint) -> Gains:
    """The Newton step that remains at a point, and its feedback through the free controls.

    Zero where the Hessian is not positive definite on the free controls.
    """
    model = quadratic_model(adjoint, theta, point)
    free = active_bounds(adjoint, theta, point, model).free
    matrices = factor(model, free)
    gradient = lagrangian_control_gradient(theta, point)
    step = substitute(model._replace(r=jnp.where(free, gradient, 0.0)), matrices)
    convex = matrices.is_convex()
    return Gains(
        feedforward=jnp.where(convex, step.feedforward, 0.0),
        feedback=jnp.where(convex, step.feedback, 0.0),
    )
