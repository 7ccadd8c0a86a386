"""Models of robots and vehicles as pure functions `model(x, u, params=None)`.

Of one state and one control (`jax.vmap` for many), in the dtype of the state, with angles in rad
and SI units. `params=None` means the dict of the same name in upper case; any dict with its keys
will do, of numbers or of arrays to differentiate through.

Discrete steps, for `integrators.discrete`: `pendulum`, `pendulum_complex`, `cartpole`, `car`.
Time derivatives, for an integrator: `cartpole_acados`, `acrobot`, `planar_quadrotor`,
`quadrotor`, `unicycle`, `bicycle`, `chain`.
"""

from jaxmpc.models.paper import (
    diagonal_cost as diagonal_cost,
    paper_initial_states as paper_initial_states,
)
from jaxmpc.models.systems.acrobot import (
    ACROBOT as ACROBOT,
    acrobot as acrobot,
)
from jaxmpc.models.systems.bicycle import (
    BICYCLE as BICYCLE,
    bicycle as bicycle,
)
from jaxmpc.models.systems.car import (
    CAR as CAR,
    car as car,
)
from jaxmpc.models.systems.cartpole import (
    CARTPOLE as CARTPOLE,
    CARTPOLE_ACADOS as CARTPOLE_ACADOS,
    CARTPOLE_COST as CARTPOLE_COST,
    CARTPOLE_DT as CARTPOLE_DT,
    CARTPOLE_MAX_FORCE as CARTPOLE_MAX_FORCE,
    cartpole as cartpole,
    cartpole_acados as cartpole_acados,
    cartpole_cost as cartpole_cost,
    cartpole_state as cartpole_state,
)
from jaxmpc.models.systems.chain import (
    CHAIN as CHAIN,
    chain as chain,
)
from jaxmpc.models.systems.pendulum import (
    PENDULUM as PENDULUM,
    PENDULUM_COMPLEX as PENDULUM_COMPLEX,
    PENDULUM_COST as PENDULUM_COST,
    PENDULUM_DT as PENDULUM_DT,
    PENDULUM_MAX_TORQUE as PENDULUM_MAX_TORQUE,
    pendulum as pendulum,
    pendulum_complex as pendulum_complex,
    pendulum_cost as pendulum_cost,
    pendulum_state as pendulum_state,
)
from jaxmpc.models.systems.quadrotor import (
    PLANAR_QUADROTOR as PLANAR_QUADROTOR,
    QUADROTOR as QUADROTOR,
    QUADROTOR_SPACE as QUADROTOR_SPACE,
    planar_quadrotor as planar_quadrotor,
    quadrotor as quadrotor,
    quadrotor_state as quadrotor_state,
)
from jaxmpc.models.systems.unicycle import (
    UNICYCLE as UNICYCLE,
    unicycle as unicycle,
)
from jaxmpc.presentation.names import present

present(__name__)
