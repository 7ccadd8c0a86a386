"""Steps of states, and what lives in their tangent spaces: the one place that moves states.

A space of None is that of ordinary numbers.
"""

import jax
from jaxtyping import Array, Float

from jaxmpc.spaces.space import Space


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
