"""The filter: which pairs of constraint violation and barrier objective are an improvement."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

_SIZE = 64
_MARGIN = 1e-5
_ARMIJO = 1e-4
_ROUNDING = 10.0
_NEAR, _GROWTH = 1e-2, 2.0  # violations that the Lagrangian may judge: of the start's, of the last


class Filter(NamedTuple):
    """Pairs (violation, objective) that may not come back, and the largest violation allowed."""

    violations: Float[Array, "64"]
    objectives: Float[Array, "64"]
    length: Int[Array, ""]
    start: Float[Array, ""]  # the violation at the starting point


class Merit(NamedTuple):
    """The violation (sum of absolute residuals) and the barrier objective of a point."""

    violation: Float[Array, "*k"]
    objective: Float[Array, "*k"]


def empty(violation: Float[Array, ""]) -> Filter:
    """A filter that only has an upper limit on the violation."""
    nothing = jnp.full_like(violation, jnp.inf, shape=(_SIZE,))
    length = jnp.zeros_like(violation, dtype=jnp.int32)
    return Filter(nothing, nothing, length, jnp.maximum(1.0, violation))


def judge(
    memory: Filter, now: Merit, trial: Merit, step_size: Float[Array, "*k"], slope: Float[Array, ""]
) -> tuple[Bool[Array, "*k"], Bool[Array, "*k"]]:
    """Which trials are acceptable, and which of them for their objective's decrease alone.

    `slope` is the objective's directional derivative.

    Source: Waechter and Biegler (2006), section 2.3.
    """
    objective = trial.objective - _noise(now.objective)
    used = jnp.arange(_SIZE, dtype=memory.length.dtype) < memory.length
    blocked = used[None] & (trial.violation[:, None] >= memory.violations[None])
    blocked = jnp.any(blocked & (objective[:, None] >= memory.objectives[None]), axis=-1)
    downhill = jnp.maximum(-slope, 0.0)
    switching = (slope < 0) & (step_size * downhill**2.3 > now.violation**1.1)
    switching &= now.violation <= 1e-4 * memory.start
    decreased = objective <= now.objective + _ARMIJO * step_size * slope
    progress = trial.violation <= (1 - _MARGIN) * now.violation
    progress |= objective <= now.objective - _MARGIN * now.violation
    possible = ~blocked & (trial.violation <= 1e4 * memory.start)
    possible &= jnp.isfinite(trial.violation) & jnp.isfinite(trial.objective)
    return possible & jnp.where(switching, decreased, progress), switching & decreased


def falls(
    memory: Filter, now: Merit, trial: Merit, step_size: Float[Array, "*k"], slope: Float[Array, ""]
) -> Bool[Array, "*k"]:
    """Which trials are acceptable for their Lagrangian, the `objective` and `slope` here.

    Defects of second order that the next step will close count in it for what closing them costs,
    where by the cost alone Newton's step is refused for them, down to 1/4096 and at the next point
    again (the Maratos effect). Only near feasibility, or where the violation does not grow by much:
    elsewhere costates are no prices yet.

    Source: Ulbrich (2004), On the superlinear local convergence of a filter-SQP method.
    """
    near = jnp.maximum(_NEAR * memory.start, _GROWTH * now.violation)
    enough = now.objective + _ARMIJO * step_size * slope
    decreased = (slope < 0) & (trial.objective - _noise(now.objective) <= enough)
    return decreased & (trial.violation <= near) & jnp.isfinite(trial.objective)


def _noise(objective: Float[Array, ""]) -> Float[Array, ""]:
    return _ROUNDING * jnp.finfo(objective.dtype).eps * jnp.abs(objective)


def remember(memory: Filter, now: Merit, wanted: Bool[Array, ""]) -> Filter:
    """Block what is no better than `now`, if that is wanted; the oldest pair makes room."""
    place = wanted & (jnp.arange(_SIZE, dtype=memory.length.dtype) == memory.length % _SIZE)
    violation = (1 - _MARGIN) * now.violation
    objective = now.objective - _MARGIN * now.violation
    return memory._replace(
        violations=jnp.where(place, violation, memory.violations),
        objectives=jnp.where(place, objective, memory.objectives),
        length=jnp.where(wanted, memory.length + 1, memory.length),
    )
