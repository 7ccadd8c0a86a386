"""The kinematic bicycle: a car at low speed, steered by the rate of its steering angle."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmpc.models.arguments import Params, arguments

BICYCLE = {"wheelbase": 2.7, "rear_length": 1.5}


def bicycle(x: Float[Array, "4"], u: Float[Array, "2"], params: Params = None) -> Float[Array, "4"]:
    """The time derivative of the state of a two-wheeled car without slip, at its centre of mass.

        beta      = atan(lr delta / L)
        x_dot     = v cos(theta + beta),          y_dot = v sin(theta + beta)
        theta_dot = v cos(beta) tan(delta) / L,   delta_dot = omega

    State: (x [m], y [m], heading theta [rad], steering angle delta [rad]). Control: (speed v
    [m/s], steering rate omega [rad/s]). Parameters: wheelbase L [m], rear_length lr [m] from the
    rear axle to the centre of mass. Differentiable in x, u and params for |delta| < pi/2.

    Source: Rajamani (2012), ch. 2; as in RobotZoo.jl (Jackson, Howell, 2020), whose slip angle
    beta has delta where Rajamani has tan(delta).

    Example:
        >>> print(jaxmpc.models.bicycle(jnp.zeros(4), jnp.array([2.0, 0.5])))  # straight on
        [2.  0.  0.  0.5]
    """
    x, u, p = arguments("bicycle", x, u, params, BICYCLE, (4, 2))
    _, _, theta, delta = x
    speed, steering_rate = u
    beta = jnp.arctan(p.rear_length * delta / p.wheelbase)
    return jnp.stack(
        [
            speed * jnp.cos(theta + beta),
            speed * jnp.sin(theta + beta),
            speed * jnp.cos(beta) * jnp.tan(delta) / p.wheelbase,
            steering_rate,
        ]
    )
