"""A size's problems as CasADi's NLP by multiple shooting, with the draw's numbers as parameters."""

# pyright: reportAttributeAccessIssue=false, reportMissingImports=false
from typing import Any

import casadi as ca
import numpy as np

from bench.robust import draws
from bench.robust.families import Draw, Size


class Nlp:
    """Variables: controls u_0 .. u_{T-1}, then states x_1 .. x_T. Rows: in the order of `parts`.

    The Lagrangian adds the multipliers times the rows, so that those of the dynamics are costates.
    """

    def __init__(self, size: Size, example: Draw):
        self.size = size
        n, m, horizon = size.n, size.m, size.horizon
        shapes = {name: value.shape for name, value in example.params.items()}
        self._names = list(shapes)
        x, u = ca.SX.sym("x", n), ca.SX.sym("u", m)
        p = ca.SX.sym("p", sum(int(np.prod(shape)) for shape in shapes.values()))
        named = _named(p, shapes)

        functions = draws.functions_of(size)

        def mapped(name: str, function: Any, *of: Any) -> Any:
            value = function(*of, named, ca)
            value = ca.vertcat(*value) if isinstance(value, list) else value
            return ca.Function(name, [*of, p], [value])

        states, controls = ca.MX.sym("states", n, horizon), ca.MX.sym("controls", m, horizon)
        start, params = ca.MX.sym("start", n), ca.MX.sym("params", p.numel())
        before = ca.horzcat(start, states[:, :-1])
        everything = ca.repmat(params, 1, horizon)

        def along(function: Any, *of: Any) -> Any:
            return function.map(of[0].shape[1])(*of, everything[:, : of[0].shape[1]])

        stage_cost = mapped("stage_cost", functions.stage_cost, x, u)
        terminal_cost = mapped("terminal_cost", functions.terminal_cost, x)
        dynamics = mapped("step", functions.step, x, u)
        cost = ca.sum2(along(stage_cost, before, controls)) + terminal_cost(states[:, -1], params)
        self.parts = {"dynamics": along(dynamics, before, controls) - states}
        if functions.inequality:
            outside = mapped("outside", functions.inequality, x)
            self.parts["inequality"] = along(outside, states)
        if functions.terminal_equality:
            on_target = mapped("target", functions.terminal_equality, x)
            self.parts["terminal"] = on_target(states[:, -1], params)
        if functions.stage_equality:
            couple = mapped("couple", functions.stage_equality, x, u)
            self.parts["coupling"] = along(couple, before, controls)
        self.rows = {name: part.numel() for name, part in self.parts.items()}
        self.nlp = {
            "x": ca.veccat(controls, states),
            "p": ca.vertcat(start, params),
            "f": cost,
            "g": ca.veccat(*self.parts.values()),
        }
        self._derivatives = self._first_order()

    def parameters(self, draw: Draw) -> np.ndarray:
        """The start and the numbers of the functions."""
        return np.concatenate([draw.x0, *(draw.params[name].ravel() for name in self._names)])

    def pack(self, states: np.ndarray, controls: np.ndarray) -> np.ndarray:
        """Variables of states [T+1, n] and controls [T, m]."""
        return np.concatenate([controls.ravel(), states[1:].ravel()])

    def bounds(self, draw: Draw) -> dict[str, np.ndarray]:
        """The limits of variables and rows, by CasADi's names."""
        horizon, n = self.size.horizon, self.size.n
        low, high = draw.state_bounds or (np.full(n, -np.inf), np.full(n, np.inf))
        rows = np.concatenate(
            [np.full(k, -np.inf if name == "inequality" else 0) for name, k in self.rows.items()]
        )
        return {
            "lbx": np.concatenate([np.tile(draw.lower, horizon), np.tile(low, horizon)]),
            "ubx": np.concatenate([np.tile(draw.upper, horizon), np.tile(high, horizon)]),
            "lbg": rows,
            "ubg": np.zeros_like(rows),
        }

    def violated_conditions(self, draw: Draw, solution: Any) -> tuple[float, float]:
        """Scaled stationarity and complementarity, and infeasibility, with given multipliers.

        `solution` is a `jaxmpc.Solution`; the derivatives and the sums are this class's own.
        """
        z = self.pack(np.asarray(solution.states), np.asarray(solution.controls))
        duals, limits = solution.multipliers, self.bounds(draw)
        rows = [np.asarray(solution.costates)[1:]]
        if "inequality" in self.rows:  # rows of x_1 .. x_T; that of x_0 has no say
            inner = np.asarray(duals.stage_inequality)[1:]
            rows.append(np.vstack([inner, np.asarray(duals.terminal_inequality)]))
        if "terminal" in self.rows:
            rows.append(np.asarray(duals.terminal_equality))
        if "coupling" in self.rows:
            rows.append(np.asarray(duals.stage_equality))
        rows = np.concatenate([row.ravel() for row in rows])
        low = np.concatenate([np.ravel(duals.lower), np.ravel(duals.state_lower)])
        high = np.concatenate([np.ravel(duals.upper), np.ravel(duals.state_upper)])
        gradient, g = self._derivatives(z, self.parameters(draw), rows)
        gradient, g = np.array(gradient).ravel(), np.array(g).ravel()
        unequal = np.isinf(limits["lbg"])
        gaps = [
            _products(low, z - limits["lbx"]),
            _products(high, limits["ubx"] - z),
            (rows * g)[unequal],
            np.minimum(np.concatenate([low, high, rows[unequal]]), 0),
        ]
        scale = max(100.0, np.abs(np.concatenate([rows, low, high])).mean()) / 100
        worst = max(np.abs(gradient + high - low).max(), np.abs(np.concatenate(gaps)).max())
        outside = [limits["lbx"] - z, z - limits["ubx"], np.where(unequal, g, np.abs(g))]
        return float(worst / scale), float(np.concatenate(outside).max())

    def _first_order(self) -> Any:
        multipliers = ca.MX.sym("multipliers", self.nlp["g"].numel())
        lagrangian = self.nlp["f"] + ca.dot(multipliers, self.nlp["g"])
        outputs = [ca.gradient(lagrangian, self.nlp["x"]), self.nlp["g"]]
        return ca.Function("derivatives", [self.nlp["x"], self.nlp["p"], multipliers], outputs)


def _products(multipliers: np.ndarray, gaps: np.ndarray) -> np.ndarray:
    """Zero where a multiplier is, also at infinite gaps."""
    return multipliers * np.where(multipliers == 0, 0.0, gaps)


def _named(p: Any, shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    """The parts of a vector of parameters, whose matrices are stored by rows."""
    found, first = {}, 0
    for name, shape in shapes.items():
        part = p[first : first + int(np.prod(shape))]
        found[name] = ca.reshape(part, shape[1], shape[0]).T if len(shape) == 2 else part
        first += int(np.prod(shape))
    return found
