"""What our own models are to do, as problems with their solvers."""

from typing import NamedTuple

import jax.numpy as jnp

import jaxmpc
from bench.robots import models
from jaxmpc.interop.mujoco import Robot, robot

# MuJoCo's Jacobians are differences, right to some 1e-9: no solver gets to 1e-8 with them.
_OPTIONS = {"hessian": "gauss_newton", "tolerance": 1e-5}


class Task(NamedTuple):
    """A robot, what it is to do, by which solver, from which controls, and what came of it."""

    robot: Robot
    problem: jaxmpc.Problem
    solver: jaxmpc.Solver
    controls: object
    measure: object  # measure(states) -> a number
    wanted: str


def pendulum() -> Task:
    """Swing up with a quarter of the torque that holds it level."""
    r = robot(models.PENDULUM, backend="c")
    tip, up = r.site("tip"), jnp.array([0.0, 0.0, 0.5])

    def cost(x, u, t, params):
        return 0.02 * jnp.sum(u**2) + 1e-3 * x[1] ** 2

    problem = jaxmpc.Problem(
        r.dynamics,
        cost,
        lambda x, params: 20 * jnp.sum((tip(x) - up) ** 2) + 0.1 * x[1] ** 2,
        horizon=150,
        control_dim=1,
        control_bounds=r.control_bounds,
    )
    guess = 0.3 * jnp.sin(jnp.arange(150.0)[:, None] * 0.1)
    return Task(
        r,
        problem,
        jaxmpc.SQP(**_OPTIONS, max_iterations=300),
        guess,
        lambda states: jnp.linalg.norm(tip(states[-1]) - up),
        "tip from upright [m]",
    )


def cartpole() -> Task:
    """Swing up within the rail."""
    r = robot(models.CARTPOLE, backend="c")
    tip = r.site("tip")
    up = jnp.array([0.0, 0.0, 0.5])
    problem = jaxmpc.Problem(
        r.dynamics,
        lambda x, u, t, params: 1e-3 * jnp.sum(u**2) + 0.02 * jnp.sum((tip(x) - up) ** 2),
        lambda x, params: 20 * jnp.sum((tip(x) - up) ** 2) + jnp.sum(x[2:] ** 2),
        horizon=100,
        control_dim=1,
        control_bounds=r.control_bounds,
        state_bounds=r.state_bounds,
    )
    return Task(
        r,
        problem,
        jaxmpc.InteriorPoint(**_OPTIONS, max_iterations=300),
        3.0 * jnp.sin(jnp.arange(100.0)[:, None] * 0.15),
        lambda states: jnp.linalg.norm(tip(states[-1]) - up),
        "tip from upright [m]",
    )


def arm() -> Task:
    """Reach a site, both links clear of two obstacles by a centimetre."""
    r = robot(models.ARM, backend="c")
    tip, goal = r.site("tip"), r.site("goal")(r.x0)
    gaps = [r.distance(link, ball) for link in ("upper", "fore") for ball in ("near", "far")]

    def too_near(x, u, t, params):
        return 0.01 - jnp.stack([gap(x) for gap in gaps])

    problem = jaxmpc.Problem(
        r.dynamics,
        lambda x, u, t, params: 0.01 * jnp.sum(u**2) + 0.01 * jnp.sum(x[2:] ** 2),
        lambda x, params: 100 * jnp.sum((tip(x) - goal) ** 2) + jnp.sum(x[2:] ** 2),
        horizon=60,
        control_dim=2,
        control_bounds=r.control_bounds,
        stage_inequality=too_near,
    )
    return Task(
        r,
        problem,
        jaxmpc.InteriorPoint(**_OPTIONS, max_iterations=300),
        None,
        lambda states: jnp.linalg.norm(tip(states[-1]) - goal),
        "tip from the goal [m]",
    )


OWN = {"pendulum": pendulum, "cartpole": cartpole, "arm": arm}
