"""Simulating the dynamics under a control law, and what it costs."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxmpc.problem import Problem, terminal_cost


class Trajectory(NamedTuple):
    """States that follow from controls, their cost, and the sum of the absolute cost terms.

    Rounding of the cost is relative to `magnitude`: the cost itself may be near zero.
    """

    states: Float[Array, "T1 n"]
    controls: Float[Array, "T m"]
    cost: Float[Array, ""]
    magnitude: Float[Array, ""]


def rollout(
    problem: Problem,
    x0: Float[Array, " n"],
    params: PyTree,
    law: Callable[..., Float[Array, " m"]],
    inputs: PyTree,
) -> Trajectory:
    """x_{t+1} = dynamics(x_t, u_t, t, params)  with  u_t = law(x_t, inputs[t])."""

    def step(carry, stage):
        x, cost, magnitude = carry
        t, given = stage
        u = law(x, given)
        term = problem.stage_cost(x, u, t, params)
        x_next = problem.projected(problem.dynamics(x, u, t, params))
        return (x_next, cost + term, magnitude + jnp.abs(term)), (x, u)

    zero = jnp.zeros_like(x0, shape=())
    times = problem.times
    last, (states, controls) = jax.lax.scan(step, (x0, zero, zero), (times, inputs))
    x, cost, magnitude = last
    term = terminal_cost(problem, x, params)
    states = jnp.concatenate([states, x[None]])
    return Trajectory(states, controls, cost + term, magnitude + jnp.abs(term))


def open_loop(
    problem: Problem, x0: Float[Array, " n"], params: PyTree, controls: Float[Array, "T m"]
) -> Trajectory:
    """The trajectory that given controls lead to."""
    return rollout(problem, x0, params, lambda x, u: u, controls)


def objective(
    problem: Problem,
    states: Float[Array, "T1 n"],
    controls: Float[Array, "T m"],
    params: PyTree,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Cost and magnitude of a trajectory, whether or not it satisfies the dynamics."""
    times = problem.times
    stage = jax.vmap(problem.stage_cost, (0, 0, 0, None))(states[:-1], controls, times, params)
    last = terminal_cost(problem, states[-1], params)
    return jnp.sum(stage) + last, jnp.sum(jnp.abs(stage)) + jnp.abs(last)
