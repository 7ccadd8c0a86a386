"""A primal-dual interior point on the multiple-shooting form, for any constraints."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxmpc.lq.problem import LQProblem
from jaxmpc.lq.riccati import Factor
from jaxmpc.lq.rows import Rows
from jaxmpc.problem import Problem
from jaxmpc.solution import Gains, Multipliers, Residuals, Status, multipliers_of_bounds
from jaxmpc.solvers import filter as filters
from jaxmpc.solvers.barrier import (
    Expansion,
    Iterate,
    Setting,
    Values,
    condensed,
    direction,
    evaluate,
    expand,
    factorise,
    lagrangian_gradient,
    only,
)
from jaxmpc.solvers.filter import Filter, Merit
from jaxmpc.solvers.loop import RUNNING, Guess, Point, finite
from jaxmpc.solvers.options import check_positive, default_tolerance
from jaxmpc.trajectory import open_loop
from jaxmpc.trajectory.constraints import (
    inequalities,
    present,
    split,
    terminal_equality,
)

_START_MU, _SHRINK, _POWER, _SUBPROBLEM = 0.1, 0.2, 1.5, 10.0
_PUSH = 1e-2  # the least slack at the start, and the distance of controls from their bounds
_KEEP = 1e10  # how far a multiplier may be from mu / slack
_LARGEST_GRADIENT = 100.0  # of the scaled cost at the start
_STEP_SIZES = 14
_LEVELS = (0.0, 1.0, 8.0, 64.0)  # proximal weights tried at once, in units of the last one
_RAISED_LEVELS = (30.0, 240.0, 1920.0, 15360.0)  # the same after a failed line search
_FIRST_PROXIMAL, _LARGEST_PROXIMAL = 1e-4, 1e20
_FAILURES = 8  # line searches that may fail in a row


class InteriorPointState(NamedTuple):
    """The iterate, the barrier parameter, and what the line search remembers."""

    point: Iterate
    setting: Setting
    free: Bool[Array, "T m"]
    mu: Float[Array, ""]
    proximal: Float[Array, ""]
    memory: Filter
    failures: Int[Array, ""]
    residuals: Residuals
    gains: Gains
    cost: Float[Array, ""]
    iterations: Int[Array, ""]
    status: Int[Array, ""]


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class InteriorPoint:
    """Primal-dual interior point with a filter line search; the default for general constraints.

    States and controls are both unknowns, so that guessed states need not satisfy the dynamics.
    Each iteration factorises one LQ problem with the exact Hessian of the Lagrangian, made
    convex by a proximal term where it is not.

    Attributes:
        max_iterations: the limit on iterations.
        tolerance: on the scaled KKT residual at the returned point; by default 1e-8 in float64
            and 1e-4 in float32.

    Sources: Waechter and Biegler (2006), 'On the implementation of an interior-point filter
    line-search algorithm for large-scale nonlinear programming'; Rao, Wright and Rawlings (1998)
    for the Riccati recursion inside of an interior point.
    """

    max_iterations: int = 500
    tolerance: float | None = None

    def __post_init__(self):
        check_positive("InteriorPoint", "max_iterations", self.max_iterations, whole=True)
        check_positive("InteriorPoint", "tolerance", self.tolerance, optional=True)

    def init(self, problem: Problem, x0: Float[Array, " n"], params: PyTree, guess: Guess):
        """Slacks and multipliers around the guess, with controls moved inside their bounds."""
        low, high = problem.limits(x0.dtype)
        free = low < high
        controls = _inside(guess.controls, low, high)
        if guess.states is None:
            states = open_loop(problem, x0, params, controls).states
            states = jnp.where(jnp.all(jnp.isfinite(states)), states, x0)
        else:
            states = guess.states.at[0].set(x0)
        rows_g, rows_h = present(problem, x0, params)
        g = inequalities(problem, states, controls, params)
        slacks = only(jax.tree.map(lambda g: jnp.maximum(-g, _PUSH), g), rows_g, 1.0)
        ends = terminal_equality(problem, states[-1], params)
        point = Iterate(
            states,
            controls,
            slacks,
            jnp.zeros_like(states),
            only(jax.tree.map(jnp.ones_like, g), rows_g),
            Rows(jnp.zeros_like(g.stage, shape=rows_h.stage.shape), jnp.zeros_like(ends)),
        )
        one = jnp.ones_like(x0, shape=())
        setting = Setting(rows_g, rows_h, one)
        linear = expand(problem, params, setting, point).linearization
        steepest = jnp.maximum(jnp.max(jnp.abs(linear.q)), jnp.max(jnp.abs(linear.r)))
        scale = jnp.clip(_LARGEST_GRADIENT / steepest, 1e-8, 1.0)
        setting = setting._replace(scale=jnp.where(jnp.isfinite(scale), scale, 1.0))
        values = evaluate(problem, params, setting, point)
        zeros = jnp.zeros_like(controls)
        count = jnp.zeros_like(one, dtype=jnp.int32)
        possible = jnp.all(low <= high)  # False for NaN
        status = jnp.where(possible, RUNNING, Status.infeasible)
        status = jnp.where(finite(values, linear), status, Status.non_finite)
        return InteriorPointState(
            point=point,
            setting=setting,
            free=free,
            mu=_START_MU * one,
            proximal=0 * one,
            memory=filters.empty(_violation(values)),
            failures=count,
            residuals=Residuals(*[jnp.inf * one] * 3),
            gains=Gains(zeros, zeros[:, :, None] * states[0]),
            cost=values.cost / setting.scale,
            iterations=count,
            status=status.astype(jnp.int32),
        )

    def step(self, problem: Problem, params: PyTree, state: InteriorPointState):
        """Judge the point; unless it is the last one, take a Newton step on the barrier problem."""
        point, setting = state.point, state.setting
        tolerance = default_tolerance(self.tolerance, state.mu.dtype)
        values = evaluate(problem, params, setting, point)
        expansion = expand(problem, params, setting, point)
        residuals = _residuals(expansion, point, values, setting, state.free, 0.0, setting.scale)
        mu = self._barrier(state, expansion, values, tolerance)
        emptied = jnp.where(mu < state.mu, 0, state.memory.length)
        state = state._replace(
            mu=mu, memory=state.memory._replace(length=emptied), residuals=residuals
        )
        factorised = _factorise(state, condensed(expansion, point, values, setting, mu))
        search = _search(problem, params, state, expansion, values, factorised.matrices)

        converged = residuals.largest() <= tolerance
        running = (state.status == RUNNING) & ~converged
        running &= state.iterations < self.max_iterations
        moved = running & factorised.convex & search.accepted
        failures = jnp.where(moved, 0, state.failures + factorised.convex)
        status = _status_of_failure(residuals, failures, factorised.next_proximal, tolerance)
        limit = state.iterations >= self.max_iterations
        status = jnp.where(limit, Status.max_iterations, status)
        status = jnp.where(converged, Status.converged, status)
        status = jnp.where(finite(values, expansion), status, Status.non_finite)
        status = jnp.where(state.status == RUNNING, status, state.status)
        now = _merit(values, point.slacks, setting, mu)
        return state._replace(
            point=jax.tree.map(lambda new, old: jnp.where(moved, new, old), search.point, point),
            proximal=factorised.next_proximal,
            memory=filters.remember(state.memory, now, moved & ~search.by_objective),
            failures=failures.astype(jnp.int32),
            gains=Gains(jnp.zeros_like(point.controls), factorised.matrices.K),
            cost=values.cost / setting.scale,
            iterations=state.iterations + running,
            status=status.astype(jnp.int32),
        )

    def _barrier(self, state: InteriorPointState, expansion: Expansion, values: Values, tolerance):
        """The barrier parameter, lowered as often as the barrier problem counts as solved."""
        mu, least = state.mu, tolerance * state.setting.scale / 10
        for _ in range(4):
            error = _residuals(
                expansion, state.point, values, state.setting, state.free, mu, 1.0
            ).largest()
            solved = error <= _SUBPROBLEM * mu
            mu = jnp.where(solved, jnp.maximum(least, jnp.minimum(_SHRINK * mu, mu**_POWER)), mu)
        return mu

    def terminate(self, state: InteriorPointState) -> Int[Array, ""]:
        """A `Status`, or RUNNING."""
        return state.status

    def postprocess(self, problem: Problem, params: PyTree, state: InteriorPointState) -> Point:
        """The last iterate in the units of the problem."""
        point, scale = state.point, state.setting.scale
        multipliers = _multipliers(problem, params, point, scale)
        low, high = problem.limits(point.controls.dtype)
        # A control nearer to its bound than the multiplier is to zero is at the bound.
        controls = jnp.clip(point.controls, low, high)
        controls = jnp.where(multipliers.lower > controls - low, low, controls)
        controls = jnp.where(multipliers.upper > high - controls, high, controls)
        return Point(
            states=point.states,
            controls=controls,
            costates=point.costates / scale,
            multipliers=multipliers,
            residuals=state.residuals,
            cost=state.cost,
            gains=state.gains,
            status=state.status,
            iterations=state.iterations,
        )


class Factorised(NamedTuple):
    """The factor with the least proximal weight that made the problem convex, if one did."""

    matrices: Factor
    convex: Bool[Array, ""]
    next_proximal: Float[Array, ""]


class Search(NamedTuple):
    """The point after the step, and whether it may be taken, and for its objective alone."""

    point: Iterate
    accepted: Bool[Array, ""]
    by_objective: Bool[Array, ""]


def _factorise(state: InteriorPointState, model: LQProblem) -> Factorised:
    """Try several proximal weights at once; larger ones after a line search that failed."""
    smallest = jnp.where(state.proximal > 0, state.proximal / 3, _FIRST_PROXIMAL)
    dtype = state.mu.dtype
    levels, raised = jnp.asarray(_LEVELS, dtype), jnp.asarray(_RAISED_LEVELS, dtype)
    proximals = smallest * jnp.where(state.failures > 0, raised, levels)
    factors = factorise(model, state.free, proximals)
    convex = jax.vmap(lambda matrices: matrices.is_convex())(factors)
    chosen = jnp.argmax(convex)
    used = jnp.where(proximals[chosen] > 0, proximals[chosen], state.proximal / 3)
    return Factorised(
        jax.tree.map(lambda leaf: leaf[chosen], factors),
        jnp.any(convex),
        jnp.where(jnp.any(convex), used, 3 * proximals[-1]),
    )


def _search(
    problem: Problem,
    params: PyTree,
    state: InteriorPointState,
    expansion: Expansion,
    values: Values,
    matrices: Factor,
) -> Search:
    """The longest acceptable step of Newton's direction, or its second-order correction."""
    point, setting, mu = state.point, state.setting, state.mu

    def newton(values: Values) -> Iterate:
        return direction(matrices, expansion, point, values, setting, mu)

    def merit(trial: Iterate, values: Values) -> Merit:
        return _merit(values, trial.slacks, setting, mu)

    change = newton(values)
    longest = _longest_step(point.slacks, change.slacks, mu)
    sizes = longest * 0.5 ** jnp.arange(_STEP_SIZES, dtype=mu.dtype)
    trials = jax.vmap(lambda size: _moved(point, change, size))(sizes)
    trial_values = jax.vmap(lambda trial: evaluate(problem, params, setting, trial))(trials)
    merits = jax.vmap(merit)(trials, trial_values)
    now = merit(point, values)
    slope = _slope(expansion, point, change, setting, mu)
    accepted, by_objective = filters.judge(state.memory, now, merits, sizes, slope)

    # The correction: the same factor, with the constraints' values after the longest step.
    after = jax.tree.map(lambda leaf: leaf[0], trial_values)
    correction = newton(jax.tree.map(lambda old, new: longest * old + new, values, after))
    corrected = _moved(point, correction, _longest_step(point.slacks, correction.slacks, mu))
    corrected_merit = merit(corrected, evaluate(problem, params, setting, corrected))
    good, good_objective = filters.judge(state.memory, now, corrected_merit, longest, slope)
    corrects = good & ~accepted[0] & (merits.violation[0] >= now.violation)

    best = jnp.argmax(accepted)
    taken = jax.tree.map(
        lambda trial, leaf: jnp.where(corrects, leaf, trial[best]), trials, corrected
    )
    return Search(
        _with_multipliers(taken, point, change, sizes[best], mu, setting),
        corrects | jnp.any(accepted),
        jnp.where(corrects, good_objective, by_objective[best]),
    )


def _status_of_failure(residuals: Residuals, failures, proximal, tolerance) -> Int[Array, ""]:
    """RUNNING, unless line searches or the proximal weight say that there is no way on."""
    feasible = residuals.feasibility <= jnp.sqrt(tolerance)
    stuck = jnp.where(feasible, Status.line_search_failed, Status.infeasible)
    status = jnp.where(failures > _FAILURES, stuck, RUNNING)
    return jnp.where(proximal > _LARGEST_PROXIMAL, Status.regularization_limit, status)


def _inside(controls, low, high):
    """Controls at a little distance from their bounds; where these are equal, there."""
    room = jnp.minimum(_PUSH * jnp.maximum(1.0, jnp.abs(low)), _PUSH * (high - low))
    room_high = jnp.minimum(_PUSH * jnp.maximum(1.0, jnp.abs(high)), _PUSH * (high - low))
    inside = jnp.maximum(controls, jnp.where(jnp.isfinite(low), low + room, -jnp.inf))
    return jnp.minimum(inside, jnp.where(jnp.isfinite(high), high - room_high, jnp.inf))


def _total(tree: PyTree) -> Float[Array, ""]:
    return sum(jnp.sum(jnp.abs(leaf)) for leaf in jax.tree.leaves(tree))  # type: ignore[return-value]


def _largest(tree: PyTree) -> Float[Array, ""]:
    leaves = [jnp.max(jnp.abs(leaf), initial=0.0) for leaf in jax.tree.leaves(tree)]
    return jnp.max(jnp.stack(leaves))


def _residuals(
    expansion: Expansion, point: Iterate, values: Values, setting: Setting, free, mu, scale
) -> Residuals:
    """Scaled residuals of the barrier problem for `mu`, with multipliers divided by `scale`."""
    in_states, in_controls = lagrangian_gradient(expansion, point)
    gradient = (in_states, jnp.where(free, in_controls, 0.0))
    multipliers = (point.costates, point.inequality, point.equality)
    number = sum(leaf.size for leaf in jax.tree.leaves(multipliers))
    rows = sum(leaf.size for leaf in point.inequality)
    mean = _total(multipliers) / scale / number
    mean_rows = _total(point.inequality) / scale / max(rows, 1)
    products = jax.tree.map(lambda s, z: s * z - mu, point.slacks, point.inequality)
    products = only(products, setting.inequality)
    return Residuals(
        stationarity=_largest(gradient) / scale / (jnp.maximum(100.0, mean) / 100),
        feasibility=_largest(values[1:]),
        complementarity=_largest(products) / scale / (jnp.maximum(100.0, mean_rows) / 100),
    )


def _violation(values: Values):
    return _total(values[1:])


def _merit(values: Values, slacks: Rows, setting: Setting, mu) -> Merit:
    logs = only(jax.tree.map(jnp.log, slacks), setting.inequality)
    barrier = mu * sum(jnp.sum(leaf) for leaf in logs)
    return Merit(_violation(values), values.cost - barrier)


def _slope(expansion: Expansion, point: Iterate, change: Iterate, setting: Setting, mu):
    """The directional derivative of the barrier objective."""
    _, _, q, r = expansion.linearization
    ratios = only(jax.tree.map(jnp.divide, change.slacks, point.slacks), setting.inequality)
    barrier = mu * sum(jnp.sum(leaf) for leaf in ratios)
    return jnp.sum(q * change.states) + jnp.sum(r * change.controls) - barrier


def _longest_step(values: Rows, change: Rows, mu) -> Float[Array, ""]:
    """The fraction-to-boundary rule: the largest step size up to 1 that keeps values positive."""
    fraction = jnp.maximum(0.99, 1 - mu)

    def limit(value, change):
        falls = change < 0
        ratio = jnp.where(falls, -fraction * value / jnp.where(falls, change, -1.0), jnp.inf)
        return jnp.min(ratio, initial=jnp.inf)

    limits = [limit(v, c) for v, c in zip(values, change, strict=True)]
    return jnp.minimum(1.0, jnp.minimum(*limits))


def _moved(point: Iterate, change: Iterate, size) -> Iterate:
    moved = jax.tree.map(lambda p, c: p + size * c, point[:3], change[:3])
    return point._replace(states=moved[0], controls=moved[1], slacks=moved[2])


def _with_multipliers(taken: Iterate, point: Iterate, change: Iterate, size, mu, setting: Setting):
    """A trial with the multipliers after the step, kept within a wide band around mu / slack."""
    dual_size = _longest_step(point.inequality, change.inequality, mu)

    def banded(z, dz, s):
        return jnp.clip(z + dual_size * dz, mu / (_KEEP * s), _KEEP * mu / s)

    z = jax.tree.map(banded, point.inequality, change.inequality, taken.slacks)
    return taken._replace(
        costates=point.costates + size * change.costates,
        inequality=only(z, setting.inequality),
        equality=jax.tree.map(lambda y, dy: y + size * dy, point.equality, change.equality),
    )


def _multipliers(problem: Problem, params, point: Iterate, scale) -> Multipliers:
    inequality, equality = jax.tree.map(lambda y: y / scale, (point.inequality, point.equality))
    parts = split(problem, point.states[0], params, inequality)
    zeros = jnp.zeros_like(point.controls)
    nothing = multipliers_of_bounds(zeros, zeros, point.states)
    return nothing._replace(
        **parts, stage_equality=equality.stage, terminal_equality=equality.terminal
    )
