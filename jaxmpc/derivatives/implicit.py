"""The derivative of a solution: one more LQ problem at the point that the solver returned.

Nothing here knows how the point was found. `attach` is the identity on the point, with the
derivative that the KKT conditions give it (Amos et al., 2018; Dontchev and Rockafellar, 2014,
Implicit Functions and Solution Mappings): with the Lagrangian L(z, lambda; theta), the KKT
matrix K and a cotangent w of (z, lambda),

    K d = w,    theta_bar = -grad_theta ( dL(z, lambda; theta)[d] ).
"""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from jaxmpc.derivatives import kkt_system
from jaxmpc.derivatives.active_rows import KKTPoint, Theta, active_rows
from jaxmpc.derivatives.adjoint import ImplicitAdjoint
from jaxmpc.derivatives.kkt_system import (
    bound_slope,
    factor_of,
    free_controls,
    lagrangian,
    multipliers,
    point_of,
    quadratic_model,
)
from jaxmpc.lq.constrained import solve_rows
from jaxmpc.lq.differentiable import adjoint_problem, control_gradient
from jaxmpc.solution import Status
from jaxmpc.solvers.loop import Point
from jaxmpc.trajectory import objective


def apply_policy(adjoint: ImplicitAdjoint, converged: Bool[Array, ""], cotangent: PyTree):
    """What flows out of a backward rule of an element that may not have converged.

    Applied inside the rules, where under `vmap` each element still has a cotangent of its own:
    those of a parameter that the batch shares are added up after it.
    """
    if adjoint.on_failure == "keep":
        return cotangent
    instead = 0.0 if adjoint.on_failure == "zero" else jnp.nan
    return jax.tree.map(lambda leaf: jnp.where(converged, leaf, instead), cotangent)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def attach(
    adjoint: ImplicitAdjoint,
    theta: PyTree,
    rest: PyTree,
    point: KKTPoint,
    converged: Bool[Array, ""],
) -> KKTPoint:
    """The point itself, as the differentiable function of theta that the KKT conditions define."""
    return point


def _attach_forward(adjoint, theta, rest, point, converged):
    # The wrapped function itself, so that the residuals carry their own derivative.
    attached = attach(adjoint, theta, rest, point, converged)
    return attached, (theta, rest, attached, converged)


def _attach_backward(adjoint, residuals, cotangent):
    theta, rest, point, converged = residuals
    whole = eqx.combine(theta, rest)
    model = quadratic_model(adjoint, whole, point)
    free = free_controls(whole, point)
    rows = active_rows(whole, point)
    matrices = jax.lax.stop_gradient(factor_of(adjoint, model, rows.jacobian, free))
    system = adjoint_problem(model, *cotangent[:3])
    values = rows.only(cotangent.rows)
    held = jnp.zeros_like(point.controls)
    direction, along_rows = solve_rows(system, rows.jacobian, values, matrices, held)
    toward = KKTPoint(
        direction.states,
        direction.controls,
        direction.costates,
        rows.only(along_rows),
    )
    # What a bound feels, through a control that it holds.
    pushed = control_gradient(system, direction, False)
    pushed += rows.jacobian.transposed_times(along_rows)[0][:, model.q.shape[1] :]
    fixed = jnp.where(free, 0.0, cotangent.controls - pushed)
    at_upper = multipliers(whole, point).upper > 0
    toward_upper = jnp.where(at_upper, fixed, 0.0)
    toward_lower = jnp.where(at_upper, 0.0, fixed)

    def slope(theta):
        whole = eqx.combine(theta, rest)
        along = jax.jvp(lambda *point: lagrangian(whole, *point), tuple(point), tuple(toward))[1]
        return bound_slope(whole, toward_lower, toward_upper) - along

    d_theta = apply_policy(adjoint, converged, jax.grad(slope)(theta))
    return d_theta, None, jax.tree.map(jnp.zeros_like, point), None


attach.defvjp(_attach_forward, _attach_backward)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def known(
    adjoint: ImplicitAdjoint,
    function,
    value: PyTree,
    theta: PyTree,
    rest: PyTree,
    point: KKTPoint,
    converged: Bool[Array, ""],
) -> PyTree:
    """A value that the solver has computed already, with the derivative of function(theta, ...)."""
    return value


def _known_forward(adjoint, function, value, theta, rest, point, converged):
    again = known(adjoint, function, value, theta, rest, point, converged)
    return again, (theta, rest, point, converged)


def _known_backward(adjoint, function, residuals, cotangent):
    theta, rest, point, converged = residuals
    _, pull = jax.vjp(lambda theta, point: function(theta, rest, point), theta, point)
    d_theta, d_point = apply_policy(adjoint, converged, pull(cotangent))
    return jax.tree.map(jnp.zeros_like, cotangent), d_theta, None, d_point, None


known.defvjp(_known_forward, _known_backward)


@jax.custom_vjp
def optimal_cost(theta: PyTree, rest: PyTree, point: KKTPoint) -> Float[Array, ""]:
    """The cost at the solution; its derivative is the Lagrangian's (the envelope theorem)."""
    problem, _, params, _ = eqx.combine(theta, rest)
    return objective(problem, point.states, point.controls, params)[0]


def _cost_forward(theta, rest, point):
    return optimal_cost(theta, rest, point), (theta, rest, point)


def _cost_backward(residuals, cotangent):
    theta, rest, point = residuals
    signed = multipliers(eqx.combine(theta, rest), point)

    def value(theta):
        whole = eqx.combine(theta, rest)
        return lagrangian(whole, *point) + bound_slope(whole, signed.lower, -signed.upper)

    gradient = jax.tree.map(lambda leaf: cotangent * leaf, jax.grad(value)(theta))
    return gradient, None, jax.tree.map(jnp.zeros_like, point)


optimal_cost.defvjp(_cost_forward, _cost_backward)


def differentiable(adjoint: ImplicitAdjoint, theta: Theta, point: Point) -> Point:
    """The point that a solver returned, as a differentiable function of theta."""
    theta, rest = eqx.partition(theta, eqx.is_inexact_array)
    converged = point.status == Status.converged
    whole_theta = eqx.combine(theta, rest)
    returned = point_of(whole_theta, point)
    kkt_point: KKTPoint = attach(adjoint, theta, rest, returned, converged)

    def whole(function):
        return lambda theta, rest, point: function(eqx.combine(theta, rest), point)

    def derived(function, value):
        return known(adjoint, function, value, theta, rest, kkt_point, converged)

    gains = partial(kkt_system.gains, adjoint)
    return point._replace(
        states=kkt_point.states,
        controls=kkt_point.controls,
        costates=kkt_point.costates,
        cost=derived(optimal_cost, point.cost),
        multipliers=derived(whole(multipliers), point.multipliers),
        gains=derived(whole(gains), point.gains),
    )
