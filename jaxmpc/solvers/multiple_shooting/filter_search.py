"""The line search of multiple shooting: Newton's direction, and its longest step by the filter."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxmpc.lq.riccati.sequential import Factor
from jaxmpc.problem import Problem
from jaxmpc.problem.kinds import KINDS
from jaxmpc.solvers.multiple_shooting import filter as filters
from jaxmpc.solvers.multiple_shooting.filter import Filter, Merit
from jaxmpc.solvers.multiple_shooting.iterate import Iterate, Setting, Values, evaluate
from jaxmpc.solvers.multiple_shooting.merit import merit_of, slope_of
from jaxmpc.solvers.multiple_shooting.model import Expansion, direction

_STEP_SIZES = 14
_HEAVY = 100.0  # a proximal weight that is more than a little curvature
_KEEP = 1e10  # how far a multiplier may be from mu / its variable


class Box(NamedTuple):
    """Bounds of the controls that are no rows, and where a full step ends."""

    lower: Float[Array, "T m"]
    upper: Float[Array, "T m"]
    side: Int[Array, "T m"]

    def change(self, controls) -> Float[Array, "T m"]:
        """From the controls to the bounds that they are to end on; zero for the others."""
        ends = jnp.where(self.side < 0, self.lower, self.upper)
        return jnp.where(self.side != 0, ends - controls, 0.0)

    def inside(self, controls, size) -> Float[Array, "T m"]:
        """The controls within the bounds; after a full step, at them to the last bit."""
        ends = jnp.where(self.side < 0, self.lower, self.upper)
        controls = jnp.clip(controls, self.lower, self.upper)
        return jnp.where((self.side != 0) & (size == 1), ends, controls)


class Model(NamedTuple):
    """The model that Newton's direction minimises, factorised, and what a full step is to do."""

    expansion: Expansion
    matrices: Factor
    proximal: Float[Array, ""]  # the weight that is in the factor
    mu: Float[Array, ""]
    aim: Values  # the residuals that a full step closes
    box: Box


class Search(NamedTuple):
    """The point after the step, and whether it may be taken, and for its objective alone."""

    iterate: Iterate
    accepted: Bool[Array, ""]
    by_objective: Bool[Array, ""]
    step_size: Float[Array, ""]
    length: Float[Array, ""]  # of Newton's whole step in states and controls, in their units
    now: Merit  # of the point before the step, as the trials were compared with it


def no_box(controls: Float[Array, "T m"]) -> Box:
    """Where bounds of the controls are rows, or there are none."""
    none = jnp.zeros_like(controls)
    return Box(none - jnp.inf, none + jnp.inf, none.astype(jnp.int32))


def filter_search(
    problem: Problem,
    params: PyTree,
    setting: Setting,
    memory: Filter,
    iterate: Iterate,
    values: Values,
    model: Model,
) -> Search:
    """The longest step of a halving sequence that falls by the filter or by the Lagrangian.

    The Lagrangian has the multipliers that the whole step leads to.
    """
    mu, aim, box = model.mu, model.aim, model.box
    change = _newton(problem, setting, iterate, model)
    now = merit_of(values, iterate, setting, mu)
    slope = slope_of(model.expansion, iterate, change, setting, mu)
    prices = (iterate.costates + change.costates)[1:]
    of_rows = iterate.multipliers() + change.equality + change.dual[0]
    priced_slope = slope - jnp.sum(prices * aim.defects) - jnp.sum(of_rows * aim.rows)

    def priced(merit: Merit, values: Values) -> Merit:
        worth = jnp.sum(prices * values.defects) + jnp.sum(of_rows * values.rows)
        return merit._replace(objective=merit.objective + worth)

    def trial_at(size):
        there = iterate._replace(
            states=iterate.states + size * change.states,
            controls=box.inside(iterate.controls + size * change.controls, size),
            positive=iterate.positive + size * change.positive,
        )
        its = evaluate(problem, params, setting, there)
        return there, its, merit_of(its, there, setting, mu)

    longest = _longest_step(iterate.positive, change.positive, mu)
    sizes = longest * 0.5 ** jnp.arange(_STEP_SIZES, dtype=longest.dtype)
    points, trials, merits = jax.vmap(trial_at)(sizes)
    accepted, by_objective = filters.judge(memory, now, merits, sizes, slope)
    falls = filters.falls(
        memory, priced(now, values), jax.vmap(priced)(merits, trials), sizes, priced_slope
    )
    best = jnp.argmax(accepted | falls)
    taken = jax.tree.map(lambda leaf: leaf[best], points)
    return Search(
        _with_multipliers(taken, iterate, change, sizes[best], mu, setting),
        accepted=(accepted | falls)[best],
        by_objective=(by_objective | (falls & ~accepted))[best],
        step_size=sizes[best],
        length=_length_of(change, setting),
        now=now,
    )


def _newton(problem: Problem, setting: Setting, iterate: Iterate, model: Model) -> Iterate:
    """Newton's direction to the sides of the box, which closes the residuals that it aims at.

    A heavy proximal weight resists the closing of residuals and the moves to bounds with a force
    of its own size. In costates and multipliers that force would be curvature of the next model,
    which asks for a larger weight yet; so they are taken from the direction that does neither.
    """
    equalities = [kind for kind in KINDS.values() if kind.is_equality]
    substitutions = 2 if any(kind.given(problem) is not None for kind in equalities) else 1

    def newton(aim: Values, fixed) -> Iterate:
        matrices, expansion = model.matrices, model.expansion
        return direction(matrices, expansion, iterate, aim, setting, model.mu, substitutions, fixed)

    aim, fixed = model.aim, model.box.change(iterate.controls)
    still = aim._replace(defects=0 * aim.defects, rows=jnp.where(setting.inequality, aim.rows, 0.0))
    change, along = newton(aim, fixed), newton(still, 0 * fixed)
    heavy = model.proximal > _HEAVY
    return change._replace(
        costates=jnp.where(heavy, along.costates, change.costates),
        equality=jnp.where(heavy, along.equality, change.equality),
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


def _length_of(change: Iterate, setting: Setting) -> Float[Array, ""]:
    """The largest change of a state or control, in its unit."""
    of_states = jnp.max(jnp.abs(change.states) / setting.units.states)
    return jnp.maximum(of_states, jnp.max(jnp.abs(change.controls) / setting.units.controls))
