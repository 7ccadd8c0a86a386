"""Rows of the table with constraints: points, oscillators and linear models."""

import jax.numpy as jnp
import numpy as np
import scipy.linalg
from cases import (
    Case,
    along,
    bounds_before_goal,
    case,
    constant,
    effort,
    from_goal,
    goal_cost,
    no_cost,
    outside_circles,
    tracking_cost,
)

import jaxmpc
from jaxmpc import integrators, models

# --- Rows 1 to 3: a mass on a line, x = (position, velocity), exact under a held force. ---


def double_integrator(dt):
    def dynamics(x, u, t, params):
        acceleration = u[0] / params["mass"]
        position = x[0] + dt * x[1] + 0.5 * dt**2 * acceleration
        return jnp.stack([position, x[1] + dt * acceleration])

    return dynamics


def _least_effort(name, horizon, x0, goal, state_bounds, optimum, source):
    dt = 1 / horizon
    problem = jaxmpc.Problem(
        double_integrator(dt),
        effort(dt),
        horizon=horizon,
        control_dim=1,
        state_bounds=state_bounds,
        terminal_equality=from_goal,
    )
    params = {"goal": np.array(goal), "mass": 1.0, "control_weight": 1.0}
    x0 = np.array(x0)
    states = constant(x0, horizon + 1)
    return Case(name, problem, x0, params, (optimum,), source, states=states)


@case
def dint_min_energy():
    optimum = 6 * 20**2 / (20**2 - 1)  # with held controls; 6 in continuous time
    source = "row 1; Bryson, Ho (1975); analytic"
    return _least_effort("dint_min_energy", 20, [0.0, 0.0], [1.0, 0.0], None, optimum, source)


@case
def bryson_denham():  # continuous time: 4
    bounds = bounds_before_goal([-np.inf, -np.inf], [1 / 9, np.inf], 60)
    source = "row 3; Bryson, Denham, Dreyfus (1963); IPOPT"
    name, optimum = "bryson_denham", 4.002503129
    return _least_effort(name, 60, [0.0, 1.0], [0.0, -1.0], bounds, optimum, source)


@case
def dint_altro():
    problem = jaxmpc.Problem(
        double_integrator(0.1),
        tracking_cost(1.0, 0.1),
        goal_cost(1.0),
        horizon=20,
        control_dim=1,
        control_bounds=(-3.0, 3.0),
        state_bounds=bounds_before_goal([-np.inf, -0.6], [np.inf, 0.6], 20),
        terminal_equality=from_goal,
    )
    params = {"goal": np.array([1.0, 0.0]), "mass": 1.0, "control_weight": 0.1}
    source = "row 2; ALTRO.jl; IPOPT"
    states = constant([0.0, 0.0], 21)
    return Case("dint_altro", problem, np.zeros(2), params, (0.744087310,), source, states=states)


# --- Row 4: Van der Pol's oscillator; its third state gathers the cost. ---


def van_der_pol(x, u, params):
    accumulated = x[0] ** 2 + x[1] ** 2 + params["control_weight"] * u[0] ** 2
    return jnp.stack(
        [params["mu"] * (1 - x[1] ** 2) * x[0] - x[1] + u[0], x[0], accumulated],
    )


def accumulated_cost(x, params):
    return x[2]


@case
def vdp_bounded():
    problem = jaxmpc.Problem(
        integrators.rk4(van_der_pol, 0.5, 4),
        no_cost,
        accumulated_cost,
        horizon=20,
        control_dim=1,
        control_bounds=(-1.0, 1.0),
        state_bounds=(np.array([-0.25, -np.inf, -np.inf]), None),
    )
    params, x0 = {"mu": 1.0, "control_weight": 1.0}, np.array([0.0, 1.0, 0.0])
    source = "row 4; CasADi's direct_multiple_shooting.py; IPOPT"
    states = constant(x0, 21)
    return Case("vdp_bounded", problem, x0, params, (3.732969485,), source, states=states)


# --- Rows 10 and 11: a unicycle around three pillars, and into a parking space. ---


@case
def dubins_3obs_altro():
    problem = jaxmpc.Problem(
        integrators.rk4(models.unicycle, 0.05),
        tracking_cost(1.0, 0.05),
        goal_cost(10.0),
        horizon=100,
        control_dim=2,
        control_bounds=(np.array([0.0, -3.0]), 3.0),
        stage_inequality=outside_circles,
        terminal_equality=from_goal,
    )
    params = {
        "goal": np.array([3.0, 3.0, 0.0]),
        "control_weight": 0.5,
        "centers": np.tile([[0.75], [1.5], [2.25]], 2),
        "radius": 0.425,
    }

    def guess(s):
        bend = 0.3 * np.sin(np.pi * s)
        return 3 * s + bend, 3 * s - bend, 0.7

    return Case(
        "dubins_3obs_altro",
        problem,
        np.zeros(3),
        params,
        (9.435505839,),
        "row 10; ALTRO.jl; IPOPT",
        controls=constant([0.01, 0.01], 100),
        states=along(guess, 100),
    )


@case
def dubins_parallel_park_altro():
    dt, goal = 3 / 100, np.array([0.0, 1.5, 0.0])
    lower, upper = [-0.25, -0.001, -np.inf], [0.25, 1.501, np.inf]
    problem = jaxmpc.Problem(
        integrators.rk4(models.unicycle, dt),
        tracking_cost(0.01, dt),
        goal_cost(100.0),
        horizon=100,
        control_dim=2,
        control_bounds=(-2.0, 2.0),
        state_bounds=bounds_before_goal(lower, upper, 100),
        terminal_equality=from_goal,
    )
    return Case(
        "dubins_parallel_park_altro",
        problem,
        np.zeros(3),
        {"goal": goal, "control_weight": 0.01},
        (0.054067001,),
        "row 11; ALTRO.jl; IPOPT",
        controls=constant([0.1, 0.1], 100),
        states=along(lambda s: (0.0, 1.5 * s, 0.5), 100),
    )


# --- Row 18: a point mass lands from 100 m, its thrust in a ball. ---


def rocket(x, u, params):
    gravity = jnp.zeros_like(u).at[2].set(params["gravity"])
    return jnp.concatenate([x[3:], u / params["mass"] - gravity])


def thrust_ball(x, u, t, params):
    limit = params["max_thrust"] ** 2
    return (u @ u - limit)[None] / limit


@case
def rocket_soc_altro():
    problem = jaxmpc.Problem(
        integrators.rk4(rocket, 0.1),
        tracking_cost(1.0, 0.1),
        goal_cost(1000.0),
        horizon=100,
        control_dim=3,
        stage_inequality=thrust_ball,
        terminal_equality=from_goal,
    )
    params = {
        "goal": np.zeros(6),
        "control_weight": 0.1,
        "mass": 1.0,
        "gravity": 9.81,
        "max_thrust": 100.0,
    }
    x0 = np.array([10.0, 10.0, 100.0, 0.0, 0.0, -10.0])
    source, states = "row 18; ALTRO.jl, rocket_test.jl; IPOPT", constant(x0, 101)
    return Case("rocket_soc_altro", problem, x0, params, (6705.788842858,), source, states=states)


# --- Rows 19 and 20: linear models with bounded states; the matrices are parameters. ---


def linear_dynamics(x, u, t, params):
    return params["A"] @ x + params["B"] @ u


def _osqp_quadcopter():
    """A and B, typed from OSQP's example."""
    A, B = np.eye(12), np.zeros((12, 4))
    A[[0, 1, 2], [6, 7, 8]] = 0.1
    A[3, [0, 6, 9]] = 0.0488, 0.0016, 0.0992
    A[4, [1, 7, 10]] = -0.0488, -0.0016, 0.0992
    A[5, 11] = 0.0992
    A[9, [0, 6, 9]] = 0.9734, 0.0488, 0.9846
    A[10, [1, 7, 10]] = -0.9734, -0.0488, 0.9846
    A[11, 11] = 0.9846
    for row, effect in ((0, -0.0726), (3, -0.0006), (6, -1.4512), (9, -0.0236)):
        B[row] = 0, effect, 0, -effect
    for row, effect in ((1, -0.0726), (4, 0.0006), (7, -1.4512), (10, 0.0236)):
        B[row] = effect, 0, -effect, 0
    for row, effect in ((2, -0.0152), (8, -0.3049)):
        B[row] = effect, -effect, effect, -effect
    B[5], B[11] = 0.0106, 0.2107
    return A, B


@case
def quadcopter_linear_osqp():
    A, B = _osqp_quadcopter()
    weights = np.array([0, 0, 10, 10, 10, 10, 0, 0, 0, 5, 5, 5.0])
    lower, upper = np.full(12, -np.inf), np.full(12, np.inf)
    upper[:2] = np.pi / 6
    lower[:2], lower[5] = -np.pi / 6, -1.0
    problem = jaxmpc.Problem(
        linear_dynamics,
        tracking_cost(weights, 1.0),
        goal_cost(weights),
        horizon=10,
        control_dim=4,
        control_bounds=(9.6 - 10.5916, 13 - 10.5916),
        state_bounds=(lower, upper),
    )
    params = {"A": A, "B": B, "goal": np.eye(12)[2], "control_weight": 0.1}
    return Case(
        "quadcopter_linear_osqp",
        problem,
        np.zeros(12),
        params,
        (14.016514021,),
        "row 19; OSQP's documentation, first step of its MPC example; IPOPT",
        states=np.zeros((11, 12)),
    )


def _oscillating_masses():
    """Six unit masses between two walls, unit springs; force j pulls masses 2j, 2j+1 apart."""
    K = 2 * np.eye(6) - np.eye(6, k=1) - np.eye(6, k=-1)
    forces = np.kron(np.eye(3), [[1.0], [-1.0]])
    rates = np.zeros((15, 15))
    rates[:6, 6:12], rates[6:12, :6], rates[6:12, 12:] = np.eye(6), -K, forces
    step = scipy.linalg.expm(0.5 * rates)  # exact under held forces
    return step[:12, :12], step[:12, 12:]


@case
def oscillating_masses_wang_boyd():
    A, B = _oscillating_masses()
    problem = jaxmpc.Problem(
        linear_dynamics,
        tracking_cost(1.0, 1.0),
        goal_cost(1.0),
        horizon=30,
        control_dim=3,
        control_bounds=(-0.5, 0.5),
        state_bounds=(np.full(12, -4.0), np.full(12, 4.0)),
    )
    x0 = np.r_[1.5, -1, 1, -1, 0.5, -0.5, np.zeros(6)]
    params = {"A": A, "B": B, "goal": np.zeros(12), "control_weight": 1.0}
    return Case(
        "oscillating_masses_wang_boyd",
        problem,
        x0,
        params,
        (37.517284266,),
        "row 20; in the style of Wang, Boyd (2010); IPOPT",
        states=constant(x0, 31),
    )
