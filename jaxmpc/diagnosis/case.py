"""What is diagnosed, the two simplest trajectories beside it, and how numbers are written."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from jaxmpc.compilation import compiled
from jaxmpc.problem import Problem
from jaxmpc.solution import Solution
from jaxmpc.spaces.entries import euclidean_entries
from jaxmpc.trajectory import objective, open_loop
from jaxmpc.trajectory.rollout import Trajectory

_MOST_ENTRIES = 12  # of a vector that are printed


class Case(NamedTuple):
    """A problem, what it was solved for, and what came out; all of it concrete numbers."""

    problem: Problem
    x0: Float[Array, " n"]
    params: PyTree
    solution: Solution

    def directions(self) -> list[str]:
        """The names of a state's directions: x[i], or dx[k] where no number is its own."""
        space = self.problem.state_space
        if space is None:
            return [f"x[{i}]" for i in range(self.x0.shape[0])]
        own = {direction: entry for entry, direction in zip(*euclidean_entries(space), strict=True)}
        return [f"x[{own[k]}]" if k in own else f"dx[{k}]" for k in range(space.tangent_dim)]


@compiled
def zero_rollout(case: Case) -> Trajectory:
    """The rollout of zero controls, moved inside their bounds: where a solver starts."""
    return open_loop(case.problem, case.x0, case.params, _zero_controls(case))


@compiled
def cost_of_standing_still(case: Case) -> Float[Array, ""]:
    """The cost of staying at x0 with the same controls, whether or not the dynamics allow it."""
    states = jnp.tile(case.x0, (case.problem.horizon + 1, 1))
    return objective(case.problem, states, _zero_controls(case), case.params)[0]


def _zero_controls(case: Case) -> Float[Array, "T m"]:
    lower, upper = case.problem.limits(case.x0.dtype)
    return jnp.clip(jnp.zeros_like(lower), lower, upper)


def vector(values) -> str:
    """A few numbers, as they are printed in a sentence."""
    texts = [f"{float(value):.4g}" for value in np.asarray(values)]
    more = ["..."] if len(texts) > _MOST_ENTRIES else []
    return "[" + ", ".join(texts[:_MOST_ENTRIES] + more) + "]"


def one_digit(value: float) -> str:
    """A number to one digit, as one would write it in a program."""
    return repr(float(f"{value:.0e}"))


def joined(words: list[str]) -> str:
    """'a', 'a and b', or 'a, b and c'."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
