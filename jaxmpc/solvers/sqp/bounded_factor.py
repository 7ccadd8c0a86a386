"""The factor of an LQ problem with bounded controls: active bounds and proximal weight at once."""

import functools
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxmpc import trees
from jaxmpc.batching.refill import RUNNING, Iteration, refilled
from jaxmpc.lq.bounds import active_set
from jaxmpc.lq.bounds.active_set import Question
from jaxmpc.lq.riccati.choice import Recursion
from jaxmpc.lq.riccati.factorization import factor
from jaxmpc.lq.riccati.sequential import Factor
from jaxmpc.solvers.multiple_shooting.iterate import Units
from jaxmpc.solvers.multiple_shooting.proximal import with_proximal

_RAISE, _TRIES = 10.0, 6
_EXCHANGES = 20  # of sides, before an interior point looks for them
# A proximal term on the states resists the closing of defects, and the costates that this takes
# are curvature in the next iteration, which then asks for a larger weight yet.
_SHARE_OF_STATES = 0.1


class Found(NamedTuple):
    """The factor, on which side of its bounds each control ends, and the proximal weight."""

    matrices: Factor
    side: Int[Array, "T m"]  # -1 / 1: at the lower / upper bound
    proximal: Float[Array, ""]
    convex: Bool[Array, ""]  # whether there is a minimiser; the rest means nothing if not


_with_proximal = partial(with_proximal, share_of_states=_SHARE_OF_STATES)


class _Task(NamedTuple):
    """What is given: the model, the units of its proximal term, and the weights to try."""

    question: Question
    units: Units
    first: Float[Array, ""]
    smallest: Float[Array, ""]


class _Attempt(NamedTuple):
    """The search for the sides with one weight, its last factor, and the attempts before it."""

    search: active_set.Search
    matrices: Factor
    weight: Float[Array, ""]
    failures: Int[Array, ""]
    ended: Int[Array, ""]  # RUNNING, until they have


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def bounded_factor(
    recursion: Recursion,
    question: Question,
    units: Units,
    first: Float[Array, ""],
    smallest: Float[Array, ""],
) -> Found:
    """Minimise over the bounds, with the least proximal weight of a few that makes that convex.

    A proximal term of weight `first` on controls, and of less on states (in their units), then
    `smallest` and more. Every trip of the one loop is one Riccati recursion: where neither the
    sides nor the convexity of the last iteration have changed, one is all that it takes. A batch
    under `vmap` does not wait for its slowest element. The derivative is that of the last
    attempt, as if sides and weight had been given.
    """
    return _find(recursion)(_Task(question, units, first, smallest))


@functools.cache
def _find(recursion: Recursion):
    iteration = Iteration(
        init=partial(_init, recursion),
        step=partial(_step, recursion),
        terminate=lambda attempt: attempt.ended,
        postprocess=_postprocess,
    )
    return refilled(iteration, iteration)


def _init(recursion: Recursion, task: _Task) -> _Attempt:
    question = task.question
    search = active_set.start(question)
    none = jnp.zeros_like(search.trips)
    shapes = jax.eval_shape(lambda: factor(question.problem, question.side == 0, recursion))
    # Made of the data, as the loop's results are: over devices they vary as it does.
    blank = jax.tree.map(lambda leaf: jnp.broadcast_to(none, leaf.shape).astype(leaf.dtype), shapes)
    return _Attempt(search, blank, task.first, none, none + RUNNING)


def _step(recursion: Recursion, task: _Task, attempt: _Attempt) -> _Attempt:
    search, _, weight, failures, _ = attempt
    question = task.question._replace(
        problem=_with_proximal(task.question.problem, task.units, weight)
    )
    search, matrices = active_set.trip(recursion, _EXCHANGES, question, search)
    again = active_set.failed(search) & (failures < _TRIES)
    begun = active_set.start(question)
    search = trees.where(again, begun, search)
    raised = jnp.where(again, jnp.maximum(task.smallest, _RAISE * weight), weight)
    failures = jnp.where(again, failures + 1, failures)
    return _Attempt(search, matrices, raised, failures, active_set.terminate(search))


def _postprocess(_, attempt: _Attempt) -> Found:
    search, matrices, weight, _, _ = attempt
    return Found(matrices, search.pivoting.side, weight, ~active_set.failed(search))


def _forward(recursion, question, units, first, smallest):
    found: Any = bounded_factor(recursion, question, units, first, smallest)
    return found, (question.problem, units, found)


def _backward(recursion, residuals, cotangents):
    model, units, found = residuals

    def matrices(model):
        return factor(_with_proximal(model, units, found.proximal), found.side == 0, recursion)

    _, pull = jax.vjp(matrices, model)
    (of_model,) = pull(cotangents.matrices)
    unmoved: Any = None
    return Question(of_model, unmoved, unmoved, unmoved), None, None, None


bounded_factor.defvjp(_forward, _backward)
