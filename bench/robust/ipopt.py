"""IPOPT's answers, which are kept in a JSON file: they do not change."""

# pyright: reportAttributeAccessIssue=false, reportMissingImports=false
import functools
import json
import time
from pathlib import Path
from typing import Any

import casadi as ca
import numpy as np

from bench.robust import draws
from bench.robust.families import Draw, Size
from bench.robust.nlp import Nlp

_OPTIONS = {
    "print_time": False,
    "expand": True,
    "ipopt.print_level": 0,
    "ipopt.sb": "yes",
    "ipopt.tol": 1e-9,
    "ipopt.bound_relax_factor": 0.0,
    "ipopt.max_iter": 500,
}


@functools.lru_cache
def nlp_of(size: Size) -> Nlp:
    """The NLP of a size."""
    return Nlp(size, draws.draw(size, 0))


@functools.lru_cache
def _solver_of(size: Size) -> Any:
    return ca.nlpsol("solver", "ipopt", nlp_of(size).nlp, _OPTIONS)


def solve(draw: Draw) -> dict[str, Any]:
    """IPOPT's answer, from the states of zero controls."""
    nlp, solver = nlp_of(draw.size), _solver_of(draw.size)
    controls = draws.zero_controls(draw)
    guess = nlp.pack(draws.rollout(draw, controls), controls)
    began = time.perf_counter()
    found = solver(x0=guess, p=nlp.parameters(draw), **nlp.bounds(draw))
    seconds, stats = time.perf_counter() - began, solver.stats()
    controls = np.array(found["x"]).ravel()[: controls.size].reshape(controls.shape)
    return {
        "solved": stats["return_status"] == "Solve_Succeeded",
        "status": stats["return_status"],
        "iterations": stats["iter_count"],
        "cost": float(found["f"]),
        "controls": controls.tolist(),
        "seconds": seconds,
        "digest": draw.digest,
    }


class Answers:
    """IPOPT's answers by the names of the draws, from a file or new."""

    def __init__(self, path: Path):
        self._path, self._new = path, 0
        self._known = json.loads(path.read_text()) if path.exists() else {}

    def of(self, draw: Draw) -> dict[str, Any]:
        """That of one draw."""
        known = self._known.get(draw.name)
        if known is None or known["digest"] != draw.digest:
            self._known[draw.name] = known = solve(draw)
            self._new += 1
        return known

    def write(self):
        """Keep what is new."""
        if self._new:
            self._path.write_text(json.dumps(self._known))
            self._new = 0
