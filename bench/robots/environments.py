"""Receding horizon in Gymnasium's environments, from their own starts.

    python -m bench.robots.environments [--seeds N] [--only NAME ...]

Needs the extras `mujoco` and `gym`. The mean return over the seeds, a hundred for
Pendulum-v1, beside the best published and the best found in hindsight for the same episodes.
"""

import argparse
import copy
from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import mujoco
import numpy as np

import jaxmpc
from bench import machine
from jaxmpc.interop.gymnasium import Episode, run_episode
from jaxmpc.interop.mujoco import Robot, robot

# Differences of MuJoCo's steps are right to some 1e-9; a loop needs no more than this of a plan.
_SQP = jaxmpc.SQP(hessian="gauss_newton", tolerance=1e-3)

# The best returns that we know of: for Pendulum-v1 TD3's in the benchmark of RL Baselines3 Zoo
# (Raffin, 2020; 750 episodes), for the others TD3's of Fujimoto, van Hoof and Meger (2018).
PUBLISHED = {
    "Pendulum-v1": -151.9,
    "InvertedDoublePendulum-v5": 9337.5,
    "Reacher-v5": -3.60,
}


class Task(NamedTuple):
    """What is planned at every sample, how, and what an episode costs by the environment."""

    problem: jaxmpc.Problem
    solver: jaxmpc.Solver
    iterations: int
    episode: jaxmpc.Problem | None  # to be solved from the start with all that happened as guess


def pendulum(env: Any) -> Task:
    """Its own step, and a cost like its own but smooth where it hangs."""

    def step(x, u, t, params):
        angle, speed = x
        speed = jnp.clip(speed + 0.05 * (15 * jnp.sin(angle) + 3 * u[0]), -8, 8)
        return jnp.stack([angle + 0.05 * speed, speed])

    def smooth(x, u, t, params):
        return 2 * (1 - jnp.cos(x[0])) + 0.1 * x[1] ** 2 + 1e-3 * u[0] ** 2

    def own(x, u, t, params):
        angle = jnp.mod(x[0] + jnp.pi, 2 * jnp.pi) - jnp.pi
        return angle**2 + 0.1 * x[1] ** 2 + 1e-3 * u[0] ** 2

    given = {"control_dim": 1, "control_bounds": (-2.0, 2.0)}
    return Task(
        jaxmpc.Problem(step, smooth, horizon=40, **given),
        jaxmpc.ILQR(),
        5,
        jaxmpc.Problem(step, own, horizon=200, **given),
    )


def double_pendulum(env: Any) -> Task:
    """Upright in the middle of the rail, with what upright costs for ever behind the horizon.

    No step can earn more than 10 - (1.2 - 2)^2 = 9.36, so that hindsight has nothing to tell.
    """
    r = _robot(env)

    def cost(x, u, t, params):
        lean = x[1] ** 2 + (x[1] + x[2]) ** 2
        return 0.5 * x[0] ** 2 + 5 * lean + 1e-3 * jnp.sum(x[3:] ** 2) + 1e-2 * u[0] ** 2

    x, u = jnp.zeros(6), jnp.zeros(1)
    A, B = jax.jacfwd(r.dynamics, (0, 1))(x, u)
    Q, R = (jax.hessian(cost, which)(x, u, 0, None) for which in (0, 1))
    P = jaxmpc.lq.infinite_horizon(A, B, Q, R).P
    problem = jaxmpc.Problem(
        r.dynamics,
        cost,
        lambda x, params: 0.5 * x @ P @ x,
        horizon=15,
        control_dim=1,
        control_bounds=r.control_bounds,
    )
    return Task(problem, _SQP, 2, None)


def reacher(env: Any) -> Task:
    """The finger at the target, whose place is part of the state."""
    r = _robot(env)
    finger, target = r.body("fingertip"), r.body("target")
    price = env.unwrapped._reward_control_weight  # 1 in code, 0.1 in its documentation

    def cost(x, u, t, params):
        square = jnp.sum((finger(x) - target(x))[:3] ** 2)
        return jnp.sqrt(square + 1e-6) + price * jnp.sum(u**2)  # the environment's, made smooth

    given = {"control_dim": 2, "control_bounds": r.control_bounds}
    return Task(
        jaxmpc.Problem(r.dynamics, cost, horizon=20, **given),
        _SQP,
        3,
        jaxmpc.Problem(r.dynamics, cost, horizon=50, **given),
    )


def _robot(env: Any) -> Robot:
    """To plan with: the environment's own with another integrator, whose Jacobians cost less."""
    model = copy.copy(env.unwrapped.model)
    model.opt.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    return robot(model, backend="c", substeps=env.unwrapped.frame_skip)


TASKS = {
    "Pendulum-v1": pendulum,
    "InvertedDoublePendulum-v5": double_pendulum,
    "Reacher-v5": reacher,
}


def episodes(name: str, seeds: int) -> dict:
    """Returns of all seeds, what a sample took, and how many of them failed."""
    env = gymnasium.make(name)
    task = TASKS[name](env)
    controller = jaxmpc.RecedingHorizon(task.problem, task.solver, iterations=task.iterations)
    found = [run_episode(env, controller, seed=seed) for seed in range(seeds)]
    seconds = np.concatenate([episode.seconds[2:] for episode in found])
    statuses = np.concatenate([episode.statuses for episode in found])
    fine = (jaxmpc.Status.converged, jaxmpc.Status.max_iterations)
    best = [hindsight(task, episode) for episode in found]
    return {
        "environment": name,
        "seeds": seeds,
        "mean_return": float(np.mean([episode.total for episode in found])),
        "published": PUBLISHED[name],
        "hindsight": None if task.episode is None else float(np.mean(best)),
        "worst_return": float(np.min([episode.total for episode in found])),
        "mean_steps": float(np.mean([len(episode.rewards) for episode in found])),
        "milliseconds": float(1e3 * np.median(seconds)),
        "failed_samples": int(np.sum(~np.isin(statuses, fine))),
    }


def hindsight(task: Task, episode: Episode) -> float:
    """The return of the best plan of the whole episode found from what happened, not less than it.

    States are guessed too: open loop, controls that hold something upright would let it fall.
    """
    if task.episode is None:
        return episode.total
    found = jaxmpc.solve(
        task.episode,
        jnp.asarray(episode.states[0]),
        solver=jaxmpc.SQP(hessian="gauss_newton", tolerance=1e-4),
        controls=jnp.asarray(episode.controls),
        states=jnp.asarray(episode.states),
    )
    planned = -float(found.cost) if found.converged else -np.inf
    return max(episode.total, planned)


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
