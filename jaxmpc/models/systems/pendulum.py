"""The pendulum of the 2018 differentiable-MPC paper: discrete step, cost, states."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from jaxmpc.models.arguments import Params, angle, arguments, saturate
from jaxmpc.models.paper import diagonal_cost

PENDULUM = {"gravity": 10.0, "mass": 1.0, "length": 1.0}
PENDULUM_COMPLEX = {**PENDULUM, "damping": 0.0, "wind": 0.0}
PENDULUM_DT = 0.05  # s
PENDULUM_MAX_TORQUE = 2.0  # N m
PENDULUM_COST = {"q": (1.0, 1.0, 0.1, 0.001), "p": (-1.0, 0.0, 0.0, 0.0)}


def pendulum(
    x: Float[Array, "3"], u: Float[Array, "1"], params: Params = None
) -> Float[Array, "3"]:
    """One step of 0.05 s of a torque-limited rod, semi-implicit Euler.

        velocity' = velocity + dt (3 g / (2 l) sin(theta) + 3 u / (m l^2))
        theta'    = theta + dt velocity'

    State: (cos theta, sin theta, velocity [rad/s]), theta = 0 upright. Control: torque [N m],
    clipped to +-2 inside, as in the source. Parameters: gravity [m/s^2], mass [kg], length [m].
    Differentiable in x, u and params.

    Source: Amos, Jimenez, Sacks, Boots, Kolter (2018), the authors' code.

    Example:
        >>> hanging = jaxmpc.models.pendulum_state(jnp.pi)
        >>> round(float(jaxmpc.models.pendulum(hanging, jnp.array([1.0]))[2]), 3)  # 3 dt u
        0.15
    """
    x, u, p = arguments("pendulum", x, u, params, PENDULUM, (3, 1))
    return _step(x, u, p, 3 * p.gravity / (2 * p.length) * x[1])


def pendulum_complex(
    x: Float[Array, "3"], u: Float[Array, "1"], params: Params = None
) -> Float[Array, "3"]:
    """One step of 0.05 s of the pendulum that the simple one cannot represent.

        velocity' = velocity + dt (3 g / (2 l) sin(theta + b) + 3 u / (m l^2) - d theta)
        theta'    = theta + dt velocity'

    State and control as in `pendulum`. Parameters: those of `pendulum`, damping d [1/s^2] and
    wind b [rad]. As in the source, the "damping" multiplies the angle and not the velocity, and
    the "wind" is an offset of the angle; so with d != 0 the step jumps where theta wraps
    (theta = pi, hanging). The paper's expert has d = 1 and b = 0.1.
    Differentiable in x (away from that jump), u and params.

    Source: Amos, Jimenez, Sacks, Boots, Kolter (2018), the authors' code.

    Example:
        >>> gusty = {**jaxmpc.models.PENDULUM_COMPLEX, "wind": 0.1}
        >>> upright = jaxmpc.models.pendulum_state(0.0)
        >>> round(float(jaxmpc.models.pendulum_complex(upright, jnp.zeros(1), gusty)[2]), 3)
        0.075
    """
    x, u, p = arguments("pendulum_complex", x, u, params, PENDULUM_COMPLEX, (3, 1))
    theta = angle(x[0], x[1])
    swing = 3 * p.gravity / (2 * p.length) * jnp.sin(theta + p.wind) - p.damping * theta
    return _step(x, u, p, swing)


def _step(x, u, p, swing):
    cos, sin, velocity = x
    torque = saturate(u[0], PENDULUM_MAX_TORQUE)
    velocity = velocity + PENDULUM_DT * (swing + 3 * torque / (p.mass * p.length**2))
    return pendulum_state(angle(cos, sin) + PENDULUM_DT * velocity, velocity)


def pendulum_state(
    theta: Float[ArrayLike, ""], velocity: Float[ArrayLike, ""] = 0.0
) -> Float[Array, "3"]:
    """The state (cos theta, sin theta, velocity) of an angle [rad], 0 upright, and its rate.

    Numbers, or arrays of one shape for a batch [3, ...]. Differentiable in both.

    Example:
        >>> print(jaxmpc.models.pendulum_state(0.0, 1.5))
        [1.  0.  1.5]
    """
    return jnp.stack(jnp.broadcast_arrays(jnp.cos(theta), jnp.sin(theta), velocity))


def pendulum_cost(x: Float[Array, "3"], u: Float[Array, "1"], t=None, params=None):
    """The paper's stage cost, 1/2 z' diag(q) z + p' z with z = (x, u); `params` is not used.

    q = (1, 1, 0.1, 0.001), p = (-1, 0, 0, 0): half the squared distance to the upright state,
    less 1/2. Learn q and p with `diagonal_cost`. Source: Amos et al. (2018).

    Differentiable in x and u.

    Example:
        >>> float(jaxmpc.models.pendulum_cost(jaxmpc.models.pendulum_state(0.0), jnp.zeros(1)))
        -0.5
    """
    return diagonal_cost(x, u, **PENDULUM_COST)
