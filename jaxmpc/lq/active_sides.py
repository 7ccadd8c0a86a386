"""The active bounds of one LQ problem, or of many that are a batch under `vmap`."""

import functools

import equinox as eqx
import jax
from jaxtyping import Array, Bool, Float, Int

from jaxmpc.lq.active_set import Answer, Question, search
from jaxmpc.lq.problem import LQProblem
from jaxmpc.lq.recursion import SEQUENTIAL, Recursion
from jaxmpc.refill import Iteration, run_many

# Sides to try from the guess. One that waits for nobody is better off with the interior point soon;
# in lanes that are refilled the average counts, and most need but a few exchanges.
_EXCHANGES_ALONE, _EXCHANGES_REFILLED = 2, 8
_LANES = {"cpu": 16}  # problems that are worked on at once; elsewhere:
_LANES_ELSEWHERE = 4096


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
    @jax.custom_batching.custom_vmap
    def find(question: Question) -> Answer:
        iteration = search(recursion, _EXCHANGES_ALONE)
        found = jax.lax.while_loop(
            iteration.running,
            functools.partial(iteration.step, question),
            iteration.start(question),
        )
        return iteration.finish(question, found)

    @find.def_vmap
    def find_many(size, batched, question: Question):
        (batched,) = batched
        own, shared = eqx.partition(question, batched)
        start, step, running, finish = search(recursion, _EXCHANGES_REFILLED)
        iteration = Iteration(
            start=lambda element: start(eqx.combine(element, shared)),
            step=lambda element, state: step(eqx.combine(element, shared), state),
            running=running,
            finish=finish,
        )
        lanes = _LANES.get(jax.default_backend(), _LANES_ELSEWHERE)
        answers, _ = run_many(iteration, own, lanes)
        return answers, jax.tree.map(lambda _: True, answers)

    return find
