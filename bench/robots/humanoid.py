"""Gymnasium's humanoid stands, is pushed, and stands again: receding horizon by sampling.

    MUJOCO_GL=egl python -m bench.robots.humanoid [--steps N] [--push NEWTON] [--by WAY] [--film]

Needs the extras `mujoco`, `gym` and `plots`. A WAY is samples, derivatives or both. There are 24
positions, 23 velocities, 17 actuators; what stands is the environment's own model, with its
integrator and its contacts. The plan's model has another integrator and a longer time step.
"""

import argparse
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

import jaxmpc
from bench import machine
from bench.robots.film import film, following
from bench.robots.planner import planner, ways
from jaxmpc.interop.gymnasium import Episode, run_episode

_PUSHED = range(60, 70)  # these samples
_TORSO = 1


class Pushed(gymnasium.Wrapper):
    """Somebody pushes the torso forwards for a while."""

    def __init__(self, env: gymnasium.Env, newton: float):
        super().__init__(env)
        self._newton, self._taken = newton, 0

    def reset(self, **given: Any):
        """Begin again."""
        self._taken = 0
        return self.env.reset(**given)

    def step(self, action: Any):
        """One sample, with or without the push."""
        data: Any = self.unwrapped.data  # pyright: ignore
        data.xfrc_applied[_TORSO, 0] = self._newton if self._taken in _PUSHED else 0.0
        self._taken += 1
        return self.env.step(action)


def standing(env: Any) -> tuple[jaxmpc.Problem, float]:
    """The centre of mass above the feet, upright, still; and how long a sample is."""
    r = planner(env, timestep=0.005)  # its own is 0.003
    feet = r.body("right_foot"), r.body("left_foot")
    center = r.center_of_mass("torso")
    nq = r.model.nq

    def cost(x, u, t, params):
        joints, velocity = x[7:nq], x[nq:]
        between = 0.5 * (feet[0](x)[:2] + feet[1](x)[:2])
        lean = center(x)[:2] - between
        tilt = x[4] ** 2 + x[5] ** 2
        return (
            50 * jnp.sum(lean**2)
            + 10 * jnp.sum(center(x)[:2] ** 2)
            + 20 * (x[2] - 1.3) ** 2
            + 10 * tilt
            + 0.3 * jnp.sum(joints**2)
            + 5 * jnp.sum(velocity[:2] ** 2)
            + 0.01 * jnp.sum(velocity**2)
            + 0.5 * jnp.sum(u**2)
        )

    problem = jaxmpc.Problem(
        r.dynamics,
        cost,
        lambda x, params: 10 * cost(x, jnp.zeros(r.control_dim), 0, params),
        horizon=20,
        control_dim=r.control_dim,
        control_bounds=r.control_bounds,
        state_space=r.state_space,
    )
    return problem, r.dt


def described(dt: float, found: Episode) -> dict:
    """How it went."""
    return {
        "environment": "Humanoid-v5",
        "stood_seconds": len(found.controls) * dt,
        "fell": found.terminated,
        "furthest": float(np.max(np.linalg.norm(found.states[:, :2], axis=1))),
        "at_the_end": float(np.linalg.norm(found.states[-1, :2])),
        "lowest": float(np.min(found.states[:, 2])),
        "return": found.total,
        "milliseconds": float(1e3 * np.median(found.seconds[2:])),
    }


def main():
    """An episode by each way, and the film of the first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--push", type=float, default=100.0)
    parser.add_argument("--by", nargs="*", default=["samples"])
    parser.add_argument("--film", action="store_true")
    given = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    env = Pushed(gymnasium.make("Humanoid-v5"), given.push)
    problem, dt = standing(env)
    sampler = jaxmpc.ICEM(samples=128, elites=16, iterations=1, noise=0.15)
    rows, states = [], None
    for by in given.by:
        controller = jaxmpc.RecedingHorizon(problem, ways(sampler)[by], iterations=1)
        found = run_episode(env, controller, seed=0, steps=given.steps, key=jax.random.key(0))
        push = {"push_newton": given.push, "push_seconds": len(_PUSHED) * dt}
        rows.append({"by": by, **push, **described(dt, found)})
        states = found.states if states is None else states
        print(rows[-1], flush=True)
    print(machine.save_own("robots_humanoid", machine.describe(), rows))
    if given.film:
        print(film("humanoid", env.unwrapped.model, states, dt, following(_TORSO, 4.0)))  # pyright: ignore


if __name__ == "__main__":
    main()
