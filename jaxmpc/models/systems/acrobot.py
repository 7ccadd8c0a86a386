"""The acrobot: two links, one motor in the joint between them."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmpc.models.arguments import Params, arguments

ACROBOT = {
    "mass1": 1.0,
    "mass2": 1.0,
    "length1": 1.0,
    "length2": 1.0,
    "inertia1": 1.0,
    "inertia2": 1.0,
    "gravity": 9.81,
    "friction": 1.0,
}


def acrobot(x: Float[Array, "4"], u: Float[Array, "1"], params: Params = None) -> Float[Array, "4"]:
    """The time derivative of the state of a double pendulum with a motor at the second joint.

        M(theta) theta_ddot = (0, u) - b - G - c theta_dot
        M11 = m1 l1^2 + J1 + m2 (l1^2 + l2^2 + 2 l1 l2 cos(theta2)) + J2
        M12 = m2 (l2^2 + l1 l2 cos(theta2)) + J2,      M22 = m2 l2^2 + J2
        b   = m2 l1 l2 sin(theta2) (-2 w1 w2 - w2^2, w1^2)
        G   = g ((m1 + m2) l1 cos(theta1) + m2 l2 cos(theta1 + theta2), m2 l2 cos(theta1 + theta2))

    State: (theta1 from the horizontal, theta2 relative to link 1 [rad], w1, w2 [rad/s]); hanging
    is (-pi/2, 0, 0, 0), upright (pi/2, 0, 0, 0). Control: torque [N m]. Parameters: mass1, mass2
    [kg] at the ends of the links, length1, length2 [m], inertia1, inertia2 [kg m^2], gravity
    [m/s^2], friction c of both joints [N m s].
    Differentiable in x, u and params.

    Source: Spong (1995); values of RobotZoo.jl (Jackson, Howell, 2020). RobotZoo has inertia2
    inside the bracket of mass2 in M12 and length2 for length1 in G; equal at its unit values,
    but only the form above conserves energy at others.

    Example:
        >>> hanging = jnp.array([-jnp.pi / 2, 0.0, 0.0, 0.0])
        >>> rates = jaxmpc.models.acrobot(hanging, jnp.array([1.0]))
        >>> print(rates[2:])
        [-0.6  1.4]
    """
    x, u, p = arguments("acrobot", x, u, params, ACROBOT, (4, 1))
    theta1, theta2, w1, w2 = x
    cos2, sin2, cos12 = jnp.cos(theta2), jnp.sin(theta2), jnp.cos(theta1 + theta2)
    lever = p.mass2 * p.length1 * p.length2

    m22 = p.mass2 * p.length2**2 + p.inertia2
    m12 = m22 + lever * cos2
    m11 = p.mass1 * p.length1**2 + p.inertia1 + p.mass2 * p.length1**2 + m12 + lever * cos2
    gravity2 = p.gravity * p.mass2 * p.length2 * cos12
    gravity1 = p.gravity * (p.mass1 + p.mass2) * p.length1 * jnp.cos(theta1) + gravity2
    torque1 = lever * sin2 * (2 * w1 * w2 + w2**2) - gravity1 - p.friction * w1
    torque2 = u[0] - lever * sin2 * w1**2 - gravity2 - p.friction * w2

    determinant = m11 * m22 - m12**2
    return jnp.stack(
        [
            w1,
            w2,
            (m22 * torque1 - m12 * torque2) / determinant,
            (m11 * torque2 - m12 * torque1) / determinant,
        ]
    )
