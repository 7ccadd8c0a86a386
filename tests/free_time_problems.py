"""Rows of the table whose final time is free: time runs 0 .. 1, all rates are times final_time."""

import jax.numpy as jnp
import numpy as np
from cases import Case, along, bounds_before_goal, case, constant, from_goal, no_cost

import jaxmpc
from jaxmpc import free_parameters, integrators


def with_final_time(params, p):
    return {**params, "final_time": p[0]}


def final_time(x, params):
    return params["final_time"]


def _free_time(name, problem, bounds, params, optimum, source, controls, states, guessed_time):
    lower, upper = bounds
    states, controls = free_parameters.augment_guess(states, controls, [guessed_time])
    return Case(
        name,
        free_parameters.optimize_parameters(problem, with_final_time, [lower], [upper]),
        np.asarray(states[0]),
        params,
        (optimum,),
        source,
        controls=np.asarray(controls),
        states=np.asarray(states),
    )


# --- Row 17: a bicycle through the waist of an hour-glass; u = (steering angle, speed). ---


def steered_car(x, u, params):
    steering, speed = u
    rates = [jnp.cos(x[2]), jnp.sin(x[2]), jnp.tan(steering) / params["wheelbase"]]
    return params["final_time"] * speed * jnp.stack(rates)


def hourglass(x, u, t, params):
    waist = jnp.asarray(params["waist"], x.dtype)
    aside, ahead = x[:2] - waist
    return ((aside / params["half_width"]) ** 2 / (1 + 15 * ahead**2) - 1)[None]


@case
def hourglass_mintime_acados():
    problem = jaxmpc.Problem(
        integrators.rk4(steered_car, 1 / 20, 2),
        no_cost,
        final_time,
        horizon=20,
        control_dim=2,
        control_bounds=(np.array([-np.pi / 6, 0.0]), np.array([np.pi / 6, 1.0])),
        stage_inequality=hourglass,
        terminal_equality=from_goal,
    )
    params = {
        "goal": np.array([0.0, 11.0, np.pi / 2]),
        "wheelbase": 1.0,
        "waist": np.array([-3.0, 5.0]),
        "half_width": 0.2,
    }
    name, optimum = "hourglass_mintime_acados", 12.460316955
    source = "row 17; acados' time-optimal bicycle; IPOPT"
    controls = constant([0.0, 1.0], 20)
    states = along(lambda s: (-3 * np.sin(np.pi * s), 11 * s, np.pi / 2), 20)
    bounds = 0.1, 100.0
    return _free_time(name, problem, bounds, params, optimum, source, controls, states, 12.0)


# --- Row 22: a particle is steered by the direction of its thrust. ---


def particle(x, u, params):
    thrust = params["thrust"] * jnp.stack([jnp.cos(u[0]), jnp.sin(u[0])])
    return params["final_time"] * jnp.concatenate([x[2:], thrust])


def particle_at_goal(x, params):
    return x[1:] - jnp.asarray(params["goal"], x.dtype)


@case
def particle_steering_cops():
    problem = jaxmpc.Problem(
        integrators.rk4(particle, 1 / 100),
        no_cost,
        final_time,
        horizon=100,
        control_dim=1,
        control_bounds=(-np.pi / 2, np.pi / 2),
        terminal_equality=particle_at_goal,
    )
    params = {"goal": np.array([5.0, 45.0, 0.0]), "thrust": 100.0}
    name, optimum = "particle_steering_cops", 0.554577024
    source = "row 22; COPS 3.0 (published 0.5546); IPOPT"
    controls = np.zeros((100, 1))
    states = along(lambda s: (5 * s, 5 * s, 45 * s, 0.0), 100)
    bounds = 0.01, np.inf
    return _free_time(name, problem, bounds, params, optimum, source, controls, states, 1.0)


# --- Row 23: Goddard's rocket, x = (height, velocity, mass), to the greatest height. ---


def goddard(x, u, params):
    height, velocity, mass = x
    drag = params["drag"] * velocity**2 * jnp.exp(-500 * (height - 1))
    acceleration = (u[0] - drag) / mass - 1 / height**2
    rates = [velocity, acceleration, -u[0] / params["exhaust_velocity"]]
    return params["final_time"] * jnp.stack(rates)


def minus_height(x, params):
    return -x[0]


def empty(x, params):
    return x[2:] - params["final_mass"]


@case
def goddard_cops():
    lower, upper = [1.0, 0.0, 0.6], [np.inf, np.inf, 1.0]
    problem = jaxmpc.Problem(
        integrators.rk4(goddard, 1 / 100),
        no_cost,
        minus_height,
        horizon=100,
        control_dim=1,
        control_bounds=(0.0, 3.5),
        state_bounds=bounds_before_goal(lower, upper, 100, reached=[2]),
        terminal_equality=empty,
    )
    params = {"drag": 310.0, "exhaust_velocity": 0.5, "final_mass": 0.6}
    source = "row 23; COPS 3.0 (published 1.01283); IPOPT"
    controls = constant([1.75], 100)
    states = along(lambda s: (1.0, 0.5 * s * (1 - s), 1 - 0.4 * s), 100)
    name, optimum, bounds = "goddard_cops", -1.012836849, (0.01, 1.0)
    return _free_time(name, problem, bounds, params, optimum, source, controls, states, 0.2)
