"""The KKT system of a problem at a point: its Lagrangian, its LQ form, its active constraints."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from jaxmpc.adjoint import ImplicitAdjoint
from jaxmpc.lq.constrained import constrained_factor, solve_rows
from jaxmpc.lq.problem import LQProblem
from jaxmpc.lq.rows import Jacobian, Rows
from jaxmpc.problem import Problem, terminal_cost
from jaxmpc.solution import Gains, Multipliers
from jaxmpc.trajectory import bound_multipliers, lagrangian_hessian, linearize
from jaxmpc.trajectory.constraints import (
    equalities,
    equality_jacobian,
    inequalities,
    inequality_jacobian,
    join,
    split,
    without_control_bounds,
)
from jaxmpc.trajectory.row_kinds import present

Theta = tuple[Problem, Float[Array, " n"], PyTree]  # everything that a solution depends on


class KKTPoint(NamedTuple):
    """Trajectory, costates, and the multipliers of all constraints but the control bounds.

    Those of the control bounds follow from stationarity.
    """

    states: Float[Array, "T1 n"]
    controls: Float[Array, "T m"]
    costates: Float[Array, "T1 n"]
    inequality: Rows
    equality: Rows


def point_from(theta: Theta, states, controls, costates, multipliers: Multipliers) -> KKTPoint:
    """The KKT point of a solution's fields."""
    problem, x0, params = theta
    rows = join(without_control_bounds(problem), x0, params, multipliers._asdict())
    equality = Rows(multipliers.stage_equality, multipliers.terminal_equality)
    return KKTPoint(states, controls, costates, rows, equality)


def lagrangian(theta: Theta, states, controls, costates, inequality, equality):
    """cost + sum_t lambda_{t+1} . (f(x_t, u_t) - x_{t+1}) + lambda_0 . (x0 - x_0) + the rows'.

    Without the control bounds.
    """
    problem, x0, params = theta
    times = jnp.arange(problem.horizon)

    def stage(x, u, t, costate, x_next):
        defect = problem.dynamics(x, u, t, params) - x_next
        return problem.stage_cost(x, u, t, params) + jnp.dot(costate, defect)

    total = jnp.sum(jax.vmap(stage)(states[:-1], controls, times, costates[1:], states[1:]))
    total = total + terminal_cost(problem, states[-1], params) + costates[0] @ (x0 - states[0])
    rows = inequalities(without_control_bounds(problem), states, controls, params)
    total += sum(jnp.sum(y * g) for y, g in zip(inequality, rows, strict=True))
    rows = equalities(problem, states, controls, params)
    return total + sum(jnp.sum(y * h) for y, h in zip(equality, rows, strict=True))


def quadratic_model(adjoint: ImplicitAdjoint, theta: Theta, point: KKTPoint) -> LQProblem:
    """The LQ problem whose KKT matrix is that of the problem at a point; linear terms zero."""
    problem, x0, params = theta
    states, controls, costates, inequality, equality = point
    n = states.shape[1]
    if adjoint.hessian != "exact":
        nothing = jax.tree.map(jnp.zeros_like, (costates, inequality, equality))
        costates, inequality, equality = nothing
    other = without_control_bounds(problem)
    stages, terminal = lagrangian_hessian(
        other, states, controls, costates, params, inequality, equality
    )
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


class ActiveRows(NamedTuple):
    """Which rows hold with equality at a point, and their derivatives (zero for the others)."""

    inequality: Rows  # of booleans
    equality: Rows  # of booleans
    jacobian: Jacobian  # inequalities first


def active_rows(theta: Theta, point: KKTPoint) -> ActiveRows:
    """Decide by multiplier and distance: an inequality is active if the first is the larger."""
    problem, x0, params = theta
    problem = without_control_bounds(problem)
    states, controls, _, z, _ = point
    present_g, present_h = present(problem, x0, params)
    rows = inequalities(problem, states, controls, params)
    inequality = Rows(*(p & (y > -g) for p, y, g in zip(present_g, z, rows, strict=True)))
    J_g = inequality_jacobian(problem, states, controls, params)
    J_h = equality_jacobian(problem, states, controls, params)
    stage = jnp.concatenate([inequality.stage, present_h.stage], axis=1)
    last = jnp.concatenate([inequality.terminal, present_h.terminal])
    jacobian = Jacobian(
        jnp.where(stage[:, :, None], jnp.concatenate([J_g.stage, J_h.stage], axis=1), 0.0),
        jnp.where(last[:, None], jnp.concatenate([J_g.terminal, J_h.terminal]), 0.0),
    )
    return ActiveRows(inequality, Rows(*present_h), jacobian)


def stacked(active: ActiveRows, inequality: Rows, equality: Rows) -> Rows:
    """The values of active rows, as the rows of `active.jacobian`."""
    stage, last = (
        [jnp.where(mask, rows, 0.0) for mask, rows in zip(masks, values, strict=True)]
        for masks, values in (
            (
                (active.inequality.stage, active.equality.stage),
                (inequality.stage, equality.stage),
            ),
            (
                (active.inequality.terminal, active.equality.terminal),
                (inequality.terminal, equality.terminal),
            ),
        )
    )
    return Rows(jnp.concatenate(stage, axis=1), jnp.concatenate(last))


def unstacked(active: ActiveRows, rows: Rows) -> tuple[Rows, Rows]:
    """The inverse of `stacked`."""
    p, e = active.inequality.stage.shape[1], active.inequality.terminal.shape[0]
    stacked_masks = (
        jnp.concatenate([active.inequality.stage, active.equality.stage], axis=1),
        jnp.concatenate([active.inequality.terminal, active.equality.terminal]),
    )
    stage, last = (jnp.where(m, r, 0.0) for m, r in zip(stacked_masks, rows, strict=True))
    return Rows(stage[:, :p], last[:e]), Rows(stage[:, p:], last[e:])


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
    controls = point.controls
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
    """The multipliers of all constraints at a point."""
    problem, x0, params = theta
    gradient = lagrangian_control_gradient(theta, point)
    lower, upper = bound_multipliers(gradient, point.controls, *problem.limits(x0.dtype))
    parts = split(without_control_bounds(problem), x0, params, point.inequality)
    nothing = jnp.zeros_like(point.states[1:])
    return Multipliers(
        lower=lower,
        upper=upper,
        state_lower=parts.get("state_lower", nothing),
        state_upper=parts.get("state_upper", nothing),
        stage_inequality=parts.get("stage_inequality", nothing[:, :0]),
        stage_equality=point.equality.stage,
        terminal_inequality=parts.get("terminal_inequality", nothing[0, :0]),
        terminal_equality=point.equality.terminal,
    )


def gains(adjoint: ImplicitAdjoint, theta: Theta, point: KKTPoint) -> Gains:
    """The Newton step that remains at a point, and its feedback through the free controls.

    Zero where the Hessian is not positive definite on the free controls.
    """
    model = quadratic_model(adjoint, theta, point)
    free = active_bounds(adjoint, theta, point, model).free
    rows = active_rows(theta, point)
    matrices = constrained_factor(model, rows.jacobian, free)
    gradient = lagrangian_control_gradient(theta, point)
    zeros = stacked(rows, *jax.tree.map(jnp.zeros_like, (point.inequality, point.equality)))
    held = jnp.zeros_like(point.controls)
    linear = model._replace(r=jnp.where(free, gradient, 0.0))
    step, _ = solve_rows(linear, rows.jacobian, zeros, matrices, held)
    convex = matrices.is_convex()
    return Gains(
        feedforward=jnp.where(convex, step.feedforward, 0.0),
        feedback=jnp.where(convex, step.feedback, 0.0),
    )
