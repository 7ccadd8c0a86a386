"""The primal-dual iterate of the interior point, and the problem that it works on.

Each inequality row g gets a slack s > 0, each soft row an excess e > 0 that it may be violated
by, each soft equality row h an excess above and one below:

    g - e + s = 0,    h - above + below = 0,    penalty  linear . e + 1/2 quadratic . e^2.

A hard row is one whose excess does not exist.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from jaxmpc.lq.rows import Rows
from jaxmpc.problem import Problem
from jaxmpc.trajectory import objective
from jaxmpc.trajectory.constraints import equalities, inequalities
from jaxmpc.trajectory.row_kinds import Penalty, penalties, present, relaxable

_PUSH = 1e-2  # the least positive variable at the start
_TIE_BREAK = 1e-5  # weight of the cost where the violation is minimised


class Positive(NamedTuple):
    """A number for each positive variable: its value, its multiplier, whether it exists."""

    slack: Rows  # of inequality rows
    excess: Rows  # of soft inequality rows
    above: Rows  # of soft equality rows
    below: Rows


class Iterate(NamedTuple):
    """A primal-dual point. The multiplier of an inequality row is that of its slack."""

    states: Float[Array, "T1 n"]
    controls: Float[Array, "T m"]
    positive: Positive
    costates: Float[Array, "T1 n"]
    equality: Rows
    dual: Positive  # the multipliers of the positive variables


class Setting(NamedTuple):
    """What is solved: which rows and positive variables exist, the scale of the cost, penalties.

    The penalties have the scale in them. `unit` is that of the multipliers: they are divided by
    it when they are judged.
    """

    scale: Float[Array, ""]
    unit: Float[Array, ""]
    free: Bool[Array, "T m"]
    equality: Rows  # of booleans
    exists: Positive  # of booleans
    relaxable: Rows  # inequality rows that a restoration may make soft
    linear: Positive
    quadratic: Positive


class Values(NamedTuple):
    """The cost and the constraints' values at a point; rows that are not present are zero."""

    cost: Float[Array, ""]  # not scaled
    penalty: Float[Array, ""]
    defects: Float[Array, "T n"]
    inequality: Rows  # g - e + s
    equality: Rows  # h - above + below

    def residuals(self):
        """What is zero at a feasible point."""
        return self.defects, self.inequality, self.equality


def only(tree: PyTree, exists: PyTree, otherwise: float = 0.0):
    """The entries that exist; `otherwise` in place of the others."""
    return jax.tree.map(lambda leaf, e: jnp.where(e, leaf, otherwise), tree, exists)


def setting_of(problem: Problem, x0: Float[Array, " n"], params: PyTree) -> Setting:
    """The problem as it stands, not scaled."""
    rows_g, rows_h = (Rows(*rows) for rows in present(problem, x0, params))
    low, high = problem.limits(x0.dtype)
    setting = Setting(
        scale=jnp.ones_like(x0, shape=()),
        unit=jnp.ones_like(x0, shape=()),
        free=low < high,
        equality=rows_h,
        exists=Positive(rows_g, rows_g, rows_h, rows_h),
        relaxable=jax.tree.map(jnp.logical_and, relaxable(problem, x0, params), rows_g),
        linear=None,
        quadratic=None,
    )
    return with_penalties(setting, *penalties(problem, x0, params))


def with_penalties(setting: Setting, inequality: Penalty, equality: Penalty) -> Setting:
    """The setting with soft rows where a penalty is finite, and hard ones elsewhere."""
    rows_g, rows_h = setting.exists.slack, setting.equality
    soft_g = jax.tree.map(lambda p, w: p & jnp.isfinite(w), rows_g, inequality.linear)
    soft_h = jax.tree.map(lambda p, w: p & jnp.isfinite(w), rows_h, equality.linear)
    exists = Positive(rows_g, soft_g, soft_h, soft_h)
    none = jax.tree.map(jnp.zeros_like, inequality.linear)
    linear = Positive(none, inequality.linear, equality.linear, equality.linear)
    quadratic = Positive(none, inequality.quadratic, equality.quadratic, equality.quadratic)
    return setting._replace(
        exists=exists, linear=only(linear, exists), quadratic=only(quadratic, exists)
    )


def relaxed(setting: Setting) -> Setting:
    """The problem of a restoration: the least violation, and the cost as a mere tie-break.

    Minimises the sum of the absolute violations of all rows but those of the control bounds.
    """
    dtype = setting.scale.dtype

    def weight(rows: Rows) -> Rows:
        return jax.tree.map(lambda r: jnp.where(r, 1.0, jnp.inf).astype(dtype), rows)

    def penalty(rows: Rows) -> Penalty:
        return Penalty(weight(rows), jax.tree.map(lambda r: jnp.zeros(r.shape, dtype), rows))

    soft = with_penalties(setting, penalty(setting.relaxable), penalty(setting.equality))
    return soft._replace(scale=_TIE_BREAK * setting.scale, unit=jnp.ones_like(setting.unit))


def scaled(setting: Setting, scale: Float[Array, ""]) -> Setting:
    """The setting with the cost and its penalties multiplied by `scale`."""
    linear, quadratic = jax.tree.map(lambda w: scale * w, (setting.linear, setting.quadratic))
    return setting._replace(scale=scale, unit=scale, linear=linear, quadratic=quadratic)


def rows_of(setting: Setting, positive: Positive, g: Rows, h: Rows) -> tuple[Rows, Rows]:
    """g - e + s and h - above + below, of the rows that are present."""
    exists = setting.exists
    excess, above, below = (only(rows, e) for rows, e in zip(positive[1:], exists[1:], strict=True))
    g = jax.tree.map(lambda g, e, s: g - e + s, g, excess, positive.slack)
    h = jax.tree.map(lambda h, up, down: h - up + down, h, above, below)
    return only(g, exists.slack), only(h, setting.equality)


def evaluate(problem: Problem, params: PyTree, setting: Setting, point: Iterate) -> Values:
    """Cost and residuals of the constraints."""
    states, controls, positive = point.states, point.controls, point.positive
    times = jnp.arange(problem.horizon)
    simulated = jax.vmap(problem.dynamics, (0, 0, 0, None))(states[:-1], controls, times, params)
    g = inequalities(problem, states, controls, params)
    h = equalities(problem, states, controls, params)
    prices = jax.tree.map(
        lambda w, v, e: jnp.sum(w * e + 0.5 * v * e**2),
        setting.linear,
        setting.quadratic,
        positive,
    )
    return Values(
        objective(problem, states, controls, params),
        sum(jax.tree.leaves(prices)),
        simulated - states[1:],
        *rows_of(setting, positive, g, h),
    )


def row_values(setting: Setting, point: Iterate, values: Values) -> tuple[Rows, Rows]:
    """g and h themselves, read back from the residuals of their rows."""
    return rows_of(
        setting, jax.tree.map(jnp.negative, point.positive), values.inequality, values.equality
    )


def started(
    problem: Problem, params: PyTree, setting: Setting, states, controls, dual: Float[Array, ""]
) -> Iterate:
    """An iterate around a trajectory: positive variables that fit, multipliers of one size."""
    g = only(inequalities(problem, states, controls, params), setting.exists.slack)
    h = only(equalities(problem, states, controls, params), setting.equality)
    return around(setting, states, controls, g, h, dual)


def around(setting: Setting, states, controls, g: Rows, h: Rows, dual) -> Iterate:
    """The same, given the values of the rows."""
    exists, linear, quadratic = setting.exists, setting.linear, setting.quadratic
    excess = jax.tree.map(lambda g, e: jnp.where(e, jnp.maximum(g, 0) + _PUSH, 0), g, exists.excess)
    slack = jax.tree.map(lambda g, e: jnp.maximum(e - g, _PUSH), g, excess)
    above = jax.tree.map(lambda h: jnp.maximum(h, 0) + _PUSH, h)
    below = jax.tree.map(jnp.subtract, above, h)
    positive = Positive(slack, excess, above, below)

    def price(w, v, e):
        return w + v * e

    prices = jax.tree.map(price, linear, quadratic, positive)
    z = jax.tree.map(
        lambda p, e: jnp.where(e, jnp.minimum(dual, p / 2), dual), prices.excess, exists.excess
    )
    rest = jax.tree.map(jnp.subtract, prices.excess, z)
    duals = Positive(z, rest, prices.above, prices.below)
    return Iterate(
        states,
        controls,
        only(positive, exists, 1.0),
        jnp.zeros_like(states),
        jax.tree.map(jnp.zeros_like, h),
        only(duals, exists),
    )
