"""The primal-dual iterate of the interior point, and the problem that it works on.

A row c of the constraints gets positive variables: a slack s if it is an inequality, and if it
is soft an excess `over` (and for an equality one `under` as well) by which it may be violated:

    c + s - over = 0   or   c - over + under = 0,
    penalty  linear . excess + 1/2 quadratic . excess^2.

Rows are vectors [N], in the order of `Rows.flat`; positive variables are [3, N].
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from jaxmpc.lq.rows import Rows
from jaxmpc.problem import Problem
from jaxmpc.solution import Scales
from jaxmpc.spaces.space import Space
from jaxmpc.trajectory import defects, objective
from jaxmpc.trajectory.constraints import rows_along
from jaxmpc.trajectory.row_kinds import row_kinds
from jaxmpc.trajectory.scales import scales_of_rows
from jaxmpc.trajectory.tangent import carried, steps_between

_PUSH = 1e-2  # the least positive variable at the start
_NOISE = 8.0  # how many roundings of a state's size are no defect
_NOISE_OF_ROWS = 1.0  # the same for rows, whose units may be larger than their terms
_TIE_BREAK = 1e-5  # weight of the cost where the violation is minimised


class Iterate(NamedTuple):
    """A primal-dual point."""

    states: Float[Array, "T1 n"]
    controls: Float[Array, "T m"]
    positive: Float[Array, "3 N"]  # slack, over, under; 1 where there is none
    costates: Float[Array, "T1 k"]
    equality: Float[Array, " N"]  # multipliers of the equalities; 0 for inequalities
    dual: Float[Array, "3 N"]  # multipliers of the positive variables; 0 where there is none

    def multipliers(self) -> Float[Array, " N"]:
        """Those of the rows: an inequality shares its slack's."""
        return self.equality + self.dual[0]


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class StaticSpace:
    """The space of the states as a part of a solver's state, which has no arrays."""

    space: Space

    @classmethod
    def of(cls, problem: Problem) -> "StaticSpace | None":
        """That of a problem; None for plain numbers."""
        return None if problem.state_space is None else cls(problem.state_space)


class Units(NamedTuple):
    """What counts as one of each quantity: every constant of the method is meant in these."""

    states: Float[Array, "1 k"]
    controls: Float[Array, "1 m"]
    rows: Float[Array, " N"]


class Proximity(NamedTuple):
    """weight / 2 times the squared distance, in units, to a trajectory: part of the penalty."""

    weight: Float[Array, ""]
    states: Float[Array, "T1 n"]
    controls: Float[Array, "T m"]
    space: StaticSpace | None

    def distance(self, states, controls, units: Units):
        """What lies between, divided by the units once."""
        away = steps_between(self._space(), self.states, states)
        return away / units.states, (controls - self.controls) / units.controls

    def gradient(self, states, controls, units: Units):
        """Of the penalty, in steps of the states and in the controls."""
        far = self.distance(states, controls, units)
        in_steps = self.weight * far[0] / units.states
        in_steps = carried(self._space(), self.states, states, in_steps)
        return in_steps, self.weight * far[1] / units.controls

    def _space(self) -> Space | None:
        return None if self.space is None else self.space.space


class Setting(NamedTuple):
    """What is solved: which rows and positive variables exist, the scale of the cost, penalties.

    The cost is multiplied by `scale`, and the penalties have it in them. The multipliers are
    judged in units of `unit`.
    """

    scale: Float[Array, ""]
    unit: Float[Array, ""]
    units: Units
    near: Proximity
    free: Bool[Array, "T m"]
    present: Rows  # of booleans
    inequality: Bool[Array, " N"]
    relaxable: Bool[Array, " N"]  # rows that a restoration may make soft
    exists: Bool[Array, "3 N"]
    linear: Float[Array, " N"]
    quadratic: Float[Array, " N"]

    def marginal_price(self, excess: Float[Array, "k N"]) -> Float[Array, "k N"]:
        """The slope of the penalty in positive variables of each row."""
        return self.linear[None] + self.quadratic[None] * excess

    def penalty(self, excess: Float[Array, "2 N"]) -> Float[Array, ""]:
        """What the violation of soft rows costs."""
        return jnp.sum(self.linear[None] * excess + 0.5 * self.quadratic[None] * excess**2)


class Functions(NamedTuple):
    """The values of the problem's functions along a trajectory."""

    cost: Float[Array, ""]
    magnitude: Float[Array, ""]  # the sum of its terms' absolute values
    defects: Float[Array, "T k"]
    rows: Float[Array, " N"]


def functions_at(
    problem: Problem, params: PyTree, states: Float[Array, "T1 n"], controls: Float[Array, "T m"]
) -> Functions:
    """Evaluate them, each once."""
    rows = rows_along(problem, states, controls, params).flat()
    size = problem.directed(jnp.max(jnp.abs(states), axis=0, keepdims=True), 1.0)
    off = _beyond_rounding(defects(problem, states, controls, params), _NOISE * size)
    return Functions(*objective(problem, states, controls, params), off, rows)


class Values(NamedTuple):
    """The cost and the constraints' residuals at a point; those of absent rows are zero."""

    cost: Float[Array, ""]  # not scaled, nor is the sum of its terms' absolute values
    magnitude: Float[Array, ""]
    penalty: Float[Array, ""]
    defects: Float[Array, "T k"]
    rows: Float[Array, " N"]

    def largest(self, units: Units) -> Float[Array, ""]:
        """The largest residual."""
        defects, rows = self._in(units)
        return jnp.maximum(jnp.max(defects), jnp.max(rows, initial=0))

    def total(self, units: Units) -> Float[Array, ""]:
        """The sum of the absolute residuals."""
        defects, rows = self._in(units)
        return jnp.sum(defects) + jnp.sum(rows)

    def _in(self, units: Units):
        return jnp.abs(self.defects) / units.states, jnp.abs(self.rows) / units.rows


def units_of(problem: Problem, x0: Float[Array, " n"], scales: Scales) -> Units:
    """The scales of states, controls and rows as units."""
    rows = scales_of_rows(problem, x0, scales).flat()
    return Units(scales.states[None], scales.controls[None], rows)


def setting_of(problem: Problem, params: PyTree, states, controls, scales: Scales) -> Setting:
    """The problem as it stands, not scaled, and where it starts from."""
    x0 = states[0]
    kinds = row_kinds(problem, x0, params)
    low, high = problem.limits(x0.dtype)
    one = jnp.ones_like(x0, shape=())
    # Rows of no entries too must vary over devices as the data does (in a shard_map).
    data = jnp.isfinite(x0[0]) | True
    kinds = kinds._replace(present=jax.tree.map(lambda rows: rows & data, kinds.present))
    present, inequality = kinds.present.flat(), kinds.inequality.flat() & data
    nothing = jnp.zeros_like(x0, shape=present.shape)
    linear, quadratic = nothing + kinds.linear.flat(), nothing + kinds.quadratic.flat()
    setting = Setting(
        scale=one,
        unit=one,
        units=units_of(problem, x0, scales),
        near=Proximity(0 * one, states, controls, StaticSpace.of(problem)),
        free=low < high,
        present=kinds.present,
        inequality=inequality,
        relaxable=present & ~kinds.control_bound.flat(),
        exists=jnp.stack([present & inequality] * 3),
        linear=linear,
        quadratic=quadratic,
    )
    return _with_prices(setting, linear, quadratic)


def _with_prices(setting: Setting, linear, quadratic) -> Setting:
    """The setting with soft rows where a price is finite, and hard ones elsewhere."""
    soft = setting.present.flat() & jnp.isfinite(linear)
    return setting._replace(
        exists=jnp.stack([setting.exists[0], soft, soft & ~setting.inequality]),
        linear=jnp.where(soft, linear, 0.0),
        quadratic=jnp.where(soft, quadratic, 0.0),
    )


def relaxed(setting: Setting, mu: Float[Array, ""], squared: Bool[Array, ""]) -> Setting:
    """The problem of a restoration: the least violation near where it began.

    The nearness counts less and less as mu falls, and the cost is a mere tie-break.
    Minimises the sum of the absolute or `squared` violations, in their units, of all rows but
    those of the control bounds.
    """
    weights = jnp.where(setting.relaxable, 1 / setting.units.rows, jnp.inf)
    soft = _with_prices(setting, weights, weights**2)
    return soft._replace(
        linear=jnp.where(squared, 0.0, soft.linear),
        quadratic=jnp.where(squared, soft.quadratic, 0.0),
        scale=_TIE_BREAK * setting.scale,
        unit=jnp.ones_like(setting.unit),
        near=setting.near._replace(weight=jnp.sqrt(mu)),
    )


def scaled(setting: Setting, unit: Float[Array, ""], cost: Float[Array, ""]) -> Setting:
    """The setting with a cost that is worth `unit` where it was worth `cost`."""
    scale = unit / cost
    return setting._replace(
        scale=scale, unit=unit, linear=scale * setting.linear, quadratic=scale * setting.quadratic
    )


def residual_of_rows(setting: Setting, positive: Float[Array, "3 N"], rows: Float[Array, " N"]):
    """c + s - over + under of the rows that are present."""
    slack, over, under = jnp.where(setting.exists, positive, 0.0)
    return jnp.where(setting.present.flat(), rows + slack - over + under, 0.0)


def values_of(setting: Setting, iterate: Iterate, functions: Functions) -> Values:
    """Cost and residuals of the constraints, with the positive variables of an iterate."""
    excess = jnp.where(setting.exists, iterate.positive, 0.0)[1:]
    far = setting.near.distance(iterate.states, iterate.controls, setting.units)
    away = 0.5 * setting.near.weight * sum(jnp.sum(distance**2) for distance in far)
    off = residual_of_rows(setting, iterate.positive, functions.rows)
    return Values(
        functions.cost,
        functions.magnitude,
        away + setting.penalty(excess),
        functions.defects,
        _beyond_rounding(off, _NOISE_OF_ROWS * setting.units.rows),
    )


def _beyond_rounding(residual, size):
    """Zero for a residual that is rounding: an active row would make a large multiplier of it."""
    return jnp.where(jnp.abs(residual) <= jnp.finfo(residual.dtype).eps * size, 0.0, residual)


def around(
    setting: Setting, states, controls, rows: Float[Array, " N"], dual: Float[Array, ""]
) -> Iterate:
    """An iterate around a trajectory: positive variables that fit, multipliers of one size."""
    exists, push, dual = setting.exists, _PUSH * setting.units.rows, dual / setting.units.rows
    over = jnp.where(exists[1], jnp.maximum(rows, 0.0) + push, 0.0)
    slack, under = jnp.maximum(over - rows, push), over - rows
    positive = jnp.where(exists, jnp.stack([slack, over, under]), 1.0)
    prices = setting.marginal_price(positive)
    z = jnp.where(exists[1], jnp.minimum(dual, prices[1] / 2), dual)
    z = jnp.where(exists[0], z, 0.0)
    duals = jnp.stack([z, prices[1] - z, prices[2]])
    return Iterate(
        states,
        controls,
        positive,
        jnp.zeros_like(states, shape=(len(states), setting.units.states.shape[1])),
        jnp.zeros_like(rows),
        jnp.where(exists, duals, 0.0),
    )
