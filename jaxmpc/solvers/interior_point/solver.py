"""A primal-dual interior point on the multiple-shooting form, for any constraints."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from jaxmpc import trees
from jaxmpc.checks import check_bool, check_choice, check_not_negative, check_positive
from jaxmpc.configuration import Configuration, configuration, number
from jaxmpc.lq.riccati.choice import CHOICES, choose
from jaxmpc.problem import Problem
from jaxmpc.solution import Gains, Residuals, Solution, Status
from jaxmpc.solvers.interior_point import restoration
from jaxmpc.solvers.interior_point.barrier_parameter import START_MU
from jaxmpc.solvers.interior_point.convex_factor import convex_factor
from jaxmpc.solvers.interior_point.judge import Judged, judge
from jaxmpc.solvers.interior_point.result import multipliers_of, on_bounds
from jaxmpc.solvers.interior_point.start import WARM_MU, inside, near_solution, worth_of_cost
from jaxmpc.solvers.interior_point.state import InteriorPointState, Result
from jaxmpc.solvers.interior_point.verdict import Newton, Verdict, decide, status_of
from jaxmpc.solvers.loop import RUNNING, Guess, iterations_after
from jaxmpc.solvers.multiple_shooting import filter as filters
from jaxmpc.solvers.multiple_shooting.filter_search import Model, Search, filter_search, no_box
from jaxmpc.solvers.multiple_shooting.iterate import (
    around,
    evaluate,
    rows_at,
    scaled,
    setting_of,
)
from jaxmpc.solvers.multiple_shooting.merit import violation_of_hard
from jaxmpc.solvers.multiple_shooting.model import condensed, row_model
from jaxmpc.solvers.options import (
    AFTER_FAILURE,
    default_tolerance,
)
from jaxmpc.solvers.report import print_interior_point
from jaxmpc.solvers.start import begin
from jaxmpc.trajectory import falls_without_limit
from jaxmpc.trajectory.constraints import rows_along, violations

_PLAN_MU = 1e-3  # after guessed states that are a plan: they violate nothing by more than
_PLAN = 1e-2  # so much, in units of the scales


@configuration
class InteriorPoint(Configuration):
    """Primal-dual interior point with a filter line search; the default for general constraints.

    States and controls are both unknowns, so that guessed states need not satisfy the dynamics.
    Each iteration factorises one LQ problem with the exact Hessian of the Lagrangian, made
    convex by a proximal term where it is not. Where the line search finds no way on, the
    violation of the constraints is minimised instead, until there is one: the sum of squares, and
    the sum of absolute values where that is stuck. If it cannot be brought to zero, the status is
    `infeasible` and the point of the least sum of absolute violations is returned.

    Attributes:
        max_iterations: the limit on iterations.
        tolerance: on the scaled KKT residual at the returned point; by default 1e-8 in float64
            and 1e-4 in float32. What stalls in rounding within ten times that is a solution too.
        hessian: "exact" is the Lagrangian's; "gauss_newton" leaves out the curvature of dynamics
            and constraints: cheaper iterations, but more of them.
        barrier: the barrier parameter to stop at, in units of cost. Zero: the solution. Positive:
            the point of the central path where distance times multiplier of each inequality is
            `barrier`, which is smooth in all that the problem depends on.
        riccati: the recursion, "sequential" in time, "parallel" by associative scans, or "auto":
            the one that was measured to be faster at these sizes on this device.
        verbose: print a table of iterations; compiled out otherwise.

    Sources: Waechter and Biegler (2006), 'On the implementation of an interior-point filter
    line-search algorithm for large-scale nonlinear programming'; Rao, Wright and Rawlings (1998)
    for the Riccati recursion inside of an interior point; Ulbrich (2004) for the Lagrangian in the
    filter.
    """

    max_iterations: int = number(default=500)
    tolerance: float | None = number(default=None)
    hessian: str = "exact"
    barrier: float = number(default=0.0)
    riccati: str = "auto"
    verbose: bool = False

    def __post_init__(self):
        check_positive("InteriorPoint", "max_iterations", self.max_iterations, whole=True)
        check_positive("InteriorPoint", "tolerance", self.tolerance, optional=True)
        check_choice("InteriorPoint", "hessian", self.hessian, ("exact", "gauss_newton"))
        check_not_negative("InteriorPoint", "barrier", self.barrier)
        check_choice("InteriorPoint", "riccati", self.riccati, CHOICES)
        check_bool("InteriorPoint", "verbose", self.verbose)

    def init(self, problem: Problem, x0: Float[Array, " n"], params: PyTree, guess: Guess):
        """Slacks and multipliers around the guess, with controls moved inside their bounds."""
        low, high = problem.limits(x0.dtype)
        possible = jnp.all(low <= high)  # False for NaN
        controls = inside(guess.controls, low, high)
        states, linear, scales = begin(problem, x0, params, controls, guess)
        barrier = jnp.asarray(self.barrier, x0.dtype)
        scales = scales._replace(cost=jnp.maximum(scales.cost, barrier))
        setting = setting_of(problem, params, states, controls, scales)
        setting = scaled(setting, worth_of_cost(linear, scales), scales.cost)
        one = jnp.ones_like(x0, shape=())
        rows = rows_along(problem, states, controls, params).flat()
        rows = jnp.where(setting.present.flat(), rows, 0.0)
        iterate = around(setting, states, controls, rows, one)
        if guess.warm is not None:
            warm = near_solution(problem, setting, iterate, rows, guess.warm)
            iterate = trees.where(guess.warm.usable, warm, iterate)
        values = evaluate(problem, params, setting, iterate)
        mu = START_MU * one
        if guess.states is not None or guess.warm is not None:
            plan = violation_of_hard(setting, setting, iterate, values) <= _PLAN
            mu = jnp.where(plan, _PLAN_MU, mu)
        if guess.warm is not None:
            mu = jnp.where(guess.warm.usable, WARM_MU, mu)
        zeros = jnp.zeros_like(controls)
        count = jnp.zeros_like(one, dtype=jnp.int32)
        result = Result(
            iterate=iterate,
            scales=scales,
            unit=scales.cost / setting.unit,
            fixed_gradient=zeros,
            residuals=Residuals(*[jnp.inf * one] * 3),
            gains=Gains(zeros, zeros[:, :, None] * jnp.zeros_like(x0)[None, None]),
            cost=values.cost + values.penalty / setting.scale,
        )
        return InteriorPointState(
            scales=scales,
            iterate=iterate,
            result=result,
            met=count > 0,
            nearly=count,
            still=count > 0,
            original=setting,
            restoring=jnp.zeros_like(possible),
            restorations=count,
            squared=count == 0,
            target=one,
            mu=jnp.maximum(mu, barrier * setting.scale),
            proximal=restoration.FIRST_PROXIMAL * one,
            memory=filters.empty(values.total(setting.units)),
            failures=count,
            steps=count,
            status=jnp.where(possible, RUNNING, Status.infeasible).astype(jnp.int32),
        )

    def step(self, problem: Problem, params: PyTree, state: InteriorPointState):
        """Judge the point; unless it is the last one, take a Newton step on the barrier problem."""
        tolerance = default_tolerance(self.tolerance, state.mu.dtype)
        barrier = jnp.asarray(self.barrier, state.mu.dtype)
        judged = judge(problem, params, state, tolerance, barrier, self.hessian == "exact")
        newton = self._newton_step(state, judged)
        emptied = jnp.where(judged.mu < state.mu, 0, state.memory.length)
        memory = state.memory._replace(length=emptied)  # of another barrier problem
        given = (problem, params, state.setting(), memory, state.iterate)
        search = filter_search(*given, judged.values, newton.model)
        found = decide(state, judged, newton, search, tolerance)
        following = self._advance(problem, state, judged, newton, search, found)
        memory = filters.remember(memory, search.now, found.moves & ~search.by_objective)
        following = self._restore(state, following._replace(memory=memory), judged, found)
        return _unless_rounding(state, following, judged)

    def terminate(self, state: InteriorPointState) -> Int[Array, ""]:
        """A `Status`, or RUNNING."""
        return state.status

    def postprocess(self, problem: Problem, params: PyTree, state: InteriorPointState) -> Solution:
        """The last judged iterate in the units of the problem."""
        result, iterate = state.result, state.result.iterate
        multipliers = multipliers_of(problem, params, state)
        # On the central path no control is on a bound, and elsewhere the states follow from them.
        tolerance = default_tolerance(self.tolerance, state.mu.dtype)
        moved = on_bounds(problem, result.scales, iterate.controls, multipliers, tolerance)
        settled = (state.status == Status.converged) & (self.barrier == 0)
        low, high = problem.limits(iterate.controls.dtype)
        controls = jnp.clip(jnp.where(settled, moved, iterate.controls), low, high)
        return Solution(
            states=iterate.states,
            controls=controls,
            costates=iterate.costates * result.unit,
            multipliers=multipliers,
            violations=violations(problem, iterate.states, controls, params),
            residuals=result.residuals,
            tolerance=jnp.zeros_like(state.mu) + tolerance,
            scales=result.scales,
            cost=result.cost,
            gains=result.gains,
            status=state.status,
            iterations=iterations_after(state.steps),
        )

    def _newton_step(self, state: InteriorPointState, judged: Judged) -> Newton:
        iterate, setting, values = state.iterate, state.setting(), judged.values
        rows = row_model(iterate, values, setting, judged.mu)
        model = condensed(judged.expansion, iterate, values, setting, rows)
        horizon, m, n = model.S.shape
        recursion = choose(self.riccati, horizon, n, m)
        # The proximal weight: none, unless that is not convex; more after a search that failed.
        first = jnp.where(state.failures > 0, AFTER_FAILURE * state.proximal, 0.0)
        weights = (first, state.proximal)
        factorised: Any = convex_factor(recursion, model, setting, *weights)
        matrices, proximal, convex = factorised
        box = no_box(iterate.controls)
        model = Model(judged.expansion, matrices, proximal, judged.mu, values, box)
        return Newton(model, convex)

    def _advance(
        self,
        problem: Problem,
        state: InteriorPointState,
        judged: Judged,
        newton: Newton,
        search: Search,
        verdict: Verdict,
    ) -> InteriorPointState:
        values, moves, proximal = judged.values, verdict.moves, newton.model.proximal
        prices = values.penalty / state.setting().scale
        cost = values.cost + jnp.where(state.restoring, 0.0, prices)
        if self.verbose:
            taken = jnp.where(moves, search.step_size, 0.0)
            shown = (judged.residuals, judged.violation, judged.mu, taken)
            print_interior_point(state, cost, *shown)
        of_restoration = judged.residuals._replace(feasibility=judged.violation)
        forgotten = jnp.maximum(state.proximal / 3, restoration.FIRST_PROXIMAL)
        failures = jnp.where(newton.convex, state.failures + 1, state.failures)
        failures = jnp.where(moves, 0, failures)
        gains = Gains(jnp.zeros_like(state.iterate.controls), newton.model.matrices.K)
        result = Result(
            iterate=state.iterate,
            scales=judged.scales,
            unit=state.unit_of_multipliers(),
            fixed_gradient=judged.fixed_gradient,
            residuals=trees.where(state.restoring, of_restoration, judged.residuals),
            gains=trees.where(newton.convex, gains, state.result.gains),
            cost=cost,
        )
        following = state._replace(
            result=result,
            met=judged.met & moves & ~state.restoring,
            nearly=verdict.nearly,
            still=verdict.small & moves & (search.step_size == 1),
            iterate=trees.where(moves, search.iterate, state.iterate),
            mu=judged.mu,
            proximal=jnp.where(proximal > 0, proximal / 3, forgotten),
            failures=failures,
            steps=jnp.where(state.status == RUNNING, state.steps + 1, state.steps),
        )
        status = status_of(following, verdict)
        boundless = ~state.restoring & falls_without_limit(problem, state.scales, cost)
        status = jnp.where(boundless, Status.unbounded, status)
        status = jnp.where(state.status == RUNNING, status, state.status)
        return following._replace(status=status.astype(jnp.int32))

    def _restore(
        self,
        state: InteriorPointState,
        following: InteriorPointState,
        judged: Judged,
        verdict: Verdict,
    ) -> InteriorPointState:
        """What follows, or the first state of a restoration, or of what comes after one."""
        restored = verdict.solved | (judged.violation <= state.target)
        changes = restoration.wanted(following, verdict.infeasible)
        changes |= verdict.stuck | (state.restoring & restored)
        changes &= following.status == RUNNING
        rows = rows_at(state.setting(), state.iterate, judged.values)
        switched = restoration.switched(
            following, state.iterate, rows, judged.violation, verdict.stuck
        )
        return trees.where(changes, switched, following)


def _unless_rounding(state, following, judged: Judged) -> InteriorPointState:
    """What follows; or the point before, if that met the tolerance and this one does not.

    More was asked of that one, for sharper complementarity, than rounding grants.
    """
    converged = jnp.full_like(state.status, Status.converged)
    before = state._replace(status=converged, steps=state.steps + 1)
    back = state.met & ~judged.met & (state.status == RUNNING)
    return trees.where(back, before, following)
