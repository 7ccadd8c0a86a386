"""Wind that varies in space: a mean and a few divergence-free waves, drawn at random."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_WAVES = 4
_MEAN, _GUST = 4.0, 2.0  # largest horizontal mean, amplitude of each wave [m/s]
_WAVELENGTHS = (4.0, 8.0)  # [m]


class Field(NamedTuple):
    """w(p) = mean + sum_i amplitude_i sin(wave_i . p + phase_i)."""

    mean: Float[Array, "3"]  # [m/s]
    waves: Float[Array, "K 3"]  # wave vectors [rad/m]
    amplitudes: Float[Array, "K 3"]  # [m/s], each at right angles to its wave vector
    phases: Float[Array, " K"]


def draw(key: Array) -> Field:
    """One field."""
    keys = jax.random.split(key, 5)
    speed = jax.random.uniform(keys[0], maxval=_MEAN)
    heading = jax.random.uniform(keys[1], maxval=2 * jnp.pi)
    mean = speed * jnp.array([jnp.cos(heading), jnp.sin(heading), 0.0])
    lengths = jax.random.uniform(keys[2], (_WAVES, 1), float, *_WAVELENGTHS)
    directions = _unit(jax.random.normal(keys[3], (_WAVES, 3)))
    sideways = jax.random.normal(keys[4], (_WAVES, 3))
    sideways = _unit(jnp.cross(directions, sideways))
    phases = jax.random.uniform(jax.random.fold_in(key, 5), (_WAVES,), maxval=2 * jnp.pi)
    return Field(mean, 2 * jnp.pi / lengths * directions, _GUST * sideways, phases)


def wind(field: Field, position: Float[Array, "3"]) -> Float[Array, "3"]:
    """The velocity of the air [m/s] at a position [m]."""
    return field.mean + jnp.sin(field.waves @ position + field.phases) @ field.amplitudes


def _unit(vectors: Float[Array, "K 3"]) -> Float[Array, "K 3"]:
    return vectors / jnp.linalg.norm(vectors, axis=1, keepdims=True)
