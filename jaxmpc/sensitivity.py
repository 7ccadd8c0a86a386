"""Forward-mode derivatives of a solution, and how far its derivatives can be trusted."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from jaxmpc.active_rows import KKTPoint, Theta, active_rows, stacked, unstacked
from jaxmpc.adjoint import ImplicitAdjoint
from jaxmpc.arguments import check_state
from jaxmpc.kkt_system import (
    free_controls,
    lagrangian,
    lagrangian_control_gradient,
    multipliers,
    point_from,
    quadratic_model,
)
from jaxmpc.lq.constrained import constrained_factor, solve_rows
from jaxmpc.problem import Problem
from jaxmpc.solution import Multipliers, Solution


class SolutionTangent(NamedTuple):
    """The directional derivative of a solution; the fields are those of `Solution`."""

    states: Float[Array, "T1 n"]
    controls: Float[Array, "T m"]
    cost: Float[Array, ""]
    costates: Float[Array, "T1 n"]
    multipliers: Multipliers


class GradientDiagnostics(NamedTuple):
    """How well the KKT system at a solution determines its derivative.

    Attributes:
        smallest_pivot: of the reduced Hessian (the Riccati recursion's Quu on the free
            controls), in units of cost per unit of control squared. Not positive: the point is
            no strict minimum, and its derivative means nothing.
        condition: the largest pivot divided by the smallest one; inf if that is not positive.
        complementarity_margin: the least, over the finite bounds, of max(multiplier, curvature
            times distance), in units of cost per unit of control. Near zero: a bound is weakly
            active, and the solution has a kink in the parameters there.
        kkt_residual: the largest scaled residual of the solution; derivatives are as accurate.
        active: how many control bounds are active (those that fix a control included).
    """

    smallest_pivot: Float[Array, ""]
    condition: Float[Array, ""]
    complementarity_margin: Float[Array, ""]
    kkt_residual: Float[Array, ""]
    active: Int[Array, ""]


def solution_jvp(
    problem: Problem,
    x0: Float[Array, " n"],
    params: PyTree,
    solution: Solution,
    tangents: tuple,
    *,
    adjoint: ImplicitAdjoint = ImplicitAdjoint(),
) -> SolutionTangent:
    """How a solution moves along a direction: forward mode by one more Riccati pass.

    Args:
        problem, x0, params: what was solved.
        solution: its solution.
        tangents: (x0_dot, params_dot) or (x0_dot, params_dot, control_bounds_dot), each of the
            structure of what it is a tangent of; None stands for zero, also inside.
        adjoint: `hessian`, `smoothing`, `damping` and `on_failure` mean what they mean there.

    Raises:
        ValueError: if `tangents` does not have two or three entries, or the wrong structure.

    Source: as for `solve`; the KKT system K d = -(d KKT / d theta) theta_dot.
    """
    x0 = check_state(x0)
    theta = jax.tree.map(_as_array, (problem, x0, params))
    theta_dot = _full_tangent(theta, tangents)
    point = _point(theta, solution)
    model = quadratic_model(adjoint, theta, point)
    free = free_controls(theta, point)
    rows = active_rows(theta, point)
    different, rest = eqx.partition(theta, eqx.is_inexact_array)

    def along(function):
        return jax.jvp(lambda d: function(eqx.combine(d, rest)), (different,), (theta_dot,))

    # The KKT conditions' own change: the linear terms of an LQ problem.
    conditions = jax.grad(lagrangian, (1, 2, 3, 4, 5))
    _, (q, r, defects, *changes) = along(lambda theta: conditions(theta, *point))
    _, (lower, upper) = along(lambda theta: theta[0].limits(x0.dtype))
    active = multipliers(theta, point)
    fixed = jnp.where(active.upper > 0, upper, lower)
    system = model._replace(q=q, r=r, c=defects[1:], x0=defects[0])
    values = jax.tree.map(jnp.negative, stacked(rows, *changes))
    matrices = constrained_factor(system, rows.jacobian, free)
    step, along_rows = solve_rows(system, rows.jacobian, values, matrices, fixed)
    change = KKTPoint(step.states, step.controls, step.costates, *unstacked(rows, along_rows))
    _, multipliers_dot = jax.jvp(
        lambda d, point: multipliers(eqx.combine(d, rest), point),
        (different, point),
        (theta_dot, change),
    )
    _, cost = along(lambda theta: lagrangian(theta, *point))
    cost = cost + jnp.sum(active.lower * lower) - jnp.sum(active.upper * upper)
    tangent = SolutionTangent(step.states, step.controls, cost, step.costates, multipliers_dot)
    if adjoint.on_failure == "keep":
        return tangent
    instead = 0.0 if adjoint.on_failure == "zero" else jnp.nan
    return jax.tree.map(lambda leaf: jnp.where(solution.converged, leaf, instead), tangent)


def gradient_diagnostics(
    problem: Problem, x0: Float[Array, " n"], params: PyTree, solution: Solution
) -> GradientDiagnostics:
    """Measure at a solution what its derivatives depend on; for a batch use `jax.vmap`.

    Source: Nocedal and Wright (2006), section 12.5 (second-order sufficiency, strict
    complementarity).
    """
    x0 = check_state(x0)
    theta: Theta = (problem, x0, params)
    point = _point(theta, solution)
    model = quadratic_model(ImplicitAdjoint(), theta, point)
    free = free_controls(theta, point)
    rows = active_rows(theta, point)
    matrices = constrained_factor(model, rows.jacobian, free)
    pivots = jnp.where(free, matrices.Quu.pivots, jnp.nan)
    smallest = jnp.nanmin(jnp.where(jnp.any(free), pivots, jnp.inf))
    largest = jnp.nanmax(jnp.where(jnp.any(free), pivots, jnp.inf))
    lower, upper = problem.limits(x0.dtype)
    curvature = jnp.abs(jnp.diagonal(model.R, axis1=1, axis2=2))
    gradient = lagrangian_control_gradient(theta, point)

    def margin(distance, push):
        judged = jnp.isfinite(distance) & (lower < upper)
        return jnp.min(jnp.where(judged, jnp.maximum(curvature * distance, push), jnp.inf))

    return GradientDiagnostics(
        smallest_pivot=smallest,
        condition=jnp.where(smallest > 0, largest / smallest, jnp.inf),
        complementarity_margin=jnp.minimum(
            margin(solution.controls - lower, jnp.maximum(gradient, 0.0)),
            margin(upper - solution.controls, jnp.maximum(-gradient, 0.0)),
        ),
        kkt_residual=solution.residuals.largest(),
        active=jnp.sum(~free),
    )


def _point(theta: Theta, solution: Solution) -> KKTPoint:
    return point_from(
        theta, solution.states, solution.controls, solution.costates, solution.multipliers
    )


def _as_array(leaf):
    # Python numbers (bounds, parameters) have tangents too.
    return jnp.asarray(float(leaf)) if type(leaf) in (int, float) else leaf


def _full_tangent(theta: Theta, tangents: tuple) -> PyTree:
    """A tangent for every floating-point array in theta; zeros where none was given."""
    if not isinstance(tangents, tuple | list) or len(tangents) not in (2, 3):
        raise ValueError(
            "solution_jvp: tangents must be (x0_dot, params_dot) or (x0_dot, params_dot, "
            f"control_bounds_dot); got {type(tangents).__name__} of length "
            f"{len(tangents) if hasattr(tangents, '__len__') else 'unknown'}."
        )
    bounds_dot = tangents[2] if len(tangents) == 3 else None
    arrays = eqx.filter(theta, eqx.is_inexact_array)
    zeros = jax.tree.map(jnp.zeros_like, arrays)

    def fill(name, zero, tangent):
        if tangent is None:
            return zero
        try:
            return jax.tree.map(
                lambda z, t: jnp.zeros_like(z) if t is None else jnp.broadcast_to(t, z.shape),
                zero,
                tangent,
                is_leaf=lambda leaf: leaf is None,
            )
        except ValueError as error:
            error.add_note(f"solution_jvp: the tangent of {name} does not have its structure.")
            raise

    # The bounds are the first leaves of a problem; its functions' arrays follow.
    bounds = zeros[0].control_bounds
    leaves = jax.tree.leaves(fill("control_bounds", bounds, bounds_dot))
    leaves += jax.tree.leaves(zeros[0])[len(leaves) :]
    problem_dot = jax.tree.unflatten(jax.tree.structure(zeros[0]), leaves)
    return problem_dot, fill("x0", zeros[1], tangents[0]), fill("params", zeros[2], tangents[1])
