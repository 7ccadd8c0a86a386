"""Why a solver stopped before its residuals were below the tolerance."""

import jax.numpy as jnp

from jaxmpc.diagnosis.case import Case, one_digit
from jaxmpc.diagnosis.conditions import (
    Conditions,
    largest_complementarity,
    largest_stationarity,
)
from jaxmpc.diagnosis.curvature import Direction
from jaxmpc.diagnosis.infeasibility import hard_violations
from jaxmpc.solution import Status
from jaxmpc.solving import default_solver

_NEAR = 1e3  # times the tolerance: what rounding can do
_FEW = 100  # iterations: a limit of the user's, below the default
_KINK = (
    "No step helps although the curvature is not negative: the functions have a kink or a jump "
    "there (abs, max, where, round). Smooth them, or start from another guess."
)
_ALMOST = 100.0  # times the tolerance: a few iterations more


def stalled(case: Case, conditions: Conditions, directions: list[Direction]) -> list[str]:
    """Sentences on the largest residual: how large, where, and what helps if it is near.

    Rounding is not to blame where the curvature is negative.
    """
    solution = case.solution
    residuals, tolerance = solution.residuals, float(solution.tolerance)
    status = Status(int(solution.status))
    sizes = {name: float(value) for name, value in residuals._asdict().items()}
    largest = max(sizes, key=lambda name: sizes[name])
    if largest == "stationarity":
        where = largest_stationarity(case, conditions)
    elif largest == "complementarity":
        where = largest_complementarity(conditions)
    else:
        found = hard_violations(case)
        where = found[0].where() if found else "constraints that are soft or decided by x0"
    ratio = sizes[largest] / tolerance
    lines = [
        f"The largest residual is the {largest}: {sizes[largest]:.2g}, {ratio:.2g} times the "
        f"tolerance of {tolerance:.0e}, in {where}."
    ]
    if status == Status.max_iterations:
        lines.append(_iterations(case, ratio))
    elif all(one.curvature >= 0 for one in directions):
        lines.append(_rounding(case, sizes[largest]) if ratio <= _NEAR else _KINK)
    return lines


def _iterations(case: Case, ratio: float) -> str:
    count = int(case.solution.iterations)
    if ratio <= _ALMOST:
        return (
            f"That is near after {count} iterations: raise max_iterations, or go on from here "
            "with warm_start=solution."
        )
    if count < _FEW:
        return f"The limit was {count} iterations: raise max_iterations (the default is 500)."
    other = "the other solvers (InteriorPoint, ILQR) or "
    other = "" if case.problem.has_general_constraints else other
    return f"That is far after {count} iterations: try {other}another guess (states=, controls=)."


def _rounding(case: Case, residual: float) -> str:
    solver = type(default_solver(case.problem)).__name__
    wider = "" if case.x0.dtype == jnp.float64 else "try float64, or "
    return (
        f"That is rounding, or a kink of the functions: {wider}accept what can be reached with "
        f"solver={solver}(tolerance={one_digit(3 * residual)})."
    )
