"""What any controls are worth: for solvers that only know controls."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxmpc.checks import check_array, check_state, check_type
from jaxmpc.compilation import at_top_level, compiled
from jaxmpc.lq.rows import Rows, every_state
from jaxmpc.lq.small_linalg import stagewise_transposed
from jaxmpc.problem import Problem
from jaxmpc.problem.closures import announced, close_over_static, explained
from jaxmpc.solution import (
    Gains,
    Residuals,
    Scales,
    Solution,
    Status,
    multipliers_of_bounds,
)
from jaxmpc.solvers.options import default_tolerance
from jaxmpc.trajectory import (
    BoundMultipliers,
    Derivatives,
    Linearization,
    Trajectory,
    costates,
    derivatives,
    kkt_residuals,
    open_loop,
    scales_now,
    scales_of,
)
from jaxmpc.trajectory.constraints import (
    multipliers_by_name,
    rows_along,
    rows_of_multipliers,
    violations,
    without_control_bounds,
)
from jaxmpc.trajectory.row_kinds import row_kinds
from jaxmpc.trajectory.scales import scales_of_rows


class Conditions(NamedTuple):
    """The KKT conditions at a trajectory: how far from optimal it is."""

    costates: Float[Array, "T1 k"]
    multipliers: BoundMultipliers
    residuals: Residuals


def conditions_at(
    problem: Problem, trajectory: Trajectory, linearization: Linearization, scales: Scales
) -> Conditions:
    """Those at a simulated trajectory of a problem whose only constraints are control bounds."""
    costate = costates(linearization)
    gradient = linearization.r + stagewise_transposed(linearization.B, costate[1:])
    limits = problem.limits(trajectory.cost.dtype)
    residuals, multipliers = kkt_residuals(gradient, trajectory.controls, costate, *limits, scales)
    return Conditions(costate, multipliers, residuals)


def evaluate(
    problem: Problem,
    x0: Float[Array, " n"],
    params: PyTree,
    controls: Float[Array, "T m"],
    *,
    tolerance: float | None = None,
) -> Solution:
    """Simulate controls, and measure how far from optimal they are.

    What a solver of your own returns from `postprocess`: all that `solve` returns, of a trajectory
    that need not be a solution.

    Args:
        problem, x0, params: as for `solve`.
        controls: [T, m]; they are not moved into their bounds.
        tolerance: on the scaled KKT residual; as that of the solvers.

    Returns:
        A `Solution`, `converged` where its residuals meet the tolerance and `max_iterations`
        elsewhere (`non_finite` where a number is not), with gains of zero. Other constraints than
        control bounds count in `violations` and in the feasibility; soft ones that are violated in
        the cost, with multipliers that are their prices. All other multipliers of such constraints
        are zero, and stationarity is that without them: controls alone do not tell them.

    Differentiable as JAX finds it (its states and cost are a rollout).

    Raises:
        TypeError, ValueError: when tracing, naming the argument, what came, what was wanted.

    Example:
        >>> resting = jaxmpc.evaluate(problem, x0, params, jnp.zeros((10, 1)))
        >>> round(float(resting.cost), 2), bool(resting.converged)
        (10.0, False)
    """
    owner = "jaxmpc.evaluate"
    check_type(owner, "problem", problem, Problem)
    x0 = problem.projected(check_state(x0))
    check_array(owner, "controls", controls, (problem.horizon, problem.control_dim), "[T, m]")
    controls = jnp.asarray(controls, x0.dtype)
    problem, params = close_over_static(problem, params)
    evaluated = _compiled if at_top_level() else _evaluate
    return evaluated(problem, x0, params, controls, tolerance)


def _evaluate(problem: Problem, x0, params: PyTree, controls, tolerance) -> Solution:
    with explained(problem, x0, params):
        trajectory = open_loop(problem, x0, params, controls)
        rows = row_costs(problem, x0, params, trajectory)
    along = derivatives(problem, trajectory.states, controls, params)
    start = scales_of(problem, params, trajectory.states, controls, trajectory.magnitude, along)
    scales = scales_now(problem, start, trajectory.magnitude + rows.price)
    general = without_control_bounds(problem)
    parts = multipliers_by_name(general, x0, params, rows.multipliers)
    zeros = jnp.zeros_like(controls)
    of_rows = multipliers_of_bounds(zeros, zeros, along.linearization.q)._replace(**parts)
    pushed = _with_rows(along, rows_of_multipliers(problem, x0, of_rows))
    costate, multipliers, residuals = conditions_at(problem, trajectory, pushed, scales)
    units = scales_of_rows(general, x0, scales).flat()
    outside = jnp.max(rows.excess / units, initial=0.0)
    residuals = residuals._replace(feasibility=jnp.maximum(residuals.feasibility, outside))
    within = default_tolerance(tolerance, x0.dtype)
    solved = residuals.largest() <= within
    solution = Solution(
        states=trajectory.states,
        controls=controls,
        cost=trajectory.cost + rows.price,
        gains=Gains(zeros, zeros[:, :, None] * jnp.zeros_like(costate[:1, None])),
        costates=costate,
        multipliers=multipliers_of_bounds(*multipliers, costate)._replace(**parts),
        violations=violations(problem, trajectory.states, controls, params),
        status=jnp.where(solved, Status.converged, Status.max_iterations).astype(jnp.int32),
        iterations=jnp.zeros_like(solved, dtype=jnp.int32),
        residuals=residuals,
        tolerance=jnp.zeros_like(trajectory.cost) + within,
        scales=scales,
    )
    return solution.ended(solution.status, solution.iterations)


_compiled = compiled(_evaluate, lambda *given: announced("an evaluation", *given[:3]))


class RowCosts(NamedTuple):
    """What a simulation says of the rows of all constraints but the control bounds."""

    excess: Float[Array, " N"]  # of the hard ones
    price: Float[Array, ""]  # of the soft ones
    multipliers: Rows  # of the soft ones that are violated: their prices


def row_costs(problem: Problem, x0, params, trajectory: Trajectory) -> RowCosts:
    """What a simulated trajectory violates, and what that costs."""
    general = without_control_bounds(problem)
    kinds = row_kinds(general, x0, params)
    linear, quadratic = kinds.linear.flat(), kinds.quadratic.flat()
    values = rows_along(general, trajectory.states, trajectory.controls, params).flat()
    excess = jnp.where(kinds.inequality.flat(), jnp.maximum(values, 0.0), jnp.abs(values))
    excess = jnp.where(kinds.present.flat(), excess, 0.0)
    soft = jnp.isfinite(linear)
    linear = jnp.where(soft, linear, 0.0)
    price = jnp.sum(jnp.where(soft, linear * excess + 0.5 * quadratic * excess**2, 0.0))
    pushes = jnp.where(soft & (excess > 0), jnp.sign(values) * (linear + quadratic * excess), 0.0)
    return RowCosts(jnp.where(soft, 0.0, excess), price, kinds.linear.unflat(pushes))


def _with_rows(along: Derivatives, multipliers: Rows) -> Linearization:
    """The linearization of the cost with the rows times their multipliers in it."""
    linear = along.linearization
    stages, last = along.rows.transposed_times(multipliers)
    n = linear.q.shape[1]
    q = linear.q + every_state(stages[:, :n], last)
    return linear._replace(q=q, r=linear.r + stages[:, n:])
