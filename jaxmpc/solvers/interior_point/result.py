"""What the last judged iterate says of the problem, in the units of the problem."""

import jax.numpy as jnp

from jaxmpc.problem import Problem
from jaxmpc.solution import Multipliers, Scales, multipliers_of_bounds
from jaxmpc.solvers.interior_point.state import InteriorPointState
from jaxmpc.trajectory.constraints import multipliers_by_name


def on_bounds(problem: Problem, scales: Scales, controls, multipliers: Multipliers, tolerance):
    """Controls on their bounds to the last bit where the multiplier is larger than the distance.

    Not where that is more than the tolerance: the states do not follow.
    """
    low, high = problem.limits(controls.dtype)
    unit = scales.controls[None]
    worth, near = scales.cost / unit**2, tolerance * unit
    at_low = (multipliers.lower > worth * (controls - low)) & (controls - low <= near)
    at_high = (multipliers.upper > worth * (high - controls)) & (high - controls <= near)
    return jnp.where(at_high, high, jnp.where(at_low, low, controls))


def multipliers_of(problem: Problem, params, state: InteriorPointState) -> Multipliers:
    """All of them, those of the rows and of fixed controls."""
    iterate, unit = state.place.iterate, state.findings.unit
    fixed_gradient = state.findings.fixed_gradient * unit
    rows = state.original.present.unflat(iterate.multipliers() * unit)
    none = jnp.zeros_like(iterate.controls)
    parts = multipliers_by_name(problem, iterate.states[0], params, rows)
    multipliers = multipliers_of_bounds(none, none, iterate.costates)._replace(**parts)
    # Fixed controls have no rows.
    return multipliers._replace(
        lower=multipliers.lower + jnp.maximum(fixed_gradient, 0.0),
        upper=multipliers.upper + jnp.maximum(-fixed_gradient, 0.0),
    )
