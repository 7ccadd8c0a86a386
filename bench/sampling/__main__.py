"""Sampling solvers on five tasks: success, cost, samples, milliseconds; alone and polished.

    python -m bench.sampling                       # ten minutes on one core
    python -m bench.sampling --tasks jump --seeds 10 --dry

100 seeds of each; the milliseconds are those of a single compiled solve, the best of five. Random
guesses are normal controls of the same deviation, 1000 of them; of each hundred the best solution
counts, and its milliseconds are a hundred times those of one. JSON and two pictures are written to
bench/results.
"""

import argparse
import time

import jax
import jax.numpy as jnp
import numpy as np

import jaxmpc
from bench import machine
from bench.sampling.pictures import draw
from bench.sampling.tasks import TASKS, Task
from jaxmpc import CEM, ICEM, MPPI, Chain, MaximumEntropy

_SAMPLES, _ITERATIONS, _GUESSES = 256, 20, 100
_GUESS = "derivatives, 1 random guess"


def samplers(noise: float) -> dict[str, jaxmpc.Solver]:
    """With what they are given everywhere."""
    given = {"samples": _SAMPLES, "iterations": _ITERATIONS, "noise": noise}
    return {
        "CEM": CEM(**given),
        "ICEM": ICEM(**given),
        "MPPI": MPPI(**given),
        "MPPI, coloured": MPPI(**given, color=2.0),
        "maximum entropy": MaximumEntropy(samples=_SAMPLES // 10, iterations=_ITERATIONS),
    }


def samples_of(name: str) -> int | None:
    """How many rollouts a solve takes."""
    rounds = _ITERATIONS + 1
    if name.startswith("ICEM"):
        return sum(max(int(np.ceil(_SAMPLES * 1.25**-i)), 64) for i in range(rounds))
    if name.startswith("maximum"):
        return _SAMPLES // 10 * rounds
    return _SAMPLES * rounds if name.startswith(("CEM", "MPPI")) else None


def contenders(task: Task):
    """Functions of a key that return a solution."""
    local = jaxmpc.default_solver(task.problem)
    shape = (task.problem.horizon, task.problem.control_dim)

    def sampled(solver):
        return lambda key: jaxmpc.solve(task.problem, task.x0, task.params, solver=solver, key=key)

    def guessed(key):
        controls = task.noise * jax.random.normal(key, shape)
        return jaxmpc.solve(task.problem, task.x0, task.params, controls=controls)

    for name, solver in samplers(task.noise).items():
        yield name, sampled(solver)
        if task.polish:
            yield f"{name}, polished", sampled(Chain(solver, local))
    if task.polish:
        yield _GUESS, guessed


def measure(task: Task, solve, seeds: int) -> tuple[dict, jaxmpc.Solution]:
    """The row of a contender, and its solutions."""
    keys = jax.random.split(jax.random.key(1), seeds)
    options = jaxmpc.compiler_options()
    many = jax.jit(lambda keys: jax.lax.map(solve, keys, batch_size=20), compiler_options=options)
    found = many(keys)
    one = jax.jit(solve, compiler_options=options)
    jax.block_until_ready(one(keys[0]))
    times = []
    for key in keys[:5]:
        start = time.perf_counter()
        jax.block_until_ready(one(key))
        times.append(time.perf_counter() - start)
    return summary(task, found, 1e3 * min(times)), found


def summary(task: Task, found: jaxmpc.Solution, ms: float) -> dict:
    """What solutions are worth."""
    return {
        "seeds": len(found.cost),
        "success": int(np.sum(np.asarray(jax.vmap(task.success)(found)))),
        "converged": int(np.sum(np.asarray(found.converged))),
        "median_cost": float(np.median(np.asarray(found.cost))),
        "best_cost": float(np.min(np.asarray(found.cost))),
        "ms": ms,
    }


def best_of_each(found: jaxmpc.Solution, size: int) -> jaxmpc.Solution:
    """The cheapest solution that converged of each group."""
    groups = jax.tree.map(lambda leaf: leaf.reshape(-1, size, *leaf.shape[1:]), found)
    costs = jnp.where(groups.converged, groups.cost, jnp.inf)
    best = jnp.argmin(costs, axis=1)
    return jax.tree.map(lambda leaf: jax.vmap(lambda rows, k: rows[k])(leaf, best), groups)


def rows_of(task: Task, seeds: int):
    """Contender by contender."""
    for contender, solve in contenders(task):
        if contender != _GUESS:
            yield contender, measure(task, solve, seeds)[0]
            continue
        row, found = measure(task, solve, 10 * _GUESSES)
        yield contender, row
        best = best_of_each(found, _GUESSES)
        yield f"derivatives, {_GUESSES} random guesses", summary(task, best, _GUESSES * row["ms"])


def main():
    """Measure, print, keep, draw."""
    parser = argparse.ArgumentParser("python -m bench.sampling")
    parser.add_argument("--tasks", default="", help="those whose name has this in it")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--dry", action="store_true", help="print only, write no files")
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    here, rows = machine.describe(), []
    print(f"{'':56}success  converged  cost (median, best)   samples        ms")
    for name, make in TASKS.items():
        if options.tasks not in name:
            continue
        task = make()
        for contender, row in rows_of(task, options.seeds):
            count = samples_of(contender)
            rows.append({"task": name, "contender": contender, "samples": count, **row})
            print(
                f"{name:24}{contender:32}{row['success'] / row['seeds']:7.0%}{row['converged']:11}"
                f"{row['median_cost']:12.4g}{row['best_cost']:10.4g}{count or '-':>10}"
                f"{row['ms']:10.1f}",
                flush=True,
            )
        jax.clear_caches()
    if not options.dry:
        path = machine.save_own("sampling", here, rows)
        print("written:", path.name, *draw(path))


if __name__ == "__main__":
    main()
