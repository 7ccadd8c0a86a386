"""All of a problem's constraints as rows: first the inequalities <= 0, then the equalities = 0."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxmpc.lq.rows import Jacobian, Rows
from jaxmpc.problem import Problem
from jaxmpc.solution import Violations, no_violations
from jaxmpc.trajectory.defects import defects

EQUALITIES = ("stage_equality", "terminal_equality")
CONTROL_BOUNDS = ("upper", "lower")


def stage_pieces(problem: Problem) -> dict[str, Callable]:
    """The parts that the rows of a stage are made of, by name, in their order.

    Each is a function (t, x, u, params) -> rows. A row of an infinite bound is zero; at t = 0 the
    rows of the states' bounds are about the given x_0.
    """
    pieces: dict[str, Callable] = {}
    if problem.stage_inequality is not None:
        inequality = problem.stage_inequality
        pieces["stage_inequality"] = lambda t, x, u, params: inequality(x, u, t, params)
    lower, upper = problem.control_bounds or (None, None)
    if upper is not None:
        pieces["upper"] = lambda t, x, u, _: _above(u, problem.limits(u.dtype)[1][t])
    if lower is not None:
        pieces["lower"] = lambda t, x, u, _: _above(-u, -problem.limits(u.dtype)[0][t])
    lower, upper = problem.state_bounds or (None, None)
    if upper is not None:
        pieces["state_upper"] = lambda t, x, u, _: _above(x, _state_bound(problem, x, 1, t - 1))
    if lower is not None:
        pieces["state_lower"] = lambda t, x, u, _: _above(-x, -_state_bound(problem, x, 0, t - 1))
    if problem.stage_equality is not None:
        equality = problem.stage_equality
        pieces["stage_equality"] = lambda t, x, u, params: equality(x, u, t, params)
    return pieces


def terminal_pieces(problem: Problem) -> dict[str, Callable]:
    """The parts of the terminal rows: functions (x, params) -> rows."""
    pieces: dict[str, Callable] = {}
    if problem.terminal_inequality is not None:
        pieces["terminal_inequality"] = problem.terminal_inequality
    lower, upper = problem.state_bounds or (None, None)
    end = problem.horizon - 1
    if upper is not None:
        pieces["state_upper"] = lambda x, _: _above(x, _state_bound(problem, x, 1, end))
    if lower is not None:
        pieces["state_lower"] = lambda x, _: _above(-x, -_state_bound(problem, x, 0, end))
    if problem.terminal_equality is not None:
        pieces["terminal_equality"] = problem.terminal_equality
    return pieces


def _above(value, bound) -> Float[Array, " k"]:
    return jnp.where(jnp.isfinite(bound), value - bound, 0.0)


def _state_bound(problem: Problem, x, side: int, index) -> Float[Array, " n"]:
    return problem.state_limits(x.shape[0], x.dtype)[side][jnp.maximum(index, 0)]


def stage_rows(problem: Problem, t, x, u, params) -> Float[Array, " p"]:
    """All rows of a stage."""
    rows = [piece(t, x, u, params) for piece in stage_pieces(problem).values()]
    return jnp.concatenate([jnp.zeros_like(x, shape=(0,)), *rows])


def terminal_rows(problem: Problem, x, params) -> Float[Array, " e"]:
    """All rows of the end."""
    rows = [piece(x, params) for piece in terminal_pieces(problem).values()]
    return jnp.concatenate([jnp.zeros_like(x, shape=(0,)), *rows])


def rows_along(problem: Problem, states, controls, params) -> Rows:
    """All rows along a trajectory; not those of the dynamics."""
    every_stage = jax.vmap(lambda t, x, u: stage_rows(problem, t, x, u, params))
    times = jnp.arange(problem.horizon)
    last = terminal_rows(problem, states[-1], params)
    return Rows(every_stage(times, states[:-1], controls), last)


def rows_jacobian(problem: Problem, states, controls, params) -> Jacobian:
    """The derivatives of all rows."""

    def one_stage(t, x, u):
        along = jax.jacfwd(lambda x, u: stage_rows(problem, t, x, u, params), (0, 1))
        return jnp.concatenate(along(x, u), axis=1)

    times = jnp.arange(problem.horizon)
    last = jax.jacfwd(lambda x: terminal_rows(problem, x, params))(states[-1])
    return Jacobian(jax.vmap(one_stage)(times, states[:-1], controls), last)


def piece_sizes(problem: Problem, x, params) -> tuple[dict[str, int], dict[str, int]]:
    """How many rows each piece has, of those of a stage and of those of the end."""
    u, t = jnp.zeros_like(x, shape=(problem.control_dim,)), jnp.zeros((), jnp.int32)
    stage = {
        name: jax.eval_shape(piece, t, x, u, params).shape[0]
        for name, piece in stage_pieces(problem).items()
    }
    terminal = {
        name: jax.eval_shape(piece, x, params).shape[0]
        for name, piece in terminal_pieces(problem).items()
    }
    return stage, terminal


def split(problem: Problem, x: Float[Array, " n"], params: PyTree, rows: Rows) -> dict[str, Any]:
    """Rows by the name of their piece; those of x_1 .. x_T together."""
    stage, terminal = piece_sizes(problem, x, params)
    parts: dict[str, Any] = {}
    start = 0
    for name, size in stage.items():
        parts[name] = rows.stage[:, start : start + size]
        start += size
    start = 0
    for name, size in terminal.items():
        last = rows.terminal[start : start + size]
        before = parts.get(name)
        parts[name] = last if before is None else jnp.concatenate([before[1:], last[None]])
        start += size
    return parts


def join(problem: Problem, x: Float[Array, " n"], parts: dict[str, Any]) -> Rows:
    """The inverse of `split`; the states' rows at t = 0 are zero."""
    stage, terminal = [jnp.zeros_like(x, shape=(problem.horizon, 0))], [jnp.zeros_like(x[:0])]
    for name in stage_pieces(problem):
        rows = parts[name]
        if name.startswith("state_"):
            rows = jnp.concatenate([jnp.zeros_like(rows[:1]), rows[:-1]])
        stage.append(rows)
    for name in terminal_pieces(problem):
        terminal.append(parts[name][-1] if name.startswith("state_") else parts[name])
    return Rows(jnp.concatenate(stage, axis=1), jnp.concatenate(terminal))


def without_control_bounds(problem: Problem) -> Problem:
    """The same problem, whose rows are those of the other constraints."""
    return dataclasses.replace(problem, control_bounds=None)


def violations(problem: Problem, states, controls, params) -> Violations:
    """How far each constraint is from being met."""
    other = without_control_bounds(problem)
    parts = split(other, states[0], params, rows_along(other, states, controls, params))
    off = {
        name: jnp.abs(rows) if name in EQUALITIES else jnp.maximum(rows, 0.0)
        for name, rows in parts.items()
    }
    return no_violations(states)._replace(
        dynamics=jnp.abs(defects(problem, states, controls, params)), **off
    )
