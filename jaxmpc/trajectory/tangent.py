"""Steps of states, and what lives in their tangent spaces: the one place that moves states.

A space of None is that of ordinary numbers.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxmpc.spaces.entries import attitude_directions
from jaxmpc.spaces.space import Space

# In one direction [rad]. Up to a quarter turn the interior point was led astray with a quadrotor in
# three cases of eight, up to this in none, and no solver takes more iterations than in ambient
# numbers (bench/spaces/slew.py).
_LONGEST_TURN = np.pi / 8


def moved(
    space: Space | None, states: Float[Array, "T1 n"], steps: Float[Array, "T1 k"]
) -> Float[Array, "T1 n"]:
    """The states after a step of each."""
    return states + steps if space is None else jax.vmap(space.retract)(states, steps)


def step_between(
    space: Space | None, x: Float[Array, " n"], y: Float[Array, " n"]
) -> Float[Array, " k"]:
    """The step from one state to another."""
    return y - x if space is None else space.difference(x, y)


def between(
    space: Space | None, x: Float[Array, " n"], y: Float[Array, " n"], fraction
) -> Float[Array, " n"]:
    """The state some way from one to the other."""
    if space is None:
        return x + fraction * (y - x)
    return space.retract(x, fraction * space.difference(x, y))


def steps_between(
    space: Space | None, states: Float[Array, "T1 n"], others: Float[Array, "T1 n"]
) -> Float[Array, "T1 k"]:
    """The step from each state to the other one."""
    return others - states if space is None else jax.vmap(space.difference)(states, others)


def within_reach(space: Space | None, steps: Float[Array, "T1 k"]) -> Float[Array, ""] | float:
    """The largest size up to 1 of steps that turn no attitude farther than a search should.

    A step knows nothing of whole turns: a long one leads to an attitude that it did not ask for,
    and on to another minimum than the nearest. What the units of other spaces are is not known.
    """
    turning = [] if space is None else attitude_directions(space)
    if not turning:
        return 1.0
    return jnp.minimum(1.0, _LONGEST_TURN / jnp.max(jnp.abs(steps[:, np.array(turning)])))


def carried(
    space: Space | None,
    states: Float[Array, "T1 n"],
    others: Float[Array, "T1 n"],
    costates: Float[Array, "T1 k"],
) -> Float[Array, "T1 k"]:
    """Slopes in steps from the states, as slopes in further steps from other states."""
    if space is None:
        return costates

    def along(x, y, costate):
        _, pull = jax.vjp(lambda dy: space.difference(x, space.retract(y, dy)), 0 * costate)
        return pull(costate)[0]

    return jax.vmap(along)(states, others, costates)
