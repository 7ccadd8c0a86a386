"""Attitudes as unit quaternions (w, x, y, z), of Hamilton's kind."""

import dataclasses
import math

import jax.numpy as jnp
from jaxtyping import Array, Float

_SMALL = 1e-2  # the square of half an angle up to which these series are summed, in minus squares
_COSINE = [1 / math.factorial(2 * k) for k in range(6)]
_SINE = [1 / math.factorial(2 * k + 1) for k in range(6)]  # divided by the angle
# phi / sin(phi) as a series in 1 - cos(phi), for phi up to an eighth of a turn.
_TURN = [2**k * math.factorial(k) ** 2 / math.factorial(2 * k + 1) for k in range(13)]


@dataclasses.dataclass(frozen=True)
class UnitQuaternion:
    """An attitude: four numbers (w, x, y, z) of length one, three directions.

        retract(q, v) = q * exp(v / 2),      difference(p, q) = 2 log(conj(p) * q)

    v is a rotation vector [rad] in the frame of the body. q and -q are one attitude: the difference
    is that of the nearer one, at most pi long. Its derivative jumps at half a turn, where two ways
    are equally short; there the one along the vector part is taken.

    Source: Sola, Deray and Atchuthan (2018), 'A micro Lie theory for state estimation in
    robotics', example 4 and appendix B, right plus and minus.

    Example:
        >>> space, level = jaxmpc.spaces.UnitQuaternion(), jnp.array([1.0, 0.0, 0.0, 0.0])
        >>> turned = space.retract(level, jnp.array([0.0, 0.0, jnp.pi / 2]))
        >>> print(turned)
        [0.707 0.    0.    0.707]
        >>> round(float(space.difference(level, turned)[2]), 3)
        1.571
    """

    dim: int = dataclasses.field(default=4, init=False, repr=False)
    tangent_dim: int = dataclasses.field(default=3, init=False, repr=False)

    def retract(self, x: Float[Array, "4"], dx: Float[Array, "3"]) -> Float[Array, "4"]:
        """Turn by dx in the frame of the body; x of another length counts as its direction."""
        turned = multiply(x, exponential(dx))
        return turned / jnp.sqrt(jnp.sum(turned**2))

    def difference(self, x: Float[Array, "4"], y: Float[Array, "4"]) -> Float[Array, "3"]:
        """The shortest turn from x to y, in the frame of x."""
        return logarithm(multiply(conjugate(x), y))


def multiply(p: Float[Array, "4"], q: Float[Array, "4"]) -> Float[Array, "4"]:
    """Hamilton's product of two quaternions: first q, then p, as rotations of vectors.

    Bilinear in their numbers (w, x, y, z), of any length; differentiable in both.

    Example:
        >>> i, j = jnp.array([0.0, 1.0, 0.0, 0.0]), jnp.array([0.0, 0.0, 1.0, 0.0])
        >>> print(jaxmpc.spaces.multiply(i, j))
        [0. 0. 0. 1.]
    """
    a, b, c, d = p
    w, x, y, z = q
    return jnp.stack(
        [
            a * w - b * x - c * y - d * z,
            a * x + b * w + c * z - d * y,
            a * y - b * z + c * w + d * x,
            a * z + b * y - c * x + d * w,
        ]
    )


def conjugate(q: Float[Array, "4"]) -> Float[Array, "4"]:
    """The inverse of a unit quaternion."""
    return jnp.concatenate([q[:1], -q[1:]])


def rotate(q: Float[Array, "4"], v: Float[Array, "3"]) -> Float[Array, "3"]:
    """A vector of the body in the frame of the world, for the attitude q of the body.

    q is of length one; the result is in the unit of v. Differentiable in both.

    Example:
        >>> upside_down = jnp.array([0.0, 1.0, 0.0, 0.0])  # half a turn about x
        >>> print(jaxmpc.spaces.rotate(upside_down, jnp.array([1.0, 2.0, 3.0])))
        [ 1. -2. -3.]
    """
    twice = 2 * jnp.cross(q[1:], v)
    return v + q[0] * twice + jnp.cross(q[1:], twice)


def exponential(v: Float[Array, "3"]) -> Float[Array, "4"]:
    """The unit quaternion of a rotation vector."""
    square = jnp.sum(v**2) / 4  # of half the angle
    small = square < _SMALL
    near = jnp.where(small, square, 0.0)
    half = jnp.sqrt(jnp.where(small, 1.0, square))
    cosine = jnp.where(small, _polynomial(-near, _COSINE), jnp.cos(half))
    sine = jnp.where(small, _polynomial(-near, _SINE), jnp.sin(half) / half)
    return jnp.concatenate([cosine[None], 0.5 * sine * v])


def logarithm(q: Float[Array, "4"]) -> Float[Array, "3"]:
    """The rotation vector, at most pi long, of a quaternion of any length but zero.

    2 phi / sin(phi) times the vector part, where cos(phi) = w >= 0. A quarter of phi is small
    enough for a series, which is smooth everywhere and has no case to tell apart.
    """
    q = jnp.where(q[0] < 0, -q, q) / jnp.sqrt(jnp.sum(q**2))
    half = jnp.sqrt(0.5 + 0.5 * q[0])  # its cosine
    quarter = jnp.sqrt(0.5 + 0.5 * half)
    return 2 * _polynomial(1 - quarter, _TURN) / (half * quarter) * q[1:]


def _polynomial(x: Float[Array, ""], coefficients: list[float]) -> Float[Array, ""]:
    """Its value by Horner's rule, the lowest coefficient first."""
    total = jnp.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = coefficient + x * total
    return total
