"""A line search of multiple shooting: a grid of step sizes at once, by the solver's own rule."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxmpc.solvers.filter import Merit
from jaxmpc.solvers.iterate import Iterate, Setting, Values

_STEP_SIZES = 14


class Trial(NamedTuple):
    """A point that a step leads to, and what the rule says of it."""

    point: Iterate
    values: Values
    merit: Merit
    accepted: Bool[Array, "*k"]
    by_objective: Bool[Array, "*k"]
    size: Float[Array, "*k"]


class Search(NamedTuple):
    """The point after the step, and whether it may be taken, and for its objective alone."""

    point: Iterate
    accepted: Bool[Array, ""]
    by_objective: Bool[Array, ""]
    step_size: Float[Array, ""]
    length: Float[Array, ""]  # of Newton's whole step in states and controls, in their units
    now: Merit  # of the point before the step, as the trials were compared with it


def backtrack(
    trial_at: Callable[[Array], tuple[Iterate, Values, Merit]],
    judge: Callable[[Values, Merit, Array], tuple[Array, Array]],
    longest: Float[Array, ""],
) -> tuple[Trial, Trial]:
    """The longest step of a halving sequence that is accepted, and the first one tried."""
    sizes = longest * 0.5 ** jnp.arange(_STEP_SIZES, dtype=longest.dtype)
    points, values, merits = jax.vmap(trial_at)(sizes)
    trials = Trial(points, values, merits, *judge(values, merits, sizes), sizes)
    best = jnp.argmax(trials.accepted)
    at_best = jax.tree.map(lambda leaf: leaf[best], trials)
    return at_best, jax.tree.map(lambda leaf: leaf[0], trials)


def length_of(change: Iterate, setting: Setting) -> Float[Array, ""]:
    """The largest change of a state or control, in its unit."""
    of_states = jnp.max(jnp.abs(change.states) / setting.units.states)
    return jnp.maximum(of_states, jnp.max(jnp.abs(change.controls) / setting.units.controls))
