"""Where a solver starts: what was guessed, and what is put where nothing was."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxmpc.problem import Problem
from jaxmpc.solution import Solution
from jaxmpc.solvers.loop import Guess, WarmStart


def guess_of(
    shape: tuple[int, ...] | None,
    dtype,
    controls,
    states,
    warm_start: Solution | None,
    key: Array | None = None,
) -> Guess:
    """The parts of a guess; None where nothing is known.

    Of a `shape` the controls are zeros then, so that one program serves all calls.
    """
    warm = None
    if warm_start is not None:
        controls = warm_start.controls if controls is None else controls
        warm = WarmStart.of(warm_start)
    if controls is not None:
        controls = jnp.asarray(controls, dtype)
    elif shape is not None:
        controls = np.zeros(shape, dtype)
    return Guess(controls, states, warm, key)  # type: ignore[arg-type]


def full_guess(problem: Problem, x0, guess: Guess) -> Guess:
    """A full guess without derivatives and without numbers that are not finite."""
    controls, states, warm, key = guess
    # Made of the data: over devices a guess varies as that does.
    none = jnp.zeros_like(x0, shape=(problem.horizon, problem.control_dim))
    if controls is None:
        controls = none
    else:
        controls = none + jnp.asarray(controls, x0.dtype)
        controls = jnp.where(jnp.isfinite(controls), controls, 0.0)
    if states is not None:
        states = _sound_states(problem, states, x0)
    if warm is not None:
        warm = warm._replace(states=_sound_states(problem, warm.states, x0))
    return Guess(*jax.lax.stop_gradient((controls, states, warm)), key)


def _sound_states(problem: Problem, states, x0):
    """The states with x0 for what is not finite, all on their space."""
    states = jnp.asarray(states, x0.dtype)
    if problem.state_space is None:
        return jnp.where(jnp.isfinite(states), states, x0)
    states = jax.vmap(problem.projected)(states)
    sound = jnp.all(jnp.isfinite(states), axis=1, keepdims=True)
    return jnp.where(sound, states, problem.projected(x0))
