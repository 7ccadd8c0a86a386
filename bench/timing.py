"""Contenders timed side by side: one process each, in turns, on the same machine and minute."""

import dataclasses
import json
import os
import select
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parent.parent


@dataclasses.dataclass(frozen=True)
class Settings:
    """How everyone is measured.

    tolerance: asked of everyone, by its own test. rounds: turns of each contender. repeats: timed
    runs in a turn. budget: seconds of timed runs, after which a contender gets no further turn.
    patience: seconds that any one request may take. gradients: whether to measure them.
    """

    tolerance: float = 1e-8
    rounds: int = 10
    repeats: int = 3
    budget: float = 20.0
    patience: float = 600.0
    gradients: bool = True


class ContenderFailed(Exception):
    """A contender raised; the message is its traceback."""


class Worker:
    """Our end of a `bench.worker` process; `about` is what the contender says of itself."""

    def __init__(
        self,
        python: str,
        task: str,
        peer: str,
        options: Mapping[str, Any],
        patience: float = Settings.patience,
    ):
        self._patience = patience
        environment = dict(os.environ)
        # Compile times are those of a first run, and no library may thread behind another's back
        # (XLA's own pool is the exception: it has no such switch, and small problems leave it be).
        environment.pop("JAX_COMPILATION_CACHE_DIR", None)
        environment.update(JAX_ENABLE_COMPILATION_CACHE="false", PYTHONPATH=str(_ROOT))
        environment.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
        self._process = subprocess.Popen(
            [python, "-m", "bench.worker", task, peer, json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_ROOT,
            env=environment,
        )
        self.about = self._reply()

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Send a request and wait for the reply; raises ContenderFailed."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as broken:
            raise ContenderFailed(f"ended with status {self._process.wait()}") from broken
        return self._reply()

    def close(self):
        """Let the process end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _reply(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], self._patience)[0]:
            self._process.kill()
            raise ContenderFailed(f"no answer within {self._patience:g} s")
        line = self._process.stdout.readline()
        if not line:
            raise ContenderFailed(f"the process died with status {self._process.wait()}")
        reply = json.loads(line)
        if "error" in reply:
            raise ContenderFailed(reply["error"])
        return reply


def interleave(
    workers: Mapping[str, Worker], first_ms: Mapping[str, float], settings: Settings
) -> dict[str, dict[str, float]]:
    """Time what the workers have prepared: in each round, each in turn, a few runs.

    So a slow minute of the machine is everybody's, and not one contender's. `first_ms` is what
    each took for its very first run: who took more than a second gets one run a turn, and who
    took the whole budget is not asked again.
    """
    samples = {name: [ms] if ms > 1e3 * settings.budget else [] for name, ms in first_ms.items()}
    for _ in range(settings.rounds):
        for name, worker in workers.items():
            if sum(samples[name]) > 1e3 * settings.budget:
                continue
            repeats = 1 if first_ms[name] > 1e3 else settings.repeats
            try:
                samples[name] += worker.ask("time", repeats=repeats)["milliseconds"]
            except ContenderFailed as failure:  # it worked once: what it took then stands
                print(f"WARNING: {name} stopped while timed: {failure}", file=sys.stderr)
                samples[name] += [first_ms[name]]
    return {name: summary(values) for name, values in samples.items()}


def summary(milliseconds: Sequence[float]) -> dict[str, float]:
    """Median, min, max and the number of runs."""
    return {
        "median": statistics.median(milliseconds),
        "min": min(milliseconds),
        "max": max(milliseconds),
        "runs": len(milliseconds),
    }
