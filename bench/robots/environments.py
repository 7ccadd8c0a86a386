"""Receding horizon in Gymnasium's environments, from their own starts.

    MUJOCO_GL=egl python -m bench.robots.environments [--seeds N] [--only NAME ...] [--film]

Needs the extras `mujoco`, `gym` and `plots`. The mean return over the seeds, a hundred for
Pendulum-v1, beside the best published and the best plan known for the same starts: by dynamic
programming for Pendulum-v1, by the solver from what happened for Reacher-v5.
"""

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

import jaxmpc
from bench import machine
from bench.robots import grid
from bench.robots.film import film, following
from bench.robots.planner import planner
from jaxmpc.interop.gymnasium import Episode, run_episode

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
    hindsight: Callable[[Episode], float]  # the return of the best plan known for an episode


def pendulum(env: Any) -> Task:
    """Its own step and reward; samples find the way up, derivatives the rest of it."""
    problem = jaxmpc.Problem(
        lambda x, u, t, params: grid.step(x, u[0]),
        lambda x, u, t, params: grid.price(x, u[0]),
        horizon=60,
        control_dim=1,
        control_bounds=(-2.0, 2.0),
    )
    sampler = jaxmpc.ICEM(samples=128, elites=16, iterations=5, noise=1.5)
    after = grid.costs_to_go()
    return Task(
        problem,
        jaxmpc.Chain(sampler, jaxmpc.ILQR(max_iterations=5)),
        5,
        lambda episode: float(grid.best_return(after, jnp.asarray(episode.states[0]))),
    )


def double_pendulum(env: Any) -> Task:
    """Upright in the middle of the rail, with what upright costs for ever behind the horizon.

    No step can earn more than 10 - (1.2 - 2)^2 = 9.36, and a thousand can at most be taken.
    """
    r = planner(env)

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
    return Task(problem, _SQP, 2, lambda episode: 9.36 * 1000)


def reacher(env: Any) -> Task:
    """The finger at the target, whose place is part of the state."""
    r = planner(env)
    finger, target = r.body("fingertip"), r.body("target")
    price = env.unwrapped._reward_control_weight  # 1 in code, 0.1 in its documentation

    def off(x):
        return jnp.sqrt(jnp.sum((finger(x) - target(x))[:3] ** 2) + 1e-6)  # its own, made smooth

    def problem(horizon: int) -> jaxmpc.Problem:
        return jaxmpc.Problem(
            r.dynamics,
            # The reward is for where a step has led to.
            lambda x, u, t, params: jnp.where(t > 0, off(x), 0.0) + price * jnp.sum(u**2),
            lambda x, params: off(x),
            horizon=horizon,
            control_dim=2,
            control_bounds=r.control_bounds,
        )

    return Task(problem(25), _SQP, 3, partial(_from_what_happened, problem(50)))


def _from_what_happened(problem: jaxmpc.Problem, episode: Episode) -> float:
    """The return of the plan that a solver finds from there, if it is the better one."""
    found = jaxmpc.solve(
        problem,
        jnp.asarray(episode.states[0]),
        solver=jaxmpc.SQP(hessian="gauss_newton", tolerance=1e-4, max_iterations=60),
        controls=jnp.asarray(episode.controls),
        states=jnp.asarray(episode.states),
    )
    planned = -float(found.cost) if found.converged else -np.inf
    return max(episode.total, planned)


TASKS = {
    "Pendulum-v1": pendulum,
    "InvertedDoublePendulum-v5": double_pendulum,
    "Reacher-v5": reacher,
}


FILMS = {
    "InvertedDoublePendulum-v5": ("double-pendulum", following(1, 3.0)),
    "Reacher-v5": ("reacher", following(1, 0.8, -70.0)),
}


def filmed(name: str, steps: int = 80) -> str:
    """The beginning of an episode as a GIF."""
    env = gymnasium.make(name)
    task = TASKS[name](env)
    controller = jaxmpc.RecedingHorizon(task.problem, task.solver, iterations=task.iterations)
    found = run_episode(env, controller, seed=0, steps=steps, key=jax.random.key(0))
    inner: Any = env.unwrapped
    file, camera = FILMS[name]
    return str(film(file, inner.model, found.states, inner.dt, camera))


def episodes(name: str, seeds: int) -> dict:
    """Returns of all seeds, what a sample took, and how many of them failed."""
    env = gymnasium.make(name)
    task = TASKS[name](env)
    controller = jaxmpc.RecedingHorizon(task.problem, task.solver, iterations=task.iterations)
    found = [
        run_episode(env, controller, seed=seed, key=jax.random.key(seed)) for seed in range(seeds)
    ]
    seconds = np.concatenate([episode.seconds[2:] for episode in found])
    statuses = np.concatenate([episode.statuses for episode in found])
    fine = (jaxmpc.Status.converged, jaxmpc.Status.max_iterations, jaxmpc.Status.sampled)
    best = [task.hindsight(episode) for episode in found]
    return {
        "environment": name,
        "seeds": seeds,
        "mean_return": float(np.mean([episode.total for episode in found])),
        "published": PUBLISHED[name],
        "hindsight": float(np.mean(best)),
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
    parser.add_argument("--film", action="store_true", help="films alone")
    given = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    if given.film:
        for name in given.only:
            if name in FILMS:
                print(filmed(name))
        return
    host = machine.describe()
    rows = []
    for name in given.only:
        seeds = 100 if name == "Pendulum-v1" and given.seeds == 20 else given.seeds
        rows.append(episodes(name, seeds))
        print(rows[-1], flush=True)
    print(machine.save_own("environments", host, rows))


if __name__ == "__main__":
    main()
