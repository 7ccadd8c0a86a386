"""CasADi with IPOPT or fatrop: multiple shooting, exact Hessian, one thread, one start at a time.

Built once a batch size; only solves are timed. The gradient is CasADi's sensitivity of the NLP.
"""

# pyright: reportAttributeAccessIssue=false, reportMissingImports=false
from typing import Any

import casadi as ca
import numpy as np

from bench.peers.casadi_nlp import ShootingNlp
from bench.task import Task

# Without clip_inactive_lam (for fatrop min_lam), CasADi takes the tiny multipliers that an interior
# point leaves on inactive bounds for active ones, and the sensitivities come out as zero, without
# a warning. Without its scaling, IPOPT's tolerance is one on the problem as it was given.
_TUNED = {
    "ipopt": {
        "clip_inactive_lam": True,
        "ipopt.bound_relax_factor": 0.0,
        "ipopt.nlp_scaling_method": "none",
    },
    "fatrop": {"min_lam": 1e-7},
}


class Contender:
    """`plugin` is "ipopt" (with MUMPS) or "fatrop"; `tuned=False` leaves all options alone."""

    def __init__(self, task: Task, tolerance: float, plugin: str = "ipopt", tuned: bool = True):
        self._task, self._plugin = task, plugin
        self._shooting = ShootingNlp(task, first_state=plugin == "fatrop")
        quiet: dict[str, Any] = {"print_time": False, f"{plugin}.print_level": 0}
        # fatrop finds the stages in the sparsity, and is called from code that CasADi expands
        own = {
            "ipopt": {"ipopt.sb": "yes"},
            "fatrop": {"structure_detection": "auto", "expand": True},
        }[plugin]
        tuning = _TUNED[plugin] if tuned else {}
        self._options = {**quiet, **own, f"{plugin}.tol": tolerance, **tuning}

    def describe(self) -> dict[str, Any]:
        """Versions and configuration."""
        solver = {"linear_solver": "mumps (default)"} if self._plugin == "ipopt" else {}
        return {
            "versions": {"casadi": ca.__version__},
            "device": "cpu, 1 thread",
            "configuration": {"plugin": self._plugin, **solver, **self._options},
        }

    def prepare(self, x0s: np.ndarray, gradient: bool):
        """Build the solver, whose parameters are the start and the task's."""
        options = dict(self._options)
        if self._plugin == "fatrop":
            options["equality"] = self._shooting.equality
        self._solver = ca.nlpsol("solver", self._plugin, self._shooting.nlp, options)
        self._starts = self._shooting.arguments(x0s)
        self._gradient = gradient
        if gradient:
            self._derivative = self._shooting.derivative(self._solver)

    def run(self) -> list[Any]:
        """Solve the starts one after another."""
        outputs = []
        for start in self._starts:
            if self._gradient:
                x, slope = self._derivative(*(start[name] for name in ("x0", "p", "lbx", "ubx")))
                outputs.append((x, slope))
            else:
                x = self._solver(**start)["x"]
                stats = self._solver.stats()
                outputs.append((x, stats["iter_count"], stats["success"]))
        return outputs

    def result(self, output: list[Any]) -> dict[str, Any]:
        """The trajectories, and iterations or the gradient of the summed loss."""
        solutions = np.array([np.array(o[0]).ravel() for o in output])
        found = self._shooting.trajectories(solutions, self._starts)
        if self._gradient:
            gradient = sum(np.array(o[1]).ravel() for o in output)
            return {**found, "gradient": np.asarray(gradient).tolist()}
        iterations, converged = ([o[k] for o in output] for k in (1, 2))
        return {**found, "iterations": iterations, "converged": converged}
