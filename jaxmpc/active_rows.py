"""Which rows of the constraints are active at a point, and which soft ones are violated."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxmpc.lq.rows import Jacobian, Rows
from jaxmpc.problem import Problem
from jaxmpc.trajectory.constraints import (
    equalities,
    equality_jacobian,
    inequalities,
    inequality_jacobian,
    without_control_bounds,
)
from jaxmpc.trajectory.row_kinds import Penalty, penalties, present

Theta = tuple[Problem, Float[Array, " n"], PyTree]  # everything that a solution depends on


class KKTPoint(NamedTuple):
    """Trajectory, costates, and the multipliers of all constraints but the control bounds.

    Those of the control bounds follow from stationarity.
    """

    states: Float[Array, "T1 n"]
    controls: Float[Array, "T m"]
    costates: Float[Array, "T1 n"]
    inequality: Rows
    equality: Rows


class RowTerms(NamedTuple):
    """The rows of a point: values, multipliers, and which soft ones are violated.

    A violated soft row is a cost like any other: it has no multiplier of its own, but
    linear + quadratic * violation.
    """

    g: Rows
    h: Rows
    violated_g: Rows  # of booleans
    violated_h: Rows
    multipliers_g: Rows
    multipliers_h: Rows
    quadratic_g: Rows
    quadratic_h: Rows
    total: Float[Array, ""]  # what the rows add to the Lagrangian


def row_terms(theta: Theta, point: KKTPoint) -> RowTerms:
    """Decide by multiplier and distance: violated if the excess is larger than its multiplier."""
    problem, x0, params = theta
    other = without_control_bounds(problem)
    g = inequalities(other, point.states, point.controls, params)
    h = equalities(other, point.states, point.controls, params)
    if problem.soft is None:
        none = jax.tree.map(jnp.zeros_like, (g, h))
        never = jax.tree.map(lambda row: jnp.zeros(row.shape, bool), (g, h))
        total = _total(point.inequality, g) + _total(point.equality, h)
        return RowTerms(g, h, *never, point.inequality, point.equality, *none, total)
    price_g, price_h = (_finite(price) for price in penalties(other, x0, params))
    present_g, present_h = (Rows(*rows) for rows in present(other, x0, params))
    soft_g = jax.tree.map(jnp.logical_and, present_g, price_g[0])
    soft_h = jax.tree.map(jnp.logical_and, present_h, price_h[0])

    def violated(soft, w, v, excess, multiplier):
        return soft & (excess > w + v * excess - multiplier)

    def at(excess, w, v):
        return w + v * excess

    over = jax.tree.map(lambda g: jnp.maximum(g, 0.0), g)
    off, size = jax.tree.map(jnp.abs, (h, point.equality))
    violated_g = jax.tree.map(violated, soft_g, *price_g[1:], over, point.inequality)
    violated_h = jax.tree.map(violated, soft_h, *price_h[1:], off, size)
    push_g = jax.tree.map(at, over, *price_g[1:])
    push_h = jax.tree.map(lambda h, w, v: jnp.sign(h) * w + v * h, h, *price_h[1:])
    z = jax.tree.map(jnp.where, violated_g, push_g, point.inequality)
    y = jax.tree.map(jnp.where, violated_h, push_h, point.equality)

    def term(violated, multiplier, row, excess, w, v):
        price = w * excess + 0.5 * v * excess**2
        return jnp.sum(jnp.where(violated, price, multiplier * row))

    terms = jax.tree.map(term, violated_g, point.inequality, g, over, *price_g[1:])
    terms_h = jax.tree.map(term, violated_h, point.equality, h, off, *price_h[1:])
    total = sum(terms) + sum(terms_h)
    return RowTerms(g, h, violated_g, violated_h, z, y, price_g[2], price_h[2], total)


class ActiveRows(NamedTuple):
    """Which rows hold with equality at a point, and their derivatives (zero for the others)."""

    inequality: Rows  # of booleans
    equality: Rows  # of booleans
    jacobian: Jacobian  # inequalities first
    curvature: tuple[Float[Array, "T z z"], Float[Array, "n n"]]  # of the violated soft rows


def active_rows(theta: Theta, point: KKTPoint) -> ActiveRows:
    """Decide by multiplier and distance: an inequality is active if the first is the larger."""
    problem, x0, params = theta
    other = without_control_bounds(problem)
    present_g, present_h = (Rows(*rows) for rows in present(other, x0, params))
    terms = row_terms(theta, point)

    def is_active(present, violated, multiplier, g):
        return present & ~violated & (multiplier > -g)

    active_g = jax.tree.map(is_active, present_g, terms.violated_g, point.inequality, terms.g)
    active_h = jax.tree.map(lambda p, v: p & ~v, present_h, terms.violated_h)
    J_g = inequality_jacobian(other, point.states, point.controls, params)
    J_h = equality_jacobian(other, point.states, point.controls, params)
    stage = jnp.concatenate([active_g.stage, active_h.stage], axis=1)
    last = jnp.concatenate([active_g.terminal, active_h.terminal])
    jacobian = Jacobian(
        jnp.where(stage[:, :, None], jnp.concatenate([J_g.stage, J_h.stage], axis=1), 0.0),
        jnp.where(last[:, None], jnp.concatenate([J_g.terminal, J_h.terminal]), 0.0),
    )

    def weight(violated, quadratic):
        return jnp.where(violated, quadratic, 0.0)

    weights_g = jax.tree.map(weight, terms.violated_g, terms.quadratic_g)
    weights_h = jax.tree.map(weight, terms.violated_h, terms.quadratic_h)
    curvature = jax.tree.map(jnp.add, J_g.squared(weights_g), J_h.squared(weights_h))
    return ActiveRows(active_g, active_h, jacobian, curvature)


def stacked(active: ActiveRows, inequality: Rows, equality: Rows) -> Rows:
    """The values of active rows, as the rows of `active.jacobian`."""
    g = jax.tree.map(lambda a, row: jnp.where(a, row, 0.0), active.inequality, inequality)
    h = jax.tree.map(lambda a, row: jnp.where(a, row, 0.0), active.equality, equality)
    return Rows(
        jnp.concatenate([g.stage, h.stage], axis=1), jnp.concatenate([g.terminal, h.terminal])
    )


def unstacked(active: ActiveRows, rows: Rows) -> tuple[Rows, Rows]:
    """The inverse of `stacked`."""
    p, e = active.inequality.stage.shape[1], active.inequality.terminal.shape[0]
    g = Rows(rows.stage[:, :p], rows.terminal[:e])
    h = Rows(rows.stage[:, p:], rows.terminal[e:])
    g = jax.tree.map(lambda a, row: jnp.where(a, row, 0.0), active.inequality, g)
    return g, jax.tree.map(lambda a, row: jnp.where(a, row, 0.0), active.equality, h)


def _finite(price: Penalty) -> tuple[Rows, Rows, Rows]:
    """Which rows are soft, and their weights; those of hard rows are zero."""
    soft = jax.tree.map(jnp.isfinite, price.linear)
    linear = jax.tree.map(lambda s, w: jnp.where(s, w, 0.0), soft, price.linear)
    return soft, linear, price.quadratic


def _total(multipliers: Rows, rows: Rows):
    return sum(jnp.sum(y * row) for y, row in zip(multipliers, rows, strict=True))
