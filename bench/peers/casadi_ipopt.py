"""CasADi with IPOPT: multiple shooting, exact Hessian, MUMPS, one thread, one start at a time."""

# pyright: reportAttributeAccessIssue=false
from typing import Any

import casadi as ca  # pyright: ignore[reportMissingImports]
import numpy as np

from bench import reference
from bench.task import Task

# Without clip_inactive_lam, CasADi takes the tiny multipliers that an interior point leaves on
# inactive bounds for active ones, and the sensitivities come out as zero, without a warning.
_TUNED = {"clip_inactive_lam": True, "ipopt.bound_relax_factor": 0.0}


class Contender:
    """IPOPT, built once a batch size; `tuned=False` leaves CasADi's and IPOPT's defaults."""

    def __init__(self, task: Task, tolerance: float, tuned: bool = True):
        self._task, self._tuned = task, tuned
        quiet = {"print_time": False, "ipopt.print_level": 0, "ipopt.sb": "yes"}
        options = {**quiet, "ipopt.tol": tolerance, **(_TUNED if tuned else {})}
        self._options: dict[str, Any] = options

    def describe(self) -> dict[str, Any]:
        """Versions and configuration."""
        return {
            "versions": {"casadi": ca.__version__},
            "device": "cpu, 1 thread",
            "configuration": {"linear_solver": "mumps (default)", **self._options},
        }

    def prepare(self, x0s: np.ndarray, gradient: bool):
        """Build the NLP, whose parameters are the start and the dynamics' parameters."""
        task = self._task
        self._solver, self._controls = _nlp(task, self._options)
        # The guess is what the others start from: zero controls and the states they lead to.
        zeros = np.zeros((len(x0s), task.horizon, task.control_dim))
        states = np.moveaxis(reference.rollout(task, x0s, zeros, task.values), 0, -1)
        guess = np.concatenate([zeros, states[:, 1:]], axis=2).reshape(len(x0s), -1)
        guess = guess[:, : -task.state_dim]
        lower = np.full_like(guess[0], -np.inf)
        lower[self._controls], upper = task.lower, -lower
        upper[self._controls] = task.upper
        self._starts = [
            {
                "x0": ca.DM(g),
                "p": ca.DM(np.r_[x0, task.values]),
                "lbx": lower,
                "ubx": upper,
                "lbg": 0,
                "ubg": 0,
            }
            for g, x0 in zip(guess, x0s, strict=True)
        ]
        self._gradient = gradient
        if gradient:
            names = ("x0", "p", "lbx", "ubx")
            size = {"p": task.state_dim + len(task.values)}
            symbols = {name: ca.MX.sym(name, size.get(name, len(lower))) for name in names}
            solution = self._solver(**symbols, lbg=0, ubg=0)["x"]
            slope = ca.gradient(ca.sumsqr(solution[self._controls]), symbols["p"])
            self._derivative = ca.Function(
                "derivative", list(symbols.values()), [solution, slope[task.state_dim :]]
            )

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
        """Controls, and iterations or the gradient of the summed loss."""
        task = self._task
        solutions = np.array([np.array(o[0]).ravel()[self._controls] for o in output])
        controls = solutions.reshape(-1, task.horizon, task.control_dim).tolist()
        if self._gradient:
            gradient = sum(np.array(o[1]).ravel() for o in output)
            return {"controls": controls, "gradient": np.asarray(gradient).tolist()}
        iterations, converged = ([o[k] for o in output] for k in (1, 2))
        return {"controls": controls, "iterations": iterations, "converged": converged}


def _nlp(task: Task, options: dict[str, Any]) -> tuple[Any, list[int]]:
    """The solver, and where the controls are among its variables (u_0, x_1, .., u_{T-1})."""
    # x_T is left out, since nothing depends on it: with it IPOPT has more to do, and the KKT
    # matrix of CasADi's sensitivities, which drops constraints of zero multiplier, is singular.
    n, m = task.state_dim, task.control_dim
    start, params = ca.SX.sym("start", n), ca.SX.sym("params", len(task.values))
    x, cost, defects, variables, controls = start, 0, [], [], []
    for t in range(task.horizon):
        u = ca.SX.sym(f"u{t}", m)
        controls += range(t * (n + m), t * (n + m) + m)
        variables.append(u)
        cost += task.stage_cost(ca.vertsplit(x), ca.vertsplit(u))
        if t < task.horizon - 1:
            successor = ca.SX.sym(f"x{t + 1}", n)
            variables.append(successor)
            defects.append(ca.vertcat(*task.step(x, u, params, ca)) - successor)
            x = successor
    nlp = {
        "x": ca.vertcat(*variables),
        "p": ca.vertcat(start, params),
        "f": cost,
        "g": ca.vertcat(*defects),
    }
    return ca.nlpsol("solver", "ipopt", nlp, options), controls
