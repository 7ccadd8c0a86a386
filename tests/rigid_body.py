"""A rigid body that is turned by bounded torques: the problem of the tests on state spaces."""

import jax.numpy as jnp
import numpy as np

import jaxmpc
from jaxmpc import spaces

T, DT = 16, 0.25
SPACE = spaces.Product(spaces.UnitQuaternion(), spaces.Euclidean(3))
PARAMS = {"inertia": np.array([1.0, 2.0, 3.5]), "goal": np.array([1.0, 0, 0, 0, 0, 0, 0])}
# Some 100 degrees about no axis of the body's, at rest.
X0 = np.array([0.63, 0.48, -0.36, 0.49, 0.0, 0.0, 0.0])
X0[:4] /= np.linalg.norm(X0[:4])


def dynamics(x, u, t, params):
    """Euler's equations, a step of Euler's method on the space: little to compile."""
    inertia, turning = params["inertia"], x[4:]
    torque = u - jnp.cross(turning, inertia * turning)
    return SPACE.retract(x, DT * jnp.concatenate([turning, torque / inertia]))


def effort(x, u, t, params):
    return 0.5 * DT * jnp.sum(u**2)


def off_goal(x, params):
    return SPACE.difference(params["goal"], x)


def far_from_goal(x, params):
    return 20.0 * jnp.sum(off_goal(x, params) ** 2)


def slew(bound=0.6, space=SPACE, hard=False, horizon=T, **more):
    """Rest to rest with the least effort; the goal is a terminal cost, or `hard`."""
    end = {"terminal_equality": off_goal} if hard else {"terminal_cost": far_from_goal}
    return jaxmpc.Problem(
        dynamics,
        effort,
        horizon=horizon,
        control_dim=3,
        control_bounds=(-bound, bound),
        state_space=space,
        **{**end, **more},
    )
