"""All of a problem's constraints as rows: first the inequalities <= 0, then the equalities = 0."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from jaxmpc.lq.rows import Rows
from jaxmpc.problem import Problem
from jaxmpc.problem.kinds import KINDS, Kind
from jaxmpc.solution import Multipliers, Violations, violations_of_dynamics
from jaxmpc.trajectory.defects import defects


def stage_pieces(problem: Problem) -> dict[str, Callable]:
    """The parts that the rows of a stage are made of, by name, in their order.

    Each is a function (t, x, u, params) -> rows. A row of an infinite bound is zero; at t = 0 the
    rows of the states' bounds are about the given x_0.
    """
    kinds = [kind for kind in KINDS.values() if kind.place != "end"]
    return {k.name: _at_stage(problem, k) for k in kinds if k.given(problem) is not None}


def terminal_pieces(problem: Problem) -> dict[str, Callable]:
    """The parts of the terminal rows: functions (x, params) -> rows."""
    kinds = [kind for kind in KINDS.values() if kind.place != "stage"]
    return {k.name: _at_end(problem, k) for k in kinds if k.given(problem) is not None}


def _at_stage(problem: Problem, kind: Kind) -> Callable:
    if not kind.is_bound:
        function = kind.given(problem)
        return lambda t, x, u, params: function(x, u, t, params)
    if kind.place == "states":
        return lambda t, x, u, _: _beyond_state(problem, kind, x, t - 1)
    return lambda t, x, u, _: _beyond(kind, u, problem.limits(u.dtype)[kind.side][t])


def _at_end(problem: Problem, kind: Kind) -> Callable:
    if not kind.is_bound:
        return kind.given(problem)
    end = problem.horizon - 1
    return lambda x, _: _beyond_state(problem, kind, x, end)


def _beyond(kind: Kind, value, bound) -> Float[Array, " k"]:
    outside = value - bound if kind.sense == "upper" else bound - value
    return jnp.where(jnp.isfinite(bound), outside, 0.0)


def _beyond_state(problem: Problem, kind: Kind, x, index) -> Float[Array, " k"]:
    bounds = problem.directed_limits(x.shape[0], x.dtype)[kind.side]
    return _beyond(kind, problem.directed(x, 0.0), bounds[jnp.maximum(index, 0)])


def pinned_states(problem: Problem, x: Float[Array, " n"]) -> Bool[Array, "T k"]:
    """Which of the states x_1 .. x_T equal bounds fix.

    Their row of the upper bound is an equality, and the one of the lower bound none.
    """
    lower, upper = problem.directed_limits(x.shape[0], x.dtype)
    return (lower == upper) & jnp.isfinite(lower)


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
    times = problem.times
    last = terminal_rows(problem, states[-1], params)
    return Rows(every_stage(times, states[:-1], controls), last)


def piece_sizes(problem: Problem, x, params) -> tuple[dict[str, int], dict[str, int]]:
    """How many rows each piece has, of those of a stage and of those of the end."""
    u, t = jnp.zeros_like(x, shape=(problem.control_dim,)), problem.times[0]
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
        if KINDS[name].place == "states":
            rows = jnp.concatenate([jnp.zeros_like(rows[:1]), rows[:-1]])
        stage.append(rows)
    for name in terminal_pieces(problem):
        terminal.append(parts[name][-1] if KINDS[name].place == "states" else parts[name])
    return Rows(jnp.concatenate(stage, axis=1), jnp.concatenate(terminal))


def multipliers_by_name(problem: Problem, x, params, rows: Rows) -> dict[str, Any]:
    """Multipliers of the rows by the names of `Multipliers`, where those of bounds are >= 0."""
    parts = split(problem, x, params, rows)
    if "state_upper" in parts and "state_lower" in parts:
        pinned, signed = pinned_states(problem, x), parts["state_upper"]
        parts["state_upper"] = jnp.where(pinned, jnp.maximum(signed, 0.0), signed)
        parts["state_lower"] = jnp.where(pinned, jnp.maximum(-signed, 0.0), parts["state_lower"])
    return parts


def rows_of_multipliers(problem: Problem, x, multipliers: Multipliers) -> Rows:
    """The inverse of `multipliers_by_name`."""
    pinned = pinned_states(problem, x)
    lower, upper = multipliers.state_lower, multipliers.state_upper
    signed = multipliers._replace(
        state_upper=jnp.where(pinned, upper - lower, upper),
        state_lower=jnp.where(pinned, 0.0, lower),
    )
    return join(problem, x, signed._asdict())


def without_control_bounds(problem: Problem) -> Problem:
    """The same problem, whose rows are those of the other constraints."""
    return dataclasses.replace(problem, control_bounds=None)


def violations(problem: Problem, states, controls, params) -> Violations:
    """How far each constraint is from being met."""
    general = without_control_bounds(problem)
    rows = rows_along(general, states, controls, params)
    return violations_of(general, states, params, defects(problem, states, controls, params), rows)


def violations_of(
    problem: Problem, states, params, off_dynamics: Float[Array, "T k"], rows: Rows
) -> Violations:
    """How far each constraint is from being met, from the values of their rows."""
    parts = split(problem, states[0], params, rows)
    off = {
        name: jnp.abs(rows) if KINDS[name].is_equality else jnp.maximum(rows, 0.0)
        for name, rows in parts.items()
        if name in Violations._fields  # control bounds are met
    }
    return violations_of_dynamics(off_dynamics)._replace(**off)
