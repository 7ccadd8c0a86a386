"""The active bounds of one LQ problem, or of many that are a batch under `vmap`."""

import functools

from jaxtyping import Array, Bool, Float, Int

from jaxmpc.batching.refill import refilled
from jaxmpc.lq.bounds.active_set import Question, search
from jaxmpc.lq.problem import LQProblem
from jaxmpc.lq.riccati.choice import SEQUENTIAL, Recursion

# Sides to try from the guess. One that waits for nobody is better off with the interior point soon;
# in lanes that are refilled the average counts, and most need but a few exchanges.
_EXCHANGES_ALONE, _EXCHANGES_REFILLED = 2, 8


def active_sides(
    problem: LQProblem,
    lower: Float[Array, "T m"],
    upper: Float[Array, "T m"],
    guess: Int[Array, "T m"],
    recursion: Recursion = SEQUENTIAL,
) -> tuple[Int[Array, "T m"], Bool[Array, ""]]:
    """-1 where the lower bound is active at the solution, 1 where the upper one is, 0 elsewhere.

    Also whether they were found: of a convex problem they are. Bounds may be infinite, or equal;
    `guess` is where the controls are thought to be. Not differentiable. A batch under `vmap` does
    not wait for its slowest element.
    """
    return _find(recursion)(Question(problem, lower, upper, guess))


@functools.cache
def _find(recursion: Recursion):
    return refilled(search(recursion, _EXCHANGES_ALONE), search(recursion, _EXCHANGES_REFILLED))
