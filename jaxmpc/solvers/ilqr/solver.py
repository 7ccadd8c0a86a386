"""Iterative LQR with bounded controls and second-order information."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxmpc import trees
from jaxmpc.checks import check_bool, check_choice, check_positive
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
    violations_of_dynamics,
)
from jaxmpc.solvers.configuration import Configuration, configuration, number
from jaxmpc.solvers.evaluation import Conditions, conditions_at
from jaxmpc.solvers.ilqr import regularization
from jaxmpc.solvers.ilqr.feasible_start import STEPS, feasible_start
from jaxmpc.solvers.ilqr.line_search import Search, line_search
from jaxmpc.solvers.ilqr.regularization import Regularization, convexify_expansion
from jaxmpc.solvers.loop import RUNNING, Guess, finite, iterations_after
from jaxmpc.solvers.options import WORKING_PRECISION, default_tolerance, small_step
from jaxmpc.solvers.report import print_iteration
from jaxmpc.solvers.start import refuse_general_constraints, scales_at_first
from jaxmpc.trajectory import (
    BoundMultipliers,
    Derivatives,
    Linearization,
    Trajectory,
    derivatives,
    dynamics_curvature,
    falls_without_limit,
    lq_model,
    no_scales,
    scales_now,
)
from jaxmpc.trajectory.constraints import without_control_bounds


class ILQRState(NamedTuple):
    """The nominal trajectory, which has been judged, and the policy around it."""

    nominal: Trajectory
    conditions: Conditions
    policy: Policy
    fresh: Bool[Array, ""]  # the nominal trajectory has not been simulated yet
    regularization: Regularization
    scales: Scales
    step_size: Float[Array, ""]  # of the step that led here; zero if none was taken
    steps: Int[Array, ""]
    status: Int[Array, ""]

    @property
    def weight(self) -> Float[Array, ""]:
        """The proximal weight in the model of the next step."""
        return self.regularization.mu


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

    Example:
        >>> found = jaxmpc.solve(problem, x0, params, solver=jaxmpc.ILQR())
        >>> bool(found.converged), bool(abs(found.cost - solution.cost) < 1e-4)
        (True, True)
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
        """The guessed controls, or those of a trajectory near guessed states.

        The first step simulates them. The few multiple-shooting steps that guessed states take
        count for no iterations.
        """
        refuse_general_constraints("ILQR", problem)
        lower, upper = problem.limits(x0.dtype)
        controls = jnp.clip(guess.controls, lower, upper)
        if guess.states is not None:
            states = jnp.concatenate([x0[None], guess.states[1:]])
            controls = feasible_start(problem, x0, params, states, controls, STEPS).controls
        states = jnp.broadcast_to(x0[None], (problem.horizon + 1, *x0.shape))
        zeros = jnp.zeros_like(controls)
        zero = jnp.zeros_like(x0, shape=())
        steps, unknown = zero.astype(jnp.int32), zero + jnp.inf
        costates = jnp.zeros_like(states, shape=(len(states), problem.tangent_dim(x0.shape[0])))
        none, free = zeros[:, :, None] * costates[:1, None], zeros.astype(jnp.int32)
        still = Policy(zeros, none, free, zero, zero, zero == 0)
        possible = jnp.all(lower <= upper)  # False for NaN
        return ILQRState(
            nominal=Trajectory(states, controls, unknown, unknown),
            conditions=Conditions(
                costates, BoundMultipliers(zeros, zeros), Residuals(*[unknown] * 3)
            ),
            policy=still,
            fresh=zero == 0,
            regularization=regularization.start(self.hessian, x0),
            scales=no_scales(problem, x0, params),
            step_size=zero,
            steps=steps,
            status=jnp.where(possible, RUNNING, Status.infeasible).astype(jnp.int32),
        )

    def step(self, problem: Problem, params: PyTree, state: ILQRState) -> ILQRState:
        """Roll the policy out; judge where that leads, and find the next policy there."""
        limits = problem.limits(state.nominal.controls.dtype)
        box = self._box(state.nominal, limits)
        search = line_search(problem, params, state.nominal, state.policy, box)
        moved = self._moved(state, search)
        inner = without_control_bounds(problem)
        along = derivatives(inner, *moved.nominal[:2], params)
        given = (problem, params, moved.nominal, along, moved.scales)
        moved = moved._replace(scales=scales_at_first(moved.fresh, *given))
        judged, stalled = self._judge(problem, state, moved, search, along.linearization)
        if self.verbose:
            print_iteration(judged, search)
        box = self._box(judged.nominal, limits)
        policy = self._policy(problem, params, judged, along, box)
        return judged._replace(policy=trees.where(stalled, state.policy, policy))

    def terminate(self, state: ILQRState) -> Int[Array, ""]:
        """A `Status`, or RUNNING."""
        return state.status

    def postprocess(self, problem: Problem, params: PyTree, state: ILQRState) -> Solution:
        """The judged trajectory with the conditions measured at it."""
        judged = state.nominal
        tolerance = default_tolerance(self.tolerance, judged.states.dtype)
        return Solution(
            states=judged.states,
            controls=judged.controls,
            costates=state.conditions.costates,
            multipliers=multipliers_of_bounds(
                *state.conditions.multipliers, state.conditions.costates
            ),
            violations=violations_of_dynamics(jnp.zeros_like(state.conditions.costates[1:])),
            residuals=state.conditions.residuals,
            tolerance=jnp.zeros_like(judged.cost) + tolerance,
            scales=scales_now(problem, state.scales, judged.magnitude),
            cost=judged.cost,
            gains=Gains(state.policy.k, state.policy.K),
            status=state.status,
            iterations=iterations_after(state.steps),
        )

    def _moved(self, state: ILQRState, search: Search) -> ILQRState:
        """The state after the search: the trial, or what is to be said if none is any good."""
        policy, before = state.policy, state.regularization
        running = state.status == RUNNING
        walked = search.accepted & running & ~state.fresh
        # What is lost in the cost's rounding is near enough for second-order information.
        good = (search.step_size == 1) | search.within_rounding
        updated = regularization.update(before, self.hessian, walked, good, search.step_size)
        # No step is left to try: the proximal term is at its limit, or the model promises less
        # than the cost's rounding and Newton's step does not even keep the cost.
        hopeless = policy.definite & search.within_rounding
        hopeless &= (before.curvature == 0) | (self.hessian == "exact")
        exhausted = updated.mu > regularization.LARGEST
        tolerance = default_tolerance(self.tolerance, policy.slope.dtype)
        near = state.conditions.residuals.largest() <= WORKING_PRECISION * tolerance
        length = jnp.max(jnp.abs(policy.k) / state.scales.controls[None])
        small = policy.definite & (before.mu == 0) & (length <= small_step(length.dtype))
        ending = jnp.where(near | small, Status.converged, Status.line_search_failed)
        limit = jnp.where(exhausted, Status.regularization_limit, RUNNING)
        status = jnp.where(hopeless, ending, limit)
        failed = running & ~walked & ~state.fresh
        return state._replace(
            nominal=trees.where(walked | state.fresh, search.trial, state.nominal),
            regularization=trees.where(state.fresh, before, updated),
            step_size=jnp.where(walked, search.step_size, 0.0),
            steps=jnp.where(running, state.steps + 1, state.steps),
            status=jnp.where(failed, status, state.status).astype(jnp.int32),
        )

    def _judge(
        self,
        problem: Problem,
        before: ILQRState,
        state: ILQRState,
        search: Search,
        linearization: Linearization,
    ) -> tuple[ILQRState, Bool[Array, ""]]:
        """The state with the conditions at its trajectory; the one before if that is no worse."""
        nominal = state.nominal
        scales = scales_now(problem, state.scales, nominal.magnitude)
        conditions = conditions_at(problem, nominal, linearization, scales)
        residuals = conditions.residuals.if_sound(finite(nominal.cost, linearization))
        conditions = conditions._replace(residuals=residuals)
        tolerance = default_tolerance(self.tolerance, nominal.cost.dtype)
        # A step whose gain is lost in the cost's rounding is judged by the residual instead. (A
        # Gauss-Newton step need not lower that, if Newton's can follow.)
        old = before.regularization
        provisional = (old.curvature == 0) & ~old.retreated & (self.hessian == "auto")
        lost = search.accepted & search.within_rounding & ~provisional & ~before.fresh
        lost &= before.status == RUNNING
        stalled = lost & ~(residuals.largest() < before.conditions.residuals.largest())
        kept = (nominal, conditions)
        kept = trees.where(stalled, (before.nominal, before.conditions), kept)
        near = kept[1].residuals.largest() <= WORKING_PRECISION * tolerance
        ending = jnp.where(near, Status.converged, Status.line_search_failed)
        status = jnp.where(stalled, ending, RUNNING)
        status = jnp.where(residuals.largest() <= tolerance, Status.converged, status)
        boundless = falls_without_limit(problem, state.scales, nominal.cost)
        status = jnp.where(boundless, Status.unbounded, status).astype(jnp.int32)
        judged = state._replace(
            nominal=kept[0],
            conditions=kept[1],
            fresh=state.fresh & False,
            status=jnp.where(state.status == RUNNING, status, state.status),
        )
        return judged, stalled

    def _box(self, nominal: Trajectory, limits):
        """Where the controls may go in this iteration: the bounds, and the trust region."""
        if self.trust_region is None:
            return limits
        controls = nominal.controls
        most = jnp.asarray(self.trust_region, controls.dtype)
        return jnp.maximum(limits[0], controls - most), jnp.minimum(limits[1], controls + most)

    def _policy(self, problem, params, state: ILQRState, along: Derivatives, box) -> Policy:
        states, controls = state.nominal[:2]
        # The last policy is part of the result: Newton's, as it is.
        last = state.status != RUNNING
        mu = jnp.where(last, 0.0, state.regularization.mu)
        stages, terminal = along.cost
        convex = convexify_expansion(stages, terminal, state.scales)
        if self.hessian == "gauss_newton":
            stages, terminal = trees.where(last, (stages, terminal), convex)
        else:
            curvature = jnp.where(last, 1.0, state.regularization.curvature)
            costate = state.conditions.costates
            bent = dynamics_curvature(problem, states, controls, costate, params)
            stages, terminal = trees.where(curvature > 0, (stages + bent, terminal), convex)
        on_path = jnp.zeros_like(along.linearization.q[1:])
        model = lq_model(along.linearization, stages, terminal, on_path)
        low, high = box[0] - controls, box[1] - controls
        horizon, m, n = model.S.shape
        recursion = choose(self.riccati, horizon, n, m)
        proximal = mu * state.scales.cost / state.scales.controls**2
        if recursion == SEQUENTIAL:
            return control_limited_policy(model, low, high, proximal)
        bounds = state.conditions.multipliers
        sides = jnp.where(bounds.lower > 0, -1, jnp.where(bounds.upper > 0, 1, 0))
        return bounded_policy(model, low, high, proximal, sides.astype(jnp.int32), recursion)
