"""The curvature of the Lagrangian along each stage's controls: zero, or negative."""

from typing import NamedTuple

import numpy as np

from jaxmpc.diagnosis.case import Case, joined, one_digit
from jaxmpc.diagnosis.conditions import Conditions

_SMALL = 1e-8  # in units of the scales: a control that moves by its own changes the cost by this
_ROUNDING = 1e-10  # of the terms of Quu; in float32 ten units in the last place
_PENALTY = 1e6  # of the active constraints' rows, in units of the largest curvature
_TAKES_PART = 0.5  # of the largest entry of a direction
_SUGGESTED = 1e-3  # the curvature to add to a singular control, in units of the scales


class Direction(NamedTuple):
    """An eigenvector of a stage's Quu whose eigenvalue is not positive."""

    stage: int
    controls: tuple[int, ...]  # those that it moves
    curvature: float  # in units of the scales


class _Model(NamedTuple):
    """The LQ problem in units of the scales, with the active rows as penalties."""

    Q: np.ndarray
    S: np.ndarray
    R: np.ndarray
    A: np.ndarray
    B: np.ndarray
    free: np.ndarray


def curvature_findings(case: Case, directions: list[Direction]) -> list[str]:
    """Sentences on controls that the cost does not determine, or on negative curvature."""
    negative = [one for one in directions if one.curvature < 0]
    if negative:
        return [_negative(case, negative)]
    groups: dict[tuple[int, ...], list[Direction]] = {}
    for one in directions:
        groups.setdefault(one.controls, []).append(one)
    return [_singular(case, controls, found) for controls, found in groups.items()]


def flat_or_negative(case: Case, conditions: Conditions) -> list[Direction]:
    """The directions of the projected Hessian's blocks that are singular (0.0) or negative.

    Those of the Riccati recursion's Quu on the free controls. The last stage with negative
    curvature ends the list: what lies before it would be measured with a value function that has
    no minimum.
    """
    model = _scaled_model(case, conditions)
    if not all(np.all(np.isfinite(part)) for part in model):
        return []
    V, found = model.Q[-1], []
    rounding = max(_ROUNDING, 10 * float(np.finfo(case.x0.dtype).eps))
    for t in reversed(range(case.problem.horizon)):
        A, B, free = model.A[t], model.B[t], np.flatnonzero(model.free[t])
        Quu = (model.R[t] + B.T @ V @ B)[np.ix_(free, free)]
        Qux = (model.S[t] + B.T @ V @ A)[free]
        size = np.max(np.abs(model.R[t]) + np.abs(B.T) @ np.abs(V) @ np.abs(B), initial=0.0)
        threshold = max(_SMALL, rounding * size)
        values, vectors = np.linalg.eigh(0.5 * (Quu + Quu.T))
        for value, direction in zip(values, vectors.T, strict=True):
            if value <= threshold:
                part = np.abs(direction) > _TAKES_PART * np.max(np.abs(direction))
                moved = tuple(int(i) for i in free[part])
                found.append(Direction(t, moved, float(value) if value < -threshold else 0.0))
        if np.any(values < -threshold):
            break
        inverse = np.where(values > threshold, 1 / np.where(values > threshold, values, 1.0), 0.0)
        K = -(vectors * inverse) @ vectors.T @ Qux
        V = model.Q[t] + A.T @ V @ A + Qux.T @ K
        V = 0.5 * (V + V.T)
    return found


def _scaled_model(case: Case, conditions: Conditions) -> _Model:
    scales = case.solution.scales
    x, u = np.asarray(scales.states, float), np.asarray(scales.controls, float)
    cost, z = float(scales.cost), np.concatenate([x, u])
    lq, n = conditions.model, x.size
    Q = np.asarray(lq.Q, float) * np.outer(x, x) / cost
    S = np.asarray(lq.S, float) * np.outer(u, x) / cost
    R = np.asarray(lq.R, float) * np.outer(u, u) / cost
    largest = max(np.max(np.abs(Q)), np.max(np.abs(R)), 1.0)
    stage = _unit_rows(np.asarray(conditions.active.stage, float) * z)
    terminal = _unit_rows(np.asarray(conditions.active.terminal, float) * x)
    penalty = _PENALTY * largest * np.einsum("tpi,tpj->tij", stage, stage)
    Q[:-1] += penalty[:, :n, :n]
    Q[-1] += _PENALTY * largest * terminal.T @ terminal
    return _Model(
        Q=Q,
        S=S + penalty[:, n:, :n],
        R=R + penalty[:, n:, n:],
        A=np.asarray(lq.A, float) / x[:, None] * x,
        B=np.asarray(lq.B, float) / x[:, None] * u,
        free=np.asarray(conditions.free),
    )


def _unit_rows(rows: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    return rows / np.where(length > 0, length, 1.0)


def _named(controls: tuple[int, ...]) -> str:
    return joined([f"u[{i}]" for i in controls])


def _singular(case: Case, controls: tuple[int, ...], found: list[Direction]) -> str:
    horizon, scales = case.problem.horizon, case.solution.scales
    stages = sorted(one.stage for one in found)
    where = f"at stage {stages[0]}"
    if len(stages) > 1:
        where = f"at {len(stages)} of {horizon} stages (the first: {stages[0]})"
    size = float(scales.cost) / float(scales.controls[controls[0]]) ** 2
    weight = one_digit(_SUGGESTED * size)
    added = " + ".join(f"u[{i}]**2" for i in controls)
    added = f"{weight} * {added}" if len(controls) == 1 else f"{weight} * ({added})"
    does, them = ("is", "it") if len(controls) == 1 else ("are together", "a combination of them")
    return (
        f"{_named(controls)} {does} singular {where}: the cost has no "
        f"curvature along {them}. Add a small quadratic cost such as {added}."
    )


def _negative(case: Case, negative: list[Direction]) -> str:
    worst = min(negative, key=lambda one: one.curvature)
    solver = "InteriorPoint" if case.problem.has_general_constraints else "ILQR"
    gradient = float(case.solution.residuals.stationarity)
    saddle = gradient <= 1e3 * float(case.solution.tolerance)
    beside = one_digit(0.1 * float(np.min(np.asarray(case.solution.scales.controls))))
    if saddle:  # from which no solver starts by itself
        what = "a saddle, not a minimum"
        cure = f"Start beside it: controls=solution.controls + {beside} (or minus that)."
    else:
        what = "where Newton's model has no minimum"
        cure = f'Start from another guess, or try {solver}(hessian="gauss_newton").'
    return (
        f"The curvature along {_named(worst.controls)} is negative at stage {worst.stage} "
        f"({worst.curvature:.2g} in units of the scales): the returned point is {what}. {cure}"
    )
