"""The derivative of a solution: one more LQ problem at the point that the solver returned.

Nothing here knows how the point was found. `attach` is the identity on the point, with the
derivative that the KKT conditions give it (Amos et al., 2018; Dontchev and Rockafellar, 2014,
Implicit Functions and Solution Mappings): with the Lagrangian L(z, lambda; theta), the KKT
matrix K and a cotangent w of (z, lambda),

    K d = w,    theta_bar = -grad_theta ( dL(z, lambda; theta)[d] ).
"""

import dataclasses
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from jaxmpc.derivatives import kkt_system
from jaxmpc.derivatives.adjoint import ImplicitAdjoint, apply_policy
from jaxmpc.derivatives.instance import Instance, KKTPoint
from jaxmpc.derivatives.kkt_system import (
    bound_slope,
    factor_of,
    lagrangian,
    multipliers,
    point_of,
    system_at,
)
from jaxmpc.lq.constrained import solve_rows
from jaxmpc.lq.differentiable import adjoint_problem, control_gradient
from jaxmpc.solution import Multipliers, Solution
from jaxmpc.trajectory import objective


@jax.custom_vjp
def attach(
    adjoint: ImplicitAdjoint,
    varied: PyTree,
    constant: PyTree,
    point: KKTPoint,
    converged: Bool[Array, ""],
) -> KKTPoint:
    """The point itself, as the function of the instance that the KKT conditions define."""
    return point


def _attach_forward(adjoint, varied, constant, point, converged):
    # The wrapped function itself, so that the residuals carry their own derivative.
    attached = attach(adjoint, varied, constant, point, converged)
    return attached, (adjoint, varied, constant, attached, converged)


def _attach_backward(residuals, cotangent):
    adjoint, varied, constant, point, converged = residuals
    instance = eqx.combine(varied, constant)
    kkt = system_at(adjoint, instance, point)
    model, free, rows = kkt[:3]
    matrices = jax.lax.stop_gradient(factor_of(adjoint, model, rows.jacobian, free))
    system = adjoint_problem(model, *cotangent[:3])
    values = rows.only(cotangent.rows)
    fixed = jnp.zeros_like(point.controls)
    direction, along_rows = solve_rows(system, rows.jacobian, values, matrices, fixed)
    toward = KKTPoint(
        direction.states,
        direction.controls,
        direction.costates,
        rows.only(along_rows),
    )
    # What a bound feels, through a control that it holds.
    pushed = control_gradient(system, direction, False)
    pushed += rows.jacobian.transposed_times(along_rows)[0][:, model.q.shape[1] :]
    on_fixed = jnp.where(free, 0.0, cotangent.controls - pushed)
    at_upper = kkt.bounds.upper > 0
    toward_upper = jnp.where(at_upper, on_fixed, 0.0)
    toward_lower = jnp.where(at_upper, 0.0, on_fixed)

    def slope(varied):
        instance = eqx.combine(varied, constant)
        along = jax.jvp(lambda *point: lagrangian(instance, *point), tuple(point), tuple(toward))[1]
        return bound_slope(instance, toward_lower, toward_upper) - along

    d_varied = apply_policy(adjoint, converged, jax.grad(slope)(varied))
    return None, d_varied, None, jax.tree.map(jnp.zeros_like, point), None


attach.defvjp(_attach_forward, _attach_backward)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def with_derivative_of(
    function,
    value: PyTree,
    adjoint: ImplicitAdjoint,
    varied: PyTree,
    constant: PyTree,
    point: KKTPoint,
    converged: Bool[Array, ""],
) -> PyTree:
    """A value that the solver has computed already, with the derivative of a function."""
    return value


def _with_derivative_forward(function, value, adjoint, varied, constant, point, converged):
    again = with_derivative_of(function, value, adjoint, varied, constant, point, converged)
    return again, (adjoint, varied, constant, point, converged)


def _with_derivative_backward(function, residuals, cotangent):
    adjoint, varied, constant, point, converged = residuals

    def of_varied(varied, point):
        return function(adjoint, eqx.combine(varied, constant), point)

    _, pull = jax.vjp(of_varied, varied, point)
    d_varied, d_point = apply_policy(adjoint, converged, pull(cotangent))
    return jax.tree.map(jnp.zeros_like, cotangent), None, d_varied, None, d_point, None


with_derivative_of.defvjp(_with_derivative_forward, _with_derivative_backward)


@jax.custom_vjp
def optimal_cost(varied: PyTree, constant: PyTree, point: KKTPoint) -> Float[Array, ""]:
    """The cost at the solution; its derivative is the Lagrangian's (the envelope theorem)."""
    problem, _, params, _ = eqx.combine(varied, constant)
    return objective(problem, point.states, point.controls, params)[0]


def _cost_forward(varied, constant, point):
    return optimal_cost(varied, constant, point), (varied, constant, point)


def _cost_backward(residuals, cotangent):
    varied, constant, point = residuals
    signed = multipliers(eqx.combine(varied, constant), point)

    def value(varied):
        instance = eqx.combine(varied, constant)
        return lagrangian(instance, *point) + bound_slope(instance, signed.lower, -signed.upper)

    gradient = jax.tree.map(
        lambda leaf: cotangent.astype(leaf.dtype) * leaf, jax.grad(value)(varied)
    )
    return gradient, None, jax.tree.map(jnp.zeros_like, point)


optimal_cost.defvjp(_cost_forward, _cost_backward)


def _cost(_: ImplicitAdjoint, instance: Instance, point: KKTPoint) -> Float[Array, ""]:
    return optimal_cost(*eqx.partition(instance, eqx.is_inexact_array), point)


def _multipliers(_: ImplicitAdjoint, instance: Instance, point: KKTPoint) -> Multipliers:
    return multipliers(instance, point)


def differentiable(adjoint: ImplicitAdjoint, instance: Instance, solution: Solution) -> Solution:
    """What a solver returned, as a differentiable function of the instance."""
    varied, constant = eqx.partition(instance, eqx.is_inexact_array)
    converged = solution.converged
    returned = point_of(instance, solution)
    kkt_point: KKTPoint = attach(adjoint, varied, constant, returned, converged)

    def derived(function, value):
        return with_derivative_of(function, value, adjoint, varied, constant, kkt_point, converged)

    return dataclasses.replace(
        solution,
        states=kkt_point.states,
        controls=kkt_point.controls,
        costates=kkt_point.costates,
        cost=derived(_cost, solution.cost),
        multipliers=derived(_multipliers, solution.multipliers),
        gains=derived(kkt_system.gains, solution.gains),
    )
