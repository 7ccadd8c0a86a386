"""What sequential quadratic programming measures at its first point."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxmpc.problem import Problem
from jaxmpc.solvers.multiple_shooting.filter_search import Place
from jaxmpc.solvers.multiple_shooting.iterate import units_of, values_of
from jaxmpc.solvers.sqp.state import SQPState
from jaxmpc.trajectory import Derivatives, scales_of
from jaxmpc.trajectory.constraints import without_control_bounds


def begun(
    problem: Problem, params: PyTree, state: SQPState, along: Derivatives
) -> tuple[SQPState, Float[Array, ""]]:
    """The state with the scales measured at the first point, and the unit of `along`'s duals."""
    iterate, functions = state.place
    inner = without_control_bounds(problem)

    def measured():
        trajectory = (iterate.states, iterate.controls, functions.magnitude)
        scales = scales_of(problem, params, *trajectory, along)
        # Near rest a trajectory by itself says little of the scales.
        scales = jax.tree.map(jnp.maximum, scales, state.scales)
        units = units_of(inner, iterate.states[0], scales)
        violation = values_of(state.setting, iterate, functions).total(units)
        return scales, units, 1 / scales.cost, violation

    one = jnp.ones_like(state.proximal)
    known = (state.scales, state.setting.units, one, state.memory.start)
    scales, units, unit_of_duals, start = jax.lax.cond(state.move.fresh, measured, lambda: known)
    setting = state.setting._replace(scale=unit_of_duals * state.setting.scale, units=units)
    state = state._replace(
        scales=scales,
        setting=setting,
        place=Place(iterate._replace(costates=unit_of_duals * iterate.costates), functions),
        memory=state.memory._replace(start=jnp.maximum(1.0, start)),
    )
    return state, unit_of_duals
