"""Iterative LQR with bounded controls and second-order information."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxmpc import trees
from jaxmpc.checks import check_bool, check_choice, check_positive
from jaxmpc.configuration import Configuration, configuration, number
from jaxmpc.lq.bounds.control_limited import Policy, control_limited_policy
from jaxmpc.lq.bounds.parallel_policy import bounded_policy
from jaxmpc.lq.riccati.choice import CHOICES, SEQUENTIAL, choose
from jaxmpc.problem import Problem
from jaxmpc.solution import (
    Gains,
    Residuals,
    Scales,
    Solution,
    Status,
    multipliers_of_bounds,
    no_violations,
)
from jaxmpc.solvers.evaluation import Conditions, conditions_at
from jaxmpc.solvers.ilqr import regularization
from jaxmpc.solvers.ilqr.feasible_start import STEPS, feasible_start
from jaxmpc.solvers.ilqr.line_search import Search, line_search
from jaxmpc.solvers.ilqr.regularization import Regularization, convexify_expansion
from jaxmpc.solvers.loop import RUNNING, Guess, finite, iterations_after
from jaxmpc.solvers.options import WORKING_PRECISION, default_tolerance, small_step
from jaxmpc.solvers.report import print_iteration
from jaxmpc.solvers.start import refuse_general_constraints, starting_states
from jaxmpc.trajectory import (
    BoundMultipliers,
    Linearization,
    Trajectory,
    derivatives,
    falls_without_limit,
    lagrangian_hessian,
    linearize,
    lq_model,
    objective,
    open_loop,
    scales_now,
    scales_of,
)
from jaxmpc.trajectory.constraints import without_control_bounds


class ILQRState(NamedTuple):
    """The nominal trajectory, and the one before, which was judged: the result so far."""

    nominal: Trajectory
    previous: Trajectory
    conditions: Conditions  # of `previous`
    gains: Gains  # the policy around `previous`
    regularization: Regularization
    scales: Scales
    within_rounding: Bool[Array, ""]
    steps: Int[Array, ""]
    status: Int[Array, ""]


@configuration
class ILQR(Configuration):
    """Control-limited differential dynamic programming, for problems with bounded controls.

    Each iteration expands the problem along the nominal trajectory, minimises every stage's
    Q-function over the box of its controls, and rolls the resulting policy out.

    Attributes:
        max_iterations: the limit on Newton steps.
        tolerance: on the scaled KKT residual at the returned point; by default 1e-8 in float64
            and 1e-4 in float32. What stalls in rounding within ten times that is a solution too.
        hessian: "gauss_newton" leaves the dynamics' curvature out and makes the cost's Hessian
            convex where it is not; "exact" keeps both; "auto" takes Gauss-Newton steps far away
            and exact ones where they succeed, so that the tail is quadratic.
        riccati: the backward pass, "sequential" in time; "parallel" by associative scans, for the
            box of all stages at once (rollouts of the dynamics remain sequential); "auto": the
            one that was measured to be faster at these sizes on this device.
        trust_region: the most that a control may change in an iteration (in its own units), or
            None.
        verbose: print a table of iterations; compiled out otherwise.

    Sources: Tassa, Mansard and Todorov (2014), 'Control-limited differential dynamic
    programming'; Dunn and Bertsekas (1989) for Newton's method by stages.
    """

    max_iterations: int = number(default=500)
    tolerance: float | None = number(default=None)
    hessian: str = "auto"
    riccati: str = "auto"
    trust_region: float | None = number(default=None)
    verbose: bool = False

    def __post_init__(self):
        check_positive("ILQR", "max_iterations", self.max_iterations, whole=True)
        check_positive("ILQR", "tolerance", self.tolerance, optional=True)
        check_positive("ILQR", "trust_region", self.trust_region, optional=True)
        check_choice("ILQR", "hessian", self.hessian, ("auto", "gauss_newton", "exact"))
        check_bool("ILQR", "verbose", self.verbose)
        check_choice("ILQR", "riccati", self.riccati, CHOICES)

    def init(self, problem: Problem, x0: Float[Array, " n"], params: PyTree, guess: Guess):
        """The first nominal trajectory: that of the guessed controls, or one from guessed states.

        The few multiple-shooting steps that guessed states take count for no iterations.
        """
        refuse_general_constraints("ILQR", problem)
        lower, upper = problem.limits(x0.dtype)
        controls = jnp.clip(guess.controls, lower, upper)
        nominal = open_loop(problem, x0, params, controls)
        if guess.states is None:
            states = starting_states(problem, params, nominal)  # for the scales alone
        else:
            states = jnp.concatenate([x0[None], guess.states[1:]])
        along = derivatives(without_control_bounds(problem), states, controls, params)
        _, magnitude = objective(problem, states, controls, params)
        scales = scales_of(problem, params, states, controls, magnitude, along)
        if guess.states is not None:
            nominal = feasible_start(problem, x0, params, states, controls, STEPS, scales)
        zeros = jnp.zeros_like(nominal.controls)
        infinite = jnp.full_like(nominal.cost, jnp.inf)
        steps = jnp.zeros_like(nominal.cost, dtype=jnp.int32)
        possible = jnp.all(lower <= upper)  # False for NaN
        return ILQRState(
            nominal=nominal,
            previous=nominal,
            conditions=Conditions(
                jnp.zeros_like(nominal.states),
                BoundMultipliers(zeros, zeros),
                Residuals(*[infinite] * 3),
            ),
            gains=Gains(zeros, zeros[:, :, None] * x0[None, None]),
            regularization=regularization.start(self.hessian, x0),
            scales=scales,
            within_rounding=steps < 0,
            steps=steps,
            status=jnp.where(possible, RUNNING, Status.infeasible).astype(jnp.int32),
        )

    def step(self, problem: Problem, params: PyTree, state: ILQRState) -> ILQRState:
        """Judge the nominal trajectory; unless it is the last one, improve it."""
        limits = problem.limits(state.nominal.controls.dtype)
        linearization = linearize(problem, *state.nominal[:2], params)
        state = self._judge(problem, state, linearization)
        box = self._box(state, limits)
        policy = self._policy(problem, params, state, linearization, box)
        search = line_search(problem, params, state.nominal, policy, box)
        if self.verbose:
            print_iteration(state, search)
        return self._advance(state, policy, search)

    def terminate(self, state: ILQRState) -> Int[Array, ""]:
        """A `Status`, or RUNNING."""
        return state.status

    def postprocess(self, problem: Problem, params: PyTree, state: ILQRState) -> Solution:
        """The last judged trajectory with the conditions measured at it."""
        judged = state.previous
        tolerance = default_tolerance(self.tolerance, judged.cost.dtype)
        return Solution(
            states=judged.states,
            controls=judged.controls,
            costates=state.conditions.costates,
            multipliers=multipliers_of_bounds(*state.conditions.multipliers, judged.states),
            violations=no_violations(judged.states),
            residuals=state.conditions.residuals,
            tolerance=jnp.zeros_like(judged.cost) + tolerance,
            scales=scales_now(problem, state.scales, judged.magnitude),
            cost=judged.cost,
            gains=state.gains,
            status=state.status,
            iterations=iterations_after(state.steps),
        )

    def _judge(self, problem: Problem, state: ILQRState, linearization) -> ILQRState:
        nominal = state.nominal
        scales = scales_now(problem, state.scales, nominal.magnitude)
        conditions = conditions_at(problem, nominal, linearization, scales)
        residuals = conditions.residuals.if_sound(finite(nominal.cost, linearization))
        conditions = conditions._replace(residuals=residuals)
        tolerance = default_tolerance(self.tolerance, nominal.cost.dtype)
        # A step whose gain is lost in the cost's rounding is judged by the residual instead.
        stalled = state.within_rounding & ~(
            residuals.largest() < state.conditions.residuals.largest()
        )
        kept = (nominal, conditions)
        kept = trees.where(stalled, (state.previous, state.conditions), kept)
        near = kept[1].residuals.largest() <= WORKING_PRECISION * tolerance
        ending = jnp.where(near, Status.converged, Status.line_search_failed)
        status = jnp.where(stalled, ending, RUNNING)
        status = jnp.where(residuals.largest() <= tolerance, Status.converged, status)
        boundless = falls_without_limit(problem, state.scales, nominal.cost)
        status = jnp.where(boundless, Status.unbounded, status).astype(jnp.int32)
        status = jnp.where(state.status == RUNNING, status, state.status)
        steps = jnp.where(state.status == RUNNING, state.steps + 1, state.steps)
        return state._replace(nominal=kept[0], conditions=kept[1], steps=steps, status=status)

    def _box(self, state: ILQRState, limits):
        """Where the controls may go in this iteration: the bounds, and the trust region."""
        if self.trust_region is None:
            return limits
        controls = state.nominal.controls
        most = jnp.asarray(self.trust_region, controls.dtype)
        return jnp.maximum(limits[0], controls - most), jnp.minimum(limits[1], controls + most)

    def _policy(self, problem, params, state: ILQRState, linearization: Linearization, box):
        states, controls = state.nominal[:2]
        n = states.shape[1]
        # The last policy is part of the result: Newton's, as it is.
        last = state.status != RUNNING
        mu = jnp.where(last, 0.0, state.regularization.mu)
        curvature = jnp.where(last, 1.0, state.regularization.curvature)
        costate = curvature * state.conditions.costates
        stages, terminal = lagrangian_hessian(problem, states, controls, costate, params)
        if self.hessian != "exact":
            expansion = (stages, terminal)
            convex = convexify_expansion(*expansion, state.scales)
            stages, terminal = trees.where(curvature > 0, expansion, convex)
        model = lq_model(linearization, stages, terminal, jnp.zeros_like(states[1:]))
        low, high = box[0] - controls, box[1] - controls
        horizon, m = controls.shape
        recursion = choose(self.riccati, horizon, n, m)
        proximal = mu * state.scales.cost / state.scales.controls**2
        if recursion == SEQUENTIAL:
            return control_limited_policy(model, low, high, proximal)
        bounds = state.conditions.multipliers
        sides = jnp.where(bounds.lower > 0, -1, jnp.where(bounds.upper > 0, 1, 0))
        return bounded_policy(model, low, high, proximal, sides.astype(jnp.int32), recursion)

    def _advance(self, state: ILQRState, policy: Policy, search: Search) -> ILQRState:
        running = state.status == RUNNING
        accepted = search.accepted & running
        before = state.regularization
        # What is lost in the cost's rounding is near enough for second-order information.
        good = (search.step_size == 1) | search.within_rounding
        updated = regularization.update(before, self.hessian, accepted, good, search.step_size)
        # No step is left to try: the proximal term is at its limit, or the model promises less
        # than the cost's rounding and Newton's step does not even keep the cost.
        first_order = before.curvature == 0
        hopeless = (
            policy.definite & search.within_rounding & (first_order | (self.hessian == "exact"))
        )
        # A Gauss-Newton step need not lower the residual, if Newton's can follow.
        provisional = first_order & ~before.retreated & (self.hessian == "auto")
        exhausted = updated.mu > regularization.LARGEST
        tolerance = default_tolerance(self.tolerance, policy.slope.dtype)
        near = state.conditions.residuals.largest() <= WORKING_PRECISION * tolerance
        length = jnp.max(jnp.abs(policy.k) / state.scales.controls[None])
        small = policy.definite & (before.mu == 0) & (length <= small_step(length.dtype))
        ending = jnp.where(near | small, Status.converged, Status.line_search_failed)
        limit = jnp.where(exhausted, Status.regularization_limit, RUNNING)
        status = jnp.where(hopeless, ending, limit)
        status = jnp.where(running & ~accepted, status, state.status).astype(jnp.int32)
        return state._replace(
            nominal=trees.where(accepted, search.trial, state.nominal),
            previous=state.nominal,
            gains=Gains(policy.k, policy.K),
            regularization=updated,
            within_rounding=accepted & search.within_rounding & ~provisional,
            status=status,
        )
