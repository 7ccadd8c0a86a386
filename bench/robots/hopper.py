"""Gymnasium's hopper hops: receding horizon by sampling, in the environment itself.

    MUJOCO_GL=egl python -m bench.robots.hopper [--steps N] [--by WAY ...] [--film]

Needs the extras `mujoco`, `gym` and `plots`. A WAY is samples, derivatives or both. A hop is a
time in the air between two on the floor.
"""

import argparse

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

import jaxmpc
from bench import machine
from bench.robots.film import film
from bench.robots.planner import planner, ways
from jaxmpc.interop.gymnasium import Episode, run_episode
from jaxmpc.interop.mujoco import Robot

_SPEED = 1.5  # that is wanted [m/s]
_CLEAR = 0.01  # the foot is in the air [m]


def hopping(r: Robot) -> jaxmpc.Problem:
    """Forwards, upright, not too low."""

    def cost(x, u, t, params):
        height, angle, speed = x[1], x[2], x[6]
        low = jnp.maximum(0.95 - height, 0.0)
        return (speed - _SPEED) ** 2 + 200 * low**2 + 10 * angle**2 + 0.05 * jnp.sum(u**2)

    return jaxmpc.Problem(
        r.dynamics,
        cost,
        lambda x, params: 5 * cost(x, jnp.zeros(3), 0, params),
        horizon=30,
        control_dim=3,
        control_bounds=r.control_bounds,
    )


def hops(gaps: Float[np.ndarray, " k"]) -> list[tuple[int, float]]:
    """Each time in the air that began and ended on the floor: samples, and the highest gap [m]."""
    air = gaps > _CLEAR
    edges = np.flatnonzero(np.diff(air.astype(int)))
    off = [int(edge) + 1 for edge in edges if not air[edge]]
    down = [int(edge) + 1 for edge in edges if air[edge]]
    pairs = [(start, next((end for end in down if end > start), None)) for start in off]
    return [(end - start, float(gaps[start:end].max())) for start, end in pairs if end is not None]


def described(r: Robot, found: Episode) -> dict:
    """How it went."""
    gaps = np.asarray(jax.vmap(r.distance("foot_geom", "floor"))(jnp.asarray(found.states)))
    flights = hops(gaps)
    return {
        "environment": "Hopper-v5",
        "seconds": len(found.controls) * r.dt,
        "fell": found.terminated,
        "hops": len(flights),
        "longest_flight_seconds": max(length for length, _ in flights) * r.dt if flights else 0.0,
        "highest": max(height for _, height in flights) if flights else 0.0,
        "forwards": float(found.states[-1, 0] - found.states[0, 0]),
        "milliseconds": float(1e3 * np.median(found.seconds[2:])),
    }


def main():
    """An episode by each way, and the film of the first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--by", nargs="*", default=["samples"])
    parser.add_argument("--film", action="store_true")
    given = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    env = gymnasium.make("Hopper-v5", frame_skip=10)
    r = planner(env, timestep=0.004)  # twice its own
    sampler = jaxmpc.ICEM(samples=128, elites=16, iterations=3, noise=0.5)
    rows, states = [], None
    for by in given.by:
        controller = jaxmpc.RecedingHorizon(hopping(r), ways(sampler)[by], iterations=3)
        found = run_episode(env, controller, seed=0, steps=given.steps, key=jax.random.key(0))
        rows.append({"by": by, **described(r, found)})
        states = found.states if states is None else states
        print(rows[-1], flush=True)
    print(machine.save_own("robots_hopper", machine.describe(), rows))
    if given.film:
        print(film("hopper", env.unwrapped.model, states, r.dt, "track"))  # pyright: ignore


if __name__ == "__main__":
    main()
