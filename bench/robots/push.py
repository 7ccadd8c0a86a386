"""A finger pushes a box of the size of a hand to a place, and turns it as it is wanted there.

    MUJOCO_GL=egl python -m bench.robots.push [--steps N] [--film]

Needs the extras `mujoco` and `plots`. Until the finger touches the box no derivative knows of it:
the plan that derivatives alone find is tried too.
"""

import argparse
import math
import time

import jax
import jax.numpy as jnp
import numpy as np

import jaxmpc
from bench import machine
from bench.robots import models
from bench.robots.film import film
from jaxmpc.interop.mujoco import Robot, robot

_GOAL, _TURN = jnp.array([0.2, 0.1]), math.radians(30)
_ATTITUDE = jnp.array([math.cos(_TURN / 2), 0.0, 0.0, math.sin(_TURN / 2)])
_ITERATIONS = 3  # a sample, of either solver


def errors(r: Robot):
    """How far a state is from the goal: distance [m] and turn [rad]."""
    box = r.body("box")

    def of(x):
        pose = box(x)
        half = jnp.clip(jnp.abs(pose[3:] @ _ATTITUDE), 0.0, 1.0)
        return jnp.linalg.norm(pose[:2] - _GOAL), 2 * jnp.arccos(half)

    return of


def pushing(r: Robot) -> jaxmpc.Problem:
    """The box at its goal; the finger near it, so that samples find it."""
    box, gap = r.body("box"), r.distance("tip", "box")

    def cost(x, u, t, params):
        pose = box(x)
        turned = 1 - jnp.sum(pose[3:] * _ATTITUDE) ** 2
        off = jnp.sum((pose[:2] - _GOAL) ** 2)
        return 100 * off + 2 * turned + 3 * gap(x) ** 2 + 0.02 * jnp.sum(x[9:11] ** 2)

    return jaxmpc.Problem(
        r.dynamics,
        cost,
        lambda x, params: 5 * cost(x, jnp.zeros(2), 0, params),
        horizon=25,
        control_dim=2,
        control_bounds=r.control_bounds,
        state_space=r.state_space,
    )


def episode(r: Robot, problem: jaxmpc.Problem, solver: jaxmpc.Solver, steps: int):
    """The states of a loop, and what the median sample took [s]."""
    controller = jaxmpc.RecedingHorizon(problem, solver, iterations=_ITERATIONS)
    x, plan = r.x0, controller.init(r.x0, key=jax.random.key(0))
    states, seconds = [np.asarray(x)], []
    for _ in range(steps):
        start = time.perf_counter()
        u, plan = controller.step(x, plan)
        x = r.dynamics(x, jax.block_until_ready(u))
        seconds.append(time.perf_counter() - start)
        states.append(np.asarray(x))
    return np.stack(states), float(np.median(seconds[2:]))


def main():
    """Both loops, their rows, and the film of the first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--film", action="store_true")
    given = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    r = robot(models.PUSH, backend="c", substeps=8)
    problem, rows = pushing(r), []
    sampler = jaxmpc.ICEM(samples=128, elites=16, iterations=_ITERATIONS, noise=0.1)
    local = jaxmpc.SQP(hessian="gauss_newton", tolerance=1e-4)
    for name, solver in (("ICEM", sampler), ("SQP", local)):
        states, seconds = episode(r, problem, solver, given.steps)
        off, turn = errors(r)(jnp.asarray(states[-1]))
        rows.append(
            {
                "robot": "push",
                "solver": name,
                "seconds": given.steps * r.dt,
                "off": float(off),
                "off_degrees": float(jnp.rad2deg(turn)),
                "milliseconds": 1e3 * seconds,
            }
        )
        print(rows[-1], flush=True)
        if given.film and name == "ICEM":
            print(film("push", r.model, states, r.dt, "side"))
    print(machine.save_own("robots_push", machine.describe(), rows))


if __name__ == "__main__":
    main()
