"""What any controls are worth: for solvers that only know controls."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxmpc.checks import check_state
from jaxmpc.lq.small_linalg import stagewise_transposed
from jaxmpc.problem import Problem
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
    Linearization,
    Trajectory,
    costates,
    kkt_residuals,
    linearize,
    open_loop,
    scales_now,
    scales_of,
)
from jaxmpc.trajectory.constraints import rows_along, violations, without_control_bounds
from jaxmpc.trajectory.row_kinds import row_kinds
from jaxmpc.trajectory.scales import scales_of_rows


class Conditions(NamedTuple):
    """The KKT conditions at a trajectory: how far from optimal it is."""

    costates: Float[Array, "T1 n"]
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
        elsewhere, with gains of zero. Constraints other than control bounds count in `violations`,
        in the feasibility and, if they are soft, in the cost; their multipliers are zero, and
        stationarity is that without them.

    Differentiable as JAX finds it (its states and cost are a rollout). Raises TypeError or
    ValueError for an x0 that is no state.
    """
    x0 = check_state(x0)
    trajectory = open_loop(problem, x0, params, controls)
    linear = linearize(problem, trajectory.states, controls, params)
    start = scales_of(problem, params, trajectory.states, controls, linear)
    scales = scales_now(problem, start, trajectory.magnitude)
    costate, multipliers, residuals = conditions_at(problem, trajectory, linear, scales)
    outside, price = _outside(problem, x0, params, trajectory, scales)
    residuals = residuals._replace(feasibility=jnp.maximum(residuals.feasibility, outside))
    tolerance = default_tolerance(tolerance, x0.dtype)
    solved = residuals.largest() <= tolerance
    zeros = jnp.zeros_like(controls)
    return Solution(
        states=trajectory.states,
        controls=controls,
        cost=trajectory.cost + price,
        gains=Gains(zeros, zeros[:, :, None] * jnp.zeros_like(x0)[None, None]),
        costates=costate,
        multipliers=multipliers_of_bounds(*multipliers, trajectory.states),
        violations=violations(problem, trajectory.states, controls, params),
        status=jnp.where(solved, Status.converged, Status.max_iterations).astype(jnp.int32),
        iterations=jnp.zeros_like(solved, dtype=jnp.int32),
        residuals=residuals,
        tolerance=jnp.full_like(trajectory.cost, tolerance),
        scales=scales,
    )


def _outside(problem: Problem, x0, params, trajectory: Trajectory, scales: Scales):
    """The largest violation of the hard rows, in their units, and the price of the soft ones."""
    general = without_control_bounds(problem)
    kinds = row_kinds(general, x0, params)
    values = rows_along(general, trajectory.states, trajectory.controls, params)
    linear, quadratic = kinds.linear.flat(), kinds.quadratic.flat()
    rows, units = values.flat(), scales_of_rows(general, x0, scales).flat()
    excess = jnp.where(kinds.inequality.flat(), jnp.maximum(rows, 0.0), jnp.abs(rows))
    excess = jnp.where(kinds.present.flat(), excess, 0.0)
    soft = jnp.isfinite(linear)
    price = jnp.where(soft, linear, 0.0) * excess + 0.5 * quadratic * excess**2
    outside = jnp.max(jnp.where(soft, 0.0, excess / units), initial=0.0)
    return outside, jnp.sum(jnp.where(soft, price, 0.0))
