"""Our own models swing up and reach, planned through MuJoCo's own steps and Jacobians.

    MUJOCO_GL=egl python -m bench.robots.own [--film]

Needs the extras `mujoco` and `plots`. Prints, and writes bench/results.
"""

import argparse
import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

import jaxmpc
from bench import machine
from bench.robots import models
from bench.robots.film import film
from jaxmpc.interop.mujoco import Robot, robot

# MuJoCo's Jacobians are differences, right to some 1e-9: no solver gets to 1e-8 with them.
_OPTIONS = {"hessian": "gauss_newton", "tolerance": 1e-5}


class Task(NamedTuple):
    """A robot, what it is to do, by which solver, from which controls, and what came of it."""

    robot: Robot
    problem: jaxmpc.Problem
    solver: jaxmpc.Solver
    controls: Array | None
    miss: Callable[[Array], Array]  # of the states: how far the tip is from where it should be [m]


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
        lambda x, params: 1000 * jnp.sum((tip(x) - goal) ** 2) + jnp.sum(x[2:] ** 2),
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
    )


def main():
    """Solve each, twice: what the first call takes is mostly compilation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--film", action="store_true")
    given = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    host, rows = machine.describe(), []
    for task in (pendulum, cartpole, arm):
        robot, problem, solver, controls, miss = task()
        seconds = []
        for _ in range(2):
            start = time.perf_counter()
            found = jaxmpc.solve(problem, robot.x0, solver=solver, controls=controls)
            jax.block_until_ready(found)
            seconds.append(time.perf_counter() - start)
        rows.append(
            {
                "robot": robot.model.names.split(b"\0")[0].decode(),
                "solver": type(solver).__name__,
                "status": jaxmpc.Status(int(found.status)).name,
                "iterations": int(found.iterations),
                "cost": float(found.cost),
                "miss": float(miss(found.states)),
                "first_seconds": seconds[0],
                "seconds": seconds[1],
            }
        )
        print(rows[-1], flush=True)
        if given.film:
            name = rows[-1]["robot"]
            print(film(name, robot.model, np.asarray(found.states), robot.dt, "side"))
    print(machine.save_own("robots", host, rows))


if __name__ == "__main__":
    main()
