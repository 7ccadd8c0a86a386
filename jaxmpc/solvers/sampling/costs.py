"""What sampled controls cost, a few rollouts at a time."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from jaxmpc.problem import Problem
from jaxmpc.solvers.evaluation import row_costs
from jaxmpc.trajectory import Trajectory, open_loop

_CHUNK = 256  # rollouts at once on a CPU


def penalized_cost(
    problem: Problem, params: PyTree, trajectory: Trajectory, penalty: Float[Array, ""]
) -> Float[Array, ""]:
    """The cost of a rollout, with the prices of soft constraints and a penalty on the hard ones.

    inf where it is not finite: such a sample always loses.
    """
    x0, cost = trajectory.states[0], trajectory.cost
    if problem.has_general_constraints:
        rows = row_costs(problem, x0, params, trajectory)
        cost = cost + rows.price + penalty * jnp.sum(rows.excess)
    sound = jnp.isfinite(cost) & jnp.all(jnp.isfinite(trajectory.states))
    return jnp.where(sound, cost, jnp.inf)


def sampled_costs(
    problem: Problem,
    x0: Float[Array, " n"],
    params: PyTree,
    controls: Float[Array, "N T m"],
    penalty: Float[Array, ""],
    count: Int[Array, ""],
    chunk_size: int | None,
) -> Float[Array, " N"]:
    """Those of the first `count` samples, inf for the others, which are not rolled out."""
    number = len(controls)
    if chunk_size is None:
        chunk_size = _CHUNK if jax.default_backend() == "cpu" else number
    chunk = min(chunk_size, number)
    chunks = -(-number // chunk)
    padded = jnp.concatenate([controls, controls[: chunks * chunk - number]])

    def cost(controls):
        trajectory = open_loop(problem, x0, params, controls)
        return penalized_cost(problem, params, trajectory, penalty)

    def roll(k, costs):
        part = jax.lax.dynamic_slice_in_dim(padded, k * chunk, chunk)
        return jax.lax.dynamic_update_slice_in_dim(costs, jax.vmap(cost)(part), k * chunk, 0)

    costs = jnp.zeros_like(controls, shape=(chunks * chunk,)) + jnp.inf
    costs = jax.lax.fori_loop(0, -(-count // chunk), roll, costs)[:number]
    return jnp.where(jnp.arange(number, dtype=count.dtype) < count, costs, jnp.inf)
