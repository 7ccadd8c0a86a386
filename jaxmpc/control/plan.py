"""What a receding-horizon controller remembers from sample to sample, and the policy in it."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree, UInt32

from jaxmpc.problem import Problem
from jaxmpc.problem.functions import Split, StaticTree
from jaxmpc.solution import Solution
from jaxmpc.trajectory.tangent import between, step_between


class Plan(NamedTuple):
    """The memory of a `RecedingHorizon`: a pytree of fixed structure.

    Attributes:
        solution: the last one that could be relied on; before there is any, the guess.
        stage: int32, that of `solution` which belongs to the sample served last, or to the
            coming one if that is `prepared`. It grows for as long as no new solution is found.
        prepared: whether the coming sample's plan is made already.
        begun: whether there has been a solution.
        status: int32, a `Status`: of the last solve, or `non_finite` for a state that was not.
        iterations: int32, of the last solve.
        failures: int32, how many solves in a row could not be relied on.
        counts: [9] int32, how often each `Status` has come about.
        samples: int32, how often a plan was made or kept.
        state: [n], where the last control acts: as measured, or predicted over the delay; the
            plan's where that is not finite.
        control: [m], the last control.
        pending: [delay, m], controls on their way to the plant, the next one first; at the
            beginning zeros, moved within the bounds.
        params: those of the last plan, where a delay asks for predictions; None without.
        key: [2] uint32, for solvers that sample, or None.

    Example:
        >>> u, plan = controller.step(x0, controller.init(x0, params), params)
        >>> plan.solution.controls.shape, int(plan.samples), int(plan.failures)
        ((10, 1), 1, 0)
    """

    solution: Solution
    stage: Int[Array, ""]
    prepared: Bool[Array, ""]
    begun: Bool[Array, ""]
    status: Int[Array, ""]
    iterations: Int[Array, ""]
    failures: Int[Array, ""]
    counts: Int[Array, "9"]
    samples: Int[Array, ""]
    state: Float[Array, " n"]
    control: Float[Array, " m"]
    pending: Float[Array, "d m"]
    params: PyTree
    key: UInt32[Array, "2"] | None

    def coming(self) -> Int[Array, ""]:
        """The stage of the coming sample."""
        return jnp.where(self.prepared, self.stage, self.stage + 1)


def closed(plan: Plan, params: PyTree) -> Plan:
    """A plan as callers keep it: with what of the params are no numbers, where it holds params."""
    if plan.params is None:
        return plan
    _, static = eqx.partition(params, eqx.is_array_like)
    return plan._replace(params=Split(plan.params, StaticTree.of(static)))


def opened(plan: Plan) -> Plan:
    """The inverse: a plan of arrays alone."""
    return plan if plan.params is None else plan._replace(params=plan.params.arrays)


def policy(
    problem: Problem, plan: Plan, x: Float[Array, " n"], stage: Int[Array, ""], fraction=0.0
) -> Float[Array, " m"]:
    """u* + K (x - x*) within the bounds, some way from one stage to the next.

    u* where x or x* is not finite, or no point of the space. Beyond the end of the plan its last
    stage is followed.
    """
    solution = plan.solution
    index = jnp.minimum(stage, problem.horizon - 1)
    here, after = solution.states[index], solution.states[index + 1]
    space = problem.state_space
    star = between(space, here, after, fraction)
    known = jnp.all(jnp.isfinite(problem.projected(x))) & jnp.all(jnp.isfinite(star))
    somewhere = problem.projected(jnp.ones_like(x))
    away = step_between(space, *(jnp.where(known, at, somewhere) for at in (star, x)))
    lower, upper = problem.limits(x.dtype)
    u = solution.controls[index] + solution.gains.feedback[index] @ away
    return jnp.clip(u, lower[0], upper[0])


def predicted(
    problem: Problem, params: PyTree, x: Float[Array, " n"], pending: Float[Array, "d m"]
) -> Float[Array, " n"]:
    """Where the model is when all pending controls have acted, each as in stage 0."""
    start = problem.times[0]
    for u in pending:
        x = problem.projected(problem.dynamics(x, u, start, params))
    return x
