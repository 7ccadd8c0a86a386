"""What an iterate of the interior point is worth, and the barrier parameter that follows."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxmpc import trees
from jaxmpc.problem import Problem
from jaxmpc.solution import Residuals, Scales
from jaxmpc.solvers.interior_point.barrier_parameter import lowered
from jaxmpc.solvers.interior_point.state import InteriorPointState
from jaxmpc.solvers.multiple_shooting.iterate import Values, units_of, values_of
from jaxmpc.solvers.multiple_shooting.merit import checked, optimality, violation_of_hard
from jaxmpc.solvers.multiple_shooting.model import Expansion, expansion_of
from jaxmpc.solvers.options import sharper
from jaxmpc.trajectory import Derivatives, scales_now


class Judged(NamedTuple):
    """A point's functions and derivatives, and what they say of it."""

    values: Values
    expansion: Expansion
    scales: Scales
    residuals: Residuals
    fixed_gradient: Float[Array, "T m"]  # the gradient in controls that equal bounds fix
    violation: Float[Array, ""]  # of the dynamics and the hard constraints
    met: Bool[Array, ""]  # whether the residuals meet the tolerance
    sharp: Bool[Array, ""]  # and complementarity what is asked of it
    mu: Float[Array, ""]  # lowered, where the barrier problem is solved
    wanted_mu: Float[Array, ""]  # below which it need not go


def judge(
    problem: Problem,
    state: InteriorPointState,
    along: Derivatives,
    unit_of_duals: Float[Array, ""],
    tolerance: Float[Array, ""],
    barrier: Float[Array, ""],
) -> Judged:
    """Measure the state's point, and lower the barrier parameter."""
    (iterate, functions), setting = state.place, state.setting()
    values = values_of(setting, iterate, functions)
    expansion = expansion_of(setting, iterate, along, unit_of_duals)
    measured = optimality(expansion, iterate, values, setting)
    # The residuals are in the scales of this point, the method's in those of the start.
    scales = _scales(problem, state, values, barrier)
    unit = setting.unit * scales.cost / state.scales.cost
    units = units_of(problem, iterate.states[0], scales)
    there = optimality(expansion, iterate, values, setting._replace(units=units))
    last_mu = barrier / state.scales.cost * setting.unit
    residuals = checked(there.residuals(last_mu, unit), expansion, values)
    sharp, wanted_mu = sharper(tolerance, state.mu.dtype), tolerance * unit
    least = jnp.maximum(last_mu, sharp * unit / 10)
    return Judged(
        values=values,
        expansion=expansion,
        scales=scales,
        residuals=residuals,
        fixed_gradient=measured.fixed_gradient,
        violation=violation_of_hard(setting, state.original, functions),
        met=residuals.largest() <= tolerance,
        sharp=residuals.complementarity <= sharp,
        mu=lowered(state.mu, measured, least, wanted_mu, state.still),
        wanted_mu=wanted_mu,
    )


def _scales(problem: Problem, state: InteriorPointState, values: Values, barrier) -> Scales:
    """Those that the point is judged in; where the violation is minimised, the start's."""
    prices = values.penalty / state.original.scale
    now = scales_now(problem, state.scales, values.magnitude + prices)
    now = now._replace(cost=jnp.maximum(now.cost, barrier))
    return trees.where(state.restoring, state.scales, now)
