"""The scales of a problem, measured along a trajectory: what counts as small, in its own units.

All of them change with the units of the problem as the quantities themselves do, so that a
problem divided by its scales is the same in all units.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from jaxmpc.lq.rows import Jacobian, Rows
from jaxmpc.problem import Problem
from jaxmpc.problem.kinds import KINDS, Kind
from jaxmpc.solution import Scales
from jaxmpc.trajectory.constraints import join, piece_sizes, split
from jaxmpc.trajectory.expansion import Derivatives, Linearization

_FUNCTIONS = [kind.name for kind in KINDS.values() if not kind.is_bound]
_TIME_TO_MOVE = 0.2  # the part of the horizon that counts when states are reached by controls
_OF_MEAN = 0.1  # the scale of the cost, as a part of the mean cost of a stage
_PART = 1e-2  # the least part of half the range, or of the largest control, that is the scale
_COARSEST = 2.0**-23  # the machine precision, float32's, in which they count in full
_LEAST_FALL = 1e-4  # the part of the first cost down to which the cost's scale falls with it
_LARGEST_RISE = 1e3  # of the cost's scale: with more a cost that falls without limit seems flat
_INACTIVE = 1e3  # bounds this much wider than a control can be of use say nothing of its size
_WITHOUT_LIMIT = 1e8  # how many times its scale a cost may fall below zero where controls are free


def scales_of(
    problem: Problem,
    params: PyTree,
    states: Float[Array, "T1 n"],
    controls: Float[Array, "T m"],
    magnitude: Float[Array, ""],
    along: Derivatives,
) -> Scales:
    """Measure the scales along a trajectory, whose cost has that magnitude; without derivatives.

    Controls: half the range between the bounds, or, where that is less, the control whose curvature
    alone costs as much as the whole trajectory. Cost: a tenth of the mean absolute cost of a
    stage, or of the part of what moving the controls by their range would cost that the precision
    can tell.
    States: the mean square root of their absolute values, squared, or, if that is more, what
    controls of their scale move within a fifth of the horizon. Constraints: what changes by these
    scales move.
    """
    total, n = magnitude, along.linearization.q.shape[1]
    of_controls = jnp.diagonal(along.cost.stages, axis1=1, axis2=2)[:, n:]
    curvature = jnp.sum(jnp.abs(of_controls), axis=0)
    largest = jnp.max(jnp.abs(controls), axis=0)
    half = _half_range(problem, controls.dtype)
    alone = jnp.sqrt(2 * total / jnp.where(curvature > 0, curvature, 1.0))
    alone = jnp.where(curvature > 0, alone, jnp.inf)
    # Near rest the trajectory costs next to nothing, and rounding counts for more than that: what
    # the controls could do and cost is then the measure, or a part of it in finer precision.
    bounded = jnp.isfinite(half)
    moves = jnp.where(bounded, jnp.minimum(half, _INACTIVE * alone), alone)
    moves = jnp.where(jnp.isfinite(moves), moves, largest)
    part = _part_of_moves(controls.dtype)
    least = jnp.maximum(_PART, part) * moves
    in_controls = _first_sound(jnp.maximum(jnp.minimum(half, alone), least), half, largest)
    by_moves = part * 0.5 * jnp.sum(jnp.where(bounded, curvature * moves**2, 0.0))
    cost = _or_one(_OF_MEAN * jnp.maximum(total, by_moves) / (problem.horizon + 1))
    least_cost = _OF_MEAN * jnp.maximum(_LEAST_FALL * total, by_moves) / (problem.horizon + 1)
    in_states = jnp.mean(jnp.sqrt(jnp.abs(states)), axis=0) ** 2  # few large ones do not decide it
    in_states = problem.directed(in_states, 1.0)  # an angle, an attitude: a radian
    reach = _reach(along.linearization, jnp.where(jnp.isfinite(in_controls), in_controls, 0.0))
    in_states = jnp.maximum(in_states, jnp.where(jnp.isfinite(reach), reach, 0.0))
    rows = {name: jnp.ones_like(states[0, :1]) for name in _FUNCTIONS}
    if problem.has_general_constraints:
        units = (_or_one(in_states), _or_one(in_controls))
        rows |= _of_rows(problem, params, states[0], along.rows, *units)
    return jax.lax.stop_gradient(
        Scales(
            cost=cost,
            states=_or_one(in_states),
            controls=_or_one(in_controls),
            **rows,
            least_cost=jnp.where(jnp.isfinite(least_cost) & (least_cost > 0), least_cost, cost),
        )
    )


def no_scales(problem: Problem, x0: Float[Array, " n"], params: PyTree) -> Scales:
    """Zeros, of the shapes that the scales of a problem have."""
    zero = jnp.zeros_like(x0, shape=(problem.tangent_dim(x0.shape[0]),))
    rows = dict.fromkeys(_FUNCTIONS, zero[:1])
    for sizes in piece_sizes(problem, x0, params):
        rows |= {name: jnp.zeros_like(x0, shape=(size,)) for name, size in sizes.items()}
    controls = jnp.zeros_like(x0, shape=(problem.control_dim,))
    own = {name: rows[name] for name in _FUNCTIONS}
    return Scales(cost=zero[0], states=zero, controls=controls, **own, least_cost=zero[0])


def scales_now(problem: Problem, scales: Scales, magnitude: Float[Array, ""]) -> Scales:
    """The scales further on: the first trajectory may be useless, or cost nothing.

    That of the cost rises and falls with it, and all that was measured by the cost falls as its
    root; ranges between bounds stay what they are.
    """
    now = _OF_MEAN * magnitude / (problem.horizon + 1) / scales.cost
    least = scales.least_cost / scales.cost
    change = jnp.clip(jnp.where(jnp.isfinite(now), now, 1.0), least, _LARGEST_RISE)
    root = jnp.sqrt(jnp.minimum(change, 1.0))
    fallen = jax.tree.map(lambda scale: root * scale, scales)
    by_cost = scales.controls < _half_range(problem, now.dtype)
    return fallen._replace(
        cost=change * scales.cost,
        controls=jnp.where(by_cost, fallen.controls, scales.controls),
        least_cost=scales.least_cost,
    )


def _part_of_moves(dtype) -> float:
    return min(1.0, float(jnp.finfo(dtype).eps) / _COARSEST) ** 0.5


def falls_without_limit(
    problem: Problem, scales: Scales, cost: Float[Array, ""]
) -> Bool[Array, ""]:
    """Whether nothing seems to hold the cost back: it is far below zero, and a control is free."""
    free = jnp.any(jnp.isinf(_half_range(problem, cost.dtype)))
    return free & (cost < -_WITHOUT_LIMIT * (problem.horizon + 1) * scales.cost / _OF_MEAN)


def _half_range(problem: Problem, dtype) -> Float[Array, " m"]:
    """Half the largest range of each control that is not fixed; infinite where it has none."""
    lower, upper = problem.limits(dtype)
    widest = jnp.max(jnp.where(jnp.isnan(upper - lower), jnp.inf, upper - lower), axis=0)
    return jnp.where(widest > 0, 0.5 * widest, jnp.inf)


def _reach(linearization: Linearization, in_controls: Float[Array, " m"]) -> Float[Array, " n"]:
    """How far controls of their scales move each state, through as few other states as possible."""
    A, B, _, _ = linearization
    horizon, n, _ = A.shape
    stages = _TIME_TO_MOVE * horizon
    reach = stages * jnp.max(jnp.abs(B), axis=0) @ in_controls
    coupling = stages * jnp.max(jnp.abs(A), axis=0) * (1 - jnp.eye(n, dtype=A.dtype))
    for _ in range(n - 1):
        reach = jnp.where(reach > 0, reach, coupling @ reach)
    return reach


def _of_rows(
    problem: Problem, params, x0, jacobian: Jacobian, in_states, in_controls
) -> dict[str, Array]:
    """How far changes by their scales move the rows of each of the problem's functions."""
    z = jnp.concatenate([in_states, in_controls])
    moved = Rows(
        jnp.max(jnp.abs(jacobian.stage) * z[None, None], axis=2, initial=0.0),
        jnp.max(jnp.abs(jacobian.terminal) * in_states[None], axis=1, initial=0.0),
    )
    parts = split(problem, x0, params, moved)
    own = {name: value for name, value in parts.items() if name in _FUNCTIONS}
    return {
        name: _or_one(value if KINDS[name].place == "end" else jnp.max(value, axis=0))
        for name, value in own.items()
    }


def scales_of_rows(problem: Problem, x0: Float[Array, " n"], scales: Scales) -> Rows:
    """The scale of each row of the constraints."""

    def of_rows(kind: Kind):
        scale = scales.of_rows(kind.name)
        return scale if kind.place == "end" else jnp.tile(scale, (problem.horizon, 1))

    rows = join(problem, x0, {kind.name: of_rows(kind) for kind in KINDS.values()})
    # The states' rows at t = 0 constrain nothing.
    return jax.tree.map(lambda scale: jnp.where(scale > 0, scale, 1.0), rows)


def _first_sound(*candidates: Float[Array, " k"]) -> Float[Array, " k"]:
    """The first of the candidates that is finite and positive; infinite where none is."""
    found = jnp.full_like(candidates[0], jnp.inf)
    for candidate in reversed(candidates):
        found = jnp.where(jnp.isfinite(candidate) & (candidate > 0), candidate, found)
    return found


def _or_one(scale: Array) -> Array:
    return jnp.where(jnp.isfinite(scale) & (scale > 0), scale, 1.0)
