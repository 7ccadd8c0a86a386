"""Receding-horizon tracking: the problem that is solved at every control step."""

import jax.numpy as jnp
from jaxtyping import Array, Float

import jaxmpc
from bench.wind.vehicle import HOVER, STEP, THRUST, air_drag, pushed
from jaxmpc.integrators import rk4

HORIZON = 15
SOLVER = jaxmpc.ILQR(tolerance=1e-4, max_iterations=30)

# On position, quaternion, velocity and angular velocity; yaw is to stay at zero.
_STATE_WEIGHTS = jnp.array([20.0, 20.0, 20.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.03, 0.03, 0.03])
_THRUST_WEIGHT = 0.1


def problem(acceleration) -> jaxmpc.Problem:
    """Track params["reference"] [T+1, 6] under `acceleration`(x, t, params) [m/s^2]."""
    return jaxmpc.Problem(
        lambda x, u, t, params: rk4(lambda x, u, p: pushed(x, u, acceleration(x, t, p)), STEP)(
            x, u, t, params
        ),
        lambda x, u, t, params: (
            _state_cost(x, params["reference"][t]) + _THRUST_WEIGHT * jnp.sum((u - HOVER) ** 2)
        ),
        lambda x, params: _state_cost(x, params["reference"][HORIZON]),
        horizon=HORIZON,
        control_dim=4,
        control_bounds=THRUST,
    )


def _state_cost(x, reference):
    target = jnp.zeros(13).at[:3].set(reference[:3]).at[7:10].set(reference[3:])
    return 0.5 * jnp.sum(_STATE_WEIGHTS * (x - target) ** 2)


def _predicted(x, t, params):
    return params["push"][t] - params["drag"] * x[7:10]


def _true(x, t, params):
    return air_drag(params["field"], x)


# "push": [T, 3], an acceleration [m/s^2] for each stage; "drag": linear [1/s].
MODELLED = problem(_predicted)
# "field": what nobody knows in flight.
INFORMED = problem(_true)


def shifted(controls: Float[Array, "T 4"]) -> Float[Array, "T 4"]:
    """Where the next step's solve starts."""
    return jnp.concatenate([controls[1:], controls[-1:]])
