"""What the pendulum and the cart-pole of the 2018 paper share: the cost's form, the data."""

import json
from collections.abc import Sequence
from importlib import resources
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float


def diagonal_cost(
    x: Float[Array, " n"],
    u: Float[Array, " m"],
    q: Float[ArrayLike, " n+m"] | Sequence[float],
    p: Float[ArrayLike, " n+m"] | Sequence[float],
) -> Float[Array, ""]:
    """The stage cost that the paper learns: 1/2 z' diag(q) z + p' z with z = (x, u).

    With p = -sqrt(q) * goal, as the authors set it, it is a distance to the goal (less a
    constant) only where q is 0 or 1 on the entries of the goal that are not zero.
    Differentiable in all arguments. Source: Amos, Jimenez, Sacks, Boots, Kolter (2018).

    Raises:
        ValueError: q or p of another size than n + m.

    Example:
        >>> u = jnp.array([2.0])
        >>> float(jaxmpc.models.diagonal_cost(x0, u, q=(1.0, 1.0, 0.5), p=(-1.0, 0.0, 0.0)))
        0.5
    """
    z = jnp.concatenate([x, u])
    q, p = jnp.asarray(q, z.dtype), jnp.asarray(p, z.dtype)
    for name, value in (("q", q), ("p", p)):
        if value.shape != z.shape:
            raise ValueError(
                f"models.diagonal_cost: {name} has shape {value.shape}; wanted n + m = {z.shape}."
            )
    return jnp.sum((0.5 * q * z + p) * z)


def paper_initial_states(task: Literal["pendulum", "cartpole"]) -> Float[np.ndarray, "120 n"]:
    """The 120 initial states of the paper's experts: 100 train, 10 validation, 10 test.

    "pendulum" (also for `pendulum_complex`): [120, 3], theta from U(-pi/2, pi/2), velocity from
    U(-1, 1). "cartpole": [120, 5], position and velocity from U(-0.5, 0.5), angle from
    U(-pi, pi), angular velocity from U(-1, 1). Drawn in float32 with the authors' seed 0,
    returned as float64. Source: Amos et al. (2018), the authors' make_dataset.py.

    Raises:
        ValueError: another task.

    Example:
        >>> jaxmpc.models.paper_initial_states("cartpole").shape
        (120, 5)
    """
    data = json.loads(resources.files("jaxmpc.models").joinpath("paper_inits.json").read_text())
    if task not in data:
        raise ValueError(f"paper_initial_states: task is {task!r}; wanted one of {list(data)}.")
    draws = np.asarray(data[task])
    if task == "pendulum":
        theta, velocity = draws.T
        return np.stack([np.cos(theta), np.sin(theta), velocity], axis=1)
    position, velocity, theta, angular_velocity = draws.T
    return np.stack([position, velocity, np.cos(theta), np.sin(theta), angular_velocity], axis=1)
