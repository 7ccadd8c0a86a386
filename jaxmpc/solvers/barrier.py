"""The barrier problem of an interior point: its residuals, and Newton's direction on it.

With the positive variables of `iterate` and their multipliers, the perturbed KKT conditions are

    grad L = 0,   defects = 0,   rows = 0,   (positive variable) x (its multiplier) = mu.

Eliminating positive variables and multipliers stage by stage leaves an LQ problem. A row with
Jacobian J and multiplier y has dy = W (J dz + t): it adds J' W J to the Hessian, where 1 / W is
the row's compliance: s / z of a slack, 1 / (quadratic + multiplier / excess) of an excess, and
of an equality a small dual regularization delta, under which linearly dependent rows are no
trouble.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxmpc.lq.constrained import dual_regularization
from jaxmpc.lq.problem import LQProblem
from jaxmpc.lq.riccati import Factor, factor, substitute
from jaxmpc.lq.rows import Jacobian, Rows
from jaxmpc.problem import Problem
from jaxmpc.solvers.iterate import Iterate, Positive, Setting, Values, only
from jaxmpc.trajectory import Linearization, lagrangian_hessian, linearize
from jaxmpc.trajectory.constraints import equality_jacobian, inequality_jacobian


class Expansion(NamedTuple):
    """First derivatives along a trajectory, and the Hessians of the Lagrangian."""

    linearization: Linearization
    inequality: Jacobian
    equality: Jacobian
    stages: Float[Array, "T z z"]
    terminal: Float[Array, "n n"]


class RowModel(NamedTuple):
    """The multipliers' change dy = weight (J dz + target), for every row."""

    weight_g: Rows
    target_g: Rows
    weight_h: Rows
    target_h: Rows


def expand(
    problem: Problem, params: PyTree, setting: Setting, point: Iterate, exact: bool
) -> Expansion:
    """All derivatives at a point; without the constraints' curvature unless `exact`."""
    states, controls = point.states, point.controls
    A, B, q, r = linearize(problem, states, controls, params)
    scaled = Linearization(A, B, setting.scale * q, setting.scale * r)

    def mask(jacobian: Jacobian, present: Rows) -> Jacobian:
        stage, last = present
        return Jacobian(
            jnp.where(stage[:, :, None], jacobian.stage, 0.0),
            jnp.where(last[:, None], jacobian.terminal, 0.0),
        )

    duals = (point.dual.slack, point.equality) if exact else (None, None)
    costates = point.costates if exact else jnp.zeros_like(point.costates)
    stages, terminal = lagrangian_hessian(
        problem, states, controls, costates, params, *duals, setting.scale
    )
    return Expansion(
        scaled,
        mask(inequality_jacobian(problem, states, controls, params), setting.exists.slack),
        mask(equality_jacobian(problem, states, controls, params), setting.equality),
        stages,
        terminal,
    )


def lagrangian_gradient(expansion: Expansion, point: Iterate):
    """Gradients of the Lagrangian in x_0 .. x_T (zero in the given x_0) and in the controls."""
    A, B, q, r = expansion.linearization
    n = q.shape[1]
    stage_g, last_g = expansion.inequality.transposed_times(point.dual.slack)
    stage_h, last_h = expansion.equality.transposed_times(point.equality)
    rows, last = stage_g + stage_h, last_g + last_h
    ahead = point.costates[1:]
    in_states = q - point.costates
    in_states = in_states.at[:-1].add(jnp.einsum("tij,ti->tj", A, ahead) + rows[:, :n])
    in_states = in_states.at[-1].add(last).at[0].set(0.0)
    return in_states, r + jnp.einsum("tij,ti->tj", B, ahead) + rows[:, n:]


def price_gradient(setting: Setting, point: Iterate) -> Positive:
    """The Lagrangian's gradient in the excesses, without their multipliers; zero for slacks."""

    def slope(w, v, e):
        return w + v * e

    price = jax.tree.map(slope, setting.linear, setting.quadratic, point.positive)
    none = jax.tree.map(jnp.zeros_like, point.dual.slack)
    y = point.equality
    own = Positive(none, point.dual.slack, y, jax.tree.map(jnp.negative, y))
    return only(jax.tree.map(jnp.subtract, price, own), setting.exists)._replace(slack=none)


def _compliances(setting: Setting, point: Iterate) -> Positive:
    """d(excess) / d(multiplier of the row); zero where there is no excess."""
    ratios = jax.tree.map(
        lambda v, e, nu: 1 / (v + nu / e), setting.quadratic, point.positive, point.dual
    )
    return only(ratios, setting.exists)


def row_model(point: Iterate, values: Values, setting: Setting, mu) -> RowModel:
    """What is left of the rows when positive variables are eliminated."""
    s, z = point.positive.slack, only(point.dual.slack, setting.exists.slack, 1.0)
    c = _compliances(setting, point)
    slope = price_gradient(setting, point)
    # The excess's slope with its multiplier eliminated: r = price - y - mu / e.
    r = jax.tree.map(lambda g, e: g - mu / e, slope, point.positive)
    weight_g = jax.tree.map(lambda c, s, z: 1 / (c + s / z), c.excess, s, z)
    target_g = jax.tree.map(
        lambda g, s, z, c, r: g - s + mu / z + c * r, values.inequality, s, z, c.excess, r.excess
    )
    delta = dual_regularization(mu.dtype)
    weight_h = jax.tree.map(lambda up, down: 1 / (delta + up + down), c.above, c.below)
    target_h = jax.tree.map(
        lambda h, c, r, d, q: h + c * r - d * q,
        values.equality,
        *(c.above, r.above, c.below, r.below),
    )
    rows_g, rows_h = setting.exists.slack, setting.equality
    return RowModel(
        only(weight_g, rows_g),
        only(target_g, rows_g),
        only(weight_h, rows_h),
        only(target_h, rows_h),
    )


def condensed(expansion: Expansion, point: Iterate, values: Values, rows: RowModel) -> LQProblem:
    """The LQ problem whose minimiser is Newton's direction, with the new costates as its own."""
    A, B, q, r = expansion.linearization
    n = q.shape[1]

    def push(y, w, t):
        return y + w * t

    push_g = jax.tree.map(push, point.dual.slack, rows.weight_g, rows.target_g)
    push_h = jax.tree.map(push, point.equality, rows.weight_h, rows.target_h)
    H_g, last_g = expansion.inequality.squared(rows.weight_g)
    H_h, last_h = expansion.equality.squared(rows.weight_h)
    H = expansion.stages + H_g + H_h
    stage_g, end_g = expansion.inequality.transposed_times(push_g)
    stage_h, end_h = expansion.equality.transposed_times(push_h)
    gradient = stage_g + stage_h
    return LQProblem(
        Q=jnp.concatenate([H[:, :n, :n], (expansion.terminal + last_g + last_h)[None]]),
        S=H[:, n:, :n],
        R=H[:, n:, n:],
        q=q.at[:-1].add(gradient[:, :n]).at[-1].add(end_g + end_h),
        r=r + gradient[:, n:],
        A=A,
        B=B,
        c=values.defects,
        x0=jnp.zeros_like(point.states[0]),
    )


def direction(
    matrices: Factor, expansion: Expansion, point: Iterate, values: Values, setting: Setting, mu
) -> Iterate:
    """The change of every part of the iterate that one Newton step makes."""
    rows = row_model(point, values, setting, mu)
    model = condensed(expansion, point, values, rows)
    step = substitute(model, matrices, jnp.zeros_like(point.controls))
    z = jnp.concatenate([step.states[:-1], step.controls], axis=1)
    along_g = expansion.inequality.times(z, step.states[-1])
    along_h = expansion.equality.times(z, step.states[-1])

    def answer(w, d, t):
        return w * (d + t)

    dz = jax.tree.map(answer, rows.weight_g, along_g, rows.target_g)
    dy = jax.tree.map(answer, rows.weight_h, along_h, rows.target_h)
    change, dual = _positive_change(point, setting, dz, dy, mu)
    return Iterate(step.states, step.controls, change, step.costates - point.costates, dy, dual)


def _positive_change(point: Iterate, setting: Setting, dz: Rows, dy: Rows, mu):
    """The changes of the positive variables and of their multipliers, given those of the rows'."""
    s, z = point.positive.slack, only(point.dual.slack, setting.exists.slack, 1.0)
    slack = jax.tree.map(lambda s, z, dz: mu / z - s - s / z * dz, s, z, dz)
    slope, c = price_gradient(setting, point), _compliances(setting, point)
    own = Positive(dz, dz, dy, jax.tree.map(jnp.negative, dy))
    change = jax.tree.map(
        lambda c, d, g, e: c * (d - g + mu / e), c, own, slope, point.positive
    )._replace(slack=slack)
    dual = jax.tree.map(
        lambda e, nu, de: mu / e - nu - nu / e * de, point.positive, point.dual, change
    )._replace(slack=dz)
    return only(change, setting.exists), only(dual, setting.exists)


def factorise(model: LQProblem, free, proximals: Float[Array, " k"]) -> Factor:
    """The factors for several proximal weights at once; `model` has none."""
    m, n = model.r.shape[1], model.q.shape[1]
    eye_n, eye_m = jnp.eye(n, dtype=model.q.dtype), jnp.eye(m, dtype=model.q.dtype)

    def one(weight):
        return factor(model._replace(Q=model.Q + weight * eye_n, R=model.R + weight * eye_m), free)

    return jax.vmap(one)(proximals)
