"""A task as CasADi's NLP by multiple shooting, for the solvers that CasADi calls."""

# pyright: reportAttributeAccessIssue=false, reportMissingImports=false
from collections.abc import Sequence
from typing import Any

import casadi as ca
import numpy as np

from bench.derivatives import columns, rollout
from bench.task import Task


def expressions(task: Task, x: Any, u: Any, values: Any) -> dict[str, Any]:
    """The task's functions of CasADi's symbols, as columns; those that it has."""
    params = named(task, values)
    found = {
        "step": _column(task.step(x, u, params, ca)),
        "stage_cost": task.stage_cost(x, u, params, ca),
    }
    if task.terminal_cost is not None:
        found["terminal_cost"] = task.terminal_cost(x, params, ca)
    if task.stage_inequality is not None:
        found["stage_inequality"] = _column(task.stage_inequality(x, params, ca))
    return found


def named(task: Task, values: Any) -> dict[str, Any]:
    """`Task.split` for CasADi, which stores matrices by columns."""
    shapes = {name: np.shape(value) for name, value in task.params.items()}
    found, first = {}, 0
    for name, shape in shapes.items():
        part = values[first : first + int(np.prod(shape))]
        found[name] = ca.reshape(part, shape[1], shape[0]).T if len(shape) == 2 else part
        first += int(np.prod(shape))
    return found


class ShootingNlp:
    """The NLP of one start: parameters are the start and the task's, variables stage by stage.

    With `first_state` x_0 is a variable too, which fatrop wants: (x_0, u_0, x_1, .., x_T).
    Without it (u_0, x_1, .., x_T); and x_T is left out where nothing depends on it: with it IPOPT
    has more to do, and the KKT matrix of CasADi's sensitivities, which drops constraints of zero
    multiplier, is singular.
    """

    def __init__(self, task: Task, first_state: bool):
        self.task, self.first_state = task, first_state
        n, m, horizon = task.state_dim, task.control_dim, task.horizon
        self._last_state = first_state or task.terminal_cost is not None
        symbol = ca.SX.sym
        one = symbol("x", n), symbol("u", m), symbol("p", len(task.values))
        stage = {
            name: ca.Function(name, list(one), [expression])
            for name, expression in expressions(task, *one).items()
        }
        start, params = symbol("start", n), symbol("params", len(task.values))
        x, cost = start, 0
        variables, rows, self.equality, self.controls, self.states = [], [], [], [], []

        def add(symbols: Any, positions: list[int]):
            first = sum(v.numel() for v in variables)
            positions += range(first, first + symbols.numel())
            variables.append(symbols)

        def constrain(row: Any, equal: bool):
            rows.append(row)
            self.equality += row.numel() * [equal]

        if first_state:
            x = symbol("x0", n)
            add(x, self.states)
        for t in range(horizon):
            u = symbol(f"u{t}", m)
            add(u, self.controls)
            cost += stage["stage_cost"](x, u, params)
            successor = stage["step"](x, u, params)
            here = x
            if t < horizon - 1 or self._last_state:
                x = symbol(f"x{t + 1}", n)
                add(x, self.states)
                constrain(x - successor, True)
            if t == 0 and first_state:
                constrain(here - start, True)
            if t > 0 and "stage_inequality" in stage:
                constrain(stage["stage_inequality"](here, u, params), False)
        if "terminal_cost" in stage:
            cost += stage["terminal_cost"](x, one[1], params)  # of no control
        self.nlp = {
            "x": ca.vertcat(*variables),
            "p": ca.vertcat(start, params),
            "f": cost if "terminal_cost" not in stage else ca.substitute(cost, one[1], 0),
            "g": ca.vertcat(*rows),
        }

    def arguments(self, x0s: np.ndarray) -> list[dict[str, Any]]:
        """What to call the solver with for each start: guess, parameters, bounds."""
        task, size = self.task, self.nlp["x"].numel()
        lower = np.full(size, -np.inf)
        lower[self.controls], upper = task.lower, -lower
        upper[self.controls] = task.upper
        constraints = np.where(self.equality, 0.0, -np.inf)
        states, controls = _guesses(task, x0s)
        found = []
        for x0, guessed, u in zip(x0s, states, controls, strict=True):
            first = 0 if self.first_state else 1
            last = task.horizon + 1 if self._last_state else task.horizon
            guess = np.zeros(size)
            guess[self.states] = guessed[first:last].ravel()
            guess[self.controls] = u.ravel()
            start = {"x0": ca.DM(guess), "p": ca.DM(np.r_[x0, task.values])}
            found.append({**start, "lbx": lower, "ubx": upper, "lbg": constraints, "ubg": 0})
        return found

    def trajectories(self, solutions: np.ndarray, starts: Sequence[Any]) -> dict[str, Any]:
        """States [B, T+1, n] and controls [B, T, m] of solutions [B, size], as lists."""
        task, n = self.task, self.task.state_dim
        controls = solutions[:, self.controls].reshape(-1, task.horizon, task.control_dim)
        states = solutions[:, self.states].reshape(len(solutions), -1, n)
        if not self.first_state:
            given = np.array([np.array(start["p"]).ravel()[:n] for start in starts])
            states = np.concatenate([given[:, None], states], axis=1)
        if not self._last_state:
            params = columns(task, task.values)
            last = np.stack(task.step(states[:, -1].T, controls[:, -1].T, params, np)).T
            states = np.concatenate([states, last[:, None]], axis=1)
        return {"states": states.tolist(), "controls": controls.tolist()}

    def derivative(self, solver: Any) -> Any:
        """A function (x0, p, lbx, ubx) -> the solution and the slope of the loss in params."""
        names, size = ("x0", "p", "lbx", "ubx"), self.nlp["x"].numel()
        lengths = {"p": self.nlp["p"].numel()}
        symbols = {name: ca.MX.sym(name, lengths.get(name, size)) for name in names}
        lbg = np.where(self.equality, 0.0, -np.inf)
        solution = solver(**symbols, lbg=lbg, ubg=0)["x"]
        controls = solution[self.controls]
        first = self.task.loss == "first"
        loss = ca.sum1(controls[: self.task.control_dim]) if first else ca.sumsqr(controls)
        slope = ca.gradient(loss, symbols["p"])[self.task.state_dim :]
        return ca.Function("derivative", list(symbols.values()), [solution, slope])


def _guesses(task: Task, x0s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The task's guesses, or zero controls and the states that they lead to."""
    guesses = task.guesses(x0s)
    if guesses is not None:
        return guesses
    controls = np.zeros((len(x0s), task.horizon, task.control_dim))
    return rollout(task, x0s, controls, task.values), controls


def _column(rows: Any) -> Any:
    return ca.vertcat(*rows) if isinstance(rows, tuple | list) else rows
