"""Solutions on a space of states, where the rules of derivatives know ordinary numbers alone.

A rule is applied in the chart around the solution: to the problem of steps from its states, which
are constants there. What it returns then moves along the space as the steps do.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxmpc.derivatives.adjoint import straight_through
from jaxmpc.derivatives.instance import Instance
from jaxmpc.problem import Problem
from jaxmpc.solution import Gains, Solution, Status
from jaxmpc.spaces.entries import LEAVES_SPACE, distance
from jaxmpc.trajectory.chart import chart
from jaxmpc.trajectory.tangent import carried, moved, step_between


class OnSpace(NamedTuple):
    """What a chart changes of a solution."""

    states: Float[Array, "T1 n"]
    costates: Float[Array, "T1 k"]
    feedback: Float[Array, "T m k"]


def told_off(problem: Problem, params: PyTree, solution: Solution) -> Solution:
    """The solution; if the dynamics lead off the state space on the way, it has not converged."""

    def off(x, u, t):
        return distance(problem.state_space, problem.dynamics(x, u, t, params))

    farthest = jnp.max(jax.vmap(off)(solution.states[:-1], solution.controls, problem.times))
    left = solution.converged & (farthest > LEAVES_SPACE)
    status = jnp.where(left, Status.off_space, solution.status)
    return dataclasses.replace(solution, status=status.astype(solution.status.dtype))


def in_chart(instance: Instance, solution: Solution) -> tuple[Instance, Solution]:
    """The instance of the steps from a solution, and the solution among them: no steps at all.

    As they are where states are plain numbers.
    """
    if instance.problem.state_space is None:
        return instance, solution
    # Zeros that `vmap` sees vary with the solution: a rule returns the derivative of what varies.
    none = jnp.zeros_like(solution.costates)
    steps = jnp.where(jnp.isnan(solution.costates), none, none)
    return chart_of(instance, solution.states), dataclasses.replace(solution, states=steps)


def chart_of(instance: Instance, states: Float[Array, "T1 n"]) -> Instance:
    """The instance of the steps from states, which are constants."""
    problem, x0, params, scales = instance
    base = _base(problem, states)
    # An x0 that is no point of the space has a derivative of zero, as one that is not finite.
    known = jnp.all(jnp.isfinite(problem.projected(jax.lax.stop_gradient(x0))))
    first = step_between(problem.state_space, base[0], jnp.where(known, x0, base[0]))
    return Instance(chart(problem, base), first, params, scales)


def out_of_chart(problem: Problem, solution: Solution, inside: Solution) -> Solution:
    """The inverse of `in_chart`: the solution itself, with the derivatives of the steps."""
    given = (inside.states, inside.costates, inside.gains.feedback)
    own = OnSpace(solution.states, solution.costates, solution.gains.feedback)
    found: Any = straight_through(own, on_space(problem, solution.states, *given))
    gains = Gains(inside.gains.feedforward, found.feedback)
    return dataclasses.replace(inside, states=found.states, costates=found.costates, gains=gains)


def on_space(
    problem: Problem,
    states: Float[Array, "T1 n"],
    steps: Float[Array, "T1 k"],
    costates: Float[Array, "T1 k"],
    feedback: Float[Array, "T m k"],
) -> OnSpace:
    """Where steps lead, and what costates and gains are there, in further steps from there."""
    base, space = _base(problem, states), problem.state_space
    there = moved(space, base, steps)
    rows = jax.vmap(lambda row: carried(space, base[:-1], there[:-1], row), 1, 1)
    return OnSpace(there, carried(space, base, there, costates), rows(feedback))


def _base(problem: Problem, states: Float[Array, "T1 n"]) -> Float[Array, "T1 n"]:
    """The states as constants; anything instead of what is not finite, which has no derivative."""
    states = jax.lax.stop_gradient(states)
    somewhere = problem.projected(jnp.ones_like(states[0]))
    sound = jnp.all(jnp.isfinite(states), axis=1, keepdims=True)
    return jnp.where(sound, states, somewhere[None])
