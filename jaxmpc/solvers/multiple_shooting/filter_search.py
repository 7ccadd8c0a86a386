"""The line search of multiple shooting: along Newton's direction, as far as the filter lets it."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxmpc import trees
from jaxmpc.problem import Problem
from jaxmpc.solvers.multiple_shooting import filter as filters
from jaxmpc.solvers.multiple_shooting.filter import Filter, Merit
from jaxmpc.solvers.multiple_shooting.iterate import (
    Functions,
    Iterate,
    Setting,
    functions_at,
    values_of,
)
from jaxmpc.solvers.multiple_shooting.merit import merit_of
from jaxmpc.solvers.multiple_shooting.newton import Box, Move
from jaxmpc.trajectory.tangent import carried, moved, within_reach

_SIDE_BY_SIDE = 4  # step sizes that are tried at once
_LEAST = 15  # halvings, after which there is nothing left to try
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


class _Line(NamedTuple):
    """Where a search looks."""

    problem: Problem
    params: PyTree
    setting: Setting
    start: Place
    move: Move
    box: Box

    def longest(self) -> Float[Array, ""]:
        """The longest step that keeps positive variables positive, and attitudes within reach."""
        change = self.move.change
        size = _longest_step(self.start.iterate.positive, change.positive, self.move.mu)
        return jnp.minimum(size, within_reach(self.problem.state_space, change.states))

    def at(self, size) -> Iterate:
        """The point after a step, with the multipliers of the start."""
        iterate, change = self.start.iterate, self.move.change
        return iterate._replace(
            states=moved(self.problem.state_space, iterate.states, size * change.states),
            controls=self.box.inside(iterate.controls + size * change.controls, size),
            positive=iterate.positive + size * change.positive,
        )

    def functions(self, there: Iterate) -> Functions:
        """The values of the problem's functions at such a point."""
        return functions_at(self.problem, self.params, there.states, there.controls)


class _Trial(NamedTuple):
    """A step, by how often the longest one was halved for it, and what is there."""

    halvings: Int[Array, ""]
    functions: Functions
    acceptable: Bool[Array, ""]
    by_objective: Bool[Array, ""]


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
    line = _Line(problem, params, setting, start, move, box)
    trial: _Trial = _first_acceptable(line, memory)
    size = line.longest() * 0.5 ** trial.halvings.astype(start.functions.cost.dtype)
    there = _with_multipliers(line, size)
    accepted = trial.acceptable & move.possible
    found = trees.where(accepted, Place(there, trial.functions), start)
    accepted |= move.fresh
    return Search(
        place=trees.where(move.fresh, Place(start.iterate, trial.functions), found),
        accepted=accepted,
        by_objective=trial.by_objective & ~move.fresh,
        step_size=jnp.where(accepted, size, 0.0),
    )


@jax.custom_vjp
def _first_acceptable(line: _Line, memory: Filter) -> _Trial:
    """Try a few steps side by side, and shorter ones if none of them will do.

    Nearly always one of the first does. The derivative is that of the functions there, as if the
    number of halvings had been given.
    """
    longest, move = line.longest(), line.move
    iterate, change = line.start.iterate, move.change
    prices = (iterate.costates + change.costates)[1:]
    of_rows = iterate.multipliers() + change.equality + change.dual[0]
    now = Merit(move.now.violation, move.now.objective + move.price_of_residuals)

    def measured(size):
        there = line.at(size)
        functions = line.functions(there)
        values = values_of(line.setting, there, functions)
        merit = merit_of(values, there, line.setting, move.mu)
        worth = jnp.sum(prices * values.defects) + jnp.sum(of_rows * values.rows)
        return functions, merit, merit._replace(objective=merit.objective + worth)

    def shorter(trial: _Trial) -> _Trial:
        halvings = trial.halvings + 1 + jnp.arange(_SIDE_BY_SIDE, dtype=trial.halvings.dtype)
        sizes = longest * 0.5 ** halvings.astype(longest.dtype)
        functions, merits, lagrangians = jax.vmap(measured)(sizes)
        accepted, by_objective = filters.judge(memory, move.now, merits, sizes, move.slope)
        falls = filters.falls(memory, now, lagrangians, sizes, move.priced_slope)
        acceptable = accepted | falls | move.fresh
        one = jnp.where(jnp.any(acceptable), jnp.argmax(acceptable), _SIDE_BY_SIDE - 1)
        by_objective |= falls & ~accepted
        found = (halvings, functions, acceptable, by_objective)
        return _Trial(*jax.tree.map(lambda leaf: leaf[one], found))

    def wanted(trial: _Trial):
        return ~trial.acceptable & (trial.halvings < _LEAST) & (move.possible | move.fresh)

    never = move.possible & False
    untried = never.astype(jnp.int32) - 1
    blank = jax.tree.map(jnp.zeros_like, line.start.functions)
    return jax.lax.while_loop(wanted, shorter, _Trial(untried, blank, never, never))


def _forward(line: _Line, memory: Filter):
    trial: Any = _first_acceptable(line, memory)
    return trial, (line, memory, trial.halvings)


def _backward(residuals, cotangent):
    line, memory, halvings = residuals
    varied, constant = eqx.partition(line, eqx.is_inexact_array)

    def functions(varied):
        line = eqx.combine(varied, constant)
        size = line.longest() * 0.5 ** halvings.astype(line.move.mu.dtype)
        return line.functions(line.at(size))

    _, pull = jax.vjp(functions, varied)
    return *pull(cotangent.functions), jax.tree.map(lambda _: None, memory)


_first_acceptable.defvjp(_forward, _backward)


def _longest_step(values: Array, change: Array, mu) -> Float[Array, ""]:
    """The fraction-to-boundary rule: the largest step size up to 1 that keeps values positive."""
    falls = change < 0
    ratio = -jnp.maximum(0.99, 1 - mu) * values / jnp.where(falls, change, -1.0)
    return jnp.min(jnp.where(falls, ratio, jnp.inf), initial=1.0)


def _with_multipliers(line: _Line, size: Float[Array, ""]) -> Iterate:
    """The point after a step with its multipliers, in a wide band around mu / variable."""
    iterate, change, mu = line.start.iterate, line.move.change, line.move.mu
    there = line.at(size)
    dual = iterate.dual + _longest_step(iterate.dual, change.dual, mu) * change.dual
    dual = jnp.clip(dual, mu / (_KEEP * there.positive), _KEEP * mu / there.positive)
    costates = iterate.costates + size * change.costates
    return there._replace(
        costates=carried(line.problem.state_space, iterate.states, there.states, costates),
        dual=jnp.where(line.setting.exists, dual, 0.0),
        equality=iterate.equality + size * change.equality,
    )
