"""A primal-dual interior point on the multiple-shooting form, for any constraints."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from jaxmpc import trees
from jaxmpc.checks import check_bool, check_choice, check_not_negative, check_positive
from jaxmpc.lq.riccati.choice import CHOICES, choose
from jaxmpc.problem import Problem
from jaxmpc.solution import Gains, Residuals, Solution, Status
from jaxmpc.solvers.configuration import Configuration, configuration, number
from jaxmpc.solvers.interior_point import restoration
from jaxmpc.solvers.interior_point.barrier_parameter import START_MU
from jaxmpc.solvers.interior_point.convex_factor import convex_factor
from jaxmpc.solvers.interior_point.judge import Judged, judge
from jaxmpc.solvers.interior_point.result import multipliers_of, on_bounds
from jaxmpc.solvers.interior_point.start import (
    PLAN_MU,
    Begun,
    begun,
    begun_before,
    inside,
    raw_iterate,
)
from jaxmpc.solvers.interior_point.state import Findings, InteriorPointState
from jaxmpc.solvers.interior_point.verdict import Verdict, decide, status_of
from jaxmpc.solvers.loop import RUNNING, Guess, iterations_after
from jaxmpc.solvers.multiple_shooting import filter as filters
from jaxmpc.solvers.multiple_shooting.filter_search import Place, filter_search
from jaxmpc.solvers.multiple_shooting.iterate import Functions, setting_of
from jaxmpc.solvers.multiple_shooting.model import condensed, derivatives_at, row_model
from jaxmpc.solvers.multiple_shooting.newton import Model, Move, move_along, no_box, stay
from jaxmpc.solvers.options import AFTER_FAILURE, default_tolerance
from jaxmpc.solvers.report import print_interior_point
from jaxmpc.solvers.start import first_states, scales_at_first, scales_of_guess
from jaxmpc.trajectory import Trajectory, falls_without_limit
from jaxmpc.trajectory.constraints import violations_of


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
        riccati: "sequential" in time, "parallel" (associative scans), or "auto": what was faster.
        verbose: print a table of iterations; compiled out otherwise.

    Sources: Waechter and Biegler (2006), 'On the implementation of an interior-point filter
    line-search algorithm for large-scale nonlinear programming'; Rao, Wright and Rawlings (1998)
    for the Riccati recursion inside of an interior point; Ulbrich (2004) for the Lagrangian in the
    filter.

    Example:
        >>> bool(jaxmpc.solve(problem, x0, params, solver=jaxmpc.InteriorPoint()).converged)
        True
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
        """The guess, with controls moved inside their bounds; the first step evaluates it."""
        low, high = problem.limits(x0.dtype)
        possible = jnp.all(low <= high)  # False for NaN
        controls = inside(guess.controls, low, high)
        states = first_states(problem, x0, params, controls, guess)
        scales = scales_of_guess(problem, x0, params, guess)
        ones = jax.tree.map(jnp.ones_like, scales)
        original = setting_of(problem, params, states, controls, ones)
        iterate = raw_iterate(problem, original.present, states, controls, guess.warm)
        one, zeros, still = ones.cost, jnp.zeros_like(controls), jnp.zeros_like(iterate.costates)
        count, never = jnp.zeros_like(one, dtype=jnp.int32), one < 0
        unknown = jnp.inf * one
        guessed = guess.states is not None or guess.warm is not None
        return InteriorPointState(
            scales=scales,
            warm=never if guess.warm is None else never | guess.warm.usable,
            place=Place(iterate, Functions(unknown, unknown, still[1:], iterate.equality)),
            findings=Findings(
                scales=ones,
                unit=one,
                fixed_gradient=zeros,
                residuals=Residuals(*[unknown] * 3),
                gains=Gains(zeros, zeros[:, :, None] * still[:1, None]),
                cost=unknown,
            ),
            move=stay(iterate),
            met=never,
            nearly=count,
            still=never,
            original=original,
            restoring=never,
            restorations=count,
            squared=~never,
            target=one,
            mu=(PLAN_MU if guessed else START_MU) * one,
            proximal=restoration.FIRST_PROXIMAL * one,
            step_size=0 * one,
            weight=0 * one,
            memory=filters.empty(one),
            failures=count,
            crawled=count,
            steps=count,
            status=jnp.where(possible, RUNNING, Status.infeasible).astype(jnp.int32),
        )

    def step(self, problem: Problem, params: PyTree, state: InteriorPointState):
        """Move; judge the point there, and find Newton's direction on the barrier problem."""
        dtype = state.mu.dtype
        tolerance = default_tolerance(self.tolerance, dtype)
        barrier = jnp.asarray(self.barrier, dtype)
        here, step_size = _moved(problem, params, state)
        exact = self.hessian == "exact"
        present = state.original.present
        along = derivatives_at(problem, params, present, here.place.iterate, exact)
        nominal = Trajectory(*here.place.iterate[:2], *here.place.functions[:2])
        given = (problem, params, nominal, along, here.scales)
        scales = scales_at_first(state.steps == 0, *given)
        first: Begun = jax.lax.cond(
            state.steps == 0,
            lambda here: begun(problem, here, scales, along, barrier),
            begun_before,
            here,
        )
        here = here._replace(
            scales=first.scales,
            original=first.setting,
            place=here.place._replace(iterate=first.iterate),
            mu=first.mu,
            memory=here.memory._replace(start=jnp.maximum(1.0, first.violation)),
        )
        judged = judge(problem, here, along, first.unit_of_duals, tolerance, barrier)
        model = self._model(here, judged)
        move = move_along(problem, here.setting(), here.place.iterate, judged.values, model)
        verdict = decide(here, judged, model, move, tolerance)
        if self.verbose:
            shown = (judged.residuals, judged.violation, judged.mu, step_size)
            print_interior_point(here, judged.values.cost, *shown)
        following = _concluded(problem, here, judged, model, move, verdict)
        following = _restored(following, judged, verdict)
        return _unless_rounding(state, following, judged)

    def terminate(self, state: InteriorPointState) -> Int[Array, ""]:
        """A `Status`, or RUNNING."""
        return state.status

    def postprocess(self, problem: Problem, params: PyTree, state: InteriorPointState) -> Solution:
        """The judged point in the units of the problem."""
        (iterate, functions), found = state.place, state.findings
        multipliers = multipliers_of(problem, params, state)
        # On the central path no control is on a bound, and elsewhere the states follow from them.
        tolerance = default_tolerance(self.tolerance, state.mu.dtype)
        moved = on_bounds(problem, found.scales, iterate.controls, multipliers, tolerance)
        settled = (state.status == Status.converged) & (self.barrier == 0)
        low, high = problem.limits(iterate.controls.dtype)
        controls = jnp.clip(jnp.where(settled, moved, iterate.controls), low, high)
        rows = state.original.present.unflat(functions.rows)
        return Solution(
            states=iterate.states,
            controls=controls,
            costates=iterate.costates * found.unit,
            multipliers=multipliers,
            violations=violations_of(problem, iterate.states, params, functions.defects, rows),
            residuals=found.residuals,
            tolerance=jnp.zeros_like(state.mu) + tolerance,
            scales=found.scales,
            cost=found.cost,
            gains=found.gains,
            status=state.status,
            iterations=iterations_after(state.steps),
        )

    def _model(self, state: InteriorPointState, judged: Judged) -> Model:
        iterate, setting, values = state.place.iterate, state.setting(), judged.values
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
        return Model(judged.expansion, matrices, convex, proximal, judged.mu, values, box)


def _moved(problem: Problem, params: PyTree, state: InteriorPointState):
    """The state after the search along its move, and how long the step was."""
    running, move = state.status == RUNNING, state.move
    possible = move._replace(possible=move.possible & running)
    given = (problem, params, state.setting(), state.memory, state.place)
    search = filter_search(*given, possible, no_box(state.place.iterate.controls))
    walked = search.accepted & ~move.fresh
    failed = move.possible & ~search.accepted
    failures = jnp.where(failed, state.failures + 1, state.failures)
    memory = filters.remember(state.memory, move.now, walked & ~search.by_objective)
    moved = state._replace(
        place=search.place,
        mu=jnp.where(move.fresh, state.mu, move.mu),
        still=state.still & walked & (search.step_size == 1),
        step_size=jnp.where(walked, search.step_size, 0.0),
        memory=memory,
        failures=jnp.where(search.accepted, 0, failures),
        steps=jnp.where(running, state.steps + 1, state.steps),
    )
    return moved, jnp.where(walked, search.step_size, 0.0)


def _concluded(
    problem: Problem,
    state: InteriorPointState,
    judged: Judged,
    model: Model,
    move: Move,
    verdict: Verdict,
) -> InteriorPointState:
    """What was found, and what follows."""
    values, proximal = judged.values, model.proximal
    prices = values.penalty / state.setting().scale
    cost = values.cost + jnp.where(state.restoring, 0.0, prices)
    of_restoration = judged.residuals._replace(feasibility=judged.violation)
    forgotten = jnp.maximum(state.proximal / 3, restoration.FIRST_PROXIMAL)
    gains = Gains(jnp.zeros_like(state.place.iterate.controls), model.matrices.K)
    findings = Findings(
        scales=judged.scales,
        unit=state.unit_of_multipliers(),
        fixed_gradient=judged.fixed_gradient,
        residuals=trees.where(state.restoring, of_restoration, judged.residuals),
        gains=trees.where(model.convex, gains, state.findings.gains),
        cost=cost,
    )
    emptied = jnp.where(judged.mu < state.mu, 0, state.memory.length)
    following = state._replace(
        findings=findings,
        move=move._replace(possible=verdict.goes_on),
        met=judged.met & ~state.restoring,
        nearly=verdict.nearly,
        crawled=restoration.crawled(state, judged.residuals.feasibility),
        still=verdict.small,
        memory=state.memory._replace(length=emptied),  # of another barrier problem
        proximal=jnp.where(proximal > 0, proximal / 3, forgotten),
        weight=proximal,
    )
    status = status_of(following, verdict)
    boundless = ~state.restoring & falls_without_limit(problem, state.scales, cost)
    status = jnp.where(boundless, Status.unbounded, status)
    status = jnp.where(state.status == RUNNING, status, state.status)
    return following._replace(status=status.astype(jnp.int32))


def _restored(state: InteriorPointState, judged: Judged, verdict: Verdict) -> InteriorPointState:
    """The state, or the first one of a restoration, or of what comes after one."""
    restored = verdict.solved | (judged.violation <= state.target)
    changes = restoration.wanted(state, verdict.infeasible)
    changes |= verdict.stuck | (state.restoring & restored)
    changes &= state.status == RUNNING
    return trees.where(changes, restoration.switched(state, judged.violation, verdict.stuck), state)


def _unless_rounding(state, following, judged: Judged) -> InteriorPointState:
    """What follows; or the point before, if that met the tolerance and this one does not.

    More was asked of that one, for sharper complementarity, than rounding grants.
    """
    converged = jnp.full_like(state.status, Status.converged)
    before = state._replace(status=converged, steps=state.steps + 1)
    back = state.met & ~judged.met & (state.status == RUNNING)
    return trees.where(back, before, following)
