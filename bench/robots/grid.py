"""The best plan for Pendulum-v1 by dynamic programming on a grid: an oracle that knows no minima.

Source: Bellman (1957).
"""

import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates
from jaxtyping import Array, Float

_ANGLES, _SPEEDS, _CONTROLS = 400, 401, 41
_FAST = 8.0  # the environment's limit [rad/s]


def step(x: Float[Array, "2"], u: Float[Array, ""]) -> Float[Array, "2"]:
    """The environment's."""
    speed = jnp.clip(x[1] + 0.05 * (15 * jnp.sin(x[0]) + 3 * u), -_FAST, _FAST)
    return jnp.stack([x[0] + 0.05 * speed, speed])


def price(x: Float[Array, "2"], u: Float[Array, ""]) -> Float[Array, ""]:
    """The environment's reward, with its sign changed."""
    angle = jnp.mod(x[0] + jnp.pi, 2 * jnp.pi) - jnp.pi
    return angle**2 + 0.1 * x[1] ** 2 + 1e-3 * u**2


def _at(values: Float[Array, "a s"], x: Float[Array, "2"]) -> Float[Array, ""]:
    """Between the points of the grid; angles go round."""
    angle = jnp.mod(x[0], 2 * jnp.pi) / (2 * jnp.pi) * _ANGLES
    speed = (x[1] + _FAST) / (2 * _FAST) * (_SPEEDS - 1)
    closed = jnp.concatenate([values, values[:1]])
    return map_coordinates(closed, [angle, speed], order=1)


def _choices(values, x) -> tuple[Float[Array, " c"], Float[Array, " c"]]:
    controls = jnp.linspace(-2.0, 2.0, _CONTROLS)
    return controls, jax.vmap(lambda u: price(x, u) + _at(values, step(x, u)))(controls)


@jax.jit
def costs_to_go() -> Float[Array, "200 a s"]:
    """What is still to be paid at each of the 200 steps, of every point."""
    angles = jnp.arange(_ANGLES) * (2 * jnp.pi / _ANGLES)
    speeds = jnp.linspace(-_FAST, _FAST, _SPEEDS)

    def earlier(values, _):
        def row(angle):
            return jax.vmap(lambda speed: jnp.min(_choices(values, jnp.stack([angle, speed]))[1]))(
                speeds
            )

        return jax.lax.map(row, angles), values

    _, after = jax.lax.scan(earlier, jnp.zeros((_ANGLES, _SPEEDS)), None, length=200)
    return after[::-1]


@jax.jit
def best_return(after: Float[Array, "200 a s"], x0: Float[Array, "2"]) -> Float[Array, ""]:
    """What following these costs to go earns from x0, by the environment's own steps."""

    def forward(x, values):
        controls, costs = _choices(values, x)
        u = controls[jnp.argmin(costs)]
        return step(x, u), price(x, u)

    return -jnp.sum(jax.lax.scan(forward, x0, after)[1])
