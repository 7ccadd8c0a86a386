"""Rows of the table with constraints: pendulums, vehicles and machines that move."""

import jax
import jax.numpy as jnp
import numpy as np
from cases import (
    Case,
    along,
    bounds_before_goal,
    case,
    constant,
    effort,
    from_goal,
    goal_cost,
    half_square,
    outside_circles,
    tracking_cost,
)

import jaxmpc
from jaxmpc import integrators, models

# --- Rows 5, 7 and 8: swing-ups of ALTRO, angles from the hanging position. ---


def torque_pendulum(x, u, params):
    inertia = params["mass"] * params["length"] ** 2
    torque = u[0] - params["damping"] * x[1]
    gravity = params["gravity"] / params["length"] * jnp.sin(x[0])
    return jnp.stack([x[1], torque / inertia - gravity])


@case
def pendulum_altro():
    dt = 3 / 50
    problem = jaxmpc.Problem(
        integrators.rk4(torque_pendulum, dt),
        tracking_cost(1e-3, dt),
        goal_cost(1.0),
        horizon=50,
        control_dim=1,
        control_bounds=(-3.0, 3.0),
        terminal_equality=from_goal,
    )
    params = {"mass": 1.0, "length": 0.5, "damping": 0.1, "gravity": 9.81}
    return Case(
        "pendulum_altro",
        problem,
        np.zeros(2),
        {**params, "goal": np.array([np.pi, 0.0]), "control_weight": 1e-3},
        (0.018404628,),
        "row 5; ALTRO.jl; IPOPT",
        controls=constant([0.1], 50),
        states=np.zeros((51, 2)),
    )


def hanging_cartpole(x, u, params):
    """RobotZoo's cart-pole is acados' with the angle from the hanging position."""
    return models.cartpole_acados(x.at[1].add(np.pi), u, params)


@case
def cartpole_altro():
    problem = jaxmpc.Problem(
        integrators.rk4(hanging_cartpole, 0.05),
        tracking_cost(1e-2, 0.05),
        goal_cost(100.0),
        horizon=100,
        control_dim=1,
        control_bounds=(-3.0, 3.0),
        terminal_equality=from_goal,
    )
    params = {"mass_cart": 1.0, "mass_pole": 0.2, "length": 0.5, "gravity": 9.81}
    return Case(
        "cartpole_altro",
        problem,
        np.zeros(4),
        {**params, "goal": np.array([0.0, np.pi, 0.0, 0.0]), "control_weight": 0.1},
        (1.486186733,),
        "row 7; ALTRO.jl, with RK4 for its RK3; IPOPT",
        controls=constant([0.01], 100),
        states=np.zeros((101, 4)),
    )


@case
def acrobot_altro():  # at RobotZoo's unit values its mass matrix is that of `models.acrobot`
    up = np.array([np.pi / 2, 0.0, 0.0, 0.0])
    problem = jaxmpc.Problem(
        integrators.rk4(models.acrobot, 0.05),
        tracking_cost(1.0, 0.05),
        goal_cost(100.0),
        horizon=100,
        control_dim=1,
        control_bounds=(-15.0, 15.0),
        terminal_equality=from_goal,
    )
    return Case(
        "acrobot_altro",
        problem,
        -up,
        {**models.ACROBOT, "goal": up, "control_weight": 0.01},
        (47.273882724, 50.046611),
        "row 8; ALTRO.jl; IPOPT",
        states=along(lambda s: (2 * s - 1) * up, 100),
    )


# --- Rows 13 and 14: RobotZoo's quadrotor along three waypoints, and between two columns. ---

HOVER = constant(4 * [0.5 * 9.81 / 4], 100)
WAYPOINT_STAGES = np.array([32, 65])


def level(position):
    """The state at rest at a position."""
    return np.r_[position, 1.0, np.zeros(9)]


def zigzag_cost(x, u, t, params):
    waypoints, dt = jnp.asarray(params["waypoints"], x.dtype), 0.05
    at = (t == WAYPOINT_STAGES).astype(x.dtype)
    passing = jnp.any(at)
    target = jnp.asarray(level(np.zeros(3)), x.dtype).at[:3].set(at @ waypoints[:2])
    free = dt * np.repeat([1e-5, 1e-3], [7, 6])
    weights = jnp.where(passing, 1e-3 * dt * np.repeat([1e3, 1.0], [3, 10]), free)
    control_weight = params["control_weight"] * jnp.where(passing, 1.0, dt)
    return half_square(weights, x - target) + half_square(control_weight, u)


def zigzag_terminal_cost(x, params):
    final = jnp.asarray(params["waypoints"][2], x.dtype)
    target = jnp.asarray(level(np.zeros(3)), x.dtype).at[:3].set(final)
    return half_square(np.repeat([10.0, 100.0, 10.0], [3, 4, 6]), x - target)


@case
def quadrotor_zigzag_altro():
    problem = jaxmpc.Problem(
        integrators.rk4(models.quadrotor, 0.05),
        zigzag_cost,
        zigzag_terminal_cost,
        horizon=100,
        control_dim=4,
        control_bounds=(0.0, 12.0),
    )
    waypoints = np.array([[10.0, 0.0, 1.0], [-10.0, 0.0, 1.0], [0.0, 10.0, 1.0]])
    start, stages = np.array([0.0, -10.0, 1.0]), [0, *WAYPOINT_STAGES, 100]
    corners = np.vstack([start, waypoints])

    def guess(s):
        return level([np.interp(100 * s, stages, corner) for corner in corners.T])

    return Case(
        "quadrotor_zigzag_altro",
        problem,
        level(start),
        {**models.QUADROTOR, "waypoints": waypoints, "control_weight": 1e-4},
        (0.292386637,),
        "row 13; ALTRO.jl; IPOPT",
        controls=HOVER,
        states=along(guess, 100),
    )


@case
def quadrotor_2columns():
    problem = jaxmpc.Problem(
        integrators.rk4(models.quadrotor, 0.05),
        tracking_cost(np.repeat([0.1, 0.01], [3, 10]), 0.05),
        goal_cost(np.repeat([100.0, 10.0], [3, 10])),
        horizon=60,
        control_dim=4,
        control_bounds=(0.0, 5.0),
        stage_inequality=outside_circles,
    )
    params = {
        **models.QUADROTOR,
        "goal": level([-0.1, 3.2, 1.0]),
        "control_weight": 0.01,
        "centers": np.array([[-0.45, 1.2], [0.4, 2.4]]),
        "radius": 0.42,
    }

    def guess(s):
        return level([-0.1 * s + 0.3 * np.sin(2 * np.pi * s), 3.2 * s, 0.18 + 0.82 * s])

    return Case(
        "quadrotor_2columns",
        problem,
        level([0.0, 0.0, 0.18]),
        params,
        (0.479144360,),
        "row 14; aligator's quadrotor_obstacles on RobotZoo's quadrotor; IPOPT",
        controls=HOVER[:60],
        states=along(guess, 60),
    )


# --- Row 15: acados' chain of masses beside a wall. ---


def chain_at_rest(end):
    """The chain of three free masses that hangs still between the origin and its end."""

    def state(free):
        return jnp.concatenate([free, end, jnp.zeros(9)])

    def acceleration(free):
        return models.chain(state(free), jnp.zeros(3))[12:]

    newton = jax.jit(lambda z: z - jnp.linalg.solve(jax.jacobian(acceleration)(z), acceleration(z)))
    free = np.outer([0.25, 0.5, 0.75], end).ravel()
    for _ in range(20):  # it stands still after eight
        free = newton(free)
    return np.asarray(state(free))


@case
def chain_mass_acados():
    dynamics, rest = integrators.rk4(models.chain, 0.2, 2), chain_at_rest(np.array([0.792, 0, 0]))
    weights = np.repeat([2.0, 8.0, 2.0], [9, 3, 9])
    walls = np.full(21, -np.inf)
    walls[1:12:3] = -0.05
    problem = jaxmpc.Problem(
        dynamics,
        tracking_cost(weights, 0.2),
        goal_cost(weights),
        horizon=40,
        control_dim=3,
        control_bounds=(-1.0, 1.0),
        state_bounds=(walls, None),
    )
    x0, step = rest, jax.jit(dynamics)
    for _ in range(5):  # a push away from rest
        x0 = step(x0, np.array([-1.0, 1.0, 1.0]))
    return Case(
        "chain_mass_acados",
        problem,
        np.asarray(x0),
        {**models.CHAIN, "goal": rest, "control_weight": 0.02},
        (19.764141712,),
        "row 15; acados' chain_mass; Wirsching, Bock, Diehl (2006); IPOPT",
        states=constant(rest, 41),
    )


# --- Row 16: RobotZoo's bicycle parks sideways. ---


@case
def bicycle_park_altro():
    dt, limit = 3 / 100, np.array([10.0, 6.0, np.inf, np.pi / 4])
    problem = jaxmpc.Problem(
        integrators.rk4(models.bicycle, dt),
        tracking_cost([1.0, 1.0, 0.01, 0.01], dt),
        goal_cost([1.0, 1.0, 1.0, 10.0]),
        horizon=100,
        control_dim=2,
        state_bounds=bounds_before_goal(-limit, limit, 100),
        terminal_equality=from_goal,
    )
    return Case(
        "bicycle_park_altro",
        problem,
        np.zeros(4),
        {**models.BICYCLE, "goal": np.array([0.0, 2.0, 0.0, 0.0]), "control_weight": 1.0},
        (22.576668026, 25.089283),
        "row 16; ALTRO.jl; IPOPT",
        controls=constant([-0.1, 0.0], 100),
        states=along(lambda s: (0.5 * np.sin(2 * np.pi * s), 2 * s, 0.1, 0.1), 100),
    )


# --- Row 21: an arm of three rods, 1 m and 1 kg each, in a horizontal plane. ---

_LEVERS = np.tril(np.ones((3, 3)), -1) + 0.5 * np.eye(3)  # of the rods' centres, in lengths
_COUPLING = _LEVERS.T @ _LEVERS + np.eye(3) / 12


def arm(x, u, params):
    """Lagrange's equations in the absolute angles, where they have no products of two rates.

    sum_j C_ij (cos(a_i - a_j) a_j'' + sin(a_i - a_j) a_j'^2) = joint torque i - joint torque i+1
    """
    angles, rates = jnp.cumsum(x[:3]), jnp.cumsum(x[3:])
    coupling = params["mass"] * params["length"] ** 2 * jnp.asarray(_COUPLING, x.dtype)
    between = angles[:, None] - angles[None]
    torques = u - params["damping"] * x[3:]
    force = torques - jnp.append(torques[1:], 0.0) - (coupling * jnp.sin(between)) @ rates**2
    # Cramer's rule by cross products: of three rows, it is cheaper than a factorisation
    a, b, c = coupling * jnp.cos(between)
    minors = jnp.stack([jnp.cross(b, c), jnp.cross(c, a), jnp.cross(a, b)])
    accelerations = minors @ force / (a @ minors[0])
    return jnp.concatenate([x[3:], jnp.diff(accelerations, prepend=0.0)])


def arm_at_target(x, params):
    angles = jnp.cumsum(x[:3])
    tip = params["length"] * jnp.stack([jnp.sum(jnp.cos(angles)), jnp.sum(jnp.sin(angles))])
    return jnp.concatenate([tip - jnp.asarray(params["target"], x.dtype), x[3:]])


@case
def arm3_reach():
    problem = jaxmpc.Problem(
        integrators.rk4(arm, 0.05),
        effort(0.05),
        horizon=40,
        control_dim=3,
        control_bounds=(-5.0, 5.0),
        terminal_equality=arm_at_target,
    )
    params = {"mass": 1.0, "length": 1.0, "damping": 0.1, "control_weight": 1.0}
    return Case(
        "arm3_reach",
        problem,
        np.zeros(6),
        {**params, "target": np.array([1.0, 1.8])},
        (5.753837627, 7.800491597, 10.993729731, 12.225679),
        "row 21; IPOPT; the least was found in float32, and polished to 1e-12 in float64",
        states=along(lambda s: 3 * [0.5 * s] + 3 * [0.0], 40),
    )
