"""The line search of multiple shooting: a grid of step sizes at once, judged by the filter."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxmpc.lq.riccati import Factor
from jaxmpc.problem import Problem
from jaxmpc.solvers import filter as filters
from jaxmpc.solvers.barrier import Expansion, direction
from jaxmpc.solvers.filter import Filter
from jaxmpc.solvers.iterate import Iterate, Setting, Values, evaluate
from jaxmpc.solvers.merit import merit_of, slope_of

_STEP_SIZES = 14
_HEAVY = 100.0  # a proximal weight that is more than a little curvature
_KEEP = 1e10  # how far a multiplier may be from mu / its variable


class Box(NamedTuple):
    """Bounds of the controls that are no rows, and where a full step ends."""

    lower: Float[Array, "T m"]
    upper: Float[Array, "T m"]
    side: Int[Array, "T m"]
    proximal: Float[Array, ""]  # the weight that is in the model of the step
    defects: Float[Array, "T n"]  # what a full step is to close

    def change(self, controls) -> Float[Array, "T m"]:
        """From the controls to the bounds that they are to end on; zero for the others."""
        ends = jnp.where(self.side < 0, self.lower, self.upper)
        return jnp.where(self.side != 0, ends - controls, 0.0)

    def inside(self, controls, size) -> Float[Array, "T m"]:
        """The controls within the bounds; after a full step, at them to the last bit."""
        ends = jnp.where(self.side < 0, self.lower, self.upper)
        controls = jnp.clip(controls, self.lower, self.upper)
        return jnp.where((self.side != 0) & (size == 1), ends, controls)


class Search(NamedTuple):
    """The point after the step, and whether it may be taken, and for its objective alone."""

    point: Iterate
    accepted: Bool[Array, ""]
    by_objective: Bool[Array, ""]
    step_size: Float[Array, ""]
    length: Float[Array, ""]  # of Newton's whole step in states and controls, in their units


class _Trial(NamedTuple):
    """A point that a step leads to, and what the filter says of it."""

    point: Iterate
    accepted: Bool[Array, ""]
    by_objective: Bool[Array, ""]
    size: Float[Array, ""]


def search(
    problem: Problem,
    params: PyTree,
    setting: Setting,
    memory: Filter,
    point: Iterate,
    expansion: Expansion,
    values: Values,
    matrices: Factor,
    mu: Float[Array, ""],
    box: Box | None = None,
) -> Search:
    """The longest acceptable step of Newton's direction, or its second-order correction.

    Without a box the bounds of the controls are rows, or there are none. With one there are no
    rows but the dynamics, and no correction: it was measured to save hard random problems a
    seventh of their iterations (mean; the median was the same), and to cost the batches of easy
    ones a fifth of their time and more.
    """
    equalities = (problem.stage_equality, problem.terminal_equality)
    substitutions = 1 if equalities == (None, None) else 2

    def newton(values: Values) -> Iterate:
        held = jnp.zeros_like(point.controls)
        return direction(matrices, expansion, point, values, setting, mu, substitutions, held)

    def merit_at(trial: Iterate) -> tuple[Values, filters.Merit]:
        its = evaluate(problem, params, setting, trial)
        return its, merit_of(its, trial, setting, mu)

    if box is None:
        change = newton(values)
    else:
        change = _to_sides(expansion, point, values, setting, matrices, mu, box)
    longest = _longest_step(point.positive, change.positive, mu)
    sizes = longest * 0.5 ** jnp.arange(_STEP_SIZES, dtype=mu.dtype)
    trials = jax.vmap(lambda size: _moved(point, change, size, box))(sizes)
    trial_values, merits = jax.vmap(merit_at)(trials)
    now = merit_of(values, point, setting, mu)
    slope = slope_of(expansion, point, change, setting, mu)
    accepted, by_objective = filters.judge(memory, now, merits, sizes, slope)
    best = jnp.argmax(accepted)
    taken = jax.tree.map(lambda leaf: leaf[best], _Trial(trials, accepted, by_objective, sizes))

    if box is None:
        # The correction: the same factor, with the constraints' values after the longest step.
        after = jax.tree.map(lambda leaf: leaf[0], trial_values)
        correction = newton(jax.tree.map(lambda old, new: longest * old + new, values, after))
        size = _longest_step(point.positive, correction.positive, mu)
        corrected = _moved(point, correction, size, box)
        good = filters.judge(memory, now, merit_at(corrected)[1], longest, slope)
        corrects = good[0] & ~accepted[0] & (merits.violation[0] >= now.violation)
        instead = _Trial(corrected, *good, size)
        taken = jax.tree.map(lambda new, old: jnp.where(corrects, new, old), instead, taken)
    return Search(
        _with_multipliers(taken.point, point, change, sizes[best], mu, setting),
        taken.accepted,
        taken.by_objective,
        taken.size,
        _length(change, setting),
    )


def _to_sides(
    expansion: Expansion, point: Iterate, values: Values, setting: Setting, matrices, mu, box: Box
) -> Iterate:
    """Newton's direction to the sides of the box, which closes the defects that it aims at.

    A heavy proximal weight resists the closing of defects and the moves to bounds with a force of
    its own size. In the costates that force would be curvature of the next model, which asks for
    a larger weight yet; so they are taken from the direction that does neither.
    """

    def newton(defects, held) -> Iterate:
        aim = values._replace(defects=defects)
        return direction(matrices, expansion, point, aim, setting, mu, 1, held)

    held = box.change(point.controls)
    change, along = newton(box.defects, held), newton(0 * box.defects, 0 * held)
    costates = jnp.where(box.proximal > _HEAVY, along.costates, change.costates)
    return change._replace(costates=costates)


def _length(change: Iterate, setting: Setting) -> Float[Array, ""]:
    """The largest change of a state or control, in its unit."""
    of_states = jnp.max(jnp.abs(change.states) / setting.units.states)
    return jnp.maximum(of_states, jnp.max(jnp.abs(change.controls) / setting.units.controls))


def _longest_step(values: Array, change: Array, mu) -> Float[Array, ""]:
    """The fraction-to-boundary rule: the largest step size up to 1 that keeps values positive."""
    falls = change < 0
    ratio = -jnp.maximum(0.99, 1 - mu) * values / jnp.where(falls, change, -1.0)
    return jnp.min(jnp.where(falls, ratio, jnp.inf), initial=1.0)


def _moved(point: Iterate, change: Iterate, size, box: Box | None) -> Iterate:
    controls = point.controls + size * change.controls
    return point._replace(
        states=point.states + size * change.states,
        controls=controls if box is None else box.inside(controls, size),
        positive=point.positive + size * change.positive,
    )


def _with_multipliers(taken: Iterate, point: Iterate, change: Iterate, size, mu, setting: Setting):
    """A trial with the multipliers after the step, kept within a wide band around mu / variable."""
    dual = point.dual + _longest_step(point.dual, change.dual, mu) * change.dual
    dual = jnp.clip(dual, mu / (_KEEP * taken.positive), _KEEP * mu / taken.positive)
    return taken._replace(
        costates=point.costates + size * change.costates,
        dual=jnp.where(setting.exists, dual, 0.0),
        equality=point.equality + size * change.equality,
    )
