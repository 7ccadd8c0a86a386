"""Cart-poles: the discrete one of the 2018 paper, and the continuous one of acados."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from jaxmpc.models.arguments import Params, arguments, rotate, saturate
from jaxmpc.models.paper import diagonal_cost

CARTPOLE = {"gravity": 9.8, "masscart": 1.0, "masspole": 0.1, "length": 0.5}
CARTPOLE_DT = 0.05  # s
CARTPOLE_MAX_FORCE = 100.0  # N
CARTPOLE_COST = {"q": (0.1, 0.1, 1.0, 1.0, 0.1, 0.001), "p": (0.0, 0.0, -1.0, 0.0, 0.0, 0.0)}
CARTPOLE_ACADOS = {"mass_cart": 1.0, "mass_pole": 0.1, "length": 0.8, "gravity": 9.81}


def cartpole(
    x: Float[Array, "5"], u: Float[Array, "1"], params: Params = None
) -> Float[Array, "5"]:
    """One step of 0.05 s of a pole on a cart, explicit Euler on position, angle and their rates.

        cart  = (u + m l omega^2 sin(theta)) / (M + m)
        alpha = (g sin(theta) - cos(theta) cart) / (l (4/3 - m cos(theta)^2 / (M + m)))
        a     = cart - m l alpha cos(theta) / (M + m)

    State: (position [m], velocity [m/s], cos theta, sin theta, omega [rad/s]), theta = 0 upright.
    Control: force on the cart [N], clipped to +-100 inside, as in the source. Parameters:
    gravity g [m/s^2], masscart M [kg], masspole m [kg], length l [m], half that of the pole.
    Differentiable in x, u and params.

    Source: Barto, Sutton, Anderson (1983), in the form of Amos, Jimenez, Sacks, Boots, Kolter
    (2018), the authors' code.

    Example:
        >>> upright = jaxmpc.models.cartpole_state(0.0, 0.0, 0.0)
        >>> print(jaxmpc.models.cartpole(upright, jnp.array([1.1])))
        [ 0.     0.054  1.     0.    -0.08 ]
    """
    x, u, p = arguments("cartpole", x, u, params, CARTPOLE, (5, 1))
    position, velocity, cos, sin, omega = x
    total, pole = p.masscart + p.masspole, p.masspole * p.length
    cart = (saturate(u[0], CARTPOLE_MAX_FORCE) + pole * omega**2 * sin) / total
    swing = p.length * (4 / 3 - p.masspole * cos**2 / total)
    alpha = (p.gravity * sin - cos * cart) / swing
    acceleration = cart - pole * alpha * cos / total
    cos_next, sin_next = rotate(cos, sin, CARTPOLE_DT * omega)
    return jnp.stack(
        [
            position + CARTPOLE_DT * velocity,
            velocity + CARTPOLE_DT * acceleration,
            cos_next,
            sin_next,
            omega + CARTPOLE_DT * alpha,
        ]
    )


def cartpole_state(
    position: Float[ArrayLike, ""],
    velocity: Float[ArrayLike, ""],
    theta: Float[ArrayLike, ""],
    angular_velocity: Float[ArrayLike, ""] = 0.0,
) -> Float[Array, "5"]:
    """The state of `cartpole` from position [m], velocity [m/s], angle [rad] and rate [rad/s].

    Numbers, or arrays of one shape for a batch [5, ...]. Differentiable in all of them.

    Example:
        >>> print(jaxmpc.models.cartpole_state(0.5, 0.0, 0.0, 2.0))
        [0.5 0.  1.  0.  2. ]
    """
    entries = position, velocity, jnp.cos(theta), jnp.sin(theta), angular_velocity
    return jnp.stack(jnp.broadcast_arrays(*entries))


def cartpole_cost(x: Float[Array, "5"], u: Float[Array, "1"], t=None, params=None):
    """The paper's stage cost, 1/2 z' diag(q) z + p' z with z = (x, u); `params` is not used.

    q = (0.1, 0.1, 1, 1, 0.1, 0.001), p = (0, 0, -1, 0, 0, 0): half the weighted squared distance
    to the upright state at the origin, less 1/2. Learn q and p with `diagonal_cost`.
    Source: Amos et al. (2018).

    Differentiable in x and u.

    Example:
        >>> upright = jaxmpc.models.cartpole_state(0.0, 0.0, 0.0)
        >>> float(jaxmpc.models.cartpole_cost(upright, jnp.zeros(1)))
        -0.5
    """
    return diagonal_cost(x, u, **CARTPOLE_COST)


def cartpole_acados(
    x: Float[Array, "4"], u: Float[Array, "1"], params: Params = None
) -> Float[Array, "4"]:
    """The time derivative of the state of a point mass on a massless rod on a cart.

        v_dot     = (-m l sin(theta) omega^2 + m g cos(theta) sin(theta) + u) / D
        omega_dot = (-m l cos(theta) sin(theta) omega^2 + u cos(theta) + (M + m) g sin(theta))
                    / (l D),                              D = M + m - m cos(theta)^2

    State: (position [m], theta [rad], v [m/s], omega [rad/s]), theta = 0 upright. Control: force
    on the cart [N]. Parameters: mass_cart M [kg], mass_pole m [kg], length l [m], gravity g
    [m/s^2]. Differentiable in x, u and params.

    Source: Verschueren et al. (2022), the acados getting-started example.

    Example:
        >>> print(jaxmpc.models.cartpole_acados(jnp.zeros(4), jnp.array([1.0])))
        [0.   0.   1.   1.25]
    """
    x, u, p = arguments("cartpole_acados", x, u, params, CARTPOLE_ACADOS, (4, 1))
    _, theta, v, omega = x
    sin, cos = jnp.sin(theta), jnp.cos(theta)
    total = p.mass_cart + p.mass_pole
    denominator = total - p.mass_pole * cos**2
    centrifugal = p.mass_pole * p.length * sin * omega**2
    v_dot = (-centrifugal + p.mass_pole * p.gravity * cos * sin + u[0]) / denominator
    swing = -centrifugal * cos + u[0] * cos + total * p.gravity * sin
    return jnp.stack([v, omega, v_dot, swing / (p.length * denominator)])
