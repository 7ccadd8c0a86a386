"""How far guessed states are from following the dynamics."""

import jax
from jaxtyping import Array, Float, PyTree

from jaxmpc.problem import Problem


def defect(problem: Problem, t, x, u, x_next, params: PyTree) -> Float[Array, " n"]:
    """From the next state to where the dynamics lead: the one place that subtracts states."""
    return problem.dynamics(x, u, t, params) - x_next


def defects(
    problem: Problem, states: Float[Array, "T1 n"], controls: Float[Array, "T m"], params: PyTree
) -> Float[Array, "T n"]:
    """The defect of every stage."""
    along = jax.vmap(defect, (None, 0, 0, 0, 0, None))
    return along(problem, problem.times, states[:-1], controls, states[1:], params)
