"""The process in which one contender lives: `python -m bench.worker TASK PEER OPTIONS`.

Each contender has a process, so that its peak memory is its own and no library's global flags
(diffilqrax flips jax_enable_x64) reach another. Requests and replies are lines of JSON on the
standard streams; whatever a library prints goes to standard error instead.
"""

import gc
import importlib
import json
import os
import resource
import sys
import time
import traceback
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bench.problems import load


class Contender(Protocol):
    """What a file of bench/peers offers under this name."""

    def describe(self) -> dict[str, Any]:
        """Versions, device, configuration, what it lacks; `gradients: False` if it has none."""
        ...

    def prepare(self, x0s: np.ndarray, gradient: bool) -> None:
        """Build or compile the solve of this batch, with the gradient of the loss or without."""
        ...

    def run(self) -> Any:
        """Solve the batch, and wait until it is done."""
        ...

    def result(self, output: Any) -> dict[str, Any]:
        """From the output of `run`: states, controls, iterations, converged, gradient; as lists.

        Without states they are those of the rollout. `own_ms` is the solver's own clock.
        """
        ...


def peak_mib() -> float:
    """The peak resident memory of this process."""
    # ru_maxrss survives exec, so a child starts with its parent's peak; VmHWM does not.
    status = Path("/proc/self/status")
    if status.exists():
        line = next(s for s in status.read_text().splitlines() if s.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _answer(contender: Contender, request: dict[str, Any]) -> dict[str, Any]:
    if request["do"] == "prepare":
        x0s = np.array(request["x0s"])
        start = time.perf_counter()
        contender.prepare(x0s, request["gradient"])
        return {"seconds": time.perf_counter() - start}
    if request["do"] == "result":
        start = time.perf_counter()
        output = contender.run()
        first_ms = 1e3 * (time.perf_counter() - start)
        return {**contender.result(output), "first_ms": first_ms, "peak_mib": peak_mib()}
    if request["repeats"] > 1:
        contender.run()  # untimed: the caches hold what the other contenders left in them
    gc.collect()
    gc.disable()
    milliseconds = []
    for _ in range(request["repeats"]):
        start = time.perf_counter()
        contender.run()
        milliseconds.append(1e3 * (time.perf_counter() - start))
    gc.enable()
    return {"milliseconds": milliseconds}


def main():
    """Serve requests until the standard input closes."""
    task, peer, options = sys.argv[1:]
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # IPOPT prints from C
    try:
        problem = load(task)
        module = importlib.import_module(f"bench.peers.{peer}")
        contender: Contender = module.Contender(problem, **json.loads(options))
        reply = {**contender.describe(), "import_mib": peak_mib()}
    except Exception:
        print(json.dumps({"error": traceback.format_exc()}), file=replies)
        return
    print(json.dumps(reply), file=replies)
    for line in sys.stdin:
        try:
            reply = _answer(contender, json.loads(line))
        except Exception:
            reply = {"error": traceback.format_exc()}
        print(json.dumps(reply), file=replies)


if __name__ == "__main__":
    main()
