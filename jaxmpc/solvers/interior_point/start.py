"""Where the interior point starts: inside of the bounds, and near what is known."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmpc.problem import Problem
from jaxmpc.solution import Scales
from jaxmpc.solvers.loop import WarmStart
from jaxmpc.solvers.multiple_shooting.iterate import Iterate, Setting
from jaxmpc.trajectory import Linearization
from jaxmpc.trajectory.constraints import rows_of_multipliers

WARM_MU = 1e-5  # the barrier parameter after a solution nearby
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


def near_solution(
    problem: Problem, setting: Setting, iterate: Iterate, rows, warm: WarmStart
) -> Iterate:
    """The starting point with multipliers of an earlier solution, a little inside the central path.

    A slack that is shorter than sqrt(mu) would keep the first steps short.
    """
    least = WARM_MU**0.5 * setting.units.rows
    given = rows_of_multipliers(problem, iterate.states[0], warm.multipliers).flat()
    y = jnp.where(setting.present.flat(), setting.scale * given, 0.0)
    slack = jnp.maximum(jnp.where(setting.exists[1], iterate.positive[1], 0) - rows, least)
    slack = jnp.where(setting.exists[0], slack, 1.0)
    z = jnp.where(setting.exists[0], jnp.maximum(y, WARM_MU / slack), 0.0)
    return iterate._replace(
        positive=jnp.concatenate([slack[None], iterate.positive[1:]]),
        costates=setting.scale * warm.costates,
        dual=jnp.concatenate([z[None], iterate.dual[1:]]),
        equality=jnp.where(setting.inequality, 0.0, y),
    )
