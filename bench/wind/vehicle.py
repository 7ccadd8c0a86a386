"""The quadrotor: what flies, and what its controller believes."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from bench.wind.field import Field, wind
from jaxmpc.integrators import rk4
from jaxmpc.models import QUADROTOR, quadrotor

STEP = 0.05  # of the control [s]
HOVER = QUADROTOR["mass"] * QUADROTOR["gravity"] / 4  # [N] a rotor
THRUST = (0.0, 3.0)  # [N] a rotor
_LINEAR, _QUADRATIC = 0.3, 0.06  # drag over mass [1/s], [1/m]
_SUBSTEPS = 4
VELOCITY = slice(7, 10)


def air_drag(field: Field, x: Float[Array, "13"]) -> Float[Array, "3"]:
    """The acceleration [m/s^2] by the air that moves past the vehicle."""
    relative = x[VELOCITY] - wind(field, x[:3])
    speed = jnp.sqrt(relative @ relative + 1e-6)  # smooth at rest
    return -(_LINEAR + _QUADRATIC * speed) * relative


def pushed(x, u, acceleration: Float[Array, "3"]) -> Float[Array, "13"]:
    """The rate of the nominal model with an acceleration [m/s^2, world] on top."""
    return quadrotor(x, u).at[VELOCITY].add(acceleration)


_flight = rk4(lambda x, u, field: pushed(x, u, air_drag(field, x)), STEP, _SUBSTEPS)
_nominal = rk4(lambda x, u, params: quadrotor(x, u), STEP)


def fly(x: Float[Array, "13"], u: Float[Array, "4"], field: Field) -> Float[Array, "13"]:
    """What happens in a step."""
    x = _flight(x, u, None, field)
    return x.at[3:7].divide(jnp.linalg.norm(x[3:7]))


def residual(x, u, after) -> Float[Array, "3"]:
    """The mean acceleration [m/s^2] of a step that the nominal model does not explain."""
    return (after[VELOCITY] - _nominal(x, u)[VELOCITY]) / STEP
