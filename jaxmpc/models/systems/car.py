"""Tassa's car: the discrete step of the iLQG toolbox's parking problem."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmpc.models.arguments import Params, arguments

CAR = {"wheelbase": 2.0, "dt": 0.03}


def car(x: Float[Array, "4"], u: Float[Array, "2"], params: Params = None) -> Float[Array, "4"]:
    """One step of a car whose front wheels roll f = dt v in the direction w of the steering.

        b      = f cos(w) + d - sqrt(d^2 - f^2 sin(w)^2)          (what the rear axle rolls)
        x'     = x + b cos(theta),         y' = y + b sin(theta)
        theta' = theta + asin(f sin(w) / d),    v' = v + dt a

    State: (x [m], y [m], theta [rad], v [m/s], of the front wheels), at the rear axle. Control:
    (w [rad], a [m/s^2]). Parameters: wheelbase d [m], dt [s].
    Differentiable in x, u and params where |f sin(w)| < d; a step beyond has no geometry: NaN.

    Source: Tassa, Mansard, Todorov (2014).

    Example:
        >>> x = jaxmpc.models.car(jnp.array([0.0, 0.0, 0.0, 1.0]), jnp.array([0.0, 2.0]))
        >>> print(x)
        [0.03 0.   0.   1.06]
    """
    x, u, p = arguments("car", x, u, params, CAR, (4, 2))
    px, py, theta, v = x
    steering, acceleration = u
    roll = p.dt * v
    side = roll * jnp.sin(steering)
    # d - sqrt(d^2 - side^2), written without the cancellation that leaves float32 no digits
    recession = side**2 / (p.wheelbase + jnp.sqrt(p.wheelbase**2 - side**2))
    rear = roll * jnp.cos(steering) + recession
    return jnp.stack(
        [
            px + rear * jnp.cos(theta),
            py + rear * jnp.sin(theta),
            theta + jnp.arcsin(side / p.wheelbase),
            v + p.dt * acceleration,
        ]
    )
