"""Which rows of the constraints are active at a point, and which soft ones are violated."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmpc.derivatives.instance import Instance, KKTPoint
from jaxmpc.lq.rows import Jacobian, Rows
from jaxmpc.problem import Problem
from jaxmpc.solution import Scales
from jaxmpc.trajectory.constraints import rows_along, without_control_bounds
from jaxmpc.trajectory.row_kinds import row_kinds
from jaxmpc.trajectory.scales import scales_of_rows


class RowTerms(NamedTuple):
    """The rows at a point, as vectors in the order of `Rows.flat`.

    A violated soft row is a cost like any other: it has no multiplier of its own, but
    linear + quadratic * violation.
    """

    values: Float[Array, " N"]
    violated: Float[Array, " N"]  # of booleans
    multipliers: Float[Array, " N"]
    quadratic: Float[Array, " N"]
    total: Float[Array, ""]  # what the rows add to the Lagrangian


def row_terms(instance: Instance, point: KKTPoint) -> RowTerms:
    """Decide by multiplier and distance: violated if the excess is larger than its multiplier.

    A distance is worth as many multipliers as the scales say.
    """
    problem, x0, params, scales = instance
    general = without_control_bounds(problem)
    rows = rows_along(general, point.states, point.controls, params).flat()
    y = point.rows.flat()
    if problem.soft is None:
        nothing = jnp.zeros_like(rows)
        return RowTerms(rows, nothing > 0, y, nothing, jnp.sum(y * rows))
    kinds = row_kinds(general, x0, params)
    price, v, inequality = kinds.linear.flat(), kinds.quadratic.flat(), kinds.inequality.flat()
    soft = kinds.present.flat() & jnp.isfinite(price)
    w = jnp.where(soft, price, 0.0)
    excess = jnp.where(inequality, jnp.maximum(rows, 0.0), jnp.abs(rows))
    worth = worth_of_rows(general, x0, scales)
    left = w + v * excess - jnp.where(inequality, y, jnp.abs(y))
    violated = soft & (worth * excess > left)
    push = jnp.sign(rows) * w + v * rows  # of a violated row
    terms = jnp.where(violated, w * excess + 0.5 * v * excess**2, y * rows)
    return RowTerms(rows, violated, jnp.where(violated, push, y), v, jnp.sum(terms))


class ActiveRows(NamedTuple):
    """Which rows hold with equality at a point, and their derivatives (zero for the others)."""

    rows: Rows  # of booleans
    jacobian: Jacobian
    curvature: tuple[Float[Array, "T z z"], Float[Array, "n n"]]  # of the violated soft rows

    def only(self, values: Rows) -> Rows:
        """The values of active rows, zero for the others."""
        return jax.tree.map(lambda a, v: jnp.where(a, v, 0.0), self.rows, values)


def active_rows(
    instance: Instance, point: KKTPoint, terms: RowTerms, jacobian: Jacobian
) -> ActiveRows:
    """Decide by multiplier and distance: an inequality is active if the first is the larger.

    A distance is worth as many multipliers as the scales say.
    """
    problem, x0, params, scales = instance
    general = without_control_bounds(problem)
    kinds = row_kinds(general, x0, params)
    worth = worth_of_rows(general, x0, scales)
    pushed = ~kinds.inequality.flat() | (point.rows.flat() > -worth * terms.values)
    active = kinds.present.unflat(kinds.present.flat() & ~terms.violated & pushed)
    weights = kinds.present.unflat(jnp.where(terms.violated, terms.quadratic, 0.0))
    return ActiveRows(active, jacobian.only(active), jacobian.squared(weights))


def worth_of_rows(problem: Problem, x0: Float[Array, " n"], scales: Scales) -> Float[Array, " N"]:
    """What a distance of one is worth in multipliers, for each row."""
    return scales.cost / scales_of_rows(problem, x0, scales).flat() ** 2
