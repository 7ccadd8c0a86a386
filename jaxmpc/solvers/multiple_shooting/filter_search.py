"""The line search of multiple shooting: along Newton's direction, as far as the filter lets it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from jaxmpc import trees
from jaxmpc.problem import Problem
from jaxmpc.solvers.multiple_shooting import filter as filters
from jaxmpc.solvers.multiple_shooting.filter import Filter, Merit
from jaxmpc.solvers.multiple_shooting.iterate import (
    Functions,
    Iterate,
    Setting,
    Values,
    functions_at,
    values_of,
)
from jaxmpc.solvers.multiple_shooting.merit import merit_of
from jaxmpc.solvers.multiple_shooting.newton import Box, Move

_STEP_SIZES = 14
_KEEP = 1e10  # how far a multiplier may be from mu / its variable


class Place(NamedTuple):
    """An iterate, and the values of the problem's functions there."""

    iterate: Iterate
    functions: Functions


class Search(NamedTuple):
    """Where the search ended: at the first place, unless it was `accepted`."""

    place: Place
    accepted: Bool[Array, ""]
    by_objective: Bool[Array, ""]  # accepted for its objective alone
    step_size: Float[Array, ""]


def filter_search(
    problem: Problem,
    params: PyTree,
    setting: Setting,
    memory: Filter,
    start: Place,
    move: Move,
    box: Box,
) -> Search:
    """The longest step of a halving sequence that falls by the filter or by the Lagrangian.

    The Lagrangian has the multipliers that the whole step leads to. A move that is `fresh` leads
    nowhere: the start is evaluated, and accepted as it is.
    """
    iterate, change, mu = start.iterate, move.change, move.mu
    prices = (iterate.costates + change.costates)[1:]
    of_rows = iterate.multipliers() + change.equality + change.dual[0]

    def priced(merit: Merit, values: Values) -> Merit:
        worth = jnp.sum(prices * values.defects) + jnp.sum(of_rows * values.rows)
        return merit._replace(objective=merit.objective + worth)

    def at(size) -> Iterate:
        return iterate._replace(
            states=iterate.states + size * change.states,
            controls=box.inside(iterate.controls + size * change.controls, size),
            positive=iterate.positive + size * change.positive,
        )

    def trial(size):
        there = at(size)
        functions = functions_at(problem, params, there.states, there.controls)
        values = values_of(setting, there, functions)
        merit = merit_of(values, there, setting, mu)
        return functions, merit, priced(merit, values)

    longest = _longest_step(iterate.positive, change.positive, mu)
    sizes = longest * 0.5 ** jnp.arange(_STEP_SIZES, dtype=longest.dtype)
    functions, merits, lagrangians = jax.vmap(trial)(sizes)
    now = Merit(move.now.violation, move.now.objective + move.price_of_residuals)
    accepted, by_objective = filters.judge(memory, move.now, merits, sizes, move.slope)
    falls = filters.falls(memory, now, lagrangians, sizes, move.priced_slope)
    best = jnp.argmax(accepted | falls)
    found = jax.tree.map(lambda leaf: leaf[best], functions)
    moved = _with_multipliers(at(sizes[best]), iterate, change, sizes[best], mu, setting)
    accepted_one = (accepted | falls)[best] & move.possible
    unmoved = Place(iterate, found)
    found = trees.where(accepted_one, Place(moved, found), start)
    return Search(
        place=trees.where(move.fresh, unmoved, found),
        accepted=accepted_one | move.fresh,
        by_objective=(by_objective | (falls & ~accepted))[best] & ~move.fresh,
        step_size=jnp.where(accepted_one | move.fresh, sizes[best], 0.0),
    )


def _longest_step(values: Array, change: Array, mu) -> Float[Array, ""]:
    """The fraction-to-boundary rule: the largest step size up to 1 that keeps values positive."""
    falls = change < 0
    ratio = -jnp.maximum(0.99, 1 - mu) * values / jnp.where(falls, change, -1.0)
    return jnp.min(jnp.where(falls, ratio, jnp.inf), initial=1.0)


def _with_multipliers(
    trial: Iterate, iterate: Iterate, change: Iterate, size, mu, setting: Setting
):
    """A trial with the multipliers after the step, kept within a wide band around mu / variable."""
    dual = iterate.dual + _longest_step(iterate.dual, change.dual, mu) * change.dual
    dual = jnp.clip(dual, mu / (_KEEP * trial.positive), _KEEP * mu / trial.positive)
    return trial._replace(
        costates=iterate.costates + size * change.costates,
        dual=jnp.where(setting.exists, dual, 0.0),
        equality=iterate.equality + size * change.equality,
    )
