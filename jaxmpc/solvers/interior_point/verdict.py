"""What is to be done at an iterate, once Newton's step from it is known."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxmpc.solution import Status
from jaxmpc.solvers.interior_point import restoration
from jaxmpc.solvers.interior_point.judge import Judged
from jaxmpc.solvers.interior_point.state import InteriorPointState
from jaxmpc.solvers.loop import RUNNING
from jaxmpc.solvers.multiple_shooting.newton import Model, Move, length_of
from jaxmpc.solvers.options import (
    FAILURES,
    LARGEST_PROXIMAL,
    NEARLY,
    WORKING_PRECISION,
    small_step,
)

_SETTLED = 1e-4  # the residual at which a least sum of squared violations is no way on


class Verdict(NamedTuple):
    """What there is to say of a point once Newton's step from it is known."""

    small: Bool[Array, ""]  # whether Newton's step is lost in rounding
    nearly: Int[Array, ""]
    solved: Bool[Array, ""]  # whether what is being minimised is at its minimum
    infeasible: Bool[Array, ""]
    stuck: Bool[Array, ""]  # whether that is a restoration, and the violation not zero
    hopeless: Bool[Array, ""]  # whether there is nothing left to minimise instead
    goes_on: Bool[Array, ""]


def decide(
    state: InteriorPointState,
    judged: Judged,
    model: Model,
    move: Move,
    tolerance: Float[Array, ""],
) -> Verdict:
    """Whether the point is the last one."""
    residual, violation = judged.residuals.largest(), judged.violation
    rounding = small_step(judged.mu.dtype)
    length = length_of(move.change, state.setting())
    small = model.convex & (model.proximal == 0) & (length <= rounding)
    small &= (violation <= rounding) | state.restoring
    near = residual <= WORKING_PRECISION * tolerance
    near |= small & (judged.mu <= judged.wanted_mu)
    nearly = jnp.where(near, state.nearly + 1, 0)
    solved = (judged.met & judged.sharp) | (nearly > NEARLY)
    settled = solved | (state.squared & (residual <= _SETTLED))
    stuck = state.restoring & settled & (violation > 100 * tolerance)
    ends = (solved & ~state.restoring) | stuck | (state.status != RUNNING)
    return Verdict(
        small=small,
        nearly=nearly,
        solved=solved,
        infeasible=violation > tolerance,
        stuck=stuck,
        hopeless=stuck & ~state.squared,
        goes_on=~ends & model.convex,
    )


def status_of(state: InteriorPointState, verdict: Verdict) -> Int[Array, ""]:
    """RUNNING, unless the point is the last one or there is no way on."""
    # Dynamics alone can be met from any state: by a simulation.
    hard = jnp.any(state.original.relaxable & ~state.original.exists[1])
    failed = jnp.where(verdict.infeasible & hard, Status.infeasible, Status.line_search_failed)
    in_vain = restoration.in_vain(state) & verdict.infeasible
    lost = (state.failures > FAILURES) | verdict.hopeless | in_vain
    status = jnp.where(lost, failed, RUNNING)
    status = jnp.where(state.proximal > LARGEST_PROXIMAL, Status.regularization_limit, status)
    return jnp.where(verdict.solved & ~state.restoring, Status.converged, status)
