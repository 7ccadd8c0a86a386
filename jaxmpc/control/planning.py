"""A sample of a receding-horizon controller: plan, decide what may be relied on, follow."""

import dataclasses
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from jaxmpc import trees
from jaxmpc.control.plan import Plan, policy, predicted
from jaxmpc.control.shifting import shift
from jaxmpc.solution import Solution, Status
from jaxmpc.solvers import keys
from jaxmpc.solvers.guesses import full_guess
from jaxmpc.solvers.loop import Guess, Solver, WarmStart, result_of, run
from jaxmpc.solvers.start import first_states, starting_states
from jaxmpc.solving import attached, default_solver
from jaxmpc.trajectory import open_loop, rollout
from jaxmpc.trajectory.tangent import step_between

if TYPE_CHECKING:
    from jaxmpc.control.receding_horizon import RecedingHorizon


def solver_of(controller: "RecedingHorizon") -> Solver:
    """The controller's solver, or the one that `solve` would pick."""
    return controller.solver or default_solver(controller.problem)


def first_plan(
    controller: "RecedingHorizon", x0: Float[Array, " n"], params: PyTree, guess
) -> Plan:
    """The guess as a plan, which has not begun unless it is a solution."""
    problem, solver = controller.problem, solver_of(controller)
    x0 = problem.projected(x0)
    given = jax.lax.stop_gradient((problem, x0, params))
    start = full_guess(problem, x0, guess)
    states = first_states(*given, start.controls, start)
    start = start._replace(states=states)
    solution = result_of(solver, problem, params, solver.init(*given, start))
    solution = solution.compact(problem).expanded(problem)
    warm, known = guess.warm, {"states": states, "controls": start.controls}
    begun = jnp.isnan(x0[0]) & False
    if warm is not None:
        begun = warm.usable
        known |= {"costates": warm.costates, "multipliers": warm.multipliers, "scales": warm.scales}
    solution = dataclasses.replace(solution, **known)
    none = jnp.zeros_like(solution.status)
    lower, upper = (limit[0] for limit in problem.limits(x0.dtype))
    idle = jnp.clip(jnp.zeros_like(start.controls[0]), lower, upper)
    pending = jnp.tile(idle, (controller.delay, 1))
    return Plan(
        solution=solution,
        stage=none,
        prepared=~(begun & False),
        begun=begun,
        status=none + Status.max_iterations,
        iterations=none,
        failures=none,
        counts=jnp.zeros_like(x0, shape=(len(Status),), dtype=jnp.int32),
        samples=none,
        state=predicted(problem, params, x0, pending),
        control=idle,
        pending=pending,
        params=jax.tree.map(jnp.asarray, params) if controller.delay else None,
        key=guess.key,
    )


def step(controller: "RecedingHorizon", x: Float[Array, " n"], plan: Plan, params: PyTree):
    """Plan from where the control will act, and apply the beginning."""
    plan = with_params(controller, plan, params)
    at, lost = acting(controller, x, plan)
    # The state is the plan's own: what its gains are does not matter, nor how they change.
    return followed(controller, at, replanned(controller, at, lost, plan, params, gains=False))


def feedback(controller: "RecedingHorizon", x: Float[Array, " n"], plan: Plan):
    """The policy of the plan, where the control will act."""
    return followed(controller, acting(controller, x, plan)[0], plan)


def acting(
    controller: "RecedingHorizon", x: Float[Array, " n"], plan: Plan
) -> tuple[Float[Array, " n"], Bool[Array, ""]]:
    """Where the control will act, and whether that is only known from the plan.

    What is not finite never meets the dynamics, whose derivative would not be either.
    """
    lost = ~jnp.all(jnp.isfinite(x))
    x = controller.problem.projected(_known(x, plan))
    at = predicted(controller.problem, plan.params, x, plan.pending)
    lost |= ~jnp.all(jnp.isfinite(at))
    return jnp.where(lost, _expected(plan), at), lost


def prepare(controller: "RecedingHorizon", plan: Plan, params: PyTree) -> Plan:
    """Plan from the state that the model predicts for the coming sample."""
    plan = with_params(controller, plan, params)
    state = _known(plan.state, plan)
    x = predicted(controller.problem, params, state, plan.control[None])
    x = _known(jnp.where(plan.prepared, state, x), plan)
    lost = ~jnp.all(jnp.isfinite(x))
    if isinstance(controller.every, int) and controller.every == 1:
        return replanned(controller, x, lost, plan, params)
    due = (plan.samples % controller.every == 0) | ~plan.begun | (plan.failures > 0)
    kept = plan._replace(samples=plan.samples + 1)
    if controller.between == "rollout":
        kept = _simulated(controller, x, kept, params)
    return jax.lax.cond(due, lambda: replanned(controller, x, lost, plan, params), lambda: kept)


def replanned(
    controller: "RecedingHorizon",
    x: Float[Array, " n"],
    lost: Bool[Array, ""],
    plan: Plan,
    params: PyTree,
    gains: bool = True,
) -> Plan:
    """Solve for the coming sample; `gains` says whether they are to be differentiated."""
    problem, solver, adjoint = controller.problem, solver_of(controller), controller.adjoint
    limit = solver.max_iterations
    if controller.iterations is not None:
        limit = jnp.where(plan.begun, controller.iterations, limit)
    given = (problem, x, params)
    fixed, driven = jax.lax.stop_gradient((given, solver))
    found = run(driven, *fixed, guess_of_plan(controller, *fixed[1:], plan), limit)
    status, stopped = found.status, found.converged & False
    if controller.iterations is not None:
        stopped = status == Status.max_iterations
        if adjoint.on_failure == "zero":  # a plan that counts has a derivative, a sampled one none
            trusted = stopped & jnp.isfinite(found.residuals.largest())
            counted = jnp.where(trusted, Status.converged, status).astype(status.dtype)
            found = dataclasses.replace(found, status=counted)
    found = attached(adjoint, given, found)
    constant = jax.lax.stop_gradient(found)
    kept = found.gains if gains else constant.gains  # their derivative has third derivatives in it
    moving = {"states": found.states, "controls": found.controls, "gains": kept}
    found = dataclasses.replace(constant, status=status, **moving)
    return updated(plan, found, stopped, lost)


def guess_of_plan(
    controller: "RecedingHorizon", x: Float[Array, " n"], params: PyTree, plan: Plan
) -> Guess:
    """The plan as it is at the coming sample; what `solve` starts from after too many failures."""
    problem = controller.problem
    ahead = shift(plan.solution, jnp.where(plan.begun, plan.coming(), 0))
    nowhere = ~plan.begun & ~jnp.all(jnp.isfinite(ahead.states))
    anew = (plan.failures >= controller.patience) | nowhere
    idle = jnp.clip(jnp.zeros_like(ahead.controls), *problem.limits(x.dtype))
    start = starting_states(problem, params, open_loop(problem, x, params, idle))
    states, controls = trees.where(anew, (start, idle), (ahead.states, ahead.controls))
    usable = plan.begun & ~anew
    warm = WarmStart(ahead.states, ahead.costates, ahead.multipliers, ahead.scales, usable)
    key = plan.key
    if key is not None:  # another one for each plan
        key = keys.folded(key, plan.samples)
    return Guess(*jax.lax.stop_gradient((controls, states, warm)), key)


def updated(plan: Plan, found: Solution, stopped: Bool[Array, ""], lost: Bool[Array, ""]) -> Plan:
    """The plan with what was found in it if that may be relied on; else one stage on.

    It may if it converged or was sampled, or was `stopped` early on purpose, unless the state that
    it is for was `lost`.
    """
    good = (found.converged | (found.status == Status.sampled) | stopped) & ~lost
    status = jnp.where(lost, Status.non_finite, found.status).astype(jnp.int32)
    return plan._replace(
        solution=trees.where(good, found, plan.solution),
        stage=jnp.where(good, 0, plan.coming()),
        prepared=plan.prepared | True,
        begun=plan.begun | good,
        status=status,
        iterations=found.iterations,
        failures=jnp.where(good, 0, plan.failures + 1),
        counts=plan.counts + jax.nn.one_hot(status, len(Status), dtype=jnp.int32),
        samples=plan.samples + 1,
        state=jnp.where(good, found.states[0], plan.state),
    )


def _simulated(
    controller: "RecedingHorizon", x: Float[Array, " n"], plan: Plan, params: PyTree
) -> Plan:
    """The plan as its own policy leads it on from a state; as it is where that is not finite."""
    problem = controller.problem
    ahead = shift(plan.solution, plan.coming())

    def law(x, stage):
        x_star, u_star, K, lower, upper = stage
        return jnp.clip(u_star + K @ step_between(problem.state_space, x_star, x), lower, upper)

    along = (ahead.states[:-1], ahead.controls, ahead.gains.feedback, *problem.limits(x.dtype))
    states, controls, *_ = rollout(problem, x, params, law, along)
    found = dataclasses.replace(ahead, states=states, controls=controls)
    sound = jnp.all(jnp.isfinite(states)) & jnp.all(jnp.isfinite(controls))
    return plan._replace(
        solution=trees.where(sound, found, plan.solution),
        stage=jnp.where(sound, 0, plan.coming()),
        prepared=plan.prepared | True,
        state=jnp.where(sound, x, plan.state),
    )


def followed(controller: "RecedingHorizon", at: Float[Array, " n"], plan: Plan):
    """The control of the coming sample, and the plan when that is past."""
    stage = plan.coming()
    u = policy(controller.problem, plan, at, stage)
    pending = jnp.concatenate([plan.pending, u[None]])[1:]
    after = plan._replace(stage=stage, prepared=plan.prepared & False, state=at, control=u)
    return u, after._replace(pending=pending)


def _known(x: Float[Array, " n"], plan: Plan) -> Float[Array, " n"]:
    """A state, or where it is not finite that of the plan."""
    return jnp.where(jnp.all(jnp.isfinite(x)), x, _expected(plan))


def _expected(plan: Plan) -> Float[Array, " n"]:
    states = plan.solution.states
    return states[jnp.minimum(plan.coming(), len(states) - 1)]


def with_params(controller: "RecedingHorizon", plan: Plan, params: PyTree) -> Plan:
    """The plan with the params that predictions over a delay are made with."""
    if not controller.delay:
        return plan
    # Of the types of before: a plan's structure is fixed.
    same = jax.tree.map(lambda old, new: jnp.asarray(new, old.dtype), plan.params, params)
    return plan._replace(params=same)
