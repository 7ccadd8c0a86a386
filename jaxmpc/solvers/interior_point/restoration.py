"""Restoration: where the line search finds no way on, the violation is minimised instead."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxmpc.solvers.interior_point.barrier_parameter import START_MU
from jaxmpc.solvers.interior_point.state import InteriorPointState
from jaxmpc.solvers.multiple_shooting import filter as filters
from jaxmpc.solvers.multiple_shooting.filter_search import Place
from jaxmpc.solvers.multiple_shooting.iterate import around, residual_of_rows
from jaxmpc.solvers.multiple_shooting.newton import stay

FIRST_PROXIMAL = 1e-4  # the least proximal weight to try, of every barrier problem
_FAILURES = 2  # line searches that may fail before the violation is minimised
_CRAWLED = 8  # short steps that may leave it as it is: where rounding hides that they lead nowhere
_SHORT = 0.3  # of a step
_LEFT = 0.999  # the share of the violation that is as it was
_RESTORATIONS = 5
_STUCK_MU = 1e-2  # the barrier parameter after a least sum of squares
_RESTORED = 0.1  # the violation, in units of that at the start of a restoration, that ends it


def wanted(state: InteriorPointState, infeasible: Bool[Array, ""]) -> Bool[Array, ""]:
    """Whether one is to begin."""
    lost = (state.failures > _FAILURES) | (state.crawled > _CRAWLED)
    begins = lost & infeasible & ~state.restoring
    return begins & (state.restorations < _RESTORATIONS)


def in_vain(state: InteriorPointState) -> Bool[Array, ""]:
    """Whether there were enough of them, and still the violation stays as it is."""
    spent = (state.restorations >= _RESTORATIONS) & ~state.restoring
    return spent & (state.crawled > _CRAWLED)


def crawled(state: InteriorPointState, violation: Float[Array, ""]) -> Int[Array, ""]:
    """How many short steps in a row left the violation as it was, from one to the next."""
    before = state.findings.residuals.feasibility
    short = (state.step_size > 0) & (state.step_size < _SHORT)
    return jnp.where(short & (violation > _LEFT * before), state.crawled + 1, 0)


def switched(state: InteriorPointState, violation, stuck):
    """The state at the start of a restoration, or of what comes after it.

    One that is stuck at a least sum of squared violations is followed by one of their absolute
    values: what is stationary for the one rarely is for the other.
    """
    restoring = ~state.restoring | stuck
    iterate, functions = state.place
    far = jnp.maximum(START_MU, violation)
    near = state.original.near._replace(states=iterate.states, controls=iterate.controls)
    state = state._replace(
        restoring=restoring,
        squared=state.squared & ~stuck,
        original=state.original._replace(near=near),
        mu=jnp.where(stuck, _STUCK_MU, jnp.where(state.restoring, START_MU, far)),
    )
    setting, one = state.setting(), jnp.ones_like(state.mu)
    rows = jnp.where(setting.present.flat(), functions.rows, 0.0)
    fresh = around(setting, iterate.states, iterate.controls, rows, one)
    off = jnp.abs(residual_of_rows(setting, fresh.positive, rows)) / setting.units.rows
    return state._replace(
        place=Place(fresh, functions),
        move=stay(fresh),
        restorations=jnp.where(restoring, state.restorations + 1, state.restorations),
        target=jnp.where(restoring, _RESTORED * violation, state.target),
        proximal=FIRST_PROXIMAL * one,
        memory=filters.empty(jnp.sum(off)),
        failures=0 * state.failures,
        crawled=0 * state.crawled,
        nearly=0 * state.nearly,
        still=state.still & False,
    )
