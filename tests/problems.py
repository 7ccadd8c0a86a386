"""The one table of test problems: what to solve, where to start, and the optima to reach.

    case = problems.load("cartpole_acados")           # built at the first call, then kept
    solution = jaxmpc.solve(case.problem, case.x0, case.params, controls=case.controls)
    assert abs(case.excess(solution.cost)) < 1e-6

A cold solve must reach one of `optima` within 1e-6 relative. A lower value is a new local minimum
to record here; a higher one that is not listed is a failure. Everything is float64.
"""

import functools
import json
from pathlib import Path

import constrained_problems as constrained_problems  # registers its rows
import free_time_problems as free_time_problems
import jax.numpy as jnp
import numpy as np
import robot_problems as robot_problems
from cases import CASES as CASES, Case as Case, case as case, load as load

import jaxmpc
from jaxmpc import integrators, models


@functools.lru_cache
def _batch_optima():
    return json.loads(Path(__file__).with_name("batch_optima.json").read_text())


def _per_start(name):
    return tuple(map(tuple, _batch_optima()[name]))


def _towards(x0, horizon):
    """States that shrink from x0 to zero: x_k = x0 (1 - k/T)."""
    return np.asarray(x0) * (1 - np.arange(horizon + 1) / horizon)[:, None]


# --- Row 6: cart-pole of acados. Its sensitivities (row S3) are at the first optimum. ---

CARTPOLE_X0 = np.array([0.0, np.pi, 0.0, 0.0])
CARTPOLE_PARAMS = {**models.CARTPOLE_ACADOS, "q_theta": 2e3, "r": 2e-2}
# acados forward and adjoint, CasADi and central differences agree on these to 1e-7
CARTPOLE_DU0_DX0 = (-2.753001, -67.776054, -3.812335, 11.382653)
CARTPOLE_DU0_DPARAMS = {
    "mass_cart": 135.058411,
    "mass_pole": 77.348709,
    "length": 98.397245,
    "q_theta": 2.60394e-4,
    "r": -0.418617,
}


def cartpole_acados_state_cost(x, params):
    q = jnp.stack([jnp.asarray(w, x.dtype) for w in (2e3, params["q_theta"], 2e-2, 2e-2)])
    return 0.5 * jnp.sum(q * x**2)


def cartpole_acados_cost(x, u, t, params):
    return 0.05 * (cartpole_acados_state_cost(x, params) + 0.5 * params["r"] * u[0] ** 2)


def _cartpole_acados(name, limit, optima):
    problem = jaxmpc.Problem(
        integrators.rk4(models.cartpole_acados, 0.05),
        cartpole_acados_cost,
        cartpole_acados_state_cost,
        horizon=50,
        control_dim=1,
        control_bounds=(-limit, limit),
    )
    return Case(
        name,
        problem,
        CARTPOLE_X0,
        CARTPOLE_PARAMS,
        optima,
        "row 6; acados 0.2.2 and 0.6, IPOPT",
        states=_towards(CARTPOLE_X0, 50),
    )


@case
def cartpole_acados():
    return _cartpole_acados("cartpole_acados", 20.0, (6216.178632646, 5627.963028974))


@case
def cartpole_acados_80():
    return _cartpole_acados("cartpole_acados_80", 80.0, (2244.307868064, 3930.314261436))


# --- Row 9: Tassa's car, 500 stages. ---


def _sabs(x, p):
    return jnp.sqrt(x**2 + p**2) - p


def car_cost(x, u, t, params):
    return 1e-2 * u[0] ** 2 + 1e-4 * u[1] ** 2 + 1e-3 * (_sabs(x[0], 0.1) + _sabs(x[1], 0.1))


def car_terminal_cost(x, params):
    scale = jnp.array([0.01, 0.01, 0.01, 1.0], x.dtype)
    return jnp.sum(jnp.array([0.1, 0.1, 1.0, 0.3], x.dtype) * _sabs(x, scale))


@case
def car_parking():
    limit = np.array([0.5, 2.0])
    problem = jaxmpc.Problem(
        integrators.discrete(models.car),
        car_cost,
        car_terminal_cost,
        horizon=500,
        control_dim=2,
        control_bounds=(-limit, limit),
    )
    return Case(
        "car_parking",
        problem,
        np.array([1.0, 1.0, 1.5 * np.pi, 0.0]),
        models.CAR,
        # the plain guess leads IPOPT to the second, which is also cddp-cpp's published 1.90517
        (1.436100505, 1.905167259),
        "row 9; Tassa, Mansard, Todorov (2014); IPOPT",
        controls=np.zeros((500, 2)),
        states=np.tile([1.0, 1.0, 1.5 * np.pi, 0.1], (501, 1)),
    )


# --- Row 12: crocoddyl's unicycle. ---


def unicycle_cost(x, u, t, params):
    return 0.5 * (100 * jnp.sum(x**2) + jnp.sum(u**2))


def unicycle_terminal_cost(x, params):
    return 50 * jnp.sum(x**2)


def _unicycle(name, control_bounds, optimum):
    problem = jaxmpc.Problem(
        integrators.euler(models.unicycle, 0.1),
        unicycle_cost,
        unicycle_terminal_cost,
        horizon=20,
        control_dim=2,
        control_bounds=control_bounds,
    )
    source = "row 12; crocoddyl ActionModelUnicycle; IPOPT"
    return Case(name, problem, np.array([-1.0, -1.0, 1.0]), None, (optimum,), source)


@case
def unicycle_box():
    return _unicycle("unicycle_box", (-0.5, 0.5), 1369.145757941)


@case
def unicycle_free():
    return _unicycle("unicycle_free", None, 249.560897931)


# --- Rows 24 and 25: linear dynamics, quadratic costs; all data are parameters. ---


def affine_dynamics(x, u, t, params):
    return params["A"] @ x + params["B"] @ u + params["b"]


def humanoid_dynamics(x, u, t, params):
    return params["A"] @ x + params["B"] @ u


def humanoid_cost(x, u, t, params):
    return 0.5 * jnp.sum(x**2) + 0.05 * jnp.sum(u**2)


def humanoid_terminal_cost(x, params):
    return 5.0 * jnp.sum(x**2)


@case
def humanoid_lqr():
    rng, n, m = np.random.RandomState(0), 74, 30
    params = {
        "A": np.eye(n) + 0.1 * rng.randn(n, n) / np.sqrt(n),
        "B": rng.randn(n, m) / np.sqrt(n),
    }
    problem = jaxmpc.Problem(
        humanoid_dynamics, humanoid_cost, humanoid_terminal_cost, horizon=100, control_dim=m
    )
    x0 = rng.randn(n)
    return Case("humanoid_lqr", problem, x0, params, (1484.199519929,), "row 24; Riccati in numpy")


def batched_lqr_cost(x, u, t, params):
    z = jnp.concatenate([x, u])
    return z @ params["H"] @ z


def batched_lqr_terminal_cost(x, params):
    return jnp.sum(x**2)


def batched_lqr_problem(umax):
    """128 linear problems with |u| <= umax, and their 248 parameters (H 12x12, A, B, b)."""
    return jaxmpc.Problem(
        affine_dynamics,
        batched_lqr_cost,
        batched_lqr_terminal_cost,
        horizon=20,
        control_dim=4,
        control_bounds=(-umax, umax),
    )


def _batched_lqr(name, umax):
    rng = np.random.RandomState(42)
    params = {
        "A": np.eye(8) + 0.2 * rng.randn(8, 8),
        "B": rng.randn(8, 4),
        "b": rng.randn(8),
        "H": np.eye(12),
    }
    x0, problem = rng.randn(128, 8), batched_lqr_problem(umax)
    source = "row 25; arXiv 2505.01353, Table 1; IPOPT"
    return Case(name, problem, x0, params, _per_start(name), source)


@case
def batched_lqr_box():  # 6 % of the controls are at a bound
    return _batched_lqr("batched_lqr_box", 1.0)


@case
def batched_lqr_free():  # no bound is active: the largest control is 4.55
    return _batched_lqr("batched_lqr_free", 1e4)


# --- The experts of the 2018 paper: 120 starts each. Its T costs leave out the last state. ---


def _expert(name, model, params, cost, limit):
    problem = jaxmpc.Problem(
        integrators.discrete(model),
        cost,
        horizon=20,
        control_dim=1,
        control_bounds=(-limit, limit),
    )
    x0 = models.paper_initial_states("cartpole" if name == "cartpole" else "pendulum")
    source = "Amos et al. (2018), authors' code and data; IPOPT"
    return Case(name, problem, x0, params, _per_start(name), source, controls=np.zeros((20, 1)))


@case
def pendulum():  # mean cost 13.956047; 72 % of the controls at a bound; one minimum a start
    return _expert("pendulum", models.pendulum, models.PENDULUM, models.pendulum_cost, 2.0)


@case
def pendulum_complex():  # mean cost 11.294352; one minimum a start
    params = {**models.PENDULUM, "damping": 1.0, "wind": 0.1}
    model, cost = models.pendulum_complex, models.pendulum_cost
    return _expert("pendulum_complex", model, params, cost, 2.0)


@case
def cartpole():  # the paper's minima, which zeros lead to: mean 22.084959; the lowest: 21.896211
    return _expert("cartpole", models.cartpole, models.CARTPOLE, models.cartpole_cost, 100.0)
