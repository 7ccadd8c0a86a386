"""Quadrotors: in the plane with six states, in space with thirteen."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from jaxmpc.models.arguments import Params, arguments
from jaxmpc.spaces import Euclidean, Product, UnitQuaternion

PLANAR_QUADROTOR = {"mass": 0.486, "inertia": 0.00383, "arm_length": 0.25, "gravity": 9.81}
QUADROTOR = {
    "mass": 0.5,
    "inertia_x": 0.0023,
    "inertia_y": 0.0023,
    "inertia_z": 0.004,
    "arm_length": 0.175,
    "drag_torque": 0.0245,
    "gravity": 9.81,
}
QUADROTOR_SPACE = Product(Euclidean(3), UnitQuaternion(), Euclidean(6))  # of `quadrotor`'s states


def planar_quadrotor(
    x: Float[Array, "6"], u: Float[Array, "2"], params: Params = None
) -> Float[Array, "6"]:
    """The time derivative of the state of a rigid bar with a rotor at each end.

        m y_ddot = -(u1 + u2) sin(phi),      m z_ddot = (u1 + u2) cos(phi) - m g
        J phi_ddot = r (u1 - u2)

    State: (y, z [m], phi [rad], their rates), z up, rotor 1 at the end towards +y. Control: the
    thrusts (u1, u2) [N]; m g / 2 each hovers. Parameters: mass m [kg], inertia J [kg m^2],
    arm_length r [m], gravity g [m/s^2]. Differentiable in x, u and params.

    Source: Tedrake (2023), Underactuated Robotics, ch. 3.

    Example:
        >>> hover = jnp.full(2, 0.486 * 9.81 / 2)
        >>> bool(jnp.allclose(jaxmpc.models.planar_quadrotor(jnp.zeros(6), hover), 0.0, atol=1e-5))
        True
    """
    x, u, p = arguments("planar_quadrotor", x, u, params, PLANAR_QUADROTOR, (6, 2))
    phi = x[2]
    lift = (u[0] + u[1]) / p.mass
    acceleration = [
        -lift * jnp.sin(phi),
        lift * jnp.cos(phi) - p.gravity,
        p.arm_length * (u[0] - u[1]) / p.inertia,
    ]
    return jnp.concatenate([x[3:], jnp.stack(acceleration)])


def quadrotor(
    x: Float[Array, "13"], u: Float[Array, "4"], params: Params = None
) -> Float[Array, "13"]:
    """The time derivative of the state of a rigid body with four rotors, quaternion attitude.

        m r_ddot = R(q) (0, 0, u1 + u2 + u3 + u4) - (0, 0, m g)
        q_dot    = 1/2 q * (0, omega),       J omega_dot = tau - omega x J omega
        tau      = (L (u2 - u4), L (u3 - u1), k (u1 - u2 + u3 - u4))

    State: (position r [m], quaternion q = (w, x, y, z) from body to world, velocity in the world
    [m/s], angular velocity omega in the body [rad/s]). The quaternion is not normalised, nor is
    R(q) of a longer one: an integrator drifts off the unit sphere at its own order. With
    `state_space=models.QUADROTOR_SPACE` a problem keeps it there.
    Control: thrusts [N]; m g / 4 each hovers. Parameters: mass m [kg], inertia_x, inertia_y,
    inertia_z (J) [kg m^2], arm_length L [m], drag_torque k [m], gravity g [m/s^2].
    Differentiable in x, u and params.

    Source: Mellinger, Michael, Kumar (2012); values of RobotZoo.jl (Jackson, Howell, 2020).

    Example:
        >>> x = jaxmpc.models.quadrotor_state(jnp.zeros(3))
        >>> hover = jnp.full(4, 0.5 * 9.81 / 4)
        >>> bool(jnp.allclose(jaxmpc.models.quadrotor(x, hover), 0.0, atol=1e-5))
        True
    """
    state, u, p = arguments("quadrotor", x, u, params, QUADROTOR, (13, 4))
    w, x, y, z = state[3:7]
    velocity, (wx, wy, wz) = state[7:10], state[10:]
    lift = jnp.sum(u) / p.mass
    acceleration = [
        lift * 2 * (x * z + w * y),
        lift * 2 * (y * z - w * x),
        lift * (w**2 - x**2 - y**2 + z**2) - p.gravity,
    ]
    attitude_rate = [
        0.5 * (-x * wx - y * wy - z * wz),
        0.5 * (w * wx + y * wz - z * wy),
        0.5 * (w * wy - x * wz + z * wx),
        0.5 * (w * wz + x * wy - y * wx),
    ]
    jx, jy, jz = p.inertia_x, p.inertia_y, p.inertia_z
    angular_acceleration = [
        (p.arm_length * (u[1] - u[3]) - (jz - jy) * wy * wz) / jx,
        (p.arm_length * (u[2] - u[0]) - (jx - jz) * wz * wx) / jy,
        (p.drag_torque * (u[0] - u[1] + u[2] - u[3]) - (jy - jx) * wx * wy) / jz,
    ]
    return jnp.concatenate(
        [velocity, jnp.stack(attitude_rate), jnp.stack(acceleration + angular_acceleration)]
    )


def quadrotor_state(position: Float[ArrayLike, "3"]) -> Float[Array, "13"]:
    """The level state at rest at a position [m].

    Differentiable in the position.

    Example:
        >>> print(jaxmpc.models.quadrotor_state(jnp.array([1.0, 2.0, 3.0]))[:7])
        [1. 2. 3. 1. 0. 0. 0.]
    """
    position = jnp.asarray(position)
    position = position.astype(jnp.result_type(position, float))
    level = jnp.ones_like(position, shape=(1,))
    return jnp.concatenate([position, level, jnp.zeros_like(position, shape=(9,))])
