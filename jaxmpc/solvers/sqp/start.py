"""What sequential quadratic programming measures at its first point."""

import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxmpc.problem import Problem
from jaxmpc.solvers.multiple_shooting.filter_search import Place
from jaxmpc.solvers.multiple_shooting.iterate import units_of, values_of
from jaxmpc.solvers.sqp.state import SQPState
from jaxmpc.solvers.start import scales_at_first
from jaxmpc.trajectory import Derivatives, Trajectory
from jaxmpc.trajectory.constraints import without_control_bounds


def begun(
    problem: Problem, params: PyTree, state: SQPState, along: Derivatives
) -> tuple[SQPState, Float[Array, ""]]:
    """The state with the scales measured at the first point, and the unit of `along`'s duals."""
    iterate, functions = state.place
    inner = without_control_bounds(problem)

    first = state.move.fresh
    trajectory = Trajectory(iterate.states, iterate.controls, *functions[:2])
    scales = scales_at_first(first, problem, params, trajectory, along, state.scales)
    units = units_of(inner, iterate.states[0], scales)
    unit_of_duals = jnp.where(first, 1 / scales.cost, 1.0)
    violation = values_of(state.setting, iterate, functions).total(units)
    start = jnp.where(first, jnp.maximum(1.0, violation), state.memory.start)
    state = state._replace(
        scales=scales,
        setting=state.setting._replace(scale=unit_of_duals * state.setting.scale, units=units),
        place=Place(iterate._replace(costates=unit_of_duals * iterate.costates), functions),
        memory=state.memory._replace(start=start),
    )
    return state, unit_of_duals
