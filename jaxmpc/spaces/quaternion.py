"""Attitudes as unit quaternions (w, x, y, z), of Hamilton's kind."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Float

_SMALL_STEP, _SMALL_TURN = 0.25, 0.01  # squares up to which series are summed
_TERMS = 10


@dataclasses.dataclass(frozen=True)
class UnitQuaternion:
    """An attitude: four numbers (w, x, y, z) of length one, three directions.

        retract(q, v) = q * exp(v / 2),      difference(p, q) = 2 log(conj(p) * q)

    v is a rotation vector [rad] in the frame of the body. q and -q are one attitude: the difference
    is that of the nearer one, at most pi long. Its derivative jumps at half a turn, where two ways
    are equally short; there the one along the vector part is taken.

    Source: Sola, Deray and Atchuthan (2018), 'A micro Lie theory for state estimation in
    robotics', example 4 and appendix B, right plus and minus.
    """

    dim: int = dataclasses.field(default=4, init=False)
    tangent_dim: int = dataclasses.field(default=3, init=False)

    def retract(self, x: Float[Array, "4"], dx: Float[Array, "3"]) -> Float[Array, "4"]:
        """Turn by dx in the frame of the body; x of another length counts as its direction."""
        turned = multiply(x, exponential(dx))
        return turned / jnp.sqrt(jnp.sum(turned**2))

    def difference(self, x: Float[Array, "4"], y: Float[Array, "4"]) -> Float[Array, "3"]:
        """The shortest turn from x to y, in the frame of x."""
        return logarithm(multiply(conjugate(x), y))


def multiply(p: Float[Array, "4"], q: Float[Array, "4"]) -> Float[Array, "4"]:
    """Hamilton's product of two quaternions: first q, then p, as rotations of vectors."""
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
    """A vector of the body in the frame of the world, for the attitude q of the body."""
    twice = 2 * jnp.cross(q[1:], v)
    return v + q[0] * twice + jnp.cross(q[1:], twice)


def exponential(v: Float[Array, "3"]) -> Float[Array, "4"]:
    """The unit quaternion of a rotation vector."""
    square = jnp.sum(v**2) / 4
    small = square < _SMALL_STEP
    near = jnp.where(small, square, 0.0)
    half = jnp.sqrt(jnp.where(small, 1.0, square))
    cosine = jnp.where(small, _series(near, 0), jnp.cos(half))
    sine = jnp.where(small, _series(near, 1), jnp.sin(half) / half)  # over half the angle
    return jnp.concatenate([cosine[None], 0.5 * sine * v])


def logarithm(q: Float[Array, "4"]) -> Float[Array, "3"]:
    """The rotation vector, at most pi long, of a quaternion of any length but zero."""
    q = jnp.where(q[0] < 0, -q, q)
    w, square = q[0], jnp.sum(q[1:] ** 2)
    small = square < _SMALL_TURN * w**2
    near_w = jnp.where(small, w, 1.0)
    ratio = jnp.where(small, square, 0.0) / near_w**2
    near = sum((-ratio) ** k / (2 * k + 1) for k in range(_TERMS)) / near_w
    length = jnp.sqrt(jnp.where(small, 1.0, square))
    far = jnp.arctan2(length, w) / length
    return 2 * jnp.where(small, near, far) * q[1:]


def _series(square: Float[Array, ""], odd: int) -> Float[Array, ""]:
    """The cosine of the root, or (odd) the sine of it divided by it: as sums, smooth at zero."""
    total, term = jnp.ones_like(square), jnp.ones_like(square)
    for k in range(1, _TERMS):
        term = -term * square / ((2 * k - 1 + odd) * (2 * k + odd))
        total = total + term
    return total
