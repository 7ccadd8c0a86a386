"""The cart-pole of acados' getting-started example, swung up from rest: 26 of 50 bounds active.

x = (p, theta, v, omega), theta = 0 upright, one step of RK4 of 0.05 s, |u| <= 20, weights
diag(2e3, 2e3, 2e-2, 2e-2) and 2e-2. Everyone starts cold: zero controls, and the states on the
line x_k = x0 (1 - k/T). The first start is the example's own, where 6216.178632646 and
5627.963028974 are the optima that are known; the others are perturbed by 0.1 randn.
The gradient is that of the first control.
"""

import numpy as np

from bench.task import Task

_HORIZON, _DT, _LIMIT = 50, 0.05, 20.0
_PARAMS = {
    "mass_cart": 1.0,
    "mass_pole": 0.1,
    "length": 0.8,
    "gravity": 9.81,
    "q_theta": 2e3,
    "r": 2e-2,
}


def task() -> Task:
    """Figure 3."""
    return Task(
        name="cartpole_acados",
        horizon=_HORIZON,
        state_dim=4,
        control_dim=1,
        lower=-_LIMIT,
        upper=_LIMIT,
        params=_PARAMS,
        step=_step,
        stage_cost=lambda x, u, params, xp: (
            _DT * (_state_cost(x, params) + 0.5 * params["r"] * u[0] * u[0])
        ),
        terminal_cost=lambda x, params, xp: _state_cost(x, params),
        jaxmpc_problem=_jaxmpc_problem,
        initial_states=_initial_states,
        guessed_states=lambda x0: x0 * (1 - np.arange(_HORIZON + 1) / _HORIZON)[:, None],
        loss="first",
    )


def _rate(x, u, params, xp):
    cart, pole, length, gravity = (
        params[name] for name in ("mass_cart", "mass_pole", "length", "gravity")
    )
    sin, cos, omega, force = xp.sin(x[1]), xp.cos(x[1]), x[3], u[0]
    total = cart + pole - pole * cos * cos
    swing = pole * length * sin * omega * omega
    return (
        x[2],
        omega,
        (-swing + pole * gravity * cos * sin + force) / total,
        (-swing * cos + force * cos + (cart + pole) * gravity * sin) / (length * total),
    )


def _step(x, u, params, xp):
    def moved(h, k):
        return [x[i] + h * k[i] for i in range(4)]

    k1 = _rate(x, u, params, xp)
    k2 = _rate(moved(_DT / 2, k1), u, params, xp)
    k3 = _rate(moved(_DT / 2, k2), u, params, xp)
    k4 = _rate(moved(_DT, k3), u, params, xp)
    return [x[i] + _DT / 6 * (k1[i] + 2 * k2[i] + 2 * k3[i] + k4[i]) for i in range(4)]


def _state_cost(x, params):
    weights = (2e3, params["q_theta"], 2e-2, 2e-2)
    return 0.5 * sum(weight * x[i] * x[i] for i, weight in enumerate(weights))


def _jaxmpc_problem():
    import jax.numpy as jnp

    import jaxmpc

    def state_cost(x, params):
        return 0.5 * jnp.stack([2e3, params["q_theta"], 2e-2, 2e-2]) @ x**2

    def stage_cost(x, u, t, params):
        return _DT * (state_cost(x, params) + 0.5 * params["r"] * u[0] ** 2)

    return jaxmpc.Problem(
        jaxmpc.integrators.rk4(jaxmpc.models.cartpole_acados, _DT),
        stage_cost,
        state_cost,
        horizon=_HORIZON,
        control_dim=1,
        control_bounds=(-_LIMIT, _LIMIT),
    )


def _initial_states() -> np.ndarray:
    random = np.random.RandomState(0)
    perturbation = 0.1 * random.randn(64, 4)
    perturbation[0] = 0.0
    return np.array([0.0, np.pi, 0.0, 0.0]) + perturbation
