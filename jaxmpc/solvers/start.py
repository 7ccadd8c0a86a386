"""Where the multiple-shooting solvers start: the first states, and what is known of the scales."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from jaxmpc import trees
from jaxmpc.problem import Problem
from jaxmpc.solution import Scales
from jaxmpc.solvers.loop import Guess
from jaxmpc.trajectory import Derivatives, Trajectory, no_scales, objective, open_loop, scales_of

WORSE = 1000.0  # how many times what standing still costs makes a simulation useless


def starting_states(
    problem: Problem, params: PyTree, simulated: Trajectory
) -> Float[Array, "T1 n"]:
    """The simulation of the guessed controls, or x0 at all stages where that is no use.

    It is none where it is not finite, and where it costs many times what standing still does:
    unstable dynamics lead far away, and what is expanded there says nothing of the solution.
    """
    states, controls, cost, size = simulated
    still = jnp.broadcast_to(states[0], states.shape)
    cost_still, size_still = objective(problem, still, controls, params)
    worse = (cost > cost_still) & (size > WORSE * size_still)
    useless = worse | ~jnp.isfinite(cost) | ~jnp.all(jnp.isfinite(states))
    return jnp.where(useless, still, states)


def first_states(
    problem: Problem,
    x0: Float[Array, " n"],
    params: PyTree,
    controls: Float[Array, "T m"],
    guess: Guess,
) -> Float[Array, "T1 n"]:
    """The guessed states, or those that the controls lead to."""
    given = guess.states
    if given is None and guess.warm is not None:
        given = guess.warm.states
    if given is None:
        return starting_states(problem, params, open_loop(problem, x0, params, controls))
    return jnp.concatenate([x0[None], given[1:]])


def scales_of_guess(problem: Problem, x0, params: PyTree, guess: Guess) -> Scales:
    """What an earlier solution says of the scales; zeros where there is none to trust."""
    unknown = no_scales(problem, x0, params)
    if guess.warm is None:
        return unknown
    return trees.where(guess.warm.usable, guess.warm.scales, unknown)


def scales_at_first(
    first: Bool[Array, ""],
    problem: Problem,
    params: PyTree,
    trajectory: Trajectory,
    along: Derivatives,
    known: Scales,
) -> Scales:
    """The scales, measured at the `first` trajectory; what is `known` of them later.

    There too if it is larger: near rest a trajectory by itself says little of the scales.
    """

    def measured():
        states, controls, _, magnitude = trajectory
        scales = scales_of(problem, params, states, controls, magnitude, along)
        return jax.tree.map(jnp.maximum, scales, known)

    return jax.lax.cond(first, measured, lambda: known)


def refuse_general_constraints(solver: str, problem: Problem):
    """Raise for a problem with more constraints than control bounds."""
    if problem.has_general_constraints:
        raise ValueError(
            f"jaxmpc: solver is {solver}, which has no constraints but control_bounds; for this "
            "problem leave solver out, or use InteriorPoint."
        )
