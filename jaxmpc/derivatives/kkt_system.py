"""The KKT system of a problem at a point: its Lagrangian, its LQ form, its multipliers."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxmpc.derivatives.active_rows import ActiveRows, active_rows, row_terms
from jaxmpc.derivatives.adjoint import ImplicitAdjoint
from jaxmpc.derivatives.instance import Instance, KKTPoint
from jaxmpc.lq.constrained import constrained_factor, solve_rows
from jaxmpc.lq.problem import LQProblem
from jaxmpc.lq.riccati.choice import choose
from jaxmpc.lq.riccati.sequential import Factor
from jaxmpc.lq.rows import Jacobian, Rows
from jaxmpc.lq.small_linalg import stagewise_transposed
from jaxmpc.problem import terminal_cost
from jaxmpc.solution import Gains, Multipliers, Solution, multipliers_of_bounds
from jaxmpc.trajectory import BoundMultipliers, defect, derivatives, lq_model
from jaxmpc.trajectory.constraints import (
    multipliers_by_name,
    rows_of_multipliers,
    without_control_bounds,
)

_NEAR = 1e-2  # of its scale: the farthest that a control held by a bound may be from it


def point_of(instance: Instance, solution: Solution) -> KKTPoint:
    """The KKT point of a solution, or of what a solver returned."""
    general = without_control_bounds(instance.problem)
    rows = rows_of_multipliers(general, instance.x0, solution.multipliers)
    return KKTPoint(solution.states, solution.controls, solution.costates, rows)


def lagrangian(instance: Instance, states, controls, costates, rows: Rows):
    """cost + sum_t lambda_{t+1} . (f(x_t, u_t) - x_{t+1}) + lambda_0 . (x0 - x_0) + the rows'.

    Without the control bounds.
    """
    problem, x0, params, _ = instance
    times = problem.times

    def stage(x, u, t, costate, x_next):
        off = defect(problem, t, x, u, x_next, params)
        return problem.stage_cost(x, u, t, params) + jnp.dot(costate, off)

    total = jnp.sum(jax.vmap(stage)(states[:-1], controls, times, costates[1:], states[1:]))
    total = total + terminal_cost(problem, states[-1], params) + costates[0] @ (x0 - states[0])
    return total + row_terms(instance, KKTPoint(states, controls, costates, rows)).total


class KKTSystem(NamedTuple):
    """The KKT matrix of a problem at a point: an LQ problem, its free controls and active rows."""

    model: LQProblem  # its linear terms are zero
    free: Bool[Array, "T m"]
    rows: ActiveRows
    gradient: Float[Array, "T m"]  # the Lagrangian's in the controls
    bounds: BoundMultipliers  # those of the control bounds
    jacobian: Jacobian  # of all rows


def system_at(adjoint: ImplicitAdjoint, instance: Instance, point: KKTPoint) -> KKTSystem:
    """Expand the Lagrangian, all functions in one pass, and decide what is active."""
    problem, _, params, _ = instance
    states, controls, costates, rows = point
    terms = row_terms(instance, point)
    multipliers = rows.unflat(terms.multipliers)
    duals = (costates, multipliers) if adjoint.hessian == "exact" else None
    along = derivatives(without_control_bounds(problem), states, controls, params, duals)
    active = active_rows(instance, point, terms, along.rows)
    stages, terminal = along.cost
    if along.curvature is not None:
        stages, terminal = stages + along.curvature.stages, terminal + along.curvature.terminal
    if problem.soft is not None:
        soft_stages, soft_terminal = active.curvature
        stages, terminal = stages + soft_stages, terminal + soft_terminal
    linear = along.linearization
    gradient = linear.r + stagewise_transposed(linear.B, costates[1:])
    gradient += along.rows.transposed_times(multipliers)[0][:, costates.shape[1] :]
    linear = linear._replace(q=jnp.zeros_like(states), r=jnp.zeros_like(controls))
    model = lq_model(linear, stages, terminal, jnp.zeros_like(states[1:]))
    damping = jnp.asarray(adjoint.damping, states.dtype)
    damping = damping * jnp.eye(problem.control_dim, dtype=states.dtype)
    bounds = _active_bounds(instance, controls, gradient)
    return KKTSystem(
        model=model._replace(R=model.R + damping[None]),
        free=_free(instance, bounds, controls.dtype),
        rows=active,
        gradient=gradient,
        bounds=bounds,
        jacobian=along.rows,
    )


def factor_of(
    adjoint: ImplicitAdjoint, model: LQProblem, rows: Jacobian, free: Bool[Array, "T m"]
) -> Factor:
    """The factor of the KKT matrix, by the recursion that the adjoint asks for."""
    horizon, m, n = model.S.shape
    return constrained_factor(model, rows, free, choose(adjoint.riccati, horizon, n, m))


def lagrangian_control_gradient(instance: Instance, point: KKTPoint) -> Float[Array, "T m"]:
    """The Lagrangian's gradient in the controls; minus the signed multiplier of the bounds."""
    return jax.grad(lagrangian, 2)(instance, *point)


def _free(instance: Instance, bounds: BoundMultipliers, dtype) -> Bool[Array, "T m"]:
    """Which controls no bound holds; one that meets its bound with no multiplier is free."""
    lower, upper = instance.problem.limits(dtype)
    return ~((bounds.lower > 0) | (bounds.upper > 0) | (lower >= upper))


def _active_bounds(instance: Instance, controls, gradient) -> BoundMultipliers:
    """Decide by multiplier and distance: a bound is active if the first is the larger.

    A distance is worth as many multipliers as the scales say; at a point that is not optimal a
    gradient is no multiplier, and what is far from its bound is free. The multiplier of an active
    bound balances the Lagrangian's gradient.
    """
    lower, upper = instance.problem.limits(controls.dtype)
    unit = instance.scales.controls[None]
    near = jnp.maximum(controls - lower, 0.0) / unit, jnp.maximum(upper - controls, 0.0) / unit
    below, above = (jnp.where(d < _NEAR, d * instance.scales.cost / unit, jnp.inf) for d in near)
    return BoundMultipliers(
        lower=jnp.where(gradient > below, gradient, 0.0),
        upper=jnp.where(-gradient > above, -gradient, 0.0),
    )


def bound_slope(
    instance: Instance, toward_lower: Float[Array, "T m"], toward_upper: Float[Array, "T m"]
) -> Float[Array, ""]:
    """sum toward_lower . lower + toward_upper . upper over finite bounds, as a function of them."""
    lower, upper = (
        jnp.where(jnp.isfinite(bound), bound, 0.0)
        for bound in instance.problem.limits(instance.x0.dtype)
    )
    return jnp.sum(toward_lower * lower) + jnp.sum(toward_upper * upper)


def multipliers(instance: Instance, point: KKTPoint) -> Multipliers:
    """The multipliers of all constraints at a point."""
    problem, x0, params, _ = instance
    gradient = lagrangian_control_gradient(instance, point)
    lower, upper = _active_bounds(instance, point.controls, gradient)
    rows = point.rows.unflat(row_terms(instance, point).multipliers)
    parts = multipliers_by_name(without_control_bounds(problem), x0, params, rows)
    return multipliers_of_bounds(lower, upper, point.costates)._replace(**parts)


def gains(adjoint: ImplicitAdjoint, instance: Instance, point: KKTPoint) -> Gains:
    """The Newton step that remains at a point, and its feedback through the free controls.

    Zero where the Hessian is not positive definite on the free controls.
    """
    system = system_at(adjoint, instance, point)
    model, free, rows = system[:3]
    matrices = factor_of(adjoint, model, rows.jacobian, free)
    zeros = jax.tree.map(jnp.zeros_like, point.rows)
    still = jnp.zeros_like(point.controls)
    linear = model._replace(r=jnp.where(free, system.gradient, 0.0))
    fixed = jax.lax.stop_gradient(matrices)
    step, _ = solve_rows(linear, rows.jacobian, zeros, fixed, still)
    convex = matrices.is_convex()
    return Gains(
        feedforward=jnp.where(convex, step.feedforward, 0.0),
        # The factor's own: solve_rows has no derivative in it.
        feedback=jnp.where(convex, matrices.K, 0.0),
    )
