"""crocoddyl: control-limited feasibility-driven DDP (SolverBoxFDDP), one start at a time.

Its action models are written in C++ for speed. Linear-quadratic problems use its own C++ model.
The others are Python classes here, as users prototype them, whose functions and exact derivatives
CasADi evaluates: most of the time is the crossing into Python, twice a stage and iteration.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
from typing import Any

import casadi as ca
import crocoddyl
import numpy as np

from bench.derivatives import rollout
from bench.peers.casadi_nlp import expressions
from bench.task import Task


class Contender:
    """Its own stopping test is on the expected improvement of the cost, to tolerance squared."""

    def __init__(self, task: Task, tolerance: float):
        self._task, self._tolerance = task, tolerance

    def describe(self) -> dict[str, Any]:
        """Versions and configuration."""
        native = self._task.linear
        return {
            "versions": {"crocoddyl": crocoddyl.__version__, "casadi": ca.__version__},
            "device": "cpu, 1 thread",
            "configuration": {
                "solver": "SolverBoxFDDP",
                "th_stop": self._tolerance**2,
                "max_iterations": 500,
                "model": "ActionModelLQR (C++)" if native else "Python class calling CasADi",
            },
            "gradients": False,
            "lacks": "gradients of the solution" + ("" if native else "; its model runs in Python"),
        }

    def prepare(self, x0s: np.ndarray, gradient: bool):
        """Make the models, one for all stages, and a solver for each start."""
        if gradient:
            raise NotImplementedError("crocoddyl has no gradients of the solution")
        task = self._task
        running, terminal = _lqr_models(task) if task.linear else _python_models(task)
        running.u_lb, running.u_ub = (
            np.full(task.control_dim, bound) for bound in (task.lower, task.upper)
        )
        guesses = task.guesses(x0s)
        if guesses is None:
            controls = np.zeros((len(x0s), task.horizon, task.control_dim))
            guesses = rollout(task, x0s, controls, task.values), controls
        self._models, self._runs = (running, terminal), []
        for x0, states, controls in zip(x0s, *guesses, strict=True):
            problem = crocoddyl.ShootingProblem(x0, task.horizon * [running], terminal)
            solver = crocoddyl.SolverBoxFDDP(problem)
            solver.th_stop = self._tolerance**2
            self._runs.append((solver, list(states), list(controls)))

    def run(self) -> list[Any]:
        """Solve the starts one after another."""
        outputs = []
        for solver, states, controls in self._runs:
            done = solver.solve(states, controls, 500, False)
            outputs.append((np.array(solver.xs), np.array(solver.us), solver.iter, done))
        return outputs

    def result(self, output: list[Any]) -> dict[str, Any]:
        """The trajectories and iterations."""
        states, controls, iterations, converged = zip(*output, strict=True)
        return {
            "states": np.array(states).tolist(),
            "controls": np.array(controls).tolist(),
            "iterations": [int(count) for count in iterations],
            "converged": [bool(done) for done in converged],
        }


def _derivatives(task: Task) -> dict[str, Any]:
    """Functions of (x, u) for the stage and of x for the end, with first and second derivatives."""
    x, u = ca.SX.sym("x", task.state_dim), ca.SX.sym("u", task.control_dim)
    found = expressions(task, x, u, ca.DM(task.values))
    step, cost = found["step"], ca.SX(found["stage_cost"])
    last = ca.SX(found.get("terminal_cost", 0))
    hessian, slope = ca.hessian(cost, ca.vertcat(x, u))
    last_hessian, last_slope = ca.hessian(last, x)
    jacobian = ca.jacobian(step, ca.vertcat(x, u))
    return {
        "stage": ca.Function("stage", [x, u], [step, cost]),
        "stage_derivatives": ca.Function("d", [x, u], [jacobian, slope, hessian]),
        "last": ca.Function("last", [x], [last]),
        "last_derivatives": ca.Function("dl", [x], [last_slope, last_hessian]),
    }


def _lqr_models(task: Task) -> tuple[Any, Any]:
    """Of a linear-quadratic task, whose derivatives at zero are all there is to know."""
    n, m, functions = task.state_dim, task.control_dim, _derivatives(task)
    zero = np.zeros(n), np.zeros(m)
    jacobian, slope, hessian = (np.array(v) for v in functions["stage_derivatives"](*zero))
    offset = np.array(functions["stage"](*zero)[0]).ravel()
    last_slope, last_hessian = (np.array(v) for v in functions["last_derivatives"](zero[0]))
    a, b = jacobian[:, :n].copy(), jacobian[:, n:].copy()
    q, r, cross = hessian[:n, :n].copy(), hessian[n:, n:].copy(), hessian[:n, n:].copy()
    slope = slope.ravel()
    running = crocoddyl.ActionModelLQR(a, b, q, r, cross, offset, slope[:n], slope[n:])
    terminal = crocoddyl.ActionModelLQR(
        a, b, last_hessian, np.eye(m), np.zeros((n, m)), offset, last_slope.ravel(), np.zeros(m)
    )
    return running, terminal


def _python_models(task: Task) -> tuple[Any, Any]:
    functions = _derivatives(task)
    return _Action(task, functions, last=False), _Action(task, functions, last=True)


class _Action(crocoddyl.ActionModelAbstract):
    def __init__(self, task: Task, functions: dict[str, Any], last: bool):
        state = crocoddyl.StateVector(task.state_dim)
        super().__init__(state, task.control_dim, 1)
        self._functions, self._last, self._n = functions, last, task.state_dim

    def calc(self, data, x, u=None):
        if self._last or u is None:
            data.xnext, data.cost = x, float(self._functions["last"](x))
            return
        step, cost = self._functions["stage"](x, u)
        data.xnext, data.cost = np.array(step).ravel(), float(cost)

    def calcDiff(self, data, x, u=None):
        n = self._n
        if self._last or u is None:
            slope, hessian = self._functions["last_derivatives"](x)
            data.Lx, data.Lxx = np.array(slope).ravel(), np.array(hessian)
            return
        jacobian, slope, hessian = map(np.array, self._functions["stage_derivatives"](x, u))
        data.Fx, data.Fu = jacobian[:, :n], jacobian[:, n:]
        data.Lx, data.Lu = slope[:n].ravel(), slope[n:].ravel()
        data.Lxx, data.Luu, data.Lxu = hessian[:n, :n], hessian[n:, n:], hessian[:n, n:]
