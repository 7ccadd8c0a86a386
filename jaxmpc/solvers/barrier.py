"""The barrier problem of an interior point: its residuals, and Newton's direction on it.

With slacks s > 0 of the inequalities g(z) + s = 0 and multipliers z_g, y of inequalities and
equalities, the perturbed KKT conditions are

    grad L = 0,   defects = 0,   g + s = 0,   h = 0,   s z_g = mu.

Eliminating slacks and multipliers stage by stage leaves an LQ problem: the inequalities add
J' diag(z_g / s) J to the Hessian, the equalities J'J / delta with a small dual regularisation
delta, under which linearly dependent ones are no trouble.
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
from jaxmpc.trajectory import Linearization, lagrangian_hessian, linearize, objective
from jaxmpc.trajectory.constraints import (
    Present,
    equalities,
    equality_jacobian,
    inequalities,
    inequality_jacobian,
)


class Iterate(NamedTuple):
    """A primal-dual point: trajectory, slacks, costates and multipliers."""

    states: Float[Array, "T1 n"]
    controls: Float[Array, "T m"]
    slacks: Rows
    costates: Float[Array, "T1 n"]
    inequality: Rows
    equality: Rows


class Values(NamedTuple):
    """The cost and the constraints' values at a point; rows that are not present are zero."""

    cost: Float[Array, ""]
    defects: Float[Array, "T n"]
    inequality: Rows  # g + s
    equality: Rows


class Expansion(NamedTuple):
    """First derivatives along a trajectory, and the Hessians of the Lagrangian."""

    linearization: Linearization
    inequality: Jacobian
    equality: Jacobian
    stages: Float[Array, "T z z"]
    terminal: Float[Array, "n n"]


class Setting(NamedTuple):
    """What stays fixed while a problem is solved: rows that are present, scale of the cost."""

    inequality: Present
    equality: Present
    scale: Float[Array, ""]


def only(rows: Rows, present: Present, otherwise: float = 0.0) -> Rows:
    """The rows that are present; `otherwise` in place of the others."""
    return Rows(*(jnp.where(p, r, otherwise) for r, p in zip(rows, present, strict=True)))


def evaluate(problem: Problem, params: PyTree, setting: Setting, point: Iterate) -> Values:
    """Cost (scaled) and residuals of the constraints."""
    states, controls = point.states, point.controls
    times = jnp.arange(problem.horizon)
    simulated = jax.vmap(problem.dynamics, (0, 0, 0, None))(states[:-1], controls, times, params)
    rows = inequalities(problem, states, controls, params)
    return Values(
        setting.scale * objective(problem, states, controls, params),
        simulated - states[1:],
        only(jax.tree.map(jnp.add, rows, point.slacks), setting.inequality),
        only(equalities(problem, states, controls, params), setting.equality),
    )


def expand(problem: Problem, params: PyTree, setting: Setting, point: Iterate) -> Expansion:
    """All derivatives at a point."""
    states, controls = point.states, point.controls
    A, B, q, r = linearize(problem, states, controls, params)
    scaled = Linearization(A, B, setting.scale * q, setting.scale * r)

    def mask(jacobian: Jacobian, present: Present) -> Jacobian:
        stage, last = present
        return Jacobian(
            jnp.where(stage[:, :, None], jacobian.stage, 0.0),
            jnp.where(last[:, None], jacobian.terminal, 0.0),
        )

    stages, terminal = lagrangian_hessian(
        problem,
        states,
        controls,
        point.costates,
        params,
        point.inequality,
        point.equality,
        setting.scale,
    )
    return Expansion(
        scaled,
        mask(inequality_jacobian(problem, states, controls, params), setting.inequality),
        mask(equality_jacobian(problem, states, controls, params), setting.equality),
        stages,
        terminal,
    )


def lagrangian_gradient(expansion: Expansion, point: Iterate):
    """Gradients of the Lagrangian in x_0 .. x_T (zero in the given x_0) and in the controls."""
    A, B, q, r = expansion.linearization
    n = q.shape[1]
    stage_g, last_g = expansion.inequality.transposed_times(point.inequality)
    stage_h, last_h = expansion.equality.transposed_times(point.equality)
    rows, last = stage_g + stage_h, last_g + last_h
    ahead = point.costates[1:]
    in_states = q - point.costates
    in_states = in_states.at[:-1].add(jnp.einsum("tij,ti->tj", A, ahead) + rows[:, :n])
    in_states = in_states.at[-1].add(last).at[0].set(0.0)
    return in_states, r + jnp.einsum("tij,ti->tj", B, ahead) + rows[:, n:]


def condensed(
    expansion: Expansion,
    point: Iterate,
    values: Values,
    setting: Setting,
    mu: Float[Array, ""],
) -> LQProblem:
    """The LQ problem whose minimiser is Newton's direction, with the new costates as its own."""
    A, B, q, r = expansion.linearization
    n, delta = q.shape[1], dual_regularization(q.dtype)
    s, z_g = point.slacks, point.inequality
    weights = jax.tree.map(jnp.divide, z_g, s)
    push = jax.tree.map(lambda s, w, g: mu / s + w * g, s, weights, values.inequality)
    pull = jax.tree.map(lambda y, h: y + h / delta, point.equality, values.equality)
    push, pull = only(push, setting.inequality), only(pull, setting.equality)
    H_g, last_g = expansion.inequality.squared(weights)
    ones = jax.tree.map(lambda y: jnp.full_like(y, 1 / delta), point.equality)
    H_h, last_h = expansion.equality.squared(ones)
    H = expansion.stages + H_g + H_h
    H_last = expansion.terminal + last_g + last_h
    stage_g, end_g = expansion.inequality.transposed_times(push)
    stage_h, end_h = expansion.equality.transposed_times(pull)
    gradient = stage_g + stage_h
    return LQProblem(
        Q=jnp.concatenate([H[:, :n, :n], H_last[None]]),
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
    matrices: Factor,
    expansion: Expansion,
    point: Iterate,
    values: Values,
    setting: Setting,
    mu: Float[Array, ""],
) -> Iterate:
    """The change of every part of the iterate that one Newton step makes."""
    delta = dual_regularization(mu.dtype)
    model = condensed(expansion, point, values, setting, mu)
    step = substitute(model, matrices, jnp.zeros_like(point.controls))
    z = jnp.concatenate([step.states[:-1], step.controls], axis=1)
    along_g = expansion.inequality.times(z, step.states[-1])
    along_h = expansion.equality.times(z, step.states[-1])
    s, z_g = point.slacks, point.inequality
    change = jax.tree.map(lambda g, d: -g - d, values.inequality, along_g)
    new = jax.tree.map(lambda s, z, d: mu / s - z / s * d - z, s, z_g, change)
    lifted = jax.tree.map(lambda h, d: (h + d) / delta, values.equality, along_h)
    return Iterate(
        step.states,
        step.controls,
        only(change, setting.inequality),
        step.costates - point.costates,
        only(new, setting.inequality),
        only(lifted, setting.equality),
    )


def factorise(model: LQProblem, free, proximals: Float[Array, " k"]) -> Factor:
    """The factors for several proximal weights at once; `model` has none."""
    m, n = model.r.shape[1], model.q.shape[1]
    eye_n, eye_m = jnp.eye(n, dtype=model.q.dtype), jnp.eye(m, dtype=model.q.dtype)

    def one(weight):
        return factor(model._replace(Q=model.Q + weight * eye_n, R=model.R + weight * eye_m), free)

    return jax.vmap(one)(proximals)
