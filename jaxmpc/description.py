"""A short readable report on a solution, or on a batch of them."""

import numpy as np
from jax.core import Tracer

from jaxmpc.presentation.wrap import wrapped
from jaxmpc.problem.kinds import KINDS
from jaxmpc.solution import Solution, Status

_COUNTED = 10  # times the tolerance: what counts as violated, or as a multiplier


def describe(solution: Solution) -> str:
    """What came out, in a few lines: statuses, cost, iterations, residuals, the worst element.

    The residuals are in units of `Solution.scales`, and the tolerance that they were compared with
    stands below them. "To working precision": a little more than that remains, and was accepted
    since less cannot be told from rounding.

    Of each constraint that is not met: in which row, at which stage, and by how much. In a
    converged solution those are soft ones, or decided by the given x_0 (and then at stage 0).

    Takes concrete solutions, of one problem or with any leading batch axes; inside of `jit` use
    the fields. Returns a string: print it.

    Raises:
        TypeError: for something that is not a `Solution`.

    Example:
        >>> print(jaxmpc.describe(solution).splitlines()[0])
        converged: Converged: the scaled KKT residual is below the tolerance.
    """
    if not isinstance(solution, Solution):
        raise TypeError(
            f"jaxmpc.describe: solution must be a Solution, got {type(solution).__name__}."
        )
    if isinstance(solution.status, Tracer):
        raise TypeError(
            "jaxmpc.describe: solution is traced (inside of jit, vmap or grad), and has no numbers "
            "yet: return it, and describe what comes out; inside use its fields."
        )
    status = np.asarray(solution.status)
    return _describe_one(solution) if status.ndim == 0 else _describe_batch(solution, status)


def _describe_one(solution: Solution) -> str:
    status = Status(int(solution.status))
    horizon, m = solution.controls.shape
    residuals, scales = solution.residuals, solution.scales
    # An interior point leaves about this much at bounds that are not met.
    least = _COUNTED * float(solution.tolerance)
    least = least * np.asarray(scales.cost) / np.asarray(scales.controls)
    largest = np.maximum(solution.multipliers.lower, solution.multipliers.upper)
    at_bound = int(np.sum(np.asarray(largest) > least))
    rounded = ", met to working precision" if _to_working_precision(solution) else ""
    lines = [
        *wrapped(f"{status.name}: {status.message}", "  "),
        f"  cost            {float(solution.cost):.9g}",
        f"  iterations      {int(solution.iterations)}",
        f"  stationarity    {float(residuals.stationarity):.2e}  (scaled)",
        f"  feasibility     {float(residuals.feasibility):.2e}  (scaled)",
        f"  complementarity {float(residuals.complementarity):.2e}  (scaled)",
        f"  tolerance       {float(solution.tolerance):.2e}{rounded}",
    ]
    if status == Status.converged:  # elsewhere multipliers say little
        lines.append(f"  active bounds   {at_bound} of {horizon} x {m} controls")
    word = "slack" if status == Status.converged else "violated"
    lines += [f"  {word:<15} {text}" for text in _violated(solution)]
    return "\n".join(lines)


def _to_working_precision(solution: Solution) -> np.ndarray:
    """Whether a residual above the tolerance was accepted, as it is lost in rounding."""
    above = np.asarray(solution.residuals.largest()) > np.asarray(solution.tolerance)
    return above & np.asarray(solution.converged)


def _violated(solution: Solution) -> list[str]:
    """A line for each constraint that is not met: its worst row, and how many more there are."""
    lines = []
    tolerance = np.asarray(solution.tolerance)
    for name, value in solution.violations._asdict().items():
        rows = np.asarray(value)
        place = "states" if name == "dynamics" else KINDS[name].place
        at_stages = place != "end"
        if tolerance.ndim:  # of a batch
            rows = np.where(np.isfinite(rows), rows, 0)  # bad elements would hide the others
        unit = np.asarray(solution.scales.of_rows(name))
        scaled = rows / (unit[..., None, :] if at_stages else unit)
        threshold = _COUNTED * np.expand_dims(tolerance, (-1, -2) if at_stages else -1)
        count = int(np.sum(~(scaled <= threshold)))  # NaN is violated too
        if not count:
            continue
        # NaN is the worst of all; argmax finds it.
        worst = np.unravel_index(np.argmax(scaled), rows.shape)
        *before, row = (int(i) for i in worst)
        where = ""
        if at_stages:
            stage = before.pop() + (place == "states")  # row t of these is about x_{t+1}
            where = f" at stage {stage}"
        where += f" of element {before[0] if len(before) == 1 else tuple(before)}" if before else ""
        more = f", and {count - 1} more" if count > 1 else ""
        lines.append(f"{name}[{row}]{where} by {rows[worst]:.3g}{more}")
    return lines


def _describe_batch(solution: Solution, status: np.ndarray) -> str:
    flat = status.ravel()
    iterations = np.asarray(solution.iterations).ravel()
    cost = np.asarray(solution.cost).ravel()
    residual = np.asarray(solution.residuals.largest()).ravel()
    # NaN is the worst of all; argmax finds it.
    worst = int(np.argmax(residual))
    index = tuple(int(i) for i in np.unravel_index(worst, status.shape))
    where = index[0] if len(index) == 1 else index
    converged = flat == Status.converged
    lines = [f"{flat.size} solutions, {int(converged.sum())} converged"]
    for member in Status:
        count = int(np.sum(flat == member))
        if count and member != Status.converged:
            first = int(np.argmax(flat == member))
            told = f"  {count} {member.name} (first: element {first}): {member.message}"
            lines += wrapped(told, "    ")
    tolerance = np.asarray(solution.tolerance)
    tolerances = " to ".join(f"{t:.2e}" for t in sorted({tolerance.min(), tolerance.max()}))
    rounded = int(np.sum(_to_working_precision(solution)))
    to_rounding = f"; {rounded} converged to working precision" if rounded else ""
    finite = cost[np.isfinite(cost)]
    if finite.size:
        lines.append(
            f"  cost            mean {np.mean(finite):.9g}, "
            f"from {np.min(finite):.9g} to {np.max(finite):.9g}"
        )
    lines += [
        f"  iterations      median {np.median(iterations):g}, most {int(np.max(iterations))}",
        f"  worst residual  {residual[worst]:.2e} in element {where} "
        f"({Status(int(flat[worst])).name})",
        f"  tolerance       {tolerances}{to_rounding}",
    ]
    lines += [f"  not met         {text}" for text in _violated(solution)]
    return "\n".join(lines)
