"""A chain of masses between a fixed point and an end that the control moves."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmpc.models.arguments import Params, arguments

CHAIN = {"mass": 0.033, "stiffness": 1.0, "rest_length": 0.033, "damping": 0.1, "gravity": 9.81}


def chain(x: Float[Array, " n"], u: Float[Array, "3"], params: Params = None) -> Float[Array, " n"]:
    """The time derivative of the state of M free masses in a row, joined by M + 1 springs.

        a_i = s_{i+1} - s_i + c_{i+1} - c_i - g e_z,     i = 1 .. M
        s_i = D / m (1 - L / |d_i|) d_i,   d_i = p_i - p_{i-1},   p_0 = 0
        c_i = C (v_i - v_{i-1}),   v_0 = 0,   v_{M+1} = u

    State: (positions p_1 .. p_{M+1} [m], velocities v_1 .. v_M [m/s]), n = 6 M + 3: M is read
    from the size. Control: velocity of the end p_{M+1} [m/s]. Parameters: mass m [kg], stiffness
    D [N/m], rest_length L [m], damping C [1/s] (not divided by the mass, as in acados), each a
    number or one a link, [M+1]; gravity g [m/s^2].
    Differentiable in x, u and params; a link of no length has no direction, and pulls as if L
    were 0.

    Source: Wirsching, Bock, Diehl (2006), in the form of acados' chain_mass example.

    Example:
        >>> x = jnp.zeros(9).at[3].set(0.1).at[0].set(0.05)  # one free mass halfway to the end
        >>> print(jaxmpc.models.chain(x, jnp.array([0.0, 0.0, 0.5]))[3:])
        [ 0.    0.    0.5   0.    0.   -9.76]
    """
    masses, remainder = divmod(jnp.size(x) - 3, 6)
    if jnp.ndim(x) != 1 or remainder or masses < 1:
        raise ValueError(
            f"models.chain: x has shape {jnp.shape(x)}; wanted (6 M + 3,) with M >= 1 free masses."
        )
    x, u, p = arguments("chain", x, u, params, CHAIN, (6 * masses + 3, 3))
    positions = x[: 3 * (masses + 1)].reshape(masses + 1, 3)
    velocities = x[3 * (masses + 1) :].reshape(masses, 3)

    zero = jnp.zeros_like(u)[None]
    link = jnp.diff(positions, axis=0, prepend=zero)
    stretch = jnp.diff(velocities, axis=0, prepend=zero, append=u[None])
    squared = jnp.sum(link**2, axis=1, keepdims=True)
    no_length = squared == 0  # the square root has no derivative there
    inverse_length = jnp.where(no_length, 0, 1 / jnp.sqrt(jnp.where(no_length, 1, squared)))
    mass, stiffness, rest_length, damping = (
        jnp.reshape(jnp.asarray(value, x.dtype), (-1, 1))
        for value in (p.mass, p.stiffness, p.rest_length, p.damping)
    )
    pull = stiffness / mass * (1 - rest_length * inverse_length) * link + damping * stretch
    down = jnp.asarray([0, 0, 1], u.dtype) * p.gravity
    accelerations = jnp.diff(pull, axis=0) - down[None]
    return jnp.concatenate([x[3 * (masses + 1) :], u, accelerations.ravel()])
