"""RobotZoo's quadrotor (13 states) flown between two columns: an inequality on the states.

60 steps of RK4 of 0.05 s from (0, 0, .18) to (-.1, 3.2, 1), columns of radius 0.42 at (-.45, 1.2)
and (.4, 2.4), four rotors between 0 and 5 N. Everyone starts from hovering controls and a line of
states bent around the columns. The optimum that is known is 0.479144360.
"""

import numpy as np

from bench.task import Task

_HORIZON, _DT, _LIMIT = 60, 0.05, 5.0
_COLUMNS, _RADIUS = ((-0.45, 1.2), (0.4, 2.4)), 0.42
_INERTIA, _GRAVITY, _ARM, _DRAG = (0.0023, 0.0023, 0.004), 9.81, 0.175, 0.0245
_STAGE = _DT * np.repeat([0.1, 0.01], [3, 10])
_LAST = np.repeat([100.0, 10.0], [3, 10])


def _level(position) -> np.ndarray:
    return np.r_[position, 1.0, np.zeros(9)]


_GOAL = _level([-0.1, 3.2, 1.0])


def task() -> Task:
    """The problem with both columns."""
    return Task(
        name="quadrotor",
        horizon=_HORIZON,
        state_dim=13,
        control_dim=4,
        lower=0.0,
        upper=_LIMIT,
        params={"mass": 0.5, "control_weight": 0.01},
        step=_step,
        stage_cost=lambda x, u, params, xp: (
            _distance(_STAGE, x)
            + 0.5 * _DT * params["control_weight"] * sum(u[i] * u[i] for i in range(4))
        ),
        terminal_cost=lambda x, params, xp: _distance(_LAST, x),
        stage_inequality=lambda x, params, xp: [
            _RADIUS**2 - (x[0] - a) ** 2 - (x[1] - b) ** 2 for a, b in _COLUMNS
        ],
        jaxmpc_problem=_jaxmpc_problem,
        initial_states=lambda: _level([0.0, 0.0, 0.18])[None],
        guessed_states=lambda x0: np.stack([_guess(k / _HORIZON) for k in range(_HORIZON + 1)]),
        guessed_control=0.5 * _GRAVITY / 4,
    )


def _guess(s: float) -> np.ndarray:
    return _level([-0.1 * s + 0.3 * np.sin(2 * np.pi * s), 3.2 * s, 0.18 + 0.82 * s])


def _distance(weights, x):
    return 0.5 * sum(weights[i] * (x[i] - _GOAL[i]) ** 2 for i in range(13))


def _rate(x, u, params):
    a, b, c, d = (x[i] for i in range(3, 7))
    p, q, r = (x[i] for i in range(10, 13))
    thrust = (u[0] + u[1] + u[2] + u[3]) / params["mass"]
    jx, jy, jz = _INERTIA
    return (
        *(x[7], x[8], x[9]),
        0.5 * (-b * p - c * q - d * r),
        0.5 * (a * p + c * r - d * q),
        0.5 * (a * q - b * r + d * p),
        0.5 * (a * r + b * q - c * p),
        thrust * 2 * (b * d + a * c),
        thrust * 2 * (c * d - a * b),
        thrust * (a * a - b * b - c * c + d * d) - _GRAVITY,
        (_ARM * (u[1] - u[3]) - (jz - jy) * q * r) / jx,
        (_ARM * (u[2] - u[0]) - (jx - jz) * r * p) / jy,
        (_DRAG * (u[0] - u[1] + u[2] - u[3]) - (jy - jx) * p * q) / jz,
    )


def _step(x, u, params, xp):
    def moved(h, k):
        return [x[i] + h * k[i] for i in range(13)]

    k1 = _rate(x, u, params)
    k2 = _rate(moved(_DT / 2, k1), u, params)
    k3 = _rate(moved(_DT / 2, k2), u, params)
    k4 = _rate(moved(_DT, k3), u, params)
    return [x[i] + _DT / 6 * (k1[i] + 2 * k2[i] + 2 * k3[i] + k4[i]) for i in range(13)]


def _jaxmpc_problem():
    import jax.numpy as jnp

    import jaxmpc

    rk4 = jaxmpc.integrators.rk4(jaxmpc.models.quadrotor, _DT)

    def stage_cost(x, u, t, params):
        away = x - _GOAL
        return 0.5 * away @ (_STAGE * away) + 0.5 * _DT * params["control_weight"] * u @ u

    def outside(x, u, t, params):
        # of x_1 on: the given x_0 is far outside, and any value below zero is as good
        return _RADIUS**2 - jnp.sum((x[None, :2] - jnp.array(_COLUMNS)) ** 2, axis=1)

    return jaxmpc.Problem(
        lambda x, u, t, params: rk4(x, u, t, {**jaxmpc.models.QUADROTOR, "mass": params["mass"]}),
        stage_cost,
        lambda x, params: 0.5 * (x - _GOAL) @ (_LAST * (x - _GOAL)),
        horizon=_HORIZON,
        control_dim=4,
        control_bounds=(0.0, _LIMIT),
        stage_inequality=outside,
    )
