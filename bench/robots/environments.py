"""Receding horizon in Gymnasium's environments, from their own starts.

    python -m bench.robots.environments [--seeds N] [--only NAME ...]

Needs the extras `mujoco` and `gym`. The mean return over the seeds, a hundred for Pendulum-v1.
"""

import argparse
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

import jaxmpc
from bench import machine
from jaxmpc.interop.gymnasium import run_episode
from jaxmpc.interop.mujoco import robot

_OPTIONS = {"hessian": "gauss_newton", "tolerance": 1e-5}


def pendulum(horizon: int) -> jaxmpc.Problem:
    """Pendulum-v1: its own step, and a cost like its own but smooth where it hangs."""

    def step(x, u, t, params):
        angle, speed = x
        speed = jnp.clip(speed + 0.05 * (15 * jnp.sin(angle) + 3 * u[0]), -8, 8)
        return jnp.stack([angle + 0.05 * speed, speed])

    def cost(x, u, t, params):
        return 2 * (1 - jnp.cos(x[0])) + 0.1 * x[1] ** 2 + 1e-3 * u[0] ** 2

    return jaxmpc.Problem(step, cost, horizon=horizon, control_dim=1, control_bounds=(-2.0, 2.0))


def double_pendulum(env: Any) -> jaxmpc.Problem:
    """The tip above the middle of the rail."""
    inner = env.unwrapped
    r = robot(inner.model, backend="c", substeps=inner.frame_skip)
    tip, up = r.site("tip"), jnp.array([0.0, 0.0, 1.2])
    return jaxmpc.Problem(
        r.dynamics,
        lambda x, u, t, params: (
            5 * jnp.sum((tip(x) - up) ** 2) + 1e-3 * jnp.sum(x[3:] ** 2) + 1e-2 * u[0] ** 2
        ),
        horizon=25,
        control_dim=1,
        control_bounds=r.control_bounds,
    )


def reacher(env: Any) -> jaxmpc.Problem:
    """The finger at the target, whose place is part of the state."""
    inner = env.unwrapped
    r = robot(inner.model, backend="c", substeps=inner.frame_skip)
    finger, target = r.body("fingertip"), r.body("target")

    def cost(x, u, t, params):
        square = jnp.sum((finger(x) - target(x))[:3] ** 2)
        return jnp.sqrt(square + 1e-6) + 0.1 * jnp.sum(u**2)  # the environment's, made smooth

    return jaxmpc.Problem(
        r.dynamics, cost, horizon=20, control_dim=2, control_bounds=r.control_bounds
    )


TASKS = {
    "Pendulum-v1": (lambda env: pendulum(40), jaxmpc.ILQR(), 5),
    "InvertedDoublePendulum-v5": (double_pendulum, jaxmpc.SQP(**_OPTIONS), 5),
    "Reacher-v5": (reacher, jaxmpc.SQP(**_OPTIONS), 3),
}


def episodes(name: str, seeds: int) -> dict:
    """Returns of all seeds, what a sample took, and how many of them failed."""
    of_env, solver, iterations = TASKS[name]
    env = gymnasium.make(name)
    controller = jaxmpc.RecedingHorizon(of_env(env), solver, iterations=iterations)
    found = [run_episode(env, controller, seed=seed) for seed in range(seeds)]
    seconds = np.concatenate([episode.seconds[2:] for episode in found])
    statuses = np.concatenate([episode.statuses for episode in found])
    fine = (jaxmpc.Status.converged, jaxmpc.Status.max_iterations)
    return {
        "environment": name,
        "seeds": seeds,
        "mean_return": float(np.mean([episode.total for episode in found])),
        "worst_return": float(np.min([episode.total for episode in found])),
        "mean_steps": float(np.mean([len(episode.rewards) for episode in found])),
        "milliseconds": float(1e3 * np.median(seconds)),
        "failed_samples": int(np.sum(~np.isin(statuses, fine))),
    }


def main():
    """All environments, or those asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--only", nargs="*", default=list(TASKS))
    given = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    host = machine.describe()
    rows = []
    for name in given.only:
        seeds = 100 if name == "Pendulum-v1" and given.seeds == 20 else given.seeds
        rows.append(episodes(name, seeds))
        print(rows[-1], flush=True)
    print(machine.save_own("environments", host, rows))


if __name__ == "__main__":
    main()
