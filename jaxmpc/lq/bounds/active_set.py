"""Which bounds are active at the solution of an LQ problem with bounded controls.

Near the answer a few exchanges of sides find it (block principal pivoting; Judice and Pires,
1994). Where they do not, a primal-dual interior point comes close from anywhere (Wright, 1997,
ch. 5), and pivoting finishes. Every trip through the one loop is one Riccati recursion.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxmpc import trees
from jaxmpc.batching.refill import RUNNING, Iteration
from jaxmpc.lq.bounds import pivoting
from jaxmpc.lq.bounds.pivoting import Pivoting, exchange, preferred_sides
from jaxmpc.lq.differentiable import control_gradient
from jaxmpc.lq.problem import LQProblem
from jaxmpc.lq.riccati.choice import Recursion
from jaxmpc.lq.riccati.factorization import factor, substitute
from jaxmpc.lq.riccati.sequential import Factor, LQSolution
from jaxmpc.lq.small_linalg import stagewise_transposed

# What a trip does. START evaluates the gradient where the interior point begins.
_PIVOT, _START, _INTERIOR, _FINISH, _DONE, _FAILED = range(6)
_LIMIT = 60  # trips of the interior point in all
_CALM = 2  # steps that leave the sides as they are, before pivoting tries to finish
_FINISHES = 4  # exchanges that it has for that, before the interior point goes on
_TO_BOUNDARY = 0.995


class _Interior(NamedTuple):
    """The primal-dual point, and the centering of the next step."""

    u: Float[Array, "T m"]
    z_lower: Float[Array, "T m"]
    z_upper: Float[Array, "T m"]
    centering: Float[Array, ""]
    side: Int[Array, "T m"]  # what the last step says of the bounds
    calm: Int[Array, ""]  # steps that have said the same
    trips: Int[Array, ""]


class Search(NamedTuple):
    """How far the search for the sides is."""

    phase: Int[Array, ""]
    trips: Int[Array, ""]  # of this phase
    pivoting: Pivoting
    interior: _Interior


class _Box(NamedTuple):
    """The bounds, with numbers in place of infinite ones, and where they count."""

    low: Float[Array, "T m"]
    high: Float[Array, "T m"]
    has_low: Bool[Array, "T m"]
    has_high: Bool[Array, "T m"]
    pinned: Bool[Array, "T m"]

    def slacks(self, u):
        """Distances to the bounds; one that is lost to rounding is not zero."""
        room = jnp.finfo(u.dtype).eps * (1.0 + jnp.abs(self.low) + jnp.abs(self.high))
        below = jnp.where(self.has_low, jnp.maximum(u - self.low, room), 1.0)
        return below, jnp.where(self.has_high, jnp.maximum(self.high - u, room), 1.0)


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
    box, u = _box(lower, upper)
    zero = jnp.zeros_like(u[0, 0])
    side = jnp.where(box.pinned, -1, guess)
    phase = (
        jnp.sum(side, dtype=side.dtype) * 0
    )  # an integer that varies over a batch as the data does
    return Search(
        phase=phase + _PIVOT,
        trips=phase,
        pivoting=pivoting.start(side),
        interior=_Interior(u, jnp.ones_like(u), jnp.ones_like(u), zero, side, phase, phase),
    )


def trip(
    recursion: Recursion, exchanges: int, question: Question, search: Search
) -> tuple[Search, Factor]:
    """One Riccati recursion, for whatever the phase wants of it, and its factor.

    Once the search is done that is the factor of the problem with the answer's sides held.
    """
    problem, lower, upper, _ = question
    box, center = _box(lower, upper)
    phase, inside, side = search.phase, search.interior, search.pivoting.side
    centered = phase == _INTERIOR
    pivots = (phase == _PIVOT) | (phase == _FINISH)
    weights, push = _barrier(box, inside)
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
    nearer = _interior_step(box, inside, solution.controls)
    begun = _interior_start(box, center, gradient)
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


def _next_phase(phase, inside: _Interior, trips, exchanges: int):
    """What the next trip does, if this one did not settle it."""
    last = inside.trips >= _LIMIT
    pivoted = jnp.where(trips >= exchanges, _START, _PIVOT)
    centered = jnp.where((inside.calm >= _CALM) | last, _FINISH, _INTERIOR)
    finished = jnp.where(trips >= jnp.where(last, _LIMIT, _FINISHES), _INTERIOR, _FINISH)
    finished = jnp.where(last & (trips >= _LIMIT), _FAILED, finished)
    after = [pivoted, _INTERIOR, centered]
    return jnp.select([phase == number for number in range(3)], after, finished)


def _box(lower, upper) -> tuple[_Box, Float[Array, "T m"]]:
    """The bounds, and a point between them."""
    has_low, has_high = jnp.isfinite(lower), jnp.isfinite(upper)
    pinned = lower >= upper
    low, high = jnp.where(has_low, lower, -1.0), jnp.where(has_high, upper, 1.0)
    one_sided = jnp.where(has_low, low + 1.0, jnp.where(has_high, high - 1.0, 0.0))
    start = jnp.where(has_low & has_high, 0.5 * (low + high), one_sided)
    return _Box(low, high, has_low & ~pinned, has_high & ~pinned, pinned), start


def _gap(box: _Box, inside: _Interior) -> Float[Array, ""]:
    """The mean of multiplier times slack."""
    below, above = box.slacks(inside.u)
    number = jnp.maximum(jnp.sum(box.has_low) + jnp.sum(box.has_high), 1)
    total = jnp.sum(jnp.where(box.has_low, inside.z_lower * below, 0.0))
    total += jnp.sum(jnp.where(box.has_high, inside.z_upper * above, 0.0))
    return total / number.astype(total.dtype)


def _barrier(box: _Box, inside: _Interior):
    """What the bounds add to R and to r."""
    below, above = box.slacks(inside.u)
    target = inside.centering * _gap(box, inside)
    weights = jnp.where(box.has_low, inside.z_lower / below, 0.0)
    weights += jnp.where(box.has_high, inside.z_upper / above, 0.0)
    push = jnp.where(box.has_high, target / above, 0.0) - jnp.where(box.has_low, target / below, 0)
    return weights, push - weights * inside.u


def _interior_start(box: _Box, start, gradient) -> _Interior:
    """Multipliers of the size of what they have to balance."""
    size = jnp.mean(jnp.sqrt(jnp.abs(gradient))) ** 2  # few large entries do not decide it
    size = jnp.where(size > 0, size, 1.0)
    z_lower = jnp.where(box.has_low, size, 0.0)
    z_upper = jnp.where(box.has_high, size, 0.0)
    none = jnp.zeros_like(start, dtype=jnp.int32)
    count = jnp.sum(none, dtype=none.dtype)
    return _Interior(start, z_lower, z_upper, jnp.full_like(size, 0.3), none, count, count)


def _interior_step(box: _Box, inside: _Interior, target_u) -> _Interior:
    """As far along Newton's direction as slacks and multipliers stay positive, each for itself."""
    u, z_lower, z_upper, centering, side, calm, trips = inside
    below, above = box.slacks(u)
    target = centering * _gap(box, inside)
    du = target_u - u
    dz_lower = jnp.where(box.has_low, (target - z_lower * du) / below - z_lower, 0.0)
    dz_upper = jnp.where(box.has_high, (target + z_upper * du) / above - z_upper, 0.0)
    primal = jnp.minimum(_reach(below, du, box.has_low), _reach(above, -du, box.has_high))
    dual = _reach(z_lower, dz_lower, box.has_low)
    dual = jnp.minimum(dual, _reach(z_upper, dz_upper, box.has_high))
    slow = (1 - jnp.minimum(primal, dual)) ** 2
    new_lower, new_upper = z_lower + dual * dz_lower, z_upper + dual * dz_upper
    new_below, new_above = box.slacks(u + primal * du)
    # At an active bound the slack falls and the multiplier stays; elsewhere it is the other way
    # round (Tapia's indicators; El-Bakry, Tapia and Zhang, 1994).
    at_lower = box.has_low & (new_below * z_lower < new_lower * below)
    at_upper = box.has_high & (new_above * z_upper < new_upper * above)
    now = jnp.where(at_lower | box.pinned, -1, jnp.where(at_upper, 1, 0)).astype(side.dtype)
    calm = jnp.where(jnp.all(now == side), calm + 1, 0).astype(calm.dtype)
    new = _Interior(
        u + primal * du, new_lower, new_upper, jnp.clip(slow, 0.03, 0.8), now, calm, trips + 1
    )
    # Past the accuracy of the precision the weights overflow; what there was is kept.
    sound = jnp.all(jnp.isfinite(jnp.stack(new[:3])))
    return trees.where(sound, new, inside._replace(trips=jnp.full_like(trips, _LIMIT)))


def _reach(value, change, mask):
    """The longest step, at most 1, that keeps the values positive."""
    falls = mask & (change < 0)
    ratio = jnp.where(falls, -value / jnp.where(falls, change, -1.0), jnp.inf)
    return jnp.minimum(1.0, _TO_BOUNDARY * jnp.min(ratio))


def _preferred(problem: LQProblem, solution: LQSolution, gradient, side, lower, upper):
    eps = jnp.finfo(lower.dtype).eps
    force = stagewise_transposed(jnp.abs(problem.B), jnp.abs(solution.costates[1:]))
    noise = 64 * eps * (force + jnp.abs(problem.r) + jnp.abs(gradient))
    # A free control is outside only if by more than its own rounding.
    slack = 64 * eps * jnp.abs(solution.controls)
    return preferred_sides(side, solution.controls, gradient, noise, lower - slack, upper + slack)
