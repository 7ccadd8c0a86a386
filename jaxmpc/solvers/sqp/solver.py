"""Sequential quadratic programming on the multiple-shooting form, for bounded controls."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from jaxmpc import trees
from jaxmpc.checks import check_bool, check_choice, check_positive
from jaxmpc.configuration import Configuration, configuration, number
from jaxmpc.lq.bounds.active_set import Question
from jaxmpc.lq.riccati.choice import CHOICES, choose
from jaxmpc.problem import Problem
from jaxmpc.solution import (
    Gains,
    Residuals,
    Scales,
    Solution,
    Status,
    multipliers_of_bounds,
)
from jaxmpc.solvers.loop import RUNNING, Guess, finite, iterations_after
from jaxmpc.solvers.multiple_shooting import filter as filters
from jaxmpc.solvers.multiple_shooting.filter_search import Box, Model, Search, filter_search
from jaxmpc.solvers.multiple_shooting.iterate import (
    Iterate,
    Values,
    evaluate,
    scaled,
    setting_of,
    units_of,
)
from jaxmpc.solvers.multiple_shooting.merit import optimality
from jaxmpc.solvers.multiple_shooting.model import (
    Expansion,
    condensed,
    expand,
    lagrangian_gradient,
    row_model,
)
from jaxmpc.solvers.options import (
    AFTER_FAILURE,
    FAILURES,
    LARGEST_PROXIMAL,
    NEARLY,
    WORKING_PRECISION,
    default_tolerance,
    sharper,
    small_step,
)
from jaxmpc.solvers.report import print_sqp
from jaxmpc.solvers.sqp.bounded_factor import Found, bounded_factor
from jaxmpc.solvers.sqp.state import Result, SQPState
from jaxmpc.solvers.start import begin, refuse_general_constraints
from jaxmpc.trajectory import BoundMultipliers, bound_multipliers, falls_without_limit, scales_now
from jaxmpc.trajectory.constraints import violations, without_control_bounds

_FIRST_PROXIMAL = 0.1
_REMEMBERED = 0.01  # the least weight to raise after a failure: it decays in convex iterations
_CLOSED_AFTER_FAILURE = 0.3  # of the share of the defects that the search before was to close
_FORGOTTEN = 1  # line searches that fail before the filter forgets the points in the way


class _Judged(NamedTuple):
    """A point's functions and derivatives, and what they say of it."""

    values: Values
    expansion: Expansion
    scales: Scales
    residuals: Residuals
    multipliers: BoundMultipliers


@configuration
class SQP(Configuration):
    """Sequential quadratic programming, where controls are bounded or nothing is.

    States and controls are both unknowns, so that unstable dynamics and long horizons do no harm
    and guessed states need not satisfy the dynamics. Each iteration minimises a quadratic model
    with the exact Hessian of the Lagrangian over the bounds of all controls at once, made convex
    by a proximal term where it is not; a filter decides how far to go. A linear problem with a
    convex quadratic cost takes one iteration, whatever its bounds. Bounds hold exactly.

    Attributes:
        max_iterations: the limit on iterations.
        tolerance: on the scaled KKT residual at the returned point; by default 1e-8 in float64
            and 1e-4 in float32. What stalls in rounding within ten times that is a solution too.
        hessian: "exact" is the Lagrangian's; "gauss_newton" leaves out the dynamics' curvature:
            cheaper iterations, but more of them.
        riccati: the recursion, "sequential" in time, "parallel" by associative scans, or "auto":
            the one that was measured to be faster at these sizes on this device.
        verbose: print a table of iterations; compiled out otherwise.

    Sources: Bock and Plitt (1984) for multiple shooting; Fletcher and Leyffer (2002) for the
    filter, Ulbrich (2004) for the Lagrangian in it; Judice and Pires (1994) for the active set.
    """

    max_iterations: int = number(default=500)
    tolerance: float | None = number(default=None)
    hessian: str = "exact"
    riccati: str = "auto"
    verbose: bool = False

    def __post_init__(self):
        check_positive("SQP", "max_iterations", self.max_iterations, whole=True)
        check_positive("SQP", "tolerance", self.tolerance, optional=True)
        check_choice("SQP", "hessian", self.hessian, ("exact", "gauss_newton"))
        check_choice("SQP", "riccati", self.riccati, CHOICES)
        check_bool("SQP", "verbose", self.verbose)

    def init(self, problem: Problem, x0: Float[Array, " n"], params: PyTree, guess: Guess):
        """The guess, with controls moved inside their bounds."""
        refuse_general_constraints("SQP", problem)
        low, high = problem.limits(x0.dtype)
        possible = jnp.all(low <= high)  # False for NaN
        controls = jnp.clip(guess.controls, low, high)
        states, _, scales = begin(problem, x0, params, controls, guess)
        inner = without_control_bounds(problem)
        one = jnp.ones_like(scales.cost)
        setting = scaled(setting_of(inner, params, states, controls, scales), one, scales.cost)
        costates, zeros = jnp.zeros_like(states), jnp.zeros_like(controls)
        side = jnp.zeros_like(controls, dtype=jnp.int32)
        if guess.warm is not None:
            usable, of = guess.warm.usable, guess.warm.multipliers
            costates = jnp.where(usable, setting.scale * guess.warm.costates, costates)
            side = jnp.where(usable & (of.lower > 0), -1, side)
            side = jnp.where(usable & (of.upper > 0), 1, side)
        none = jnp.zeros_like(states[0, :0])
        nothing = jnp.stack([none] * 3)
        iterate = Iterate(states, controls, nothing, costates, none, nothing)
        values = evaluate(inner, params, setting, iterate)
        count = jnp.zeros_like(one, dtype=jnp.int32)
        result = Result(
            *_trajectory(iterate),
            scales=scales,
            multipliers=BoundMultipliers(zeros, zeros),
            residuals=Residuals(*[jnp.inf * one] * 3),
            gains=Gains(zeros, zeros[:, :, None] * jnp.zeros_like(x0)[None, None]),
            cost=values.cost,
        )
        return SQPState(
            scales=scales,
            setting=setting,
            iterate=iterate,
            side=side,
            proximal=0 * one,
            memory=filters.empty(values.total(setting.units)),
            failures=count,
            nearly=count,
            result=result,
            steps=count,
            status=jnp.where(possible, RUNNING, Status.infeasible).astype(jnp.int32),
        )

    def step(self, problem: Problem, params: PyTree, state: SQPState) -> SQPState:
        """Judge the point; unless it is the last one, minimise the model there and move."""
        judged = self._judge(problem, params, state)
        aim = judged.values._replace(defects=_closing(state) * judged.values.defects)
        found = self._minimise(problem, state, judged, aim)
        none = 0 * state.proximal
        box = Box(*problem.limits(none.dtype), found.side)
        model = Model(judged.expansion, found.matrices, found.proximal, none, aim, box)
        inner, values = without_control_bounds(problem), judged.values
        step = filter_search(
            inner, params, state.setting, state.memory, state.iterate, values, model
        )
        return self._advance(problem, state, judged, found, step)

    def terminate(self, state: SQPState) -> Int[Array, ""]:
        """A `Status`, or RUNNING."""
        return state.status

    def postprocess(self, problem: Problem, params: PyTree, state: SQPState) -> Solution:
        """The last judged iterate in the units of the problem."""
        result = state.result
        states, controls = result.states, result.controls
        return Solution(
            states=states,
            controls=controls,
            costates=result.costates / state.setting.scale,
            multipliers=multipliers_of_bounds(*result.multipliers, states),
            violations=violations(problem, states, controls, params),
            residuals=result.residuals,
            tolerance=jnp.zeros_like(result.cost) + default_tolerance(self.tolerance, states.dtype),
            scales=result.scales,
            cost=result.cost,
            gains=result.gains,
            status=state.status,
            iterations=iterations_after(state.steps),
        )

    def _judge(self, problem: Problem, params: PyTree, state: SQPState) -> _Judged:
        inner, iterate, setting = without_control_bounds(problem), state.iterate, state.setting
        low, high = problem.limits(iterate.controls.dtype)
        values = evaluate(inner, params, setting, iterate)
        expansion = expand(inner, params, setting, iterate, self.hessian == "exact")
        _, gradient = lagrangian_gradient(expansion, iterate, setting)
        multipliers = bound_multipliers(gradient / setting.scale, iterate.controls, low, high)
        at_bound = (multipliers.lower > 0) | (multipliers.upper > 0)
        scales = scales_now(problem, state.scales, values.magnitude)
        units = units_of(inner, iterate.states[0], scales)
        there = setting._replace(units=units, free=~at_bound)
        measured = optimality(expansion, iterate, values, there)
        residuals = measured.residuals(0 * scales.cost, scales.cost / state.scales.cost)
        residuals = residuals.if_sound(finite(values, expansion))
        return _Judged(values, expansion, scales, residuals, multipliers)

    def _minimise(self, problem: Problem, state: SQPState, judged: _Judged, aim: Values) -> Found:
        iterate, setting = state.iterate, state.setting
        rows = row_model(iterate, judged.values, setting, 0 * state.proximal)
        model = condensed(judged.expansion, iterate, aim, setting, rows)
        horizon, m, n = model.S.shape
        recursion = choose(self.riccati, horizon, n, m)
        low, high = problem.limits(iterate.controls.dtype)
        question = Question(model, low - iterate.controls, high - iterate.controls, state.side)
        # The proximal weight: none, unless that is not convex; more after a search that failed.
        smallest = jnp.where(state.proximal > 0, state.proximal / 3, _FIRST_PROXIMAL)
        enough = AFTER_FAILURE * jnp.maximum(smallest, _REMEMBERED)
        first = jnp.where(state.failures > 0, enough, 0.0)
        return bounded_factor(recursion, question, setting.units, first, smallest)

    def _advance(
        self, problem: Problem, state: SQPState, judged: _Judged, found: Found, step: Search
    ) -> SQPState:
        values, residuals = judged.values, judged.residuals
        dtype = state.proximal.dtype
        tolerance = default_tolerance(self.tolerance, dtype)
        # A whole Newton step that is lost in rounding ends it as well.
        small = found.convex & (found.proximal == 0) & (step.length <= small_step(dtype))
        near = small | (residuals.largest() <= WORKING_PRECISION * tolerance)
        nearly = jnp.where(near, state.nearly + 1, 0)
        follows = residuals.feasibility <= sharper(tolerance, dtype)
        solved = ((residuals.largest() <= tolerance) & follows) | (nearly > NEARLY)
        moved = (state.status == RUNNING) & ~solved & found.convex & step.accepted
        failures = jnp.where(found.convex, state.failures + 1, state.failures)
        failures = jnp.where(moved, 0, failures)
        status = jnp.where(failures > FAILURES, Status.line_search_failed, RUNNING)
        too_heavy = found.proximal > LARGEST_PROXIMAL
        status = jnp.where(too_heavy, Status.regularization_limit, status)
        status = jnp.where(solved, Status.converged, status)
        boundless = falls_without_limit(problem, state.scales, values.cost)
        status = jnp.where(boundless, Status.unbounded, status)
        status = jnp.where(state.status == RUNNING, status, state.status).astype(jnp.int32)
        if self.verbose:
            taken = jnp.where(moved, step.step_size, 0.0)
            print_sqp(state, values.cost, residuals, found.proximal, taken)
        memory = filters.remember(state.memory, step.now, moved & ~step.by_objective)
        memory = memory._replace(length=jnp.where(failures == _FORGOTTEN, 0, memory.length))
        gains = Gains(jnp.zeros_like(state.iterate.controls), found.matrices.K)
        result = Result(
            *_trajectory(state.iterate),
            scales=judged.scales,
            multipliers=judged.multipliers,
            residuals=residuals,
            gains=trees.where(found.convex, gains, state.result.gains),
            cost=values.cost,
        )
        return state._replace(
            iterate=trees.where(moved, step.iterate, state.iterate),
            side=jnp.where(moved, found.side, state.side),
            proximal=jnp.where(found.proximal > 0, found.proximal, state.proximal / 3),
            memory=memory,
            failures=failures,
            nearly=nearly,
            result=result,
            steps=jnp.where(state.status == RUNNING, state.steps + 1, state.steps),
            status=status,
        )


def _trajectory(iterate: Iterate) -> tuple[Array, Array, Array]:
    return iterate.states, iterate.controls, iterate.costates


def _closing(state: SQPState) -> Float[Array, ""]:
    """The share of the defects that a full step is to close: all, but after failed searches.

    To close all of them at once may take every bound of unstable dynamics, and states far away.
    """
    return _CLOSED_AFTER_FAILURE ** state.failures.astype(state.proximal.dtype)
