"""A solution as notebooks show it: a small table of HTML, with the controls as sparklines."""

import html
from collections.abc import Iterable
from typing import Any

import numpy as np

from jaxmpc.presentation.ending import has_numbers
from jaxmpc.presentation.status import Status

_WIDTH, _HEIGHT = 160, 28  # of a sparkline, in pixels
_POINTS = 160  # of a curve, at most
_CURVES = 12  # elements of a batch that are drawn
_ROWS = 8  # controls that are drawn
_RESIDUALS = ("stationarity", "feasibility", "complementarity")


def solution_html(solution: Any) -> str | None:
    """The table of a solution, or of a batch with any leading axes; None without numbers."""
    used = ("status", "cost", "iterations", "tolerance", "controls")
    shown = [*(getattr(solution, name) for name in used), *(solution.residuals or [None])]
    if not all(has_numbers(part) for part in shown):
        return None
    status = np.asarray(solution.status)
    with np.errstate(all="ignore"):
        rows = [*_head(solution, status), *_residuals(solution), *_controls(solution)]
    cells = "".join(
        f'<tr><th style="text-align:left">{html.escape(name)}</th>'
        f'<td style="text-align:left">{cell}</td></tr>'
        for name, cell in rows
    )
    return f"<table>{cells}</table>"


def _head(solution: Any, status: np.ndarray):
    """The statuses, the cost and the iterations."""
    cost, iterations = _flat(solution.cost), _flat(solution.iterations)
    if status.ndim == 0:
        name, sentence = _words(int(status))
        yield "status", f"<b>{name}</b> {html.escape(sentence)}"
        yield "cost", f"{cost[0]:.9g}"
        yield "iterations", f"{iterations[0]:g}"
        return
    found, counts = np.unique(status, return_counts=True)
    told = ", ".join(f"{n} <b>{_words(int(k))[0]}</b>" for k, n in zip(found, counts, strict=True))
    yield f"{status.size} solutions", told
    yield "cost", _spread(cost, ".6g")
    yield "iterations", _spread(iterations, "g")


def _words(status: int) -> tuple[str, str]:
    """The name of a status, and its sentence; of another number that number."""
    known = status in Status.__members__.values()
    return (Status(status).name, Status(status).message) if known else (str(status), "")


def _spread(numbers: np.ndarray, form: str) -> str:
    """The median of the finite ones, and from where to where they go."""
    finite = numbers[np.isfinite(numbers)]
    if not finite.size:
        return "none finite"
    low, middle, high = (format(f(finite), form) for f in (np.min, np.median, np.max))
    bad = f", {numbers.size - finite.size} not finite" if finite.size < numbers.size else ""
    return f"median {middle}, from {low} to {high}{bad}"


def _residuals(solution: Any):
    """Each residual beside the tolerance; of a batch the worst."""
    tolerance = _flat(solution.tolerance)
    worst = "worst " if np.ndim(solution.status) else ""
    for name in _RESIDUALS:
        residual = _flat(getattr(solution.residuals, name))
        if not residual.size:
            continue
        # NaN is the worst of all; argmax finds it.
        at = int(np.argmax(residual / tolerance))
        word = "&le;" if residual[at] <= tolerance[at] else "not &le;"
        yield f"{worst}{name}", f"{residual[at]:.2e} {word} {tolerance[at]:.2e} (scaled)"


def _controls(solution: Any):
    """A sparkline of each control, with its least and its largest value."""
    controls = np.asarray(solution.controls, float)
    horizon, m = controls.shape[-2:]
    elements = controls.reshape(-1, horizon, m)
    if not elements.size:
        return
    for index in range(min(m, _ROWS)):
        curves = elements[:_CURVES, :, index]
        finite = curves[np.isfinite(curves)]
        ends = f"{np.min(finite):.4g} to {np.max(finite):.4g}" if finite.size else "none finite"
        yield f"control {index}", f"{sparkline(curves)} {ends}"
    left = m - _ROWS
    if left > 0:
        yield "", f"and {left} more controls"
    if len(elements) > _CURVES:
        yield "", f"(the first {_CURVES} elements are drawn)"


def sparkline(curves: np.ndarray) -> str:
    """An SVG of curves [S, T] that hold each value for a step; without what is not finite."""
    finite = curves[np.isfinite(curves)]
    low, high = (np.min(finite), np.max(finite)) if finite.size else (0.0, 0.0)
    unit = max(abs(low), abs(high)) or 1.0  # else the largest numbers would overflow
    span = high / unit - low / unit
    share = (curves / unit - low / unit) / span if span > 0 else np.where(curves == curves, 0.5, 0)
    heights = 1.5 + (_HEIGHT - 3) * (1 - share)
    ends = np.linspace(0, _WIDTH, curves.shape[1] + 1)
    every = -(-curves.shape[1] // _POINTS)
    lines = "".join(
        f'<path d="{_steps(ends[:-1:every], row[::every], known[::every])}"/>'
        for row, known in zip(heights, np.isfinite(curves), strict=True)
    )
    opacity = max(0.25, 1 / len(curves) ** 0.5)
    return (
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" fill="none" '
        f'stroke="currentColor" stroke-opacity="{opacity:.2f}" style="vertical-align:middle">'
        f"{lines}</svg>"
    )


def _steps(starts: np.ndarray, heights: np.ndarray, known: np.ndarray) -> str:
    """The path of one curve: a level for each step, broken where nothing is known."""
    return "".join(_levels(starts, [*starts[1:], _WIDTH], heights, known))


def _levels(starts: Iterable, ends: Iterable, heights: Iterable, known: Iterable):
    drawing = False
    for start, end, height, is_known in zip(starts, ends, heights, known, strict=True):
        if is_known:
            yield f"{'V' if drawing else f'M{start:.1f} '}{height:.1f}H{end:.1f}"
        drawing = is_known


def _flat(numbers: Any) -> np.ndarray:
    return np.asarray(numbers, float).ravel()
