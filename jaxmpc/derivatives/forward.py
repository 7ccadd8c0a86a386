"""Forward-mode derivatives of a solution."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxmpc.checks import check_state
from jaxmpc.compilation import compiled
from jaxmpc.derivatives.adjoint import ImplicitAdjoint, apply_policy
from jaxmpc.derivatives.charts import chart_of, in_chart, on_space
from jaxmpc.derivatives.instance import Instance, KKTPoint
from jaxmpc.derivatives.kkt_system import (
    factor_of,
    lagrangian,
    multipliers,
    point_of,
    system_at,
)
from jaxmpc.derivatives.smoothing import barrier_problem, central_path, path_multipliers
from jaxmpc.lq.constrained import solve_rows
from jaxmpc.problem import Problem
from jaxmpc.problem.closures import announced, self_contained
from jaxmpc.solution import Multipliers, Solution, Status


class SolutionTangent(NamedTuple):
    """The directional derivative of a solution; the fields are those of `Solution`.

    Example:
        >>> x0_dot = jnp.array([1.0, 0.0])
        >>> tangent = jaxmpc.solution_jvp(problem, x0, params, solution, (x0_dot, None))
        >>> tangent.states.shape, tangent.controls.shape
        ((11, 2), (10, 1))
    """

    states: Float[Array, "T1 n"]
    controls: Float[Array, "T m"]
    cost: Float[Array, ""]
    costates: Float[Array, "T1 k"]
    multipliers: Multipliers


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

    Compiles itself, as `solve` does.

    Args:
        problem, x0, params: what was solved.
        solution: its solution.
        tangents: (x0_dot, params_dot), and then, if wanted, control_bounds_dot and
            state_bounds_dot, each of the structure of what it is a tangent of; None stands for
            zero, also inside.
        adjoint: `hessian`, `smoothing`, `damping`, `riccati` and `on_failure` mean what they mean
            there.

    Returns:
        A `SolutionTangent`.

    Raises:
        ValueError: if `tangents` does not have two to four entries, or the wrong structure.

    Source: as for `solve`; the KKT system K d = -(d KKT / d theta) theta_dot.

    Example:
        >>> x0_dot = jnp.array([1.0, 0.0])
        >>> tangent = jaxmpc.solution_jvp(problem, x0, params, solution, (x0_dot, None))
        >>> round(float(tangent.cost), 2), round(float(solution.costates[0] @ x0_dot), 2)
        (18.64, 18.64)
    """
    x0 = check_state(x0)
    problem, params, lasting = self_contained(problem, x0, params)
    problem, x0, params = jax.tree.map(_as_array, (problem, x0, params))
    instance = Instance(problem, x0, params, solution.scales)
    function = _compiled if lasting else _solution_jvp
    return function(adjoint, instance, _full_tangent(instance, tangents), solution)


def _solution_jvp(adjoint: ImplicitAdjoint, instance: Instance, instance_dot, solution: Solution):
    if instance.problem.state_space is not None:
        return _on_space(adjoint, instance, instance_dot, solution)
    point = point_of(instance, solution)
    converged = solution.converged
    if adjoint.smoothing:
        cost = _directional(adjoint, instance, instance_dot, point).cost
        tangent, converged = _along_path(adjoint, instance, instance_dot, solution)
        tangent = tangent._replace(cost=cost)
    else:
        tangent = _directional(adjoint, instance, instance_dot, point)
    return apply_policy(adjoint, converged, tangent)


def _on_space(adjoint: ImplicitAdjoint, instance: Instance, instance_dot, solution: Solution):
    """The tangent in the chart around the solution, as one of the states."""
    varied, constant = eqx.partition(instance, eqx.is_inexact_array)

    def arrays_in_chart(varied):
        local = chart_of(eqx.combine(varied, constant), solution.states)
        return eqx.filter(local, eqx.is_inexact_array)

    _, local_dot = jax.jvp(arrays_in_chart, (varied,), (instance_dot,))
    local, inside = in_chart(instance, solution)
    tangent = _solution_jvp(adjoint, local, local_dot, inside)

    def outside(steps, costates):
        feedback = jnp.zeros_like(solution.gains.feedback)
        return on_space(instance.problem, solution.states, steps, costates, feedback)

    _, moved = jax.jvp(
        outside, (inside.states, inside.costates), (tangent.states, tangent.costates)
    )
    return tangent._replace(states=moved.states, costates=moved.costates)


_compiled = compiled(
    _solution_jvp, lambda _, instance, *rest: announced("a tangent", *instance[:3])
)


def _along_path(adjoint: ImplicitAdjoint, instance: Instance, instance_dot, solution: Solution):
    """The tangent of the central path instead, and whether that was found."""
    kappa = adjoint.smoothing
    central = central_path(adjoint, instance, solution)
    varied, constant = eqx.partition(instance, eqx.is_inexact_array)

    def of_path(varied):
        instance = eqx.combine(varied, constant)
        return instance._replace(problem=barrier_problem(instance, kappa))

    def pushes(varied, point):
        instance = eqx.combine(varied, constant)
        hard = multipliers(of_path(varied), point)
        return path_multipliers(instance, kappa, point.states, point.controls, hard)

    instance_of_path = of_path(varied)
    arrays_of_path = lambda *args: eqx.filter(of_path(*args), eqx.is_inexact_array)  # noqa: E731
    _, path_dot = jax.jvp(arrays_of_path, (varied,), (instance_dot,))
    point = point_of(instance_of_path, central)
    tangent, change = _directional_change(adjoint, instance_of_path, path_dot, point)
    _, multipliers_dot = jax.jvp(pushes, (varied, point), (instance_dot, change))
    converged = central.status == Status.converged
    return tangent._replace(multipliers=multipliers_dot), converged


def _directional(adjoint: ImplicitAdjoint, instance: Instance, instance_dot, point: KKTPoint):
    return _directional_change(adjoint, instance, instance_dot, point)[0]


def _directional_change(
    adjoint: ImplicitAdjoint, instance: Instance, instance_dot, point: KKTPoint
):
    """The tangent at a KKT point, and the change of that point."""
    dtype = point.states.dtype
    model, free, rows = system_at(adjoint, instance, point)[:3]
    varied, constant = eqx.partition(instance, eqx.is_inexact_array)

    def along(function):
        return jax.jvp(lambda d: function(eqx.combine(d, constant)), (varied,), (instance_dot,))

    # The KKT conditions' own change: the linear terms of an LQ problem.
    conditions = jax.grad(lagrangian, (1, 2, 3, 4))
    _, (q, r, defects, change_of_rows) = along(lambda instance: conditions(instance, *point))
    _, (lower, upper) = along(lambda instance: instance.problem.limits(dtype))
    active = multipliers(instance, point)
    fixed = jnp.where(active.upper > 0, upper, lower)
    system = model._replace(q=q, r=r, c=defects[1:], x0=defects[0])
    values = jax.tree.map(jnp.negative, rows.only(change_of_rows))
    matrices = factor_of(adjoint, system, rows.jacobian, free)
    step, along_rows = solve_rows(system, rows.jacobian, values, matrices, fixed)
    change = KKTPoint(step.states, step.controls, step.costates, rows.only(along_rows))
    _, multipliers_dot = jax.jvp(
        lambda d, point: multipliers(eqx.combine(d, constant), point),
        (varied, point),
        (instance_dot, change),
    )
    _, cost = along(lambda instance: lagrangian(instance, *point))
    cost = cost + jnp.sum(active.lower * lower) - jnp.sum(active.upper * upper)
    tangent = SolutionTangent(step.states, step.controls, cost, step.costates, multipliers_dot)
    return tangent, change


def _as_array(leaf):
    # Python numbers (bounds, parameters) have tangents too.
    return jnp.asarray(float(leaf)) if type(leaf) in (int, float) else leaf


def _full_tangent(instance: Instance, tangents: tuple) -> PyTree:
    """A tangent for every floating-point array in an instance; zeros where none was given."""
    if not isinstance(tangents, tuple | list) or len(tangents) not in (2, 3, 4):
        raise ValueError(
            "solution_jvp: tangents must be (x0_dot, params_dot), (x0_dot, params_dot, "
            "control_bounds_dot) or (x0_dot, params_dot, control_bounds_dot, state_bounds_dot); "
            f"got {type(tangents).__name__} of length "
            f"{len(tangents) if hasattr(tangents, '__len__') else 'unknown'}."
        )
    controls_dot, states_dot = (*tangents[2:], None, None)[:2]
    arrays = eqx.filter(instance, eqx.is_inexact_array)
    zeros = jax.tree.map(jnp.zeros_like, arrays)

    def fill(name, zero, tangent):
        if tangent is None:
            return zero
        try:
            return jax.tree.map(
                lambda z, t: z if t is None else jnp.broadcast_to(t, z.shape),
                zero,
                tangent,
                is_leaf=lambda leaf: leaf is None,
            )
        except ValueError as error:
            error.add_note(f"solution_jvp: the tangent of {name} does not have its structure.")
            raise

    # The bounds are the first leaves of a problem; those of its functions follow.
    own = zeros.problem
    leaves = jax.tree.leaves(fill("control_bounds", own.control_bounds, controls_dot))
    leaves += jax.tree.leaves(fill("state_bounds", own.state_bounds, states_dot))
    leaves += jax.tree.leaves(own)[len(leaves) :]
    problem_dot = jax.tree.unflatten(jax.tree.structure(own), leaves)
    return zeros._replace(
        problem=problem_dot,
        x0=fill("x0", zeros.x0, tangents[0]),
        params=fill("params", zeros.params, tangents[1]),
    )
