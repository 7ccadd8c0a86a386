"""Which bounds are active at the solution of an LQ problem with bounded controls.

Near the answer a few exchanges of sides find it (block principal pivoting; Judice and Pires,
1994). Where they do not, a primal-dual interior point comes close from anywhere, and pivoting
finishes. Every trip through the one loop is one Riccati recursion.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxmpc import trees
from jaxmpc.batching.refill import RUNNING, Iteration
from jaxmpc.lq.bounds import interior, pivoting
from jaxmpc.lq.bounds.interior import LIMIT, Interior, box_of
from jaxmpc.lq.bounds.pivoting import Pivoting, exchange, preferred_sides
from jaxmpc.lq.differentiable import control_gradient
from jaxmpc.lq.problem import LQProblem
from jaxmpc.lq.riccati.choice import Recursion
from jaxmpc.lq.riccati.factorization import factor, substitute
from jaxmpc.lq.riccati.sequential import Factor, LQSolution
from jaxmpc.lq.small_linalg import stagewise_transposed

# What a trip does. START evaluates the gradient where the interior point begins.
_PIVOT, _START, _INTERIOR, _FINISH, _DONE, _FAILED = range(6)
_CALM = 2  # steps that leave the sides as they are, before pivoting tries to finish
_FINISHES = 4  # exchanges that it has for that, before the interior point goes on


class Search(NamedTuple):
    """How far the search for the sides is."""

    phase: Int[Array, ""]
    trips: Int[Array, ""]  # of this phase
    pivoting: Pivoting
    interior: Interior


class Question(NamedTuple):
    """A convex problem, its bounds, and where its controls are thought to be."""

    problem: LQProblem
    lower: Float[Array, "T m"]
    upper: Float[Array, "T m"]
    side: Int[Array, "T m"]


class Answer(NamedTuple):
    """The sides of the controls (-1 lower, 0 free, 1 upper), and whether they are right."""

    side: Int[Array, "T m"]
    found: Bool[Array, ""]


def search(recursion: Recursion, exchanges: int) -> Iteration:
    """The search for the `Answer` to a `Question`.

    `exchanges`: how many sides to try from the guess before the interior point takes over.
    """
    return Iteration(
        init=start,
        step=lambda question, search: trip(recursion, exchanges, question, search)[0],
        terminate=terminate,
        postprocess=lambda _, search: Answer(search.pivoting.side, search.phase == _DONE),
    )


def terminate(search: Search) -> Int[Array, ""]:
    """RUNNING, until there is nothing left to try."""
    return jnp.where(search.phase >= _DONE, search.phase, RUNNING)


def failed(search: Search) -> Bool[Array, ""]:
    """Whether the search has ended without an answer, as it does where nothing is convex."""
    return search.phase == _FAILED


def start(question: Question) -> Search:
    """Nothing tried but the guess."""
    _, lower, upper, guess = question
    box, u = box_of(lower, upper)
    side = jnp.where(box.pinned, -1, guess)
    phase = (
        jnp.sum(side, dtype=side.dtype) * 0
    )  # an integer that varies over a batch as the data does
    return Search(
        phase=phase + _PIVOT,
        trips=phase,
        pivoting=pivoting.start(side),
        interior=interior.unstarted(box, u, side, phase),
    )


def trip(
    recursion: Recursion, exchanges: int, question: Question, search: Search
) -> tuple[Search, Factor]:
    """One Riccati recursion, for whatever the phase wants of it, and its factor.

    Once the search is done that is the factor of the problem with the answer's sides held.
    """
    problem, lower, upper, _ = question
    box, center = box_of(lower, upper)
    phase, inside, side = search.phase, search.interior, search.pivoting.side
    centered = phase == _INTERIOR
    pivots = (phase == _PIVOT) | (phase == _FINISH)
    weights, push = interior.barrier(box, inside)
    weighted = problem._replace(
        R=problem.R + jnp.where(centered, jax.vmap(jnp.diag)(weights), 0.0),
        r=problem.r + jnp.where(centered, push, 0.0),
    )
    at_bound = jnp.where(side < 0, lower, 0.0) + jnp.where(side > 0, upper, 0.0)
    free = jnp.where(pivots, side == 0, centered & ~box.pinned)
    matrices = factor(weighted, free, recursion)
    solution = substitute(weighted, matrices, jnp.where(pivots, at_bound, center))
    gradient = control_gradient(problem, solution)
    rather = _preferred(problem, solution, gradient, side, lower, upper)
    nearer = interior.step(box, inside, solution.controls)
    begun = interior.started(box, center, gradient)
    inside = trees.where(centered, nearer, trees.where(phase == _START, begun, inside))
    trips = search.trips + 1
    convex = matrices.is_convex()
    settled = pivots & convex & jnp.all(rather == side)
    ends = jnp.where(settled, _DONE, _FAILED)
    following = _next_phase(phase, inside, trips, exchanges)
    following = jnp.where(settled | ~convex, ends, following).astype(phase.dtype)
    sides = trees.where(pivots, exchange(search.pivoting, rather), search.pivoting)
    begins = centered & (following == _FINISH)
    inside = inside._replace(calm=jnp.where(begins, 0, inside.calm))
    near = pivoting.start(inside.side)
    after = Search(
        phase=following,
        trips=jnp.where(following == phase, trips, 0),
        pivoting=trees.where(begins, near, sides),
        interior=inside,
    )
    return after, matrices


def _next_phase(phase, inside: Interior, trips, exchanges: int):
    """What the next trip does, if this one did not settle it."""
    last = inside.trips >= LIMIT
    pivoted = jnp.where(trips >= exchanges, _START, _PIVOT)
    centered = jnp.where((inside.calm >= _CALM) | last, _FINISH, _INTERIOR)
    finished = jnp.where(trips >= jnp.where(last, LIMIT, _FINISHES), _INTERIOR, _FINISH)
    finished = jnp.where(last & (trips >= LIMIT), _FAILED, finished)
    after = [pivoted, _INTERIOR, centered]
    return jnp.select([phase == number for number in range(3)], after, finished)


def _preferred(problem: LQProblem, solution: LQSolution, gradient, side, lower, upper):
    eps = jnp.finfo(lower.dtype).eps
    force = stagewise_transposed(jnp.abs(problem.B), jnp.abs(solution.costates[1:]))
    noise = 64 * eps * (force + jnp.abs(problem.r) + jnp.abs(gradient))
    # A free control is outside only if by more than its own rounding.
    slack = 64 * eps * jnp.abs(solution.controls)
    return preferred_sides(side, solution.controls, gradient, noise, lower - slack, upper + slack)
