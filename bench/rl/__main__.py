"""An actor that plans beside one that is a network, on the same tasks by the same algorithm.

    python -m bench.rl [--task pendulum hover] [--seeds N]

The idea is that of Romero, Song and Scaramuzza (2024), 'Actor-critic model predictive control'.
Needs the extra `gym`. Samples until the mean return of 16 held-out starts first reaches the
goal, the last return, and seconds, compilation apart.
"""

import argparse
import time
from typing import Any, NamedTuple

import jax
import numpy as np

from bench import machine
from bench.rl import picture
from bench.rl.actors import Plain, Planning
from bench.rl.ppo import Settings, train
from bench.rl.tasks import TASKS, Task


class Run(NamedTuple):
    """How an actor is trained on a task."""

    actor: Any
    evaluations: int
    settings: Settings


RUNS = {
    "pendulum": {
        "network": Run(Plain, 30, Settings(envs=32, every=4, rate=3e-3)),
        "plan": Run(Planning, 6, Settings(every=2, rate=3e-4)),
    },
    "hover": {
        "network": Run(Plain, 40, Settings(every=5, rate=3e-3)),
        "plan": Run(Planning, 5, Settings(every=5)),
    },
}


def measure(name: str, task: Task, actor: str, seeds: int) -> list[dict[str, Any]]:
    """A row for each seed: all of them run the same compiled program."""
    run = RUNS[name][actor]
    program = jax.jit(lambda key: train(task, run.actor, key, run.evaluations, run.settings)[1])
    start = time.perf_counter()
    compiled = program.lower(jax.random.key(0)).compile()
    compile_seconds = time.perf_counter() - start
    samples = run.settings.envs * run.settings.steps * run.settings.every
    rows = []
    for seed in range(seeds):
        start = time.perf_counter()
        returns = np.asarray(jax.block_until_ready(compiled(jax.random.key(seed))))
        seconds = time.perf_counter() - start
        reached = np.flatnonzero(returns >= task.goal)
        rows.append(
            {
                "task": name,
                "actor": actor,
                "seed": seed,
                "goal": task.goal,
                "samples_to_goal": int(reached[0]) * samples if len(reached) else None,
                "seconds_to_goal": seconds * int(reached[0]) / run.evaluations
                if len(reached)
                else None,
                "first_return": float(returns[0]),
                "last_return": float(returns[-1]),
                "seconds": seconds,
                "compile_seconds": compile_seconds,
                "samples": (samples * np.arange(len(returns))).tolist(),
                "returns": returns.tolist(),
            }
        )
        print(
            {key: value for key, value in rows[-1].items() if key not in ("samples", "returns")},
            flush=True,
        )
    return rows


def main():
    """All tasks, or those asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", nargs="*", default=list(TASKS))
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    host = machine.describe()
    for name in given.task:
        task = TASKS[name]()
        rows = [row for a in RUNS[name] for row in measure(name, task, a, given.seeds)]
        path = machine.save_own(f"rl_{name}", host, rows)
        picture.draw(rows, path.with_suffix(".png"))
        print(path)


if __name__ == "__main__":
    main()
