"""The unicycle (Dubins car with a free speed)."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmpc.models.arguments import Params, arguments

UNICYCLE: dict[str, float] = {}  # it has no parameters


def unicycle(
    x: Float[Array, "3"], u: Float[Array, "2"], params: Params = None
) -> Float[Array, "3"]:
    """The time derivative of the state of a wheel that rolls without slip.

        x_dot = v cos(theta),   y_dot = v sin(theta),   theta_dot = omega

    State: (x [m], y [m], theta [rad]). Control: (v [m/s], omega [rad/s]). It has no parameters;
    `params` is there so that it is called like the others. Differentiable in x and u.

    Source: Dubins (1957); e.g. LaValle, Planning Algorithms (2006), section 13.1.

    Example:
        >>> print(jaxmpc.models.unicycle(jnp.zeros(3), jnp.array([1.0, 0.5])))
        [1.  0.  0.5]
    """
    x, u, _ = arguments("unicycle", x, u, params, UNICYCLE, (3, 2))
    theta = x[2]
    return jnp.stack([u[0] * jnp.cos(theta), u[0] * jnp.sin(theta), u[1]])
