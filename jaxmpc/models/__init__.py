"""Models of robots and vehicles as pure functions `model(x, u, params=None)`.

Of one state and one control (`jax.vmap` for many), in the dtype of the state, with angles in rad
and SI units. `params=None` means the dict of the same name in upper case; any dict with its keys
will do, of numbers or of arrays to differentiate through.

Discrete steps, for `integrators.discrete`: `pendulum`, `pendulum_complex`, `cartpole`, `car`.
Time derivatives, for an integrator: `cartpole_acados`, `acrobot`, `planar_quadrotor`,
`quadrotor`, `unicycle`, `bicycle`, `chain`.
"""

from .acrobot import ACROBOT, acrobot
from .bicycle import BICYCLE, bicycle
from .car import CAR, car
from .cartpole import (
    CARTPOLE,
    CARTPOLE_ACADOS,
    CARTPOLE_COST,
    CARTPOLE_DT,
    CARTPOLE_MAX_FORCE,
    cartpole,
    cartpole_acados,
    cartpole_cost,
    cartpole_state,
)
from .chain import CHAIN, chain
from .paper import diagonal_cost, paper_initial_states
from .pendulum import (
    PENDULUM,
    PENDULUM_COMPLEX,
    PENDULUM_COST,
    PENDULUM_DT,
    PENDULUM_MAX_TORQUE,
    pendulum,
    pendulum_complex,
    pendulum_cost,
    pendulum_state,
)
from .quadrotor import PLANAR_QUADROTOR, QUADROTOR, planar_quadrotor, quadrotor, quadrotor_state
from .unicycle import UNICYCLE, unicycle

__all__ = [
    "ACROBOT",
    "BICYCLE",
    "CAR",
    "CARTPOLE",
    "CARTPOLE_ACADOS",
    "CARTPOLE_COST",
    "CARTPOLE_DT",
    "CARTPOLE_MAX_FORCE",
    "CHAIN",
    "PENDULUM",
    "PENDULUM_COMPLEX",
    "PENDULUM_COST",
    "PENDULUM_DT",
    "PENDULUM_MAX_TORQUE",
    "PLANAR_QUADROTOR",
    "QUADROTOR",
    "UNICYCLE",
    "acrobot",
    "bicycle",
    "car",
    "cartpole",
    "cartpole_acados",
    "cartpole_cost",
    "cartpole_state",
    "chain",
    "diagonal_cost",
    "paper_initial_states",
    "pendulum",
    "pendulum_complex",
    "pendulum_cost",
    "pendulum_state",
    "planar_quadrotor",
    "quadrotor",
    "quadrotor_state",
    "unicycle",
]
