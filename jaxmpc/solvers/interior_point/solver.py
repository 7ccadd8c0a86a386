"""A primal-dual interior point on the multiple-shooting form, for any constraints."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxmpc.checks import check_bool, check_choice, check_not_negative, check_positive
from jaxmpc.lq.riccati.choice import CHOICES, choose
from jaxmpc.problem import Problem
from jaxmpc.solution import (
    Gains,
    Multipliers,
    Residuals,
    Scales,
    Status,
    multipliers_of_bounds,
)
from jaxmpc.solvers.interior_point.convex_factor import convex_factor
from jaxmpc.solvers.loop import RUNNING, Guess, Point, WarmStart, finite
from jaxmpc.solvers.multiple_shooting import filter as filters
from jaxmpc.solvers.multiple_shooting.filter import Filter
from jaxmpc.solvers.multiple_shooting.filter_search import Model, filter_search, no_box
from jaxmpc.solvers.multiple_shooting.iterate import (
    Iterate,
    Setting,
    Values,
    around,
    evaluate,
    relaxed,
    residual_of_rows,
    rows_at,
    scaled,
    setting_of,
    units_of,
)
from jaxmpc.solvers.multiple_shooting.merit import Optimality, optimality, violation_of_hard
from jaxmpc.solvers.multiple_shooting.model import condensed, expand, row_model
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
from jaxmpc.solvers.report import print_interior_point
from jaxmpc.solvers.start import begin
from jaxmpc.trajectory import falls_without_limit, scales_now
from jaxmpc.trajectory.constraints import join, rows_along, split, violations

_WARM_MU = 1e-5  # the barrier parameter after a solution nearby; _START_MU: after none
_START_MU, _SHRINK, _POWER, _SUBPROBLEM = 0.1, 0.2, 1.5, 10.0
_PLAN_MU = 1e-3  # after guessed states that are a plan: they violate nothing by more than
_PLAN = 1e-2  # so much, in units of the scales
_PUSH = 1e-2  # the distance of controls from their bounds at the start
_LARGEST_GRADIENT = 100.0  # of the scaled cost at the start
_WORTH = 0.1  # of the cost's scale in the barrier problem, where that makes no gradient too large
_FIRST_PROXIMAL = 1e-4
_FAILURES_INFEASIBLE = 2  # line searches that may fail before the violation is minimised
_RESTORATIONS = 5
_STUCK_MU = 1e-2  # the barrier parameter after a least sum of squares
_SETTLED = 1e-4  # the residual at which a least sum of squares is no way on
_RESTORED = 0.1  # the violation, in units of that at the start of a restoration, that ends it


class InteriorPointState(NamedTuple):
    """The iterate, the barrier parameter, and what the line search remembers."""

    scales: Scales  # of the start: the method's
    judged: Scales  # those that `residuals` are in
    point: Iterate
    previous: Iterate  # the one before, to go back to
    met: Bool[Array, ""]  # whether the previous one meets the tolerance
    nearly: Int[Array, ""]  # iterations in a row that were near to meeting it
    still: Bool[Array, ""]  # whether the last step was a whole one, and lost in rounding
    original: Setting  # the problem as it was given
    restoring: Bool[Array, ""]  # whether the violation is being minimised instead
    restorations: Int[Array, ""]
    squared: Bool[Array, ""]  # whether a restoration minimises their squares, or absolute values
    target: Float[Array, ""]  # the violation that ends the restoration
    mu: Float[Array, ""]
    proximal: Float[Array, ""]  # the least weight to try, where one is needed
    memory: Filter
    failures: Int[Array, ""]
    residuals: Residuals
    held: Float[Array, "T m"]  # the gradient in controls that equal bounds fix
    gains: Gains
    cost: Float[Array, ""]
    iterations: Int[Array, ""]
    status: Int[Array, ""]

    def setting(self) -> Setting:
        """What is being solved at present."""
        return jax.tree.map(
            lambda new, old: jnp.where(self.restoring, new, old),
            relaxed(self.original, self.mu, self.squared),
            self.original,
        )

    def unit_of_multipliers(self) -> Float[Array, ""]:
        """What a multiplier of one is in units of the problem."""
        return self.scales.cost / self.setting().unit


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class InteriorPoint:
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

    max_iterations: int = 500
    tolerance: float | None = None
    hessian: str = "exact"
    barrier: float = 0.0
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
        controls = _inside(guess.controls, low, high)
        states, linear, scales = begin(problem, x0, params, controls, guess)
        scales = scales._replace(cost=jnp.maximum(scales.cost, self.barrier))
        setting = setting_of(problem, params, states, controls, scales)
        one = jnp.ones_like(x0, shape=())
        rows = rows_along(problem, states, controls, params).flat()
        rows = jnp.where(setting.present.flat(), rows, 0.0)
        steepest = jnp.maximum(
            jnp.max(jnp.abs(linear.q) * scales.states), jnp.max(jnp.abs(linear.r) * scales.controls)
        )
        steepest = steepest / scales.cost
        unit = jnp.clip(_LARGEST_GRADIENT / steepest, 1e-8, _WORTH)
        setting = scaled(setting, jnp.where(jnp.isfinite(unit), unit, 1.0), scales.cost)
        point = around(setting, states, controls, rows, one)
        if guess.dual is not None:
            warm = _warm(problem, setting, point, rows, guess.dual)
            usable = guess.dual.usable
            point = jax.tree.map(lambda new, old: jnp.where(usable, new, old), warm, point)
        values = evaluate(problem, params, setting, point)
        mu = _START_MU * one
        if guess.states is not None:
            plan = violation_of_hard(setting, setting, point, values) <= _PLAN
            mu = jnp.where(plan, _PLAN_MU, mu)
        if guess.dual is not None:
            mu = jnp.where(guess.dual.usable, _WARM_MU, mu)
        mu = jnp.maximum(mu, self.barrier * setting.scale)
        zeros = jnp.zeros_like(controls)
        count = jnp.zeros_like(one, dtype=jnp.int32)
        status = jnp.where(possible, RUNNING, Status.infeasible)
        status = jnp.where(finite(values, linear), status, Status.non_finite)
        return InteriorPointState(
            scales=scales,
            judged=scales,
            point=point,
            previous=point,
            met=count > 0,
            nearly=count,
            still=count > 0,
            original=setting,
            restoring=jnp.zeros_like(possible),
            restorations=count,
            squared=count == 0,
            target=one,
            mu=mu,
            proximal=_FIRST_PROXIMAL * one,
            memory=filters.empty(values.total(setting.units)),
            failures=count,
            residuals=Residuals(*[jnp.inf * one] * 3),
            held=zeros,
            gains=Gains(zeros, zeros[:, :, None] * jnp.zeros_like(x0)),
            cost=values.cost + values.penalty / setting.scale,
            iterations=count,
            status=status.astype(jnp.int32),
        )

    def step(self, problem: Problem, params: PyTree, state: InteriorPointState):
        """Judge the point; unless it is the last one, take a Newton step on the barrier problem."""
        point, setting = state.point, state.setting()
        tolerance = default_tolerance(self.tolerance, state.mu.dtype)
        values = evaluate(problem, params, setting, point)
        expansion = expand(problem, params, setting, point, self.hessian == "exact")
        last_mu = self.barrier / state.scales.cost * setting.unit
        measured = optimality(expansion, point, values, setting)
        now = self._scales(problem, state, values)
        unit = setting.unit * now.cost / state.scales.cost
        units = units_of(problem, point.states[0], now)
        judged = optimality(expansion, point, values, setting._replace(units=units))
        residuals = judged.residuals(last_mu, unit)
        infeasibility = violation_of_hard(setting, state.original, point, values)
        sharp = sharper(tolerance, state.mu.dtype)
        met = residuals.largest() <= tolerance
        solved = met & (residuals.complementarity <= sharp)
        lost = state.met & ~met  # more was asked of the last point than rounding grants
        shown = jnp.where(state.restoring, infeasibility, residuals.feasibility)
        least = jnp.maximum(last_mu, sharp * unit / 10)
        mu = _lowered(state.mu, measured, least, tolerance * unit, state.still)
        emptied = jnp.where(mu < state.mu, 0, state.memory.length)
        memory = state.memory._replace(length=emptied)
        rows = row_model(point, values, setting, mu)
        model = condensed(expansion, point, values, setting, rows)
        horizon, m, n = model.S.shape
        recursion = choose(self.riccati, horizon, n, m)
        # The proximal weight: none, unless that is not convex; more after a search that failed.
        first = jnp.where(state.failures > 0, AFTER_FAILURE * state.proximal, 0.0)
        weights = (first, state.proximal)
        factorised: Any = convex_factor(recursion, model, setting, *weights)
        matrices, proximal, convex = factorised
        box = no_box(point.controls)
        newton = Model(expansion, matrices, proximal, mu, values, box)
        found = filter_search(problem, params, setting, memory, point, values, newton)

        near = residuals.largest() <= WORKING_PRECISION * tolerance
        small = convex & (proximal == 0) & (found.length <= small_step(mu.dtype))
        small &= (infeasibility <= small_step(mu.dtype)) | state.restoring
        near |= small & (mu <= tolerance * unit)
        nearly = jnp.where(near, state.nearly + 1, 0)
        solved |= nearly > NEARLY
        infeasible = infeasibility > tolerance
        settled = solved | (state.squared & (residuals.largest() <= _SETTLED))
        stuck = state.restoring & settled & (infeasibility > 100 * tolerance)
        hopeless = stuck & ~state.squared
        ends = (solved & ~state.restoring) | stuck | (state.iterations >= self.max_iterations)
        running = (state.status == RUNNING) & ~ends
        moved = running & convex & found.accepted
        cost = values.cost + jnp.where(state.restoring, 0.0, values.penalty / setting.scale)
        if self.verbose:
            shown_size = jnp.where(moved, found.step_size, 0.0)
            print_interior_point(state, cost, residuals, infeasibility, mu, shown_size)
        forgotten = jnp.maximum(state.proximal / 3, _FIRST_PROXIMAL)
        failures = jnp.where(moved, 0, state.failures + convex).astype(jnp.int32)
        before = state
        state = state._replace(
            judged=now,
            previous=point,
            met=met & moved & ~state.restoring,
            nearly=nearly,
            still=small & moved & (found.step_size == 1),
            point=jax.tree.map(lambda new, old: jnp.where(moved, new, old), found.point, point),
            mu=mu,
            proximal=jnp.where(proximal > 0, proximal / 3, forgotten),
            memory=filters.remember(memory, found.now, moved & ~found.by_objective),
            failures=failures,
            residuals=residuals._replace(feasibility=shown),
            held=measured.held,
            gains=Gains(jnp.zeros_like(point.controls), matrices.K),
            cost=cost,
            iterations=state.iterations + running,
        )
        status = _status(state, solved, infeasible, hopeless, self.max_iterations)
        status = jnp.where(finite(values, expansion), status, Status.non_finite)
        boundless = ~before.restoring & falls_without_limit(problem, state.scales, cost)
        status = jnp.where(boundless, Status.unbounded, status)
        status = jnp.where(before.status == RUNNING, status, before.status).astype(jnp.int32)
        state = state._replace(status=status)
        restore = (failures > _FAILURES_INFEASIBLE) & infeasible & ~state.restoring
        restore &= state.restorations < _RESTORATIONS
        restored = stuck | (state.restoring & (solved | (infeasibility <= state.target)))
        changes = (status == RUNNING) & (restore | restored)
        rows = rows_at(setting, point, values)
        other = _switched(state, point, rows, infeasibility, stuck)
        state = jax.tree.map(lambda new, old: jnp.where(changes, new, old), other, state)
        # What the state before says is about its previous point.
        converged = jnp.full_like(before.status, Status.converged)
        kept = before._replace(point=before.previous, status=converged)
        back = lost & (before.status == RUNNING)
        return jax.tree.map(lambda old, new: jnp.where(back, old, new), kept, state)

    def _scales(self, problem: Problem, state: InteriorPointState, values: Values) -> Scales:
        """Those that the point is judged in; where the violation is minimised, the start's."""
        prices = values.penalty / state.original.scale
        now = scales_now(problem, state.scales, values.magnitude + prices)
        now = now._replace(cost=jnp.maximum(now.cost, self.barrier))
        return jax.tree.map(
            lambda new, old: jnp.where(state.restoring, old, new), now, state.scales
        )

    def terminate(self, state: InteriorPointState) -> Int[Array, ""]:
        """A `Status`, or RUNNING."""
        return state.status

    def postprocess(self, problem: Problem, params: PyTree, state: InteriorPointState) -> Point:
        """The last iterate in the units of the problem."""
        point = state.point
        multipliers = _multipliers(problem, params, state)
        # On the central path no control is on a bound, and elsewhere the states follow from them.
        tolerance = default_tolerance(self.tolerance, state.mu.dtype)
        on_bounds = _on_bounds(problem, state.judged, point.controls, multipliers, tolerance)
        settled = (state.status == Status.converged) & (self.barrier == 0)
        low, high = problem.limits(point.controls.dtype)
        controls = jnp.clip(jnp.where(settled, on_bounds, point.controls), low, high)
        return Point(
            states=point.states,
            controls=controls,
            costates=point.costates * state.unit_of_multipliers(),
            multipliers=multipliers,
            violations=violations(problem, point.states, controls, params),
            residuals=state.residuals,
            tolerance=jnp.full_like(state.mu, tolerance),
            scales=state.judged,
            cost=state.cost,
            gains=state.gains,
            status=state.status,
            iterations=state.iterations,
        )


def _warm(problem: Problem, setting: Setting, point: Iterate, rows, dual: WarmStart) -> Iterate:
    """The starting point with multipliers of an earlier solution, a little inside the central path.

    A slack that is shorter than sqrt(mu) would keep the first steps short.
    """
    least = _WARM_MU**0.5 * setting.units.rows
    given = join(problem, point.states[0], dual.multipliers._asdict()).flat()
    y = jnp.where(setting.present.flat(), setting.scale * given, 0.0)
    slack = jnp.maximum(jnp.where(setting.exists[1], point.positive[1], 0) - rows, least)
    slack = jnp.where(setting.exists[0], slack, 1.0)
    z = jnp.where(setting.exists[0], jnp.maximum(y, _WARM_MU / slack), 0.0)
    return point._replace(
        positive=point.positive.at[0].set(slack),
        costates=setting.scale * dual.costates,
        dual=point.dual.at[0].set(z),
        equality=jnp.where(setting.inequality, 0.0, y),
    )


def _switched(state: InteriorPointState, point: Iterate, rows, infeasibility, stuck):
    """The state at the start of a restoration, or of what comes after it.

    One that is stuck at a least sum of squared violations is followed by one of their absolute
    values: what is stationary for the one rarely is for the other.
    """
    restoring = ~state.restoring | stuck
    far = jnp.maximum(_START_MU, infeasibility)
    near = state.original.near._replace(states=point.states, controls=point.controls)
    state = state._replace(
        restoring=restoring,
        squared=state.squared & ~stuck,
        original=state.original._replace(near=near),
        mu=jnp.where(stuck, _STUCK_MU, jnp.where(state.restoring, _START_MU, far)),
    )
    setting, one = state.setting(), jnp.ones_like(state.mu)
    fresh = around(setting, point.states, point.controls, rows, one)
    off = jnp.abs(residual_of_rows(setting, fresh.positive, rows)) / setting.units.rows
    return state._replace(
        point=fresh,
        restorations=state.restorations + restoring,
        target=jnp.where(restoring, _RESTORED * infeasibility, state.target),
        proximal=_FIRST_PROXIMAL * one,
        memory=filters.empty(jnp.sum(off)),
        failures=0 * state.failures,
        nearly=0 * state.nearly,
        still=state.still & False,
    )


def _lowered(mu, measured: Optimality, least, wanted, still) -> Float[Array, ""]:
    """The barrier parameter, lowered as often as the barrier problem counts as solved.

    Below what is `wanted` of the residual it is solved when it meets that: there it goes on only
    for sharper complementarity, which rounding may not grant. Where the iterate stands `still`,
    rounding grants no smaller residual, and it is lowered once.
    """
    for attempt in range(4):
        error = measured.residuals(mu, jnp.ones_like(mu)).largest()
        lower = jnp.maximum(least, jnp.minimum(_SHRINK * mu, mu**_POWER))
        enough = _SUBPROBLEM * mu
        enough = jnp.where(mu > wanted, enough, jnp.minimum(enough, wanted))
        solved = error <= enough
        if attempt == 0:
            solved |= still & (mu > wanted)
        mu = jnp.where(solved, lower, mu)
    return mu


def _status(state: InteriorPointState, solved, infeasible, hopeless, limit: int):
    """RUNNING, unless the point is the last one or there is no way on."""
    # Dynamics alone can be met from any state: by a simulation.
    hard = jnp.any(state.original.relaxable & ~state.original.exists[1])
    failed = jnp.where(infeasible & hard, Status.infeasible, Status.line_search_failed)
    status = jnp.where((state.failures > FAILURES) | hopeless, failed, RUNNING)
    status = jnp.where(state.proximal > LARGEST_PROXIMAL, Status.regularization_limit, status)
    status = jnp.where(state.iterations >= limit, Status.max_iterations, status)
    return jnp.where(solved & ~state.restoring, Status.converged, status)


def _inside(controls, low, high):
    """Controls at a little distance from their bounds; where these are equal, there."""
    between = jnp.isfinite(low) & jnp.isfinite(high)

    def room(bound):  # of a bound without a counterpart its own size is all that is known
        alone = jnp.where(bound == 0, 1.0, jnp.abs(bound))
        return _PUSH * jnp.where(between, 0.5 * (high - low), alone)

    inside = jnp.maximum(controls, jnp.where(jnp.isfinite(low), low + room(low), -jnp.inf))
    return jnp.minimum(inside, jnp.where(jnp.isfinite(high), high - room(high), jnp.inf))


def _on_bounds(problem: Problem, scales: Scales, controls, multipliers: Multipliers, tolerance):
    """Controls on their bounds to the last bit where the multiplier is larger than the distance.

    Not where that is more than the tolerance: the states do not follow.
    """
    low, high = problem.limits(controls.dtype)
    worth, near = scales.cost / scales.controls**2, tolerance * scales.controls
    at_low = (multipliers.lower > worth * (controls - low)) & (controls - low <= near)
    at_high = (multipliers.upper > worth * (high - controls)) & (high - controls <= near)
    return jnp.where(at_high, high, jnp.where(at_low, low, controls))


def _multipliers(problem: Problem, params, state: InteriorPointState) -> Multipliers:
    setting, point = state.setting(), state.point
    unit = state.unit_of_multipliers()
    rows = setting.present.unflat(point.multipliers() * unit)
    none = jnp.zeros_like(point.controls)
    parts = split(problem, point.states[0], params, rows)
    whole = multipliers_of_bounds(none, none, point.states)._replace(**parts)
    held = state.held * unit  # fixed controls have no rows
    return whole._replace(
        lower=whole.lower + jnp.maximum(held, 0.0), upper=whole.upper + jnp.maximum(-held, 0.0)
    )
