"""All of a problem's constraints as rows: inequalities <= 0 and equalities = 0."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from jaxmpc.lq.rows import Jacobian, Rows
from jaxmpc.problem import Problem


class Present(NamedTuple):
    """Which rows constrain anything: no infinite bound, nothing that is decided by x_0 alone."""

    stage: Bool[Array, "T p"]
    terminal: Bool[Array, " e"]


def stage_pieces(problem: Problem) -> dict[str, Callable]:
    """The parts that the inequality rows of a stage are made of, by name, in their order.

    Each is a function (t, x, u, params) -> rows. A row of an infinite bound is zero; at t = 0 the
    rows of the states' bounds are about the given x_0.
    """
    pieces: dict[str, Callable] = {}
    if problem.stage_inequality is not None:
        own = problem.stage_inequality
        pieces["stage_inequality"] = lambda t, x, u, params: own(x, u, t, params)
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
    return pieces


def terminal_pieces(problem: Problem) -> dict[str, Callable]:
    """The parts of the terminal inequality rows: functions (x, params) -> rows."""
    pieces: dict[str, Callable] = {}
    if problem.terminal_inequality is not None:
        pieces["terminal_inequality"] = problem.terminal_inequality
    lower, upper = problem.state_bounds or (None, None)
    end = problem.horizon - 1
    if upper is not None:
        pieces["state_upper"] = lambda x, _: _above(x, _state_bound(problem, x, 1, end))
    if lower is not None:
        pieces["state_lower"] = lambda x, _: _above(-x, -_state_bound(problem, x, 0, end))
    return pieces


def stage_inequality(problem: Problem, t, x, u, params) -> Float[Array, " p"]:
    """All inequality rows of a stage."""
    rows = [piece(t, x, u, params) for piece in stage_pieces(problem).values()]
    return jnp.concatenate([jnp.zeros_like(x, shape=(0,)), *rows])


def terminal_inequality(problem: Problem, x, params) -> Float[Array, " e"]:
    """All inequality rows of the end."""
    rows = [piece(x, params) for piece in terminal_pieces(problem).values()]
    return jnp.concatenate([jnp.zeros_like(x, shape=(0,)), *rows])


def split(problem: Problem, x: Float[Array, " n"], params: PyTree, rows: Rows) -> dict[str, Any]:
    """Rows of inequalities by the name of their piece; those of x_1 .. x_T together."""
    u, t = jnp.zeros_like(x, shape=(problem.control_dim,)), jnp.zeros((), jnp.int32)
    parts: dict[str, Any] = {}
    start = 0
    for name, piece in stage_pieces(problem).items():
        size = jax.eval_shape(piece, t, x, u, params).shape[0]
        parts[name] = rows.stage[:, start : start + size]
        start += size
    start = 0
    for name, piece in terminal_pieces(problem).items():
        size = jax.eval_shape(piece, x, params).shape[0]
        last = rows.terminal[start : start + size]
        before = parts.get(name)
        parts[name] = last if before is None else jnp.concatenate([before[1:], last[None]])
        start += size
    return parts


def _above(value, bound) -> Float[Array, " k"]:
    return jnp.where(jnp.isfinite(bound), value - bound, 0.0)


def _state_bound(problem: Problem, x, side: int, index) -> Float[Array, " n"]:
    return problem.state_limits(x.shape[0], x.dtype)[side][jnp.maximum(index, 0)]


def stage_equality(problem: Problem, t, x, u, params) -> Float[Array, " p"]:
    """The problem's stage equalities; no rows if it has none."""
    if problem.stage_equality is None:
        return jnp.zeros_like(x, shape=(0,))
    return problem.stage_equality(x, u, t, params)


def terminal_equality(problem: Problem, x, params) -> Float[Array, " e"]:
    """The problem's terminal equalities; no rows if it has none."""
    if problem.terminal_equality is None:
        return jnp.zeros_like(x, shape=(0,))
    return problem.terminal_equality(x, params)


def join(problem: Problem, x: Float[Array, " n"], params: PyTree, parts: dict[str, Any]) -> Rows:
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


def inequalities(problem: Problem, states, controls, params) -> Rows:
    """All inequality rows along a trajectory."""
    return _rows(stage_inequality, terminal_inequality, problem, states, controls, params)


def equalities(problem: Problem, states, controls, params) -> Rows:
    """All equality rows along a trajectory, those of the dynamics apart."""
    return _rows(stage_equality, terminal_equality, problem, states, controls, params)


def inequality_jacobian(problem: Problem, states, controls, params) -> Jacobian:
    """The derivatives of all inequality rows."""
    return _jacobian(stage_inequality, terminal_inequality, problem, states, controls, params)


def equality_jacobian(problem: Problem, states, controls, params) -> Jacobian:
    """The derivatives of all equality rows."""
    return _jacobian(stage_equality, terminal_equality, problem, states, controls, params)


def _rows(stage, terminal, problem: Problem, states, controls, params) -> Rows:
    every_stage = jax.vmap(lambda t, x, u: stage(problem, t, x, u, params))
    times = jnp.arange(problem.horizon)
    return Rows(every_stage(times, states[:-1], controls), terminal(problem, states[-1], params))


def _jacobian(stage, terminal, problem: Problem, states, controls, params) -> Jacobian:
    def one_stage(t, x, u):
        along = jax.jacfwd(lambda x, u: stage(problem, t, x, u, params), (0, 1))
        return jnp.concatenate(along(x, u), axis=1)

    times = jnp.arange(problem.horizon)
    last = jax.jacfwd(lambda x: terminal(problem, x, params))(states[-1])
    return Jacobian(jax.vmap(one_stage)(times, states[:-1], controls), last)


def present(problem: Problem, x0, params) -> tuple[Present, Present]:
    """Which inequality and which equality rows constrain the solution.

    Not the rows of infinite bounds, nor of bounds that fix a control. And not a row that is the
    same for every first control: it is decided by x_0 alone, and can be neither met nor missed.
    NaN in the control shows which rows feel it, whatever their derivative is.
    """
    unknown = jnp.full((problem.control_dim,), jnp.nan, x0.dtype)
    first = jnp.zeros((), jnp.int32)
    low, high = problem.limits(x0.dtype)
    x_low, x_high = problem.state_limits(x0.shape[0], x0.dtype)
    finite = {
        "upper": jnp.isfinite(high) & (low < high),
        "lower": jnp.isfinite(low) & (low < high),
        "state_upper": jnp.isfinite(x_high),
        "state_lower": jnp.isfinite(x_low),
    }

    def at_first(rows, later):
        return later.at[0].set(later[0] & jnp.isnan(rows)) if later.shape[1] else later

    masks, ends = [jnp.zeros((problem.horizon, 0), bool)], [jnp.zeros((0,), bool)]
    for name, piece in stage_pieces(problem).items():
        rows = piece(first, x0, unknown, params)
        mask = finite.get(name, jnp.ones((problem.horizon, rows.shape[0]), bool))
        if name.startswith("state"):  # x_t at stage t is bounded by entry t - 1
            mask = jnp.concatenate([mask[:1], mask[:-1]])
        masks.append(at_first(rows, mask))
    for name, piece in terminal_pieces(problem).items():
        size = jax.eval_shape(piece, x0, params).shape
        ends.append(finite[name][-1] if name in finite else jnp.ones(size, bool))
    inequality = Present(jnp.concatenate(masks, axis=1), jnp.concatenate(ends))

    rows = stage_equality(problem, first, x0, unknown, params)
    always = jnp.ones((problem.horizon, rows.shape[0]), bool)
    last = jax.eval_shape(lambda: terminal_equality(problem, x0, params)).shape
    return inequality, Present(at_first(rows, always), jnp.ones(last, bool))
