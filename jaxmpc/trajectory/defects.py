"""How far guessed states are from following the dynamics."""

import jax
from jaxtyping import Array, Float, PyTree

from jaxmpc.problem import Problem
from jaxmpc.spaces.entries import arrived
from jaxmpc.trajectory.tangent import step_between


def defect(problem: Problem, t, x, u, x_next, params: PyTree) -> Float[Array, " k"]:
    """The step from the next state to where the dynamics lead."""
    space, after = problem.state_space, problem.dynamics(x, u, t, params)
    return step_between(space, x_next, after if space is None else arrived(space, after))


def defects(
    problem: Problem, states: Float[Array, "T1 n"], controls: Float[Array, "T m"], params: PyTree
) -> Float[Array, "T k"]:
    """The defect of every stage."""
    along = jax.vmap(defect, (None, 0, 0, 0, 0, None))
    return along(problem, problem.times, states[:-1], controls, states[1:], params)
