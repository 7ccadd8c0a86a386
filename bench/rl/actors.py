"""Two actors with one interface: the mean of a normal distribution of controls, and its width."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

import jaxmpc
from bench.rl.tasks import Task

_WIDTH, _DEPTH = 64, 2


def network(task: Task, outputs: int, key: Array, last: float) -> eqx.nn.MLP:
    """A perceptron of a task's features, its last layer scaled down by `last`."""
    inputs = jax.eval_shape(lambda: task.features(task.env.initial(key).x)).shape[0]
    made = eqx.nn.MLP(inputs, outputs, _WIDTH, _DEPTH, jax.nn.tanh, key=key)
    return eqx.tree_at(
        lambda mlp: (mlp.layers[-1].weight, mlp.layers[-1].bias),
        made,
        (last * made.layers[-1].weight, jnp.zeros(outputs)),
    )


class Plain(eqx.Module):
    """The control is what a network says."""

    body: eqx.nn.MLP
    log_width: Float[Array, " m"]

    def __init__(self, task: Task, key: Array):
        m = task.env.problem.control_dim
        self.body = network(task, m, key, 0.01)
        self.log_width = jnp.full(m, -0.7)

    def __call__(self, task: Task, x: Float[Array, " n"]) -> Float[Array, " m"]:
        """The mean control at a state."""
        return task.center + task.reach * self.body(task.features(x))


class Planning(eqx.Module):
    """The control is the first of a plan, the cost of which a network sets at every state."""

    body: eqx.nn.MLP
    log_width: Float[Array, " m"]

    def __init__(self, task: Task, key: Array):
        m, k = task.env.problem.control_dim, task.weights["q"].size
        self.body = network(task, 2 * k, key, 0.01)
        self.log_width = jnp.full(m, -0.7)

    def __call__(self, task: Task, x: Float[Array, " n"]) -> Float[Array, " m"]:
        """The mean control at a state."""
        factor, pull = jnp.split(self.body(task.features(x)), 2)
        q, p = task.weights["q"], task.weights["p"]
        weights = {"q": q * jnp.exp(3 * jnp.tanh(factor)), "p": p + q * pull}
        controls = jnp.broadcast_to(task.center, (task.plan.horizon, task.center.size))
        solution = jaxmpc.solve(
            task.plan, task.seen(x), weights, solver=task.solver, controls=controls
        )
        return solution.controls[0]
