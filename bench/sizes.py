"""Large problems: time, compile time and memory of a solve with its gradient, by size.

    python -m bench.sizes

The random family of `bench.problems.scaling`: 4 to 100 states with a quarter as many controls;
horizons and batches at 8 states. Memory is what the compiled program allocates besides its
arguments and results.
"""

import statistics
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxmpc
from bench import machine
from bench.problems import load

_RUNS = 5
_SIZES = [(20, n, n // 4, 1) for n in (4, 8, 16, 32, 64, 80, 100)]
_SIZES += [(horizon, 8, 2, 1) for horizon in (50, 100, 200, 400)]
_SIZES += [(20, 8, 2, batch) for batch in (4, 16, 64, 256)]


def _measured(horizon: int, n: int, m: int, batch: int):
    task = load(f"scaling:{horizon}:{n}:{m}")
    problem = task.jaxmpc_problem()
    params = {name: jnp.asarray(value, float) for name, value in task.params.items()}
    starts = task.initial_states()
    starts = jnp.asarray(np.resize(starts, (batch, starts.shape[1])))

    def loss(params, starts):
        solution = jax.vmap(jaxmpc.solve, (None, 0, None))(problem, starts, params)
        return task.loss_of(solution.controls), solution

    row: dict[str, Any] = {"horizon": horizon, "states": n, "controls": m, "batch": batch}
    for name, function in (("solve", loss), ("gradient", jax.grad(loss, has_aux=True))):
        start = time.perf_counter()
        compiled = jax.jit(function).lower(params, starts).compile()
        row[f"{name}_compile_s"] = round(time.perf_counter() - start, 2)
        memory = compiled.memory_analysis()
        row[f"{name}_mib"] = round(memory.temp_size_in_bytes / 2**20, 3) if memory else None
        _, solution = jax.block_until_ready(compiled(params, starts))
        times = []
        for _ in range(_RUNS):
            start = time.perf_counter()
            jax.block_until_ready(compiled(params, starts))
            times.append(1e3 * (time.perf_counter() - start))
        row[f"{name}_ms"] = round(statistics.median(times), 3)
    row["iterations"] = int(jnp.max(solution.iterations))
    row["converged"] = int(jnp.sum(solution.converged))
    return row


def main():
    """Measure, print, and write the JSON."""
    jax.config.update("jax_enable_x64", True)
    here, rows = machine.describe(), []
    for sizes in _SIZES:
        rows.append(_measured(*sizes))
        print(" ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    print("written:", machine.save_own("sizes", here, rows).name)


if __name__ == "__main__":
    main()
