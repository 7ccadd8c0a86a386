"""What limits a solution: bounds dashed, stages at a bound shaded, violated stages marked."""

import itertools
from typing import Any, NamedTuple

import numpy as np

from jaxmpc.checks import check_type
from jaxmpc.plot.axes import GREY, LOUD
from jaxmpc.plot.columns import Column
from jaxmpc.problem import Problem
from jaxmpc.problem.kinds import KINDS
from jaxmpc.solution import Solution
from jaxmpc.spaces.entries import euclidean_entries

_CLOSE = 1e-4  # of the distance between two bounds: what counts as being at one of them
_VIOLATED = 10  # times the tolerance, as in `jaxmpc.describe`
_FAR = 3.0  # a bound that would make a panel's range that much larger is left outside
_SHADE = 0.15  # the opacity where all elements are at a bound
_MARKERS = {("stage", "inequality"): "^", ("stage", "equality"): "v"}
_MARKERS |= {("end", "inequality"): "<", ("end", "equality"): "D"}
_MARKS = {k.name: _MARKERS[k.place, k.sense] for k in KINDS.values() if not k.is_bound}


class _Limits(NamedTuple):
    """The bounds of a column, and which instants they are about."""

    lower: np.ndarray  # [T]
    upper: np.ndarray
    first: int  # 0 for a control, 1 for a state


def check_fits(owner: str, solution: Solution, problem: Problem):
    """Raise unless the sizes of a solution are those of the problem."""
    check_type(owner, "problem", problem, Problem)
    came = np.shape(solution.controls)[-2:]
    wanted = (problem.horizon, problem.control_dim)
    if came != wanted:
        raise ValueError(
            f"{owner}: problem has controls [T, m] = {wanted}; those of the solution are {came}."
        )


def mark_limits(
    axes: np.ndarray, columns: list[Column], solution: Solution, problem: Problem, dt: float
):
    """Draw the bounds of all columns, where they are met, and what is violated."""
    for axis, column in zip(axes, columns, strict=True):
        limits = _limits_of(problem, column, np.shape(solution.states)[-1])
        if limits is not None:
            _shade(axis, column, limits, dt)
            _dash(axis, column, limits, dt)
            if not column.held:
                _mark_states(axis, column, solution, problem, dt)
    for place, (name, (stages, marker)) in enumerate(_violated(solution, problem).items()):
        for axis in axes:
            heights = np.full(len(stages), 0.05 + 0.07 * place)  # those of a kind in a row
            look: dict[str, Any] = {"ms": 5, "mew": 1.2, "color": LOUD, "mec": LOUD}
            transform = axis.get_xaxis_transform()
            axis.plot(
                dt * stages, heights, marker, transform=transform, clip_on=False, label=name, **look
            )


def mark_bounds(axes: np.ndarray, columns: list[Column], problem: Problem, n: int, dt: float):
    """Draw the bounds that are the same at all stages, over a loop that may be longer."""
    for axis, column in zip(axes, columns, strict=True):
        limits = _limits_of(problem, column, n)
        if limits is None or not all(np.all(bound == bound[0]) for bound in limits[:2]):
            continue
        samples = column.values.shape[-1] - limits.first
        lower, upper = (np.full(samples, bound[0]) for bound in limits[:2])
        limits = limits._replace(lower=lower, upper=upper)
        _shade(axis, column, limits, dt)
        _dash(axis, column, limits, dt)


def _limits_of(problem: Problem, column: Column, n: int) -> _Limits | None:
    if column.entry is None:
        return None
    limits = problem.limits(float) if column.held else problem.state_limits(n, float)
    lower, upper = (np.asarray(bound)[:, column.entry] for bound in limits)
    if not np.any(np.isfinite(lower) | np.isfinite(upper)):
        return None
    return _Limits(lower, upper, 0 if column.held else 1)


def _dash(axis, column: Column, limits: _Limits, dt: float):
    seen = low, high = axis.get_ylim()
    for bound in limits[:2]:
        if not np.any(np.isfinite(bound)):
            continue
        bound = np.where(np.isfinite(bound), bound, np.nan)
        time = dt * (limits.first + np.arange(len(bound)))
        if column.held:
            bound, time = np.append(bound, bound[-1]), np.append(time, dt * len(bound))
        axis.plot(time, bound, "--", drawstyle=column.style, color=GREY, lw=1.1, label="bound")
        least, most = min(low, np.nanmin(bound)), max(high, np.nanmax(bound))
        still = np.ptp(column.values) < 1e-6 * (high - low)  # a range that matplotlib made up
        if still or most - least <= _FAR * (high - low):
            extra = 0.05 * (most - least)
            seen = min(seen[0], least - extra), max(seen[1], most + extra)
    axis.set_ylim(seen)


def _shade(axis, column: Column, limits: _Limits, dt: float):
    """Grey where the column is at a bound, one span a run of stages."""
    lines = np.reshape(column.values, (-1, column.values.shape[-1]))[:, limits.first :]
    distance = limits.upper - limits.lower
    bounds = [np.where(np.isfinite(bound), bound, 0.0) for bound in limits[:2]]
    size = np.maximum(1.0, np.maximum(*map(np.abs, bounds)))
    close = np.where(np.isfinite(distance) & (distance > 0), _CLOSE * distance, 1e-6 * size)
    share = np.mean((lines <= limits.lower + close) | (lines >= limits.upper - close), axis=0)
    half = 0.0 if column.held else 0.5  # of a step, to both sides of an instant
    edges = np.flatnonzero(np.diff(share, prepend=np.nan, append=np.nan) != 0)
    for start, end in itertools.pairwise(edges):
        if share[start] > 0:
            span = dt * (limits.first + np.array([start, end]) - half)
            span[1] = min(span[1], dt * (len(share)))
            opacity = _SHADE * (0.3 + 0.7 * share[start])
            axis.axvspan(*span, color="black", alpha=opacity, lw=0, zorder=0, label="at a bound")


def _mark_states(axis, column: Column, solution: Solution, problem: Problem, dt: float):
    """Crosses where a state is outside its bounds."""
    direction: Any = column.entry
    if problem.state_space is not None:
        entries, directions = euclidean_entries(problem.state_space)
        direction = directions[entries.index(direction)]
    outside = np.zeros(np.shape(solution.states)[:-1], bool)
    for name in ("state_lower", "state_upper"):
        outside[..., 1:] |= _beyond(solution, name)[..., direction]
    soft = problem.soft is not None and "state_bounds" in problem.soft
    label = _words("state_bounds", soft)
    elements = np.reshape(column.values, (-1, column.values.shape[-1]))
    for values, chosen in zip(elements, np.reshape(outside, elements.shape), strict=True):
        if np.any(chosen):
            time = dt * np.flatnonzero(chosen)
            axis.plot(time, values[chosen], "x", color=LOUD, ms=6, mew=1.6, label=label)


def _violated(solution: Solution, problem: Problem) -> dict[str, tuple[np.ndarray, str]]:
    """The stages at which each constraint is violated, by any element; and its marker."""
    found = {}
    for name, marker in {"dynamics": "x", **_MARKS}.items():
        beyond = _beyond(solution, name)
        if not np.any(beyond):
            continue
        if name in KINDS and KINDS[name].place == "end":
            stages = np.array([problem.horizon])
        else:
            by_stage = np.any(beyond, axis=-1).reshape(-1, problem.horizon)
            stages = np.flatnonzero(np.any(by_stage, axis=0)) + (name == "dynamics")
        soft = problem.soft is not None and name in problem.soft
        found[_words(name, soft)] = (stages, marker)
    return found


def _words(name: str, soft: bool) -> str:
    return f"slack of {name}" if soft else f"violated: {name}"


def _beyond(solution: Solution, name: str) -> np.ndarray:
    """Which entries of a constraint are violated; those that are not finite are."""
    rows, unit = (
        np.asarray(getattr(solution.violations, name)),
        np.asarray(solution.scales.of_rows(name)),
    )
    tolerance = np.asarray(solution.tolerance)[..., None]
    if name == "dynamics" or KINDS[name].place != "end":
        unit, tolerance = unit[..., None, :], tolerance[..., None]
    return ~(rows <= _VIOLATED * tolerance * unit)
