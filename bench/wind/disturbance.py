"""What the solver is told of the disturbance: models of the last half second of flight.

A model is a function (params, history) -> {"push": [T, 3], "drag": scalar}: the solver's dynamics
have the acceleration push_t - drag v. All are shown the same history.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bench.wind.controller import HORIZON

STEPS = 10  # of history
_WIDTH = 32
_KNOTS = np.array([0, 1, 3, 6, 10, HORIZON - 1])  # dense where it matters
_INTERPOLATION = np.stack(
    [np.interp(np.arange(HORIZON), _KNOTS, unit) for unit in np.eye(len(_KNOTS))], axis=1
)


class History(NamedTuple):
    """The last steps, oldest first, as measured."""

    residuals: Float[Array, "H 3"]  # mean unexplained acceleration of each step [m/s^2]
    velocities: Float[Array, "H 3"]  # at the end of each step [m/s]


def constant_and_drag(params, history: History):
    """Linear drag, and for the rest a constant: an exponential filter's output times a gain."""
    rest = history.residuals + params["drag"] * history.velocities
    age = jnp.arange(STEPS - 1.0, -1.0, -1.0)
    weights = params["memory"] ** age
    constant = params["gain"] * (weights @ rest) / jnp.sum(weights)
    return {"push": jnp.broadcast_to(constant, (HORIZON, 3)), "drag": params["drag"]}


NOTHING = {"drag": 0.0, "memory": 0.5, "gain": 0.0}


class Network(eqx.Module):
    """The push at a few stages, between them by interpolation.

    A linear map of the history plus a small network say how it will depart from the last step's.
    Both work in a frame that heads where the vehicle flies: the air does not know where north is.
    """

    linear: eqx.nn.Linear
    hidden: list[eqx.nn.Linear]
    last: eqx.nn.Linear
    drag: Float[Array, ""]

    def __init__(self, key: Array):
        size, outputs = 6 * STEPS, 3 * len(_KNOTS)
        keys = jax.random.split(key, 4)
        self.linear = jax.tree.map(jnp.zeros_like, eqx.nn.Linear(size, outputs, key=keys[0]))
        self.hidden = [
            eqx.nn.Linear(size, _WIDTH, key=keys[1]),
            eqx.nn.Linear(_WIDTH, _WIDTH, key=keys[2]),
        ]
        self.last = eqx.nn.Linear(_WIDTH, outputs, key=keys[3])
        self.drag = jnp.array(0.5)

    def __call__(self, history: History):
        """A departure from the last step's at each knot."""
        rest = history.residuals + self.drag * history.velocities
        turn = _to_heading(history.velocities[-1])
        inputs = jnp.concatenate(
            [(rest @ turn.T).ravel(), (history.velocities @ turn.T).ravel() / 3]
        )
        features = inputs
        for layer in self.hidden:
            features = jnp.tanh(layer(features))
        outputs = self.linear(inputs) + 0.3 * self.last(features)
        departures = _INTERPOLATION @ outputs.reshape(-1, 3) @ turn
        return {"push": rest[-1] + departures, "drag": self.drag}


def learned(params: Network, history: History):
    """A network as a model."""
    return params(history)


def _to_heading(velocity: Float[Array, "3"]) -> Float[Array, "3 3"]:
    """The rotation about the vertical from the world to the heading of a velocity."""
    x, y = velocity[0], velocity[1]
    length = jnp.sqrt(x**2 + y**2 + 1e-6)
    c, s = x / length, y / length
    return jnp.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])
