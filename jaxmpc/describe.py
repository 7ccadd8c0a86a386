"""A short readable report on a solution, or on a batch of them."""

import numpy as np

from jaxmpc.solution import Solution, Status, Violations
from jaxmpc.solvers.options import default_tolerance


def describe(solution: Solution) -> str:
    """What came out, in a few lines: statuses, cost, iterations, residuals, the worst element.

    Of each constraint that is not met: in which row, at which stage, and by how much. In a
    converged solution those are soft ones, or decided by the given x_0 (and then at stage 0).

    Takes concrete solutions, of one problem or with any leading batch axes; inside of `jit` use
    the fields. Returns a string: print it.

    Raises:
        TypeError: for something that is not a `Solution`.
    """
    if not isinstance(solution, Solution):
        raise TypeError(
            f"jaxmpc.describe: solution must be a Solution, got {type(solution).__name__}."
        )
    status = np.asarray(solution.status)
    return _describe_one(solution) if status.ndim == 0 else _describe_batch(solution, status)


def _describe_one(solution: Solution) -> str:
    status = Status(int(solution.status))
    horizon, m = solution.controls.shape
    residuals = solution.residuals
    # An interior point leaves about this much at bounds that are not met.
    least = 10 * default_tolerance(None, solution.controls.dtype)
    at_bound = int(np.sum(np.asarray(solution.multipliers.lower) > least))
    at_bound += int(np.sum(np.asarray(solution.multipliers.upper) > least))
    lines = [
        f"{status.name}: {status.message}",
        f"  cost            {float(solution.cost):.9g}",
        f"  iterations      {int(solution.iterations)}",
        f"  stationarity    {float(residuals.stationarity):.2e}  (scaled)",
        f"  feasibility     {float(residuals.feasibility):.2e}",
        f"  complementarity {float(residuals.complementarity):.2e}  (scaled)",
        f"  active bounds   {at_bound} of {horizon} x {m} controls",
    ]
    word = "slack" if status == Status.converged else "violated"
    lines += [f"  {word:<15} {text}" for text in _violated(solution.violations)]
    return "\n".join(lines)


def _violated(violations: Violations) -> list[str]:
    """A line for each constraint that is not met: its worst row, and how many more there are."""
    lines = []
    for name, value in violations._asdict().items():
        rows = np.asarray(value)
        if rows.ndim > (1 if name.startswith("terminal") else 2):  # of a batch
            rows = np.where(np.isfinite(rows), rows, 0)  # bad elements would hide the others
        threshold = 10 * default_tolerance(None, rows.dtype)
        count = int(np.sum(~(rows <= threshold)))  # NaN is violated too
        if not count:
            continue
        # NaN is the worst of all; argmax finds it.
        *before, row = (int(i) for i in np.unravel_index(np.argmax(rows), rows.shape))
        where = ""
        if not name.startswith("terminal"):
            stage = before.pop()
            # Row t of these belongs to the state after it.
            stage += name.startswith("state_") or name == "dynamics"
            where = f" at stage {stage}"
        where += f" of element {before[0] if len(before) == 1 else tuple(before)}" if before else ""
        more = f", and {count - 1} more" if count > 1 else ""
        lines.append(f"{name}[{row}]{where} by {rows.max():.3g}{more}")
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
            lines.append(f"  {count} {member.name} (first: element {first}): {member.message}")
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
    ]
    lines += [f"  not met         {text}" for text in _violated(solution.violations)]
    return "\n".join(lines)
