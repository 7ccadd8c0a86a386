"""What kind each row of the constraints is: whether it counts, and what violating it costs."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from jaxmpc.lq.rows import Rows
from jaxmpc.problem import Problem
from jaxmpc.problem.kinds import KINDS, Kind
from jaxmpc.trajectory.constraints import piece_sizes, pinned_states, stage_rows

_SIZES = (1e-3, 1.0, 1e3)  # of controls at which rows are compared


class RowKinds(NamedTuple):
    """Properties of all rows.

    `present` rows constrain something: they are no infinite bounds, nor bounds that fix a
    control, and not decided by x_0 alone. Soft rows have a finite price `linear`, with
    `quadratic` beside it; that of hard rows is inf.
    """

    present: Rows  # of booleans, as the next two
    inequality: Rows
    control_bound: Rows
    linear: Rows
    quadratic: Rows


def row_kinds(problem: Problem, x0: Float[Array, " n"], params: PyTree) -> RowKinds:
    """The kinds of a problem's rows."""
    sizes = piece_sizes(problem, x0, params)
    pinned, soft = pinned_states(problem, x0), problem.soft or {}

    def sense(kind: Kind, size: int):
        if kind.name == "state_upper":
            return ~pinned
        return jnp.full((size,), not kind.is_equality)

    def price(kind: Kind, size: int, index: int):
        if kind.place == "states" and kind.field in soft:
            weights = soft[kind.field].weights(kind.field, x0.shape[0], x0.dtype)[index]
            return problem.directed(weights, (jnp.inf, 0.0)[index])
        if kind.field in soft:
            return soft[kind.field].weights(kind.field, size, x0.dtype)[index]
        return jnp.full((size,), (jnp.inf, 0.0)[index], x0.dtype)

    def rows(of_kind, dtype: Any = bool):
        return _rows(problem, sizes, of_kind, dtype)

    return RowKinds(
        present=_present(problem, x0, params, rows),
        inequality=rows(sense),
        control_bound=rows(lambda kind, size: jnp.full((size,), kind.field == "control_bounds")),
        linear=rows(lambda kind, size: price(kind, size, 0), x0.dtype),
        quadratic=rows(lambda kind, size: price(kind, size, 1), x0.dtype),
    )


def _rows(problem: Problem, sizes: tuple[dict[str, int], dict[str, int]], of_kind, dtype) -> Rows:
    """Rows of `of_kind(kind, size)`, [size] or [T, size], of all pieces."""
    stage = [jnp.zeros((problem.horizon, 0), dtype)]
    end = [jnp.zeros((0,), dtype)]
    for name, size in sizes[0].items():
        rows = jnp.broadcast_to(of_kind(KINDS[name], size), (problem.horizon, size))
        if KINDS[name].place == "states":  # x_t at stage t is bounded by entry t - 1
            rows = jnp.concatenate([rows[:1], rows[:-1]])
        stage.append(rows)
    for name, size in sizes[1].items():
        rows = of_kind(KINDS[name], size)
        end.append(rows[-1] if rows.ndim == 2 else rows)
    return Rows(jnp.concatenate(stage, axis=1), jnp.concatenate(end))


def _present(problem: Problem, x0, params, rows: Callable) -> Rows:
    """Where there are rows to be met. Some at the first stage are decided by x_0 alone."""
    low, high = problem.limits(x0.dtype)
    x_low, x_high = problem.directed_limits(x0.shape[0], x0.dtype)
    found = {
        "upper": jnp.isfinite(high) & (low < high),
        "lower": jnp.isfinite(low) & (low < high),
        "state_upper": jnp.isfinite(x_high),
        "state_lower": jnp.isfinite(x_low) & ~pinned_states(problem, x0),
    }
    present = rows(lambda kind, size: found.get(kind.name, jnp.ones((size,), bool)))
    if not present.stage.size:
        return present
    first = present.stage[:1] & _felt_by_first_control(problem, x0, params)
    return present._replace(stage=jnp.concatenate([first, present.stage[1:]]))


def _felt_by_first_control(problem: Problem, x0, params) -> Bool[Array, "1 p"]:
    """Which rows of the first stage are not the same for all controls.

    Compared at zero and at irregular controls of several sizes. (A derivative may vanish at a
    point, and NaN as a control passes through a coefficient of zero.)
    """
    m = problem.control_dim
    irregular = 1 + jnp.arange(m, dtype=x0.dtype)[None] / (3 * m)
    sizes = jnp.asarray(_SIZES, x0.dtype)[:, None]
    controls = jnp.concatenate([0 * irregular, sizes * irregular, -sizes * irregular])
    first = problem.times[0]
    rows = jax.vmap(lambda u: stage_rows(problem, first, x0, u, params))(controls)
    return jnp.any(rows != rows[:1], axis=0)[None]  # so is NaN
