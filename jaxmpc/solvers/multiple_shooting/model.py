"""The barrier problem of an interior point: its derivatives, and Newton's direction on it.

With the positive variables of `iterate` and their multipliers, the perturbed KKT conditions are

    grad L = 0,   defects = 0,   rows = 0,   (positive variable) x (its multiplier) = mu.

Eliminating positive variables and multipliers stage by stage leaves an LQ problem. A row with
Jacobian J and multiplier y has dy = weight (J dz + target): it adds J' weight J to the Hessian,
where 1 / weight is the row's compliance: s / z of a slack, 1 / (quadratic + multiplier / excess)
of an excess, plus a small dual regularization delta (mainly of equalities), under which linearly
dependent rows are no trouble.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxmpc.lq.constrained import dual_regularization
from jaxmpc.lq.problem import LQProblem
from jaxmpc.lq.riccati.factorization import substitute
from jaxmpc.lq.riccati.sequential import Factor
from jaxmpc.lq.rows import Jacobian, Rows, every_state
from jaxmpc.lq.small_linalg import stagewise_transposed
from jaxmpc.problem import Problem
from jaxmpc.solvers.multiple_shooting.iterate import Iterate, Setting, Values
from jaxmpc.trajectory import Derivatives, Linearization, derivatives, lq_model

# The part of an equality's dual regularization that an inequality has: without it the weight of an
# active one, multiplier / distance, costs the gains all their digits in the last iterations.
_OF_INEQUALITIES = 1e-2


class Expansion(NamedTuple):
    """First derivatives along a trajectory, and the Hessians of the Lagrangian."""

    linearization: Linearization
    rows: Jacobian
    stages: Float[Array, "T z z"]
    terminal: Float[Array, "n n"]


class RowModel(NamedTuple):
    """The multipliers' change dy = weight (J dz + target); zero for absent rows."""

    weight: Float[Array, " N"]
    target: Float[Array, " N"]
    regularization: Float[Array, " N"]  # delta, the part of 1 / weight that is not the problem's


def derivatives_at(
    problem: Problem, params: PyTree, present: Rows, iterate: Iterate, exact: bool
) -> Derivatives:
    """All derivatives at a point; without the constraints' curvature unless `exact`."""
    duals = (iterate.costates, present.unflat(iterate.multipliers())) if exact else None
    return derivatives(problem, iterate.states, iterate.controls, params, duals)


def expansion_of(
    setting: Setting, iterate: Iterate, along: Derivatives, unit_of_duals: Float[Array, ""]
) -> Expansion:
    """The Lagrangian's, from the derivatives of its parts.

    `unit_of_duals`: what a multiplier of one in their curvature is in the iterate's.
    """
    A, B, q, r = along.linearization
    weight, units = setting.near.weight, setting.units
    back = setting.near.gradient(iterate.states, iterate.controls, units)
    q, r = setting.scale * q + back[0], setting.scale * r + back[1]
    stages, terminal = jax.tree.map(lambda hessian: setting.scale * hessian, along.cost)
    if along.curvature is not None:
        stages += unit_of_duals * along.curvature.stages
        terminal += unit_of_duals * along.curvature.terminal
    near = weight / jnp.concatenate([units.states[0], units.controls[0]]) ** 2
    stages, terminal = stages + jnp.diag(near)[None], terminal + jnp.diag(near[: q.shape[1]])
    rows = along.rows.only(setting.present)
    return Expansion(Linearization(A, B, q, r), rows, stages, terminal)


def lagrangian_gradient(expansion: Expansion, iterate: Iterate, setting: Setting):
    """Gradients of the Lagrangian in x_0 .. x_T (zero in the given x_0) and in the controls."""
    A, B, q, r = expansion.linearization
    n = q.shape[1]
    rows, last = expansion.rows.transposed_times(setting.present.unflat(iterate.multipliers()))
    ahead = iterate.costates[1:]
    in_states = q - iterate.costates
    in_states += every_state(stagewise_transposed(A, ahead) + rows[:, :n], last)
    in_states = jnp.pad(in_states[1:], ((1, 0), (0, 0)))
    return in_states, r + stagewise_transposed(B, ahead) + rows[:, n:]


def price_gradient(setting: Setting, iterate: Iterate) -> Float[Array, "2 N"]:
    """The Lagrangian's gradient in `over` and `under`, without their multipliers."""
    y = iterate.multipliers()
    slope = setting.marginal_price(iterate.positive[1:]) - jnp.stack([y, -y])
    return jnp.where(setting.exists[1:], slope, 0.0)


class _Eliminated(NamedTuple):
    """Of the positive variables: their compliances, and how far they are from central."""

    compliance: Float[Array, "3 N"]
    push: Float[Array, "3 N"]


def _eliminated(setting: Setting, iterate: Iterate, mu) -> _Eliminated:
    # With its multiplier eliminated, an excess answers by  compliance (+-dy + push).
    positive, dual, exists = iterate.positive, iterate.dual, setting.exists
    z = jnp.where(exists[0], dual[0], 1.0)
    s = positive[0]
    stiffness = setting.quadratic[None] + dual[1:] / positive[1:]
    of_excess = 1 / jnp.where(exists[1:], stiffness, 1.0)
    compliance = jnp.concatenate([(s / z)[None], of_excess])
    push = mu / positive[1:] - price_gradient(setting, iterate)
    push = jnp.concatenate([(mu / z - s)[None], push])
    return _Eliminated(jnp.where(exists, compliance, 0.0), jnp.where(exists, push, 0.0))


def row_model(iterate: Iterate, values: Values, setting: Setting, mu) -> RowModel:
    """What is left of the rows when positive variables are eliminated."""
    compliance, push = _eliminated(setting, iterate, mu)
    present = setting.present.flat()
    delta = dual_regularization(mu.dtype) * jnp.where(setting.inequality, _OF_INEQUALITIES, 1.0)
    regularization = delta * setting.units.rows**2
    total = regularization + jnp.sum(compliance, axis=0)
    answers = compliance[1:] * push[1:]
    target = values.rows + push[0] - answers[0] + answers[1]
    weight = 1 / jnp.where(present, total, 1.0)
    return RowModel(
        jnp.where(present, weight, 0.0), jnp.where(present, target, 0.0), regularization
    )


def condensed(
    expansion: Expansion, iterate: Iterate, values: Values, setting: Setting, rows: RowModel
) -> LQProblem:
    """The LQ problem whose minimiser is Newton's direction, with the new costates as its own."""
    _, _, q, r = expansion.linearization
    n = q.shape[1]
    H, H_last = expansion.rows.squared(setting.present.unflat(rows.weight))
    H, H_last = H + expansion.stages, H_last + expansion.terminal
    push = iterate.multipliers() + rows.weight * rows.target
    gradient, last = expansion.rows.transposed_times(setting.present.unflat(push))
    q = q + every_state(gradient[:, :n], last)
    linear = expansion.linearization._replace(q=q, r=r + gradient[:, n:])
    return lq_model(linear, H, H_last, values.defects)


def direction(
    matrices: Factor,
    expansion: Expansion,
    iterate: Iterate,
    values: Values,
    setting: Setting,
    mu: Float[Array, ""],
    substitutions: int,
    fixed: Float[Array, "T m"],
) -> Iterate:
    """The change of every part of the iterate that one Newton step makes.

    `fixed` is that of the controls that are not free.
    Each further substitution corrects what the regularization of the rows leaves (the method of
    multipliers).
    """
    rows = row_model(iterate, values, setting, mu)
    dy = jnp.zeros_like(rows.target)
    for _ in range(substitutions):
        corrected = rows._replace(target=rows.target + rows.regularization * dy)
        model = condensed(expansion, iterate, values, setting, corrected)
        step = substitute(model, matrices, fixed)
        z = jnp.concatenate([step.states[:-1], step.controls], axis=1)
        change = expansion.rows.times(z, step.states[-1]).flat()
        dy = rows.weight * (change + corrected.target)
    compliance, push = _eliminated(setting, iterate, mu)
    slack = push[0] - compliance[0] * dy
    positive = jnp.stack([slack, compliance[1] * (dy + push[1]), compliance[2] * (push[2] - dy)])
    dual = (mu - iterate.dual * positive)[1:] / iterate.positive[1:] - iterate.dual[1:]
    dual = jnp.concatenate([dy[None], dual])
    return Iterate(
        step.states,
        step.controls,
        positive,
        step.costates - iterate.costates,
        jnp.where(setting.inequality, 0.0, dy),
        jnp.where(setting.exists, dual, 0.0),
    )
