"""Guesses: a rollout that leads nowhere, and horizons that are too long for one."""

import numpy as np

from jaxmpc.diagnosis.case import Case, cost_of_standing_still, zero_rollout
from jaxmpc.solution import Status

_RUNAWAY = 1e6  # times the size of x0
_LONG = 150  # stages


def useless_guess(case: Case) -> list[str]:
    """A sentence where standing still at x0 is a better guess than the rollout of zero controls."""
    rollout = zero_rollout(case)
    standing = float(cost_of_standing_still(case))
    if not np.isfinite(standing):
        return []
    cost, size = float(rollout.cost), float(np.max(np.abs(case.x0)))
    finite = np.isfinite(cost) and bool(np.all(np.isfinite(rollout.states)))
    largest = float(np.max(np.abs(rollout.states))) if finite else np.inf
    runs_away = largest > _RUNAWAY * (size if size > 0 else 1.0)
    blocked = Status(int(case.solution.status)) in (Status.infeasible, Status.unbounded)
    if not runs_away and (blocked or not standing < cost):
        return []
    if not finite:
        what = "is not finite"
    else:
        what = f"costs {cost:.2g}"
        what += f" and reaches states of {largest:.2g}" if runs_away else ""
    line = (
        f"Try states=jnp.tile(x0, (T+1, 1)), with T the horizon: the rollout of zero controls "
        f"{what}, standing still {'costs ' if not finite else ''}{standing:.2g}."
    )
    if runs_away:
        line += (
            " SQP and InteriorPoint start so by themselves: if that was the solver, guess states "
            "that lead to the goal (a straight line, say)."
        )
    return [line]


def long_horizon(case: Case) -> list[str]:
    """A sentence where the horizon is so long that a guess from short ones helps."""
    horizon = case.problem.horizon
    if horizon < _LONG:
        return []
    return [
        f"A horizon of {horizon} is long for one guess: take that of "
        "jaxmpc.receding_guess(problem, x0, params), which plans a few stages at a time, as "
        "states= and controls=."
    ]
