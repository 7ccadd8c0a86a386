"""Which rows of the constraints count, and which may be violated at a price."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from jaxmpc.lq.rows import Rows
from jaxmpc.problem import Problem
from jaxmpc.trajectory.constraints import (
    piece_sizes,
    stage_equality,
    stage_pieces,
    terminal_equality,
)


class Present(NamedTuple):
    """Which rows constrain anything: no infinite bound, nothing that is decided by x_0 alone."""

    stage: Bool[Array, "T p"]
    terminal: Bool[Array, " e"]


class Penalty(NamedTuple):
    """The weights of soft rows; those of hard rows are inf and zero."""

    linear: Rows
    quadratic: Rows


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

    _, sizes = piece_sizes(problem, x0, params)
    masks, ends = [jnp.zeros((problem.horizon, 0), bool)], [jnp.zeros((0,), bool)]
    for name, piece in stage_pieces(problem).items():
        rows = piece(first, x0, unknown, params)
        mask = finite.get(name, jnp.ones((problem.horizon, rows.shape[0]), bool))
        if name.startswith("state"):  # x_t at stage t is bounded by entry t - 1
            mask = jnp.concatenate([mask[:1], mask[:-1]])
        masks.append(at_first(rows, mask))
    for name, size in sizes.items():
        ends.append(finite[name][-1] if name in finite else jnp.ones((size,), bool))
    inequality = Present(jnp.concatenate(masks, axis=1), jnp.concatenate(ends))

    rows = stage_equality(problem, first, x0, unknown, params)
    always = jnp.ones((problem.horizon, rows.shape[0]), bool)
    last = jax.eval_shape(lambda: terminal_equality(problem, x0, params)).shape
    return inequality, Present(at_first(rows, always), jnp.ones(last, bool))


def relaxable(problem: Problem, x0: Float[Array, " n"], params: PyTree) -> Rows:
    """Which inequality rows are not control bounds: these can always be met, and always are."""
    sizes, last = piece_sizes(problem, x0, params)
    row = [jnp.full((size,), name not in ("upper", "lower")) for name, size in sizes.items()]
    every = jnp.concatenate([jnp.zeros((0,), bool), *row])
    stages = jnp.broadcast_to(every, (problem.horizon, every.shape[0]))
    return Rows(stages, jnp.ones((sum(last.values()),), bool))


def penalties(problem: Problem, x0: Float[Array, " n"], params: PyTree) -> tuple[Penalty, Penalty]:
    """The weights of the inequality rows and of the equality rows."""
    soft = problem.soft or {}

    def weights(name: str, size: int):
        field = "state_bounds" if name.startswith("state_") else name
        if field in soft:
            return soft[field].weights(field, size, x0.dtype)
        return jnp.full((size,), jnp.inf, x0.dtype), jnp.zeros((size,), x0.dtype)

    def joined(sizes: dict[str, int]):
        parts = [weights("", 0), *(weights(*item) for item in sizes.items())]
        return [jnp.concatenate(pair) for pair in zip(*parts, strict=True)]

    def penalty(stage: dict[str, int], terminal: dict[str, int]) -> Penalty:
        def rows(at_stage, at_end):
            return Rows(jnp.broadcast_to(at_stage, (problem.horizon, at_stage.shape[0])), at_end)

        return Penalty(*map(rows, joined(stage), joined(terminal)))

    u, t = jnp.zeros_like(x0, shape=(problem.control_dim,)), jnp.zeros((), jnp.int32)
    q = jax.eval_shape(lambda: stage_equality(problem, t, x0, u, params)).shape[0]
    f = jax.eval_shape(lambda: terminal_equality(problem, x0, params)).shape[0]
    equality = penalty({"stage_equality": q}, {"terminal_equality": f})
    return penalty(*piece_sizes(problem, x0, params)), equality
