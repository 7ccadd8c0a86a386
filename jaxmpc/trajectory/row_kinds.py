"""What kind each row of the constraints is: whether it counts, and what violating it costs."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from jaxmpc.lq.rows import Rows
from jaxmpc.problem import Problem
from jaxmpc.trajectory.constraints import (
    CONTROL_BOUNDS,
    EQUALITIES,
    piece_sizes,
    stage_pieces,
    stage_rows,
)

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
    stage, terminal = piece_sizes(problem, x0, params)
    soft = problem.soft or {}

    def each(rows_of, dtype: Any = bool) -> Rows:
        """`rows_of(name, size)` of all pieces, the same at every stage."""
        parts = [
            [jnp.zeros((0,), dtype), *(rows_of(*item) for item in sizes.items())]
            for sizes in (stage, terminal)
        ]
        at_stage, at_end = (jnp.concatenate(part) for part in parts)
        return Rows(jnp.broadcast_to(at_stage, (problem.horizon, at_stage.shape[0])), at_end)

    def price(name: str, size: int, index: int):
        field = "state_bounds" if name.startswith("state_") else name
        if field in soft:
            return soft[field].weights(field, size, x0.dtype)[index]
        return jnp.full((size,), (jnp.inf, 0.0)[index], x0.dtype)

    return RowKinds(
        present=_present(problem, x0, params, stage, terminal),
        inequality=each(lambda name, size: jnp.full((size,), name not in EQUALITIES)),
        control_bound=each(lambda name, size: jnp.full((size,), name in CONTROL_BOUNDS)),
        linear=each(lambda name, size: price(name, size, 0), x0.dtype),
        quadratic=each(lambda name, size: price(name, size, 1), x0.dtype),
    )


def _present(problem: Problem, x0, params, stage: dict[str, int], terminal: dict[str, int]) -> Rows:
    """Where there are rows to be met. Some at the first stage are decided by x_0 alone."""
    low, high = problem.limits(x0.dtype)
    x_low, x_high = problem.state_limits(x0.shape[0], x0.dtype)
    finite = {
        "upper": jnp.isfinite(high) & (low < high),
        "lower": jnp.isfinite(low) & (low < high),
        "state_upper": jnp.isfinite(x_high),
        "state_lower": jnp.isfinite(x_low),
    }
    masks = [jnp.zeros((problem.horizon, 0), bool)]
    for name in stage_pieces(problem):
        mask = finite.get(name, jnp.ones((problem.horizon, stage[name]), bool))
        if name.startswith("state_"):  # x_t at stage t is bounded by entry t - 1
            mask = jnp.concatenate([mask[:1], mask[:-1]])
        masks.append(mask)
    at_stages = jnp.concatenate(masks, axis=1)
    felt = _felt_by_first_control(problem, x0, params)
    at_end = [
        finite[name][-1] if name in finite else jnp.ones((size,), bool)
        for name, size in terminal.items()
    ]
    return Rows(
        at_stages.at[0].set(at_stages[0] & felt) if at_stages.size else at_stages,
        jnp.concatenate([jnp.zeros((0,), bool), *at_end]),
    )


def _felt_by_first_control(problem: Problem, x0, params) -> Bool[Array, " p"]:
    """Which rows of the first stage are not the same for all controls.

    Compared at zero and at irregular controls of several sizes. (A derivative may vanish at a
    point, and NaN as a control passes through a coefficient of zero.)
    """
    m = problem.control_dim
    irregular = 1 + jnp.arange(m, dtype=x0.dtype) / (3 * m)
    sizes = jnp.asarray(_SIZES, x0.dtype)[:, None]
    controls = jnp.concatenate([0 * irregular[None], sizes * irregular, -sizes * irregular])
    first = jnp.zeros((), jnp.int32)
    rows = jax.vmap(lambda u: stage_rows(problem, first, x0, u, params))(controls)
    return jnp.any(rows != rows[0], axis=0)  # so is NaN
