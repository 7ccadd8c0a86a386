"""Sequential quadratic programming on the multiple-shooting form, for bounded controls."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from jaxmpc import trees
from jaxmpc.checks import check_bool, check_choice, check_positive
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
    violations_of_dynamics,
)
from jaxmpc.solvers.configuration import Configuration, configuration, number
from jaxmpc.solvers.loop import RUNNING, Guess, iterations_after
from jaxmpc.solvers.multiple_shooting import filter as filters
from jaxmpc.solvers.multiple_shooting.filter_search import Place, filter_search
from jaxmpc.solvers.multiple_shooting.iterate import (
    Functions,
    Iterate,
    Values,
    setting_of,
    units_of,
    values_of,
)
from jaxmpc.solvers.multiple_shooting.merit import checked, optimality
from jaxmpc.solvers.multiple_shooting.model import (
    Expansion,
    condensed,
    derivatives_at,
    expansion_of,
    lagrangian_gradient,
    row_model,
)
from jaxmpc.solvers.multiple_shooting.newton import Box, Model, Move, length_of, move_along, stay
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
from jaxmpc.solvers.sqp.start import begun
from jaxmpc.solvers.sqp.state import Findings, SQPState
from jaxmpc.solvers.start import first_states, refuse_general_constraints, scales_of_guess
from jaxmpc.trajectory import (
    BoundMultipliers,
    Derivatives,
    bound_multipliers,
    falls_without_limit,
    scales_now,
)
from jaxmpc.trajectory.constraints import without_control_bounds

_FIRST_PROXIMAL = 0.1
_REMEMBERED = 0.01  # the least weight to raise after a failure: it decays in convex iterations
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
        hessian: "exact", or "gauss_newton", without the dynamics' curvature: cheaper, more of them.
        riccati: "sequential" in time, "parallel" (associative scans), or "auto": what was faster.
        verbose: print a table of iterations; compiled out otherwise.

    Sources: Bock and Plitt (1984) for multiple shooting; Fletcher and Leyffer (2002) for the
    filter, Ulbrich (2004) for the Lagrangian in it; Judice and Pires (1994) for the active set.

    Example:
        >>> int(jaxmpc.solve(problem, x0, params, solver=jaxmpc.SQP()).iterations)  # an LQ problem
        1
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
        """The guess, with controls moved inside their bounds; the first step evaluates it."""
        refuse_general_constraints("SQP", problem)
        low, high = problem.limits(x0.dtype)
        possible = jnp.all(low <= high)  # False for NaN
        controls = jnp.clip(guess.controls, low, high)
        states = first_states(problem, x0, params, controls, guess)
        inner = without_control_bounds(problem)
        scales = scales_of_guess(inner, x0, params, guess)
        ones = jax.tree.map(jnp.ones_like, scales)
        costates = jnp.zeros_like(states, shape=(len(states), problem.tangent_dim(x0.shape[0])))
        zeros = jnp.zeros_like(controls)
        side = jnp.zeros_like(controls, dtype=jnp.int32)
        if guess.warm is not None:
            usable, of = guess.warm.usable, guess.warm.multipliers
            costates = jnp.where(usable, guess.warm.costates, costates)
            side = jnp.where(usable & (of.lower > 0), -1, side)
            side = jnp.where(usable & (of.upper > 0), 1, side)
        none = jnp.zeros_like(states[0, :0])
        nothing = jnp.stack([none] * 3)
        iterate = Iterate(states, controls, nothing, costates, none, nothing)
        one, count = ones.cost, jnp.zeros_like(ones.cost, dtype=jnp.int32)
        unknown = jnp.inf * one
        return SQPState(
            scales=scales,
            setting=setting_of(inner, params, states, controls, ones),
            place=Place(iterate, Functions(unknown, unknown, jnp.zeros_like(costates[1:]), none)),
            findings=Findings(
                scales=ones,
                multipliers=BoundMultipliers(zeros, zeros),
                residuals=Residuals(*[unknown] * 3),
                gains=Gains(zeros, zeros[:, :, None] * jnp.zeros_like(costates[:1, None])),
            ),
            move=stay(iterate),
            side=side,
            proximal=0 * one,
            step_size=0 * one,
            weight=0 * one,
            memory=filters.empty(one),
            failures=count,
            nearly=count,
            steps=count,
            status=jnp.where(possible, RUNNING, Status.infeasible).astype(jnp.int32),
        )

    def step(self, problem: Problem, params: PyTree, state: SQPState) -> SQPState:
        """Move; judge the point there, and minimise the model of it for the next move."""
        inner = without_control_bounds(problem)
        state, step_size = self._moved(problem, inner, params, state)
        iterate = state.place.iterate
        exact = self.hessian == "exact"
        along = derivatives_at(inner, params, state.setting.present, iterate, exact)
        state, unit_of_duals = begun(problem, params, state, along)
        judged = self._judge(problem, inner, state, along, unit_of_duals)
        aim = judged.values._replace(defects=state.closing() * judged.values.defects)
        model = self._minimise(problem, state, judged, aim)
        move = move_along(inner, state.setting, state.place.iterate, judged.values, model)
        return self._concluded(problem, state, judged, model, move, step_size)

    def terminate(self, state: SQPState) -> Int[Array, ""]:
        """A `Status`, or RUNNING."""
        return state.status

    def postprocess(self, problem: Problem, params: PyTree, state: SQPState) -> Solution:
        """The judged point in the units of the problem."""
        iterate, functions = state.place
        found, states = state.findings, iterate.states
        tolerance = default_tolerance(self.tolerance, states.dtype)
        return Solution(
            states=states,
            controls=iterate.controls,
            costates=iterate.costates / state.setting.scale,
            multipliers=multipliers_of_bounds(*found.multipliers, iterate.costates),
            violations=violations_of_dynamics(functions.defects),
            residuals=found.residuals,
            tolerance=jnp.zeros_like(functions.cost) + tolerance,
            scales=found.scales,
            cost=functions.cost,
            gains=found.gains,
            status=state.status,
            iterations=iterations_after(state.steps),
        )

    def _moved(self, problem: Problem, inner: Problem, params: PyTree, state: SQPState):
        """The state after the search along its move, and how long the step was."""
        running, move = state.status == RUNNING, state.move
        box = Box(*problem.limits(state.proximal.dtype), move.side)
        possible = move._replace(possible=move.possible & running)
        given = (inner, params, state.setting, state.memory, state.place)
        search = filter_search(*given, possible, box)
        accepted, walked = search.accepted, search.accepted & ~move.fresh
        failed = move.possible & ~accepted & ~move.fresh
        failures = jnp.where(failed, state.failures + 1, state.failures)
        failures = jnp.where(accepted, 0, failures)
        memory = filters.remember(state.memory, move.now, walked & ~search.by_objective)
        forgotten = failed & (failures == _FORGOTTEN)
        memory = memory._replace(length=jnp.where(forgotten, 0, memory.length))
        state = state._replace(
            place=search.place,
            side=jnp.where(walked, move.side, state.side),
            memory=memory,
            failures=failures,
            steps=jnp.where(running, state.steps + 1, state.steps),
        )
        return state, jnp.where(walked, search.step_size, 0.0)

    def _judge(
        self, problem: Problem, inner: Problem, state: SQPState, along: Derivatives, unit_of_duals
    ) -> _Judged:
        (iterate, functions), setting = state.place, state.setting
        low, high = problem.limits(iterate.controls.dtype)
        values = values_of(setting, iterate, functions)
        expansion = expansion_of(setting, iterate, along, unit_of_duals)
        _, gradient = lagrangian_gradient(expansion, iterate, setting)
        multipliers = bound_multipliers(gradient / setting.scale, iterate.controls, low, high)
        at_bound = (multipliers.lower > 0) | (multipliers.upper > 0)
        scales = scales_now(problem, state.scales, values.magnitude)
        units = units_of(inner, iterate.states[0], scales)
        there = setting._replace(units=units, free=~at_bound)
        measured = optimality(expansion, iterate, values, there)
        residuals = measured.residuals(0 * scales.cost, scales.cost / state.scales.cost)
        residuals = checked(residuals, expansion, values)
        return _Judged(values, expansion, scales, residuals, multipliers)

    def _minimise(self, problem: Problem, state: SQPState, judged: _Judged, aim: Values) -> Model:
        iterate, setting, none = state.place.iterate, state.setting, 0 * state.proximal
        rows = row_model(iterate, judged.values, setting, none)
        model = condensed(judged.expansion, iterate, aim, setting, rows)
        horizon, m, n = model.S.shape
        recursion = choose(self.riccati, horizon, n, m)
        low, high = problem.limits(iterate.controls.dtype)
        question = Question(model, low - iterate.controls, high - iterate.controls, state.side)
        # The proximal weight: none, unless that is not convex; more after a search that failed.
        smallest = jnp.where(state.proximal > 0, state.proximal / 3, _FIRST_PROXIMAL)
        enough = AFTER_FAILURE * jnp.maximum(smallest, _REMEMBERED)
        first = jnp.where(state.failures > 0, enough, 0.0)
        found: Found = bounded_factor(recursion, question, setting.units, first, smallest)
        box = Box(low, high, found.side)
        return Model(judged.expansion, found.matrices, found.convex, found.proximal, none, aim, box)

    def _concluded(
        self, problem: Problem, state: SQPState, judged: _Judged, model: Model, move: Move, taken
    ) -> SQPState:
        values, residuals = judged.values, judged.residuals
        dtype = state.proximal.dtype
        tolerance = default_tolerance(self.tolerance, dtype)
        # A whole Newton step that is lost in rounding ends it as well.
        length = length_of(move.change, state.setting)
        small = model.convex & (model.proximal == 0) & (length <= small_step(dtype))
        near = small | (residuals.largest() <= WORKING_PRECISION * tolerance)
        nearly = jnp.where(near, state.nearly + 1, 0)
        follows = residuals.feasibility <= sharper(tolerance, dtype)
        solved = ((residuals.largest() <= tolerance) & follows) | (nearly > NEARLY)
        status = jnp.where(state.failures > FAILURES, Status.line_search_failed, RUNNING)
        too_heavy = model.proximal > LARGEST_PROXIMAL
        status = jnp.where(too_heavy, Status.regularization_limit, status)
        status = jnp.where(solved, Status.converged, status)
        boundless = falls_without_limit(problem, state.scales, values.cost)
        status = jnp.where(boundless, Status.unbounded, status)
        if self.verbose:
            print_sqp(state, values.cost, residuals, model.proximal, taken)
        gains = Gains(jnp.zeros_like(state.place.iterate.controls), model.matrices.K)
        findings = Findings(
            scales=judged.scales,
            multipliers=judged.multipliers,
            residuals=residuals,
            gains=trees.where(model.convex, gains, state.findings.gains),
        )
        proximal = jnp.where(model.proximal > 0, model.proximal, state.proximal / 3)
        return state._replace(
            findings=findings,
            move=move,
            proximal=proximal,
            step_size=taken,
            weight=model.proximal,
            nearly=nearly,
            status=jnp.where(state.status == RUNNING, status, state.status).astype(jnp.int32),
        )
