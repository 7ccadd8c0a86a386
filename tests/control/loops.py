"""Small plants with wrong models, for the tests of this folder."""

import jax.numpy as jnp
import numpy as np

import jaxmpc

DT = 0.1
PARAMS = {"gravity": 2.0, "effort": jnp.array(0.1), "goal": jnp.array(0.0)}
X0 = np.array([0.6, 0.0])


def swing(x, u, gravity):
    """A rod with its angle from upright, explicit Euler."""
    return x + DT * jnp.stack([x[1], gravity * jnp.sin(x[0]) + u[0]])


def problem(horizon=10, bound=1.5, **constraints):
    return jaxmpc.Problem(
        lambda x, u, t, p: swing(x, u, p["gravity"]),
        lambda x, u, t, p: (x[0] - p["goal"]) ** 2 + 0.1 * x[1] ** 2 + p["effort"] * u[0] ** 2,
        lambda x, p: 10.0 * (x[0] - p["goal"]) ** 2 + x[1] ** 2,
        horizon=horizon,
        control_dim=1,
        control_bounds=(-bound, bound),
        **constraints,
    )


def plant(gravity=2.2):
    """The same rod, a little heavier than the model."""
    return lambda x, u, t: swing(x, u, gravity)
