"""Which constraint cannot be met, and whether there is a plan that violates it at a price."""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxmpc.compilation import compiled
from jaxmpc.diagnosis.case import Case, joined, one_digit
from jaxmpc.problem import Problem
from jaxmpc.problem.kinds import KINDS
from jaxmpc.problem.soft import Soft
from jaxmpc.solution import Status
from jaxmpc.solving import solve
from jaxmpc.trajectory import derivatives
from jaxmpc.trajectory.constraints import pinned_states, split, without_control_bounds
from jaxmpc.trajectory.row_kinds import row_kinds

_PRICE = 100.0  # with it a violation of one scale costs ten times the whole trajectory
_BESIDE = 1e-4  # of the largest violation: what is worth a word
_ALIKE = 10.0  # rows whose scales differ by less than this factor get the same price


class Violation(NamedTuple):
    """The largest violation of a hard constraint, in units of its scale."""

    name: str  # a field of `Violations`
    row: int
    stage: int
    direction: str  # what row of a state's bounds is about
    amount: float  # in the constraint's units
    scaled: float

    @property
    def field(self) -> str:
        """The field of `Problem` that it belongs to."""
        return "state_bounds" if self.name.startswith("state_") else self.name

    def where(self) -> str:
        """The row and the stage, in words."""
        stage = "" if self.name.startswith("terminal") else f" at stage {self.stage}"
        if self.field == "state_bounds":
            return f"the {self.name.removeprefix('state_')} bound of {self.direction}{stage}"
        return f"{self.name}[{self.row}]{stage}"


def hard_violations(case: Case) -> list[Violation]:
    """The largest violation of each hard constraint that is not met, the worst one first."""
    problem, x0, params, solution = case
    _, parts = _rows_that_count(problem, x0, params)
    parts["dynamics"] = np.ones(solution.violations.dynamics.shape, bool)
    found = []
    for name, counts in parts.items():
        amounts = np.where(np.asarray(counts), np.asarray(getattr(solution.violations, name)), 0.0)
        if not amounts.size:
            continue
        scaled = amounts / np.asarray(solution.scales.of_rows(name))
        worst = np.unravel_index(int(np.argmax(scaled)), scaled.shape)
        if not scaled[worst] <= float(solution.tolerance):
            *stage, row = (int(i) for i in worst)
            # Row t of these belongs to the state after it.
            later = name.startswith("state_") or name == "dynamics"
            stage = stage[0] + later if stage else problem.horizon
            sizes = float(amounts[worst]), float(scaled[worst])
            direction = case.directions()[row] if later else ""
            found.append(Violation(name, row, stage, direction, *sizes))
    return sorted(found, key=lambda one: -one.scaled)


@compiled
def _rows_that_count(problem: Problem, x0, params) -> tuple[dict[str, Array], dict[str, Array]]:
    """Which rows of each constraint there are (not those that x0 decides), and which are hard."""
    general = without_control_bounds(problem)
    kinds = row_kinds(general, x0, params)
    hard = kinds.present.unflat(kinds.present.flat() & jnp.isinf(kinds.linear.flat()))
    parts = split(general, x0, params, kinds.present), split(general, x0, params, hard)
    for part in parts:
        if "state_lower" in part and "state_upper" in part:  # equal bounds: one row for both
            pinned = pinned_states(problem, x0) & part["state_upper"]
            part["state_lower"] = part["state_lower"] | pinned
    return parts


def infeasible(case: Case) -> list[str]:
    """Sentences on the constraint that decides, and on what softening it gives."""
    found = hard_violations(case)
    if not found:
        return ["No hard constraint is violated at the returned point: start there once more."]
    worst, *others = found
    lines = [
        f"{worst.field}: {worst.where()} decides; it is violated by {worst.amount:.3g}, which is "
        f"{worst.scaled:.2g} times its scale."
    ]
    beside = {one.field for one in others if one.scaled > _BESIDE * worst.scaled}
    beside = sorted(beside - {worst.field})
    if beside:
        lines.append(f"Violated beside it: {joined(beside)}.")
    lines += _decided_by_x0(case, found)
    if worst.field == "dynamics":
        lines.append("The states do not follow from the controls: try another guess.")
        return lines
    fields = [worst.field]
    line, solved = _softened(case, fields)
    lines.append(line)
    if not solved and beside:
        lines.append(_softened(case, [*fields, *(o for o in beside if o != "dynamics")])[0])
    return lines


def _decided_by_x0(case: Case, found: list[Violation]) -> list[str]:
    """Bounds of x_1 that no control has an influence on."""
    problem, _, params, solution = case
    B = np.asarray(
        _derivatives(problem, solution.states, solution.controls, params).linearization.B
    )[0]
    lines, names = [], case.directions()
    for one in found:
        # The largest violation need not be that of x_1: look at all of them.
        if one.field != "state_bounds":
            continue
        amounts = np.asarray(getattr(solution.violations, one.name))[0]
        scaled = amounts / np.asarray(solution.scales.of_rows(one.name))
        for row in np.flatnonzero((scaled > float(solution.tolerance)) & ~B.any(axis=1)):
            side = one.name.removeprefix("state_")
            lines.append(
                f"x0 decides the {side} bound of {names[row]} at stage 1, by which it is violated "
                f"by {amounts[row]:.3g}: no control has an influence on {names[row]} before stage "
                "2. "
                "Start from another x0, or give the bound for later stages only ([T, n], infinite "
                "in its first row)."
            )
    return lines


_derivatives = compiled(derivatives)


def _softened(case: Case, fields: list[str]) -> tuple[str, bool]:
    """Solve once more with soft constraints; a sentence, and whether that converged."""
    problem, x0, params, _ = case
    soft = {field: Soft(_price(case, field)) for field in fields}
    softened = dataclasses.replace(problem, soft={**(problem.soft or {}), **soft})
    plan = solve(softened, x0, params)
    written = ", ".join(
        f"{field!r}: jaxmpc.Soft({_written(w.linear)})" for field, w in soft.items()
    )
    if not bool(plan.converged):
        status = Status(int(plan.status)).name
        return f"With soft={{{written}}} the solver does not converge either ({status}).", False
    left = {field: _left(case, plan, field) for field in fields}
    off = [f"{field} by {amount:.3g}" for field, amount in left.items() if amount > 0]
    if not off:
        return (
            f"With soft={{{written}}} there is a plan that meets all constraints: the solver was "
            "stuck. Give that plan to it as warm_start=."
        ), True
    what = f"it by {left[fields[0]]:.3g}" if len(fields) == 1 else joined(off)
    return f"With soft={{{written}}} there is a plan that violates {what}.", True


def _left(case: Case, plan, field: str) -> float:
    """The largest violation of a field in a plan; zero where it is within ten tolerances."""
    names = [kind.name for kind in KINDS.values() if kind.field == field]
    present, _ = _rows_that_count(case.problem, case.x0, case.params)
    largest = 0.0
    for name in names:
        amounts = np.asarray(getattr(plan.violations, name))
        if name in present and amounts.size:
            amounts = np.where(np.asarray(present[name]), amounts, 0.0)
            counted = amounts / np.asarray(plan.scales.of_rows(name)) > 10 * float(plan.tolerance)
            largest = max(largest, float(np.max(np.where(counted, amounts, 0.0))))
    return largest


def _price(case: Case, field: str) -> float | list[float]:
    """A price at which a violation by one scale costs ten times as much as the trajectory."""
    scales, horizon = case.solution.scales, case.problem.horizon
    name = next(kind.name for kind in KINDS.values() if kind.field == field)
    own = np.asarray(scales.of_rows(name))
    prices = _PRICE * horizon * float(scales.cost) / own
    curved = name.startswith("state_") and case.problem.state_space is not None
    if curved or prices.max() < _ALIKE * prices.min():
        return float(one_digit(prices.max()))
    return [float(one_digit(price)) for price in prices]


def _written(price) -> str:
    prices = np.asarray(price)
    return str([float(p) for p in prices]) if prices.ndim else repr(float(prices))
