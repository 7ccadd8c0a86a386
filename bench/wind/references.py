"""Where to fly: circles, ellipses and figure eights at 2 to 4 m/s."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bench.wind.vehicle import STEP


def draw(key: Array, length: int) -> Float[Array, "length 6"]:
    """Positions [m] and velocities [m/s] at `length` instants.

    In a frame of random heading: (a sin(s), b sin(j s + phase), c sin(s)) with s = rate t + start;
    j is 1 (an ellipse) or 2 (a figure eight).
    """
    keys = jax.random.split(key, 8)
    a, b = jax.random.uniform(keys[0], (2,), minval=1.5, maxval=3.0)
    c = jax.random.uniform(keys[1], maxval=0.5)
    turns = jax.random.randint(keys[2], (), 1, 3)
    b = b / turns
    phase = jax.random.uniform(keys[3], minval=0.3, maxval=1.0) * jnp.pi / 2
    start, heading = jax.random.uniform(keys[4], (2,), maxval=2 * jnp.pi)
    centre = jax.random.uniform(keys[5], (3,), minval=-3.0, maxval=3.0)
    speed = jax.random.uniform(keys[6], minval=2.0, maxval=4.0)
    rate = speed / jnp.sqrt(a**2 + (turns * b) ** 2)  # `speed` is the fastest it can get

    def position(time):
        s = rate * time + start
        x, y = a * jnp.sin(s), b * jnp.sin(turns * s + phase)
        cosine, sine = jnp.cos(heading), jnp.sin(heading)
        return centre + jnp.array([cosine * x - sine * y, sine * x + cosine * y, c * jnp.sin(s)])

    def both(time):
        return jnp.concatenate(jax.jvp(position, (time,), (jnp.ones_like(time),)))

    return jax.vmap(both)(STEP * jnp.arange(length, dtype=float))
