"""The 2018 paper's cart-pole.

20 controls, |u| <= 100, no terminal cost, stage cost 1/2 z'diag(q)z + p'z with z = (x, u),
q = (.1, .1, 1, 1, .1, .001), p = (0, 0, -1, 0, 0, 0), float64. The starts are the 120 of the
paper's experts; in this convention the mean optimal cost is 22.085, as the paper's data has it
(no constant, no factor of 2). Everyone starts from zero controls. The clip of the force to
+-100 inside the authors' dynamics is the bound once more, and the peers leave it out. No control
is at its bound at these solutions, so that a solver without bounds can take part.
"""

import numpy as np

from bench.task import Task

_Q = (0.1, 0.1, 1.0, 1.0, 0.1, 0.001)
_DT = 0.05


def task() -> Task:
    """Figure 1."""
    return Task(
        name="cartpole",
        horizon=20,
        state_dim=5,
        control_dim=1,
        lower=-100.0,
        upper=100.0,
        params={"gravity": 9.8, "masscart": 1.0, "masspole": 0.1, "length": 0.5},
        step=_step,
        stage_cost=_stage_cost,
        jaxmpc_problem=_jaxmpc_problem,
        initial_states=_initial_states,
    )


def _step(x, u, params, xp):
    gravity, masscart, masspole, length = (
        params[name] for name in ("gravity", "masscart", "masspole", "length")
    )
    position, velocity, cos, sin, omega = (x[i] for i in range(5))
    total, pole = masscart + masspole, masspole * length
    cart = (u[0] + pole * omega * omega * sin) / total
    swing = length * (4 / 3 - masspole * cos * cos / total)
    alpha = (gravity * sin - cos * cart) / swing
    acceleration = cart - pole * alpha * cos / total
    # cos and sin of atan2(sin, cos) + dt omega, without the atan2, which complex steps refuse
    radius = xp.sqrt(cos * cos + sin * sin)
    turn_cos, turn_sin = xp.cos(_DT * omega), xp.sin(_DT * omega)
    return (
        position + _DT * velocity,
        velocity + _DT * acceleration,
        (cos * turn_cos - sin * turn_sin) / radius,
        (sin * turn_cos + cos * turn_sin) / radius,
        omega + _DT * alpha,
    )


def _stage_cost(x, u, params, xp):
    z = [x[i] for i in range(5)] + [u[0]]
    return sum(0.5 * q * v * v for q, v in zip(_Q, z, strict=True)) - z[2]


def _jaxmpc_problem():
    import jaxmpc  # not in the environments of the peers

    return jaxmpc.Problem(
        lambda x, u, t, params: jaxmpc.models.cartpole(x, u, params),
        jaxmpc.models.cartpole_cost,
        horizon=20,
        control_dim=1,
        control_bounds=(-100.0, 100.0),
    )


def _initial_states() -> np.ndarray:
    from jaxmpc.models import paper_initial_states

    return paper_initial_states("cartpole")
