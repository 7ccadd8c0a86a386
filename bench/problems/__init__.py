"""The problems, one a file: each has a `task`, which makes it from the words of its name.

load("lqr:1")  # bench.problems.lqr.task("1")
"""

import importlib

from bench.task import Task

# name: the batches that it is measured with
FIGURES: dict[str, tuple[int, ...]] = {
    "cartpole": (1, 32, 120),
    "lqr:10000": (128,),
    "lqr:1": (128,),
    "cartpole_acados": (1, 64),
    "quadrotor": (1,),
}

# the family of `bench.problems.scaling` along each of its sizes: horizon, states, batch
_HORIZONS = {f"scaling:{horizon}:4:2": (1,) for horizon in (20, 50, 100, 200, 500, 1000)}
_STATES = {f"scaling:20:{n}:{n // 2}": (1,) for n in (2, 4, 8, 16, 32, 40)}
SCALING: dict[str, tuple[int, ...]] = {
    **_HORIZONS,
    **_STATES,
    "scaling:20:4:2": (1, 4, 16, 64, 256, 1024, 4096),
}


def load(name: str) -> Task:
    """The task of that name; its module is imported by the process that solves it."""
    module, *words = name.split(":")
    return importlib.import_module(f"bench.problems.{module}").task(*words)
