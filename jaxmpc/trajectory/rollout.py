"""Simulating the dynamics under given controls, and what it costs."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxmpc.problem import Problem, terminal_cost


def rollout(
    problem: Problem, x0: Float[Array, " n"], controls: Float[Array, "T m"], params: PyTree
) -> Float[Array, "T1 n"]:
    """The states that the controls lead to: x_{t+1} = dynamics(x_t, u_t, t, params)."""

    def step(x, stage):
        t, u = stage
        x_next = problem.dynamics(x, u, t, params)
        return x_next, x_next

    _, states = jax.lax.scan(step, x0, (jnp.arange(problem.horizon), controls))
    return jnp.concatenate([x0[None], states])


def objective(
    problem: Problem,
    states: Float[Array, "T1 n"],
    controls: Float[Array, "T m"],
    params: PyTree,
) -> Float[Array, ""]:
    """The total cost of a trajectory, whether or not it satisfies the dynamics."""
    return jnp.sum(cost_terms(problem, states, controls, params))


def cost_terms(
    problem: Problem,
    states: Float[Array, "T1 n"],
    controls: Float[Array, "T m"],
    params: PyTree,
) -> Float[Array, " T1"]:
    """The stage costs and the terminal cost of a trajectory."""
    times = jnp.arange(problem.horizon)
    stage = jax.vmap(problem.stage_cost, (0, 0, 0, None))(states[:-1], controls, times, params)
    return jnp.append(stage, terminal_cost(problem, states[-1], params))
