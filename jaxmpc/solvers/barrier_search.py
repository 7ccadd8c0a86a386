"""The search of `InteriorPoint`: steps that keep variables positive, and their correction."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxmpc.lq.riccati import Factor
from jaxmpc.problem import Problem
from jaxmpc.solvers import filter as filters
from jaxmpc.solvers.barrier import Expansion, direction
from jaxmpc.solvers.filter import Filter
from jaxmpc.solvers.filter_search import Search, Trial, backtrack, length_of
from jaxmpc.solvers.iterate import Iterate, Setting, Values, evaluate
from jaxmpc.solvers.merit import merit_of, slope_of

_KEEP = 1e10  # how far a multiplier may be from mu / its variable


def barrier_search(
    problem: Problem,
    params: PyTree,
    setting: Setting,
    memory: Filter,
    point: Iterate,
    expansion: Expansion,
    values: Values,
    matrices: Factor,
    mu: Float[Array, ""],
) -> Search:
    """The longest acceptable step of Newton's direction, or its second-order correction."""
    equalities = (problem.stage_equality, problem.terminal_equality)
    substitutions = 1 if equalities == (None, None) else 2
    fixed = jnp.zeros_like(point.controls)

    def newton(values: Values) -> Iterate:
        return direction(matrices, expansion, point, values, setting, mu, substitutions, fixed)

    def trial_along(change: Iterate, size):
        there = point._replace(
            states=point.states + size * change.states,
            controls=point.controls + size * change.controls,
            positive=point.positive + size * change.positive,
        )
        its = evaluate(problem, params, setting, there)
        return there, its, merit_of(its, there, setting, mu)

    change = newton(values)
    longest = _longest_step(point.positive, change.positive, mu)
    now = merit_of(values, point, setting, mu)
    slope = slope_of(expansion, point, change, setting, mu)

    def judge(values, merits, sizes):
        return filters.judge(memory, now, merits, sizes, slope)

    taken, first = backtrack(lambda size: trial_along(change, size), judge, longest)
    dual_size = taken.size

    # The correction: the same factor, with the constraints' values after the longest step.
    correction = newton(jax.tree.map(lambda old, new: longest * old + new, values, first.values))
    size = _longest_step(point.positive, correction.positive, mu)
    corrected = trial_along(correction, size)
    good = judge(*corrected[1:], longest)
    corrects = good[0] & ~first.accepted & (first.merit.violation >= now.violation)
    instead = Trial(*corrected, *good, size)
    taken = jax.tree.map(lambda new, old: jnp.where(corrects, new, old), instead, taken)
    return Search(
        _with_multipliers(taken.point, point, change, dual_size, mu, setting),
        taken.accepted,
        taken.by_objective,
        taken.size,
        length_of(change, setting),
        now,
    )


def _longest_step(values: Array, change: Array, mu) -> Float[Array, ""]:
    """The fraction-to-boundary rule: the largest step size up to 1 that keeps values positive."""
    falls = change < 0
    ratio = -jnp.maximum(0.99, 1 - mu) * values / jnp.where(falls, change, -1.0)
    return jnp.min(jnp.where(falls, ratio, jnp.inf), initial=1.0)


def _with_multipliers(taken: Iterate, point: Iterate, change: Iterate, size, mu, setting: Setting):
    """A trial with the multipliers after the step, kept within a wide band around mu / variable."""
    dual = point.dual + _longest_step(point.dual, change.dual, mu) * change.dual
    dual = jnp.clip(dual, mu / (_KEEP * taken.positive), _KEEP * mu / taken.positive)
    return taken._replace(
        costates=point.costates + size * change.costates,
        dual=jnp.where(setting.exists, dual, 0.0),
        equality=point.equality + size * change.equality,
    )
