"""acados: SQP on HPIPM, generated C, one thread, one start at a time."""

# pyright: reportAttributeAccessIssue=false, reportMissingImports=false
import ctypes
import importlib.metadata
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import acados
import casadi as ca
import numpy as np

from bench.derivatives import rollout
from bench.peers.casadi_nlp import expressions
from bench.task import Task

# PyPI's package has the generator, the template renderer and the libraries in these places, and
# its libraries find each other only where the loader has them already.
os.environ["ACADOS_SOURCE_DIR"] = acados.DIR
os.environ["ACADOS_PYTHON_INTERFACE_PATH"] = acados.TEMPLATE_DIR
for _name in ("libblasfeo", "libhpipm", "libqpOASES_e", "libacados"):
    for _library in sorted(Path(acados.LIB_DIR).glob(f"{_name}.*")):
        ctypes.CDLL(str(_library), ctypes.RTLD_GLOBAL)
from acados.acados_template import AcadosModel, AcadosOcp, AcadosOcpSolver  # noqa: E402


class Contender:
    """The solver is generated and compiled by `prepare`; a C compiler and make are needed.

    Full steps with the Hessian of the cost alone, which is what acados does best on the
    cart-pole of its own example; `exact=True` for the Lagrangian's, made convex, and a line
    search. This version differentiates a solution with respect to its initial state alone.
    """

    def __init__(self, task: Task, tolerance: float, exact: bool = False):
        self._task = task
        self._options = {
            "nlp_solver_type": "SQP",
            "qp_solver": "PARTIAL_CONDENSING_HPIPM",
            "hessian_approx": "EXACT" if exact else "GAUSS_NEWTON",
            "regularize_method": "CONVEXIFY" if exact else "NO_REGULARIZE",
            "globalization": "MERIT_BACKTRACKING" if exact else "FIXED_STEP",
            "nlp_solver_max_iter": 500,
            "tol": tolerance,
            "qp_tol": tolerance / 10,
        }

    def describe(self) -> dict[str, Any]:
        """Versions and configuration."""
        packages = ("comma-deps-acados", "casadi")
        return {
            "versions": {name: importlib.metadata.version(name) for name in packages},
            "device": "cpu, 1 thread",
            "configuration": self._options,
            "gradients": False,
            "lacks": "gradients with respect to parameters, in this version",
        }

    def prepare(self, x0s: np.ndarray, gradient: bool):
        """Generate and compile the solver."""
        if gradient:
            raise NotImplementedError("this version has the sensitivity to the initial state alone")
        task = self._task
        self._x0s, guesses = x0s, task.guesses(x0s)
        if guesses is None:
            controls = np.zeros((len(x0s), task.horizon, task.control_dim))
            guesses = rollout(task, x0s, controls, task.values), controls
        self._guesses = guesses
        folder, here = Path(tempfile.mkdtemp()), Path.cwd()
        os.chdir(folder)  # it writes to the current folder as well
        try:
            self._solver = AcadosOcpSolver(self._ocp(folder), str(folder / "ocp.json"))
        finally:
            os.chdir(here)
            shutil.rmtree(folder)  # the library is loaded by now

    def run(self) -> list[Any]:
        """Solve the starts one after another, each from its guess."""
        solver, task, outputs = self._solver, self._task, []
        for x0, states, controls in zip(self._x0s, *self._guesses, strict=True):
            solver.reset()
            solver.constraints_set(0, "lbx", x0)
            solver.constraints_set(0, "ubx", x0)
            if not task.linear:  # else one QP solves it, from wherever
                for t in range(task.horizon):
                    solver.set(t, "x", states[t])
                    solver.set(t, "u", controls[t])
                solver.set(task.horizon, "x", states[-1])
            status = solver.solve()
            found = (self._trajectory("x", 1), self._trajectory("u", 0))
            seconds = float(np.sum(solver.get_stats("time_tot")))
            outputs.append(
                (*found, int(np.sum(solver.get_stats("sqp_iter"))), status == 0, seconds)
            )
        return outputs

    def result(self, output: list[Any]) -> dict[str, Any]:
        """The trajectories, iterations, and milliseconds by acados' own clock."""
        states, controls, iterations, converged, seconds = zip(*output, strict=True)
        return {
            "states": np.array(states).tolist(),
            "controls": np.array(controls).tolist(),
            "iterations": list(iterations),
            "converged": list(converged),
            "own_ms": 1e3 * sum(seconds),
        }

    def _trajectory(self, name: str, more: int) -> list[Any]:
        return [self._solver.get(t, name) for t in range(self._task.horizon + more)]

    def _ocp(self, folder: Path) -> Any:
        task, ocp = self._task, AcadosOcp()
        n, m, horizon = task.state_dim, task.control_dim, task.horizon
        x, u, p = ca.SX.sym("x", n), ca.SX.sym("u", m), ca.SX.sym("p", len(task.values))
        found = expressions(task, x, u, p)
        model = AcadosModel()
        model.name, model.x, model.u, model.p = "task", x, u, p
        model.disc_dyn_expr = found["step"]
        model.cost_expr_ext_cost = model.cost_expr_ext_cost_0 = found["stage_cost"]
        model.cost_expr_ext_cost_e = found.get("terminal_cost", ca.SX(0))
        ocp.model, ocp.parameter_values = model, task.values
        ocp.cost.cost_type = ocp.cost.cost_type_0 = ocp.cost.cost_type_e = "EXTERNAL"
        ocp.constraints.idxbu = np.arange(m)
        ocp.constraints.lbu, ocp.constraints.ubu = np.full(m, task.lower), np.full(m, task.upper)
        ocp.constraints.x0 = np.zeros(n)
        if "stage_inequality" in found:
            model.con_h_expr = found["stage_inequality"]
            rows = model.con_h_expr.numel()
            # a lower bound is a must, and a huge one leaves a complementarity above any tolerance
            ocp.constraints.lh, ocp.constraints.uh = np.full(rows, -1e3), np.zeros(rows)
        ocp.dims.N, options = horizon, ocp.solver_options
        options.tf, options.integrator_type = float(horizon), "DISCRETE"
        options.time_steps = np.ones(horizon)
        tolerances = {"tol": "nlp_solver", "qp_tol": "qp_solver"}
        for name, value in self._options.items():
            if name in tolerances:
                for kind in ("stat", "eq", "ineq", "comp"):
                    setattr(options, f"{tolerances[name]}_tol_{kind}", value)
            else:
                setattr(options, name, value)
        ocp.code_export_directory = str(folder / "generated")
        return ocp
