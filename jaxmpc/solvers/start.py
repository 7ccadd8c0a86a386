"""The states that a solver starts from when none are guessed."""

import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxmpc.problem import Problem
from jaxmpc.trajectory import Trajectory, objective

WORSE = 1000.0  # how many times what standing still costs makes a simulation useless


def starting_states(
    problem: Problem, params: PyTree, simulated: Trajectory
) -> Float[Array, "T1 n"]:
    """The simulation of the guessed controls, or x0 at all stages where that is no use.

    It is none where it is not finite, and where it costs many times what standing still does:
    unstable dynamics lead far away, and what is expanded there says nothing of the solution.
    """
    states, controls, cost, size = simulated
    still = jnp.broadcast_to(states[0], states.shape)
    cost_still, size_still = objective(problem, still, controls, params)
    worse = (cost > cost_still) & (size > WORSE * size_still)
    useless = worse | ~jnp.isfinite(cost) | ~jnp.all(jnp.isfinite(states))
    return jnp.where(useless, still, states)
