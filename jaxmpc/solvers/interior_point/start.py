"""Where the interior point starts: inside of the bounds, and near what is known."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmpc import trees
from jaxmpc.lq.rows import Rows
from jaxmpc.problem import Problem
from jaxmpc.solution import Scales
from jaxmpc.solvers.interior_point.barrier_parameter import START_MU
from jaxmpc.solvers.interior_point.state import InteriorPointState
from jaxmpc.solvers.loop import WarmStart
from jaxmpc.solvers.multiple_shooting.iterate import (
    Iterate,
    Setting,
    around,
    scaled,
    units_of,
    values_of,
)
from jaxmpc.solvers.multiple_shooting.merit import violation_of_hard
from jaxmpc.trajectory import Derivatives, Linearization
from jaxmpc.trajectory.constraints import rows_of_multipliers

WARM_MU = 1e-5  # the barrier parameter after a solution nearby
PLAN_MU = 1e-3  # after guessed states that are a plan: they violate nothing by more than
_PLAN = 1e-2  # so much, in units of the scales
_PUSH = 1e-2  # the distance of controls from their bounds
_LARGEST_GRADIENT = 100.0  # of the scaled cost
_WORTH = 0.1  # of the cost's scale in the barrier problem, where that makes no gradient too large


def inside(controls, low, high):
    """Controls at a little distance from their bounds; where these are equal, there."""
    between = jnp.isfinite(low) & jnp.isfinite(high)

    def room(bound):  # of a bound without a counterpart its own size is all that is known
        alone = jnp.where(bound == 0, 1.0, jnp.abs(bound))
        return _PUSH * jnp.where(between, 0.5 * (high - low), alone)

    inside = jnp.maximum(controls, jnp.where(jnp.isfinite(low), low + room(low), -jnp.inf))
    return jnp.minimum(inside, jnp.where(jnp.isfinite(high), high - room(high), jnp.inf))


def worth_of_cost(linear: Linearization, scales: Scales) -> Float[Array, ""]:
    """What the scale of the cost counts in the barrier problem."""
    in_states = jnp.max(jnp.abs(linear.q) * scales.states[None])
    in_controls = jnp.max(jnp.abs(linear.r) * scales.controls[None])
    steepest = jnp.maximum(in_states, in_controls) / scales.cost
    worth = jnp.clip(_LARGEST_GRADIENT / steepest, 1e-8, _WORTH)
    return jnp.where(jnp.isfinite(worth), worth, 1.0)


def raw_iterate(
    problem: Problem, present: Rows, states, controls, warm: WarmStart | None
) -> Iterate:
    """A trajectory with the multipliers of an earlier solution, in the units of the problem."""
    none = jnp.zeros_like(states[0], shape=present.flat().shape)
    k = problem.tangent_dim(states.shape[1])
    costates, y = jnp.zeros_like(states, shape=(len(states), k)), none
    if warm is not None:
        given = rows_of_multipliers(problem, states[0], warm.multipliers).flat()
        y = jnp.where(present.flat() & warm.usable, given, 0.0)
        costates = jnp.where(warm.usable, warm.costates, 0.0)
    return Iterate(states, controls, jnp.stack([none] * 3), costates, y, jnp.stack([none] * 3))


def near_solution(setting: Setting, iterate: Iterate, rows, raw: Iterate) -> Iterate:
    """The starting point with multipliers of an earlier solution, a little inside the central path.

    A slack that is shorter than sqrt(mu) would keep the first steps short.
    """
    least = WARM_MU**0.5 * setting.units.rows
    y = setting.scale * raw.equality
    slack = jnp.maximum(jnp.where(setting.exists[1], iterate.positive[1], 0) - rows, least)
    slack = jnp.where(setting.exists[0], slack, 1.0)
    z = jnp.where(setting.exists[0], jnp.maximum(y, WARM_MU / slack), 0.0)
    return iterate._replace(
        positive=jnp.concatenate([slack[None], iterate.positive[1:]]),
        costates=setting.scale * raw.costates,
        dual=jnp.concatenate([z[None], iterate.dual[1:]]),
        equality=jnp.where(setting.inequality, 0.0, y),
    )


class Begun(NamedTuple):
    """What is measured at the first point, or in later iterations what is known of it."""

    scales: Scales
    setting: Setting
    iterate: Iterate
    mu: Float[Array, ""]
    violation: Float[Array, ""]
    unit_of_duals: Float[Array, ""]  # what a multiplier of one was before in the iterate's units


def begun(
    problem: Problem, state: InteriorPointState, scales: Scales, along: Derivatives, barrier
) -> Begun:
    """Slacks and multipliers around the first point, and its barrier parameter."""
    raw, functions = state.place
    trajectory = (raw.states, raw.controls)
    scales = scales._replace(cost=jnp.maximum(scales.cost, barrier))
    setting = state.original._replace(units=units_of(problem, raw.states[0], scales))
    setting = scaled(setting, worth_of_cost(along.linearization, scales), scales.cost)
    rows = jnp.where(setting.present.flat(), functions.rows, 0.0)
    iterate = around(setting, *trajectory, rows, jnp.ones_like(state.mu))
    warm = near_solution(setting, iterate, rows, raw)
    iterate = trees.where(state.warm, warm, iterate)
    plan = violation_of_hard(setting, setting, functions) <= _PLAN
    mu = jnp.where(plan, state.mu, START_MU)
    mu = jnp.where(state.warm, WARM_MU, mu)
    values = values_of(setting, iterate, functions)
    mu, violation = jnp.maximum(mu, barrier * setting.scale), values.total(setting.units)
    return Begun(scales, setting, iterate, mu, violation, setting.scale)


def begun_before(state: InteriorPointState) -> Begun:
    """In all iterations but the first."""
    one, start = jnp.ones_like(state.mu), state.memory.start
    return Begun(state.scales, state.original, state.place.iterate, state.mu, start, one)
