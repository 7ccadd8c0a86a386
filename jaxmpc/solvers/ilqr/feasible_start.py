"""From guessed states that violate the dynamics to a trajectory that satisfies them."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxmpc import trees
from jaxmpc.lq.bounds.bounded import bounded_solution_near
from jaxmpc.lq.bounds.control_limited import Policy
from jaxmpc.lq.problem import LQProblem
from jaxmpc.problem import Problem
from jaxmpc.solution import Scales
from jaxmpc.solvers.ilqr.line_search import closed_loop
from jaxmpc.solvers.ilqr.regularization import convexify_expansion
from jaxmpc.trajectory import (
    Trajectory,
    defects,
    derivatives,
    lq_model,
    objective,
    open_loop,
    scales_of,
)
from jaxmpc.trajectory.constraints import without_control_bounds
from jaxmpc.trajectory.tangent import moved

STEPS = 12  # the most that `feasible_start` takes


def feasible_start(
    problem: Problem,
    x0: Float[Array, " n"],
    params: PyTree,
    states: Float[Array, "T1 n"],
    controls: Float[Array, "T m"],
    steps: int,
) -> Trajectory:
    """The best of the trajectories that full multiple-shooting steps from a guess lead to.

    A few Gauss-Newton steps in states and controls, each a bounded LQ problem with the defects
    of the dynamics in it, solved exactly, and taken whole. After each the dynamics are simulated
    with the step's feedback around it, and the cheapest simulation is kept: guessed states lead
    to another, often better local minimum than simulating guessed controls does.

    Source: Bock and Plitt (1984) for multiple shooting; Diehl, Bock and Schloeder (2005) for
    full steps without globalisation.
    """
    limits = problem.limits(x0.dtype)
    states = jnp.concatenate([x0[None], states[1:]])
    inner = without_control_bounds(problem)
    along = derivatives(inner, states, controls, params)
    _, magnitude = objective(problem, states, controls, params)
    scales = scales_of(problem, params, states, controls, magnitude, along)

    def step(_, carry):
        states, controls, side, best = carry
        model = _gauss_newton_model(problem, params, states, controls, scales)
        low, high = limits[0] - controls, limits[1] - controls
        # The bounds that were active in the last step: from the second half on, nearly always
        # the right ones.
        solution, side = bounded_solution_near(model, low, high, side)
        states = moved(problem.state_space, states, solution.states)
        controls = controls + solution.controls
        controls = jnp.clip(controls, *limits)
        zero = jnp.zeros_like(best.cost)
        still = jnp.zeros_like(controls)
        policy = Policy(still, solution.feedback, still.astype(jnp.int32), zero, zero, zero == 0)
        around = Trajectory(states, controls, zero, zero)
        trial = closed_loop(problem, params, around, policy, limits, zero + 1)
        better = trial.cost < best.cost  # False for NaN
        best = trees.where(better, trial, best)
        # Once a step is not finite there is nothing to continue from but the best so far.
        sound = jnp.all(jnp.isfinite(states)) & jnp.all(jnp.isfinite(controls))
        states = jnp.where(sound, states, best.states)
        return states, jnp.where(sound, controls, best.controls), side, best

    first = open_loop(problem, x0, params, controls)
    first = first._replace(cost=jnp.where(jnp.isfinite(first.cost), first.cost, jnp.inf))
    free = jnp.zeros_like(controls, dtype=jnp.int32)
    return jax.lax.fori_loop(0, steps, step, (states, controls, free, first))[-1]


def _gauss_newton_model(problem: Problem, params, states, controls, scales: Scales) -> LQProblem:
    along = derivatives(without_control_bounds(problem), states, controls, params)
    stages, terminal = convexify_expansion(*along.cost, scales)
    return lq_model(
        along.linearization, stages, terminal, defects(problem, states, controls, params)
    )
