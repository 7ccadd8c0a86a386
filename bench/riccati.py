"""Sequential or parallel in time: what `riccati="auto"` knows of a device, measured.

    python -m bench.riccati                 # print
    python -m bench.riccati --write         # and keep it where "auto" looks it up

For each size (horizon, n, m, batch): factor and substitute of a random stable problem, in
milliseconds, by the sequential recursion and by scans over blocks of 1 to 64 stages.
"""

import argparse
import itertools
import json
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bench import machine
from jaxmpc.lq import LQProblem
from jaxmpc.lq.riccati.choice import Recursion
from jaxmpc.lq.riccati.factorization import factor, substitute

_MAP = Path(__file__).parents[1] / "jaxmpc" / "lq" / "riccati" / "choice.json"
_HORIZONS, _STATES, _BATCHES = (20, 100, 1000, 10_000), ((2, 1), (4, 2), (12, 4)), (1, 64, 4096)
_BLOCKS = (None, 1, 4, 16, 64)
_WORTH = 1.5  # how much faster the parallel form, which compiles for longer, has to be
_LARGEST = 3e8  # numbers in the matrices of a batch


def _problem(horizon: int, n: int, m: int, batch: int) -> LQProblem:
    random = np.random.default_rng(0)
    spin, _ = np.linalg.qr(random.standard_normal((n, n)))

    def every(matrix, count=horizon):
        return jnp.broadcast_to(jnp.asarray(matrix), (batch, count, *matrix.shape))

    return LQProblem(
        Q=every(np.eye(n), horizon + 1),
        S=every(np.zeros((m, n))),
        R=every(np.eye(m)),
        q=every(random.standard_normal(n), horizon + 1),
        r=every(random.standard_normal(m)),
        A=every(0.99 * spin),
        B=every(random.standard_normal((n, m))),
        c=every(0.1 * random.standard_normal(n)),
        x0=jnp.asarray(random.standard_normal((batch, n))),
    )


def _milliseconds(problem: LQProblem, block: int | None, runs: int) -> float:
    def solve(problem):
        return substitute(problem, factor(problem, None, Recursion(block))).controls

    compiled = jax.jit(jax.vmap(solve)).lower(problem).compile()
    jax.block_until_ready(compiled(problem))
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        jax.block_until_ready(compiled(problem))
        times.append(1e3 * (time.perf_counter() - start))
    return min(times)  # a busy machine only ever adds


def _measured(sizes: tuple[int, int, int, int], runs: int) -> dict[str, Any]:
    horizon = sizes[0]
    problem = _problem(*sizes)
    times = {
        block: _milliseconds(problem, block, runs)
        for block in _BLOCKS
        if block is None or block < horizon
    }
    in_parallel = {block: ms for block, ms in times.items() if block is not None}
    best = min(in_parallel, key=in_parallel.__getitem__)
    worth = in_parallel[best] * _WORTH < times[None]
    return {
        "sizes": list(sizes),
        "ms": {str(block): round(ms, 4) for block, ms in times.items()},
        "fastest": best if worth else None,
        "fastest_parallel": best,
    }


def main():
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser("bench.riccati", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--write", action="store_true", help="keep the map for riccati='auto'")
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--largest", type=float, default=_LARGEST, help="size of the matrices")
    parser.add_argument("--few", action="store_true", help="each second size only")
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    here, rows = machine.describe(), []
    every = 2 if options.few else 1
    chosen = itertools.product(_HORIZONS[::every], _STATES[::every], _BATCHES[::every])
    for horizon, (n, m), batch in chosen:
        if batch * horizon * (n + m) ** 2 > options.largest:
            continue
        rows.append(_measured((horizon, n, m, batch), options.runs))
        print(*rows[-1]["sizes"], rows[-1]["ms"], flush=True)
    print("written:", machine.save_own("riccati", here, rows).name)
    if options.write:
        known = json.loads(_MAP.read_text())
        kept = ("sizes", "fastest", "fastest_parallel")
        known[jax.default_backend()] = [{key: row[key] for key in kept} for row in rows]
        lines = (f'  "{name}": {_compact(entries)}' for name, entries in sorted(known.items()))
        _MAP.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def _compact(entries: list[dict[str, Any]]) -> str:
    return "[\n" + ",\n".join(f"    {json.dumps(entry)}" for entry in entries) + "\n  ]"


if __name__ == "__main__":
    main()
