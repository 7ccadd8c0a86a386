"""Smooth derivatives near a kink: those of the central path instead of the solution.

The inequalities are replaced by a barrier in the cost, -kappa log(-g) for a hard row, and the
derivative rule is applied to the minimiser of that problem, which has no inequalities left. Its
distances s and multipliers z satisfy s z = kappa; kappa -> 0 leads to the solution.

Source: Wright (1997), Primal-Dual Interior-Point Methods, ch. 1 (the central path).
"""

import dataclasses
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxmpc._pytree_function import PytreeFunction, pytree_function, static
from jaxmpc.active_rows import Theta
from jaxmpc.adjoint import ImplicitAdjoint
from jaxmpc.implicit import differentiable
from jaxmpc.lq.rows import Rows
from jaxmpc.problem import Problem, terminal_cost
from jaxmpc.solution import Multipliers, Solution, Status, multipliers_of_bounds
from jaxmpc.solvers.interior_point import InteriorPoint
from jaxmpc.solvers.loop import Guess, Point, WarmStart, run
from jaxmpc.trajectory.constraints import (
    equalities,
    inequalities,
    split,
    stage_equality,
    stage_inequality,
    terminal_equality,
    terminal_inequality,
)
from jaxmpc.trajectory.row_kinds import penalties, present

_NEWTON_STEPS = 30


def smoothed(adjoint: ImplicitAdjoint, theta: Theta, point: Point) -> Point:
    """The point that a solver returned, with the derivatives of the central path.

    The cost keeps its own: it has no kink.
    """
    plain = dataclasses.replace(adjoint, smoothing=0.0)
    central = central_path(adjoint, theta, point)
    _, x0, params = theta
    theta_of_path = (barrier_problem(theta, adjoint.smoothing), x0, params)
    path = differentiable(plain, theta_of_path, central)
    hard = Rows(path.multipliers.stage_equality, path.multipliers.terminal_equality)
    pushes = path_multipliers(theta, adjoint.smoothing, path.states, path.controls, hard)

    def with_derivative(field: str, surrogate):
        return straight_through(getattr(point, field), surrogate)

    return point._replace(
        cost=differentiable(plain, theta, point).cost,
        states=with_derivative("states", path.states),
        controls=with_derivative("controls", path.controls),
        costates=with_derivative("costates", path.costates),
        multipliers=with_derivative("multipliers", pushes),
        gains=with_derivative("gains", path.gains),
    )


def central_path(adjoint: ImplicitAdjoint, theta: Theta, point: Point | Solution) -> Point:
    """The point of the central path near a solution, as one of `barrier_problem`; a constant.

    Its status is that of the solution, if that did not converge.
    """
    kappa = adjoint.smoothing
    theta = problem, x0, params = jax.lax.stop_gradient(theta)
    converged = point.status == Status.converged
    dual = WarmStart(point.costates, point.multipliers, converged)
    # Near a kink the derivative's relative error is that of the residual in units of kappa.
    tolerance = max(1e-8 * kappa, float(jnp.finfo(x0.dtype).eps) ** 0.7)
    solver = InteriorPoint(barrier=kappa, tolerance=tolerance)
    guess = jax.lax.stop_gradient(Guess(point.controls, point.states, dual))
    central = run(solver, problem, x0, params, guess)
    status = jnp.where(converged, central.status, point.status)
    return _without_inequalities(theta, central._replace(status=status))


@jax.custom_vjp
def straight_through(value, surrogate):
    """The value, with the derivative of the surrogate."""
    return value


straight_through.defvjp(
    lambda value, surrogate: (value, None),
    lambda _, cotangent: (jax.tree.map(jnp.zeros_like, cotangent), cotangent),
)


def barrier_problem(theta: Theta, kappa: float) -> Problem:
    """The problem with inequalities and soft rows in the cost, as barriers.

    Controls that equal bounds fix stay fixed.
    """
    problem, x0, params = theta
    rows_g, rows_h = (Rows(*rows) for rows in present(problem, x0, params))
    price_g, price_h = penalties(problem, x0, params)
    soft_h = jax.tree.map(lambda p, w: p & jnp.isfinite(w), rows_h, price_h.linear)
    low, high = problem.limits(x0.dtype)

    def barriers(part: int):
        return (
            _Barriers(rows_g[part], *(w[part] for w in price_g), kappa, equality=False),
            _Barriers(soft_h[part], *(w[part] for w in price_h), kappa, equality=True),
        )

    def only_hard(function, soft, cls):
        return None if function is None else cls(function, soft)

    return dataclasses.replace(
        problem,
        stage_cost=_StageCost(problem, *barriers(0)),
        terminal_cost=_TerminalCost(problem, *barriers(1)),
        control_bounds=(jnp.where(low < high, -jnp.inf, low), jnp.where(low < high, jnp.inf, high)),
        state_bounds=None,
        stage_inequality=None,
        terminal_inequality=None,
        stage_equality=only_hard(problem.stage_equality, soft_h.stage, _HardStage),
        terminal_equality=only_hard(problem.terminal_equality, soft_h.terminal, _HardEnd),
        soft=None,
    )


@pytree_function
class _Barriers(PytreeFunction):
    """The barriers of rows, as a function of their values; zero where a row does not count."""

    counts: Bool[Array, "*T p"]
    linear: Float[Array, "*T p"]
    quadratic: Float[Array, "*T p"]
    kappa: float = static()
    equality: bool = static()

    def __call__(self, values, counts=None, linear=None, quadratic=None):
        counts = self.counts if counts is None else counts
        linear = self.linear if linear is None else linear
        quadratic = self.quadratic if quadratic is None else quadratic
        kappa = jnp.asarray(self.kappa, values.dtype)
        soft = jnp.isfinite(linear)
        w, v = jnp.where(soft, linear, 1.0), jnp.where(soft, quadratic, 0.0)
        price = _soft_equality if self.equality else _soft_inequality
        hard = -kappa * jnp.log(jnp.where(counts & ~soft, -values, 1.0))
        return jnp.where(counts, jnp.where(soft, price(values, w, v, kappa), hard), 0.0)

    def at(self, values, t) -> Float[Array, ""]:
        """Their sum at stage t."""
        return jnp.sum(self(values, self.counts[t], self.linear[t], self.quadratic[t]))


def _soft_inequality(g, w, v, kappa):
    """min over e of  w e + 1/2 v e^2 - kappa log e - kappa log(e - g)."""
    e = _excess(g, w, v, jnp.zeros_like(v), kappa)
    return w * e + 0.5 * v * e**2 - kappa * jnp.log(e) - kappa * jnp.log(e - g)


def _soft_equality(h, w, v, kappa):
    """The same with h = above - below:  both have a price, and both are positive."""
    e = _excess(h, 2 * w, v, v, kappa)
    below = e - h
    price = w * (e + below) + 0.5 * v * (e**2 + below**2)
    return price - kappa * jnp.log(e) - kappa * jnp.log(below)


def _excess(g, a, b, c, kappa):
    """The root e > max(0, g) of  a + b e + c (e - g) - kappa / e - kappa / (e - g).

    The function is concave and increasing: from its left Newton's steps never pass the root. The
    last ones are differentiated: each doubles the order to which the derivative is right.
    """

    def newton(e, g, a, b, c):
        value = a + b * e + c * (e - g) - kappa / e - kappa / (e - g)
        return e - value / (b + c + kappa / e**2 + kappa / (e - g) ** 2)

    fixed = jax.lax.stop_gradient((g, a, b, c))
    distance = kappa / (fixed[1] + (fixed[2] + fixed[3]) * (jnp.abs(fixed[0]) + kappa / fixed[1]))
    e = jnp.maximum(fixed[0], 0.0) + distance
    e = jax.lax.fori_loop(0, _NEWTON_STEPS, lambda _, e: newton(e, *fixed), e)
    for _ in range(2):
        e = newton(e, g, a, b, c)
    return e


@pytree_function
class _StageCost(PytreeFunction):
    problem: Problem
    inequality: _Barriers
    equality: _Barriers

    def __call__(self, x, u, t, params):
        own = self.problem.stage_cost(x, u, t, params)
        own += self.inequality.at(stage_inequality(self.problem, t, x, u, params), t)
        return own + self.equality.at(stage_equality(self.problem, t, x, u, params), t)


@pytree_function
class _TerminalCost(PytreeFunction):
    problem: Problem
    inequality: _Barriers
    equality: _Barriers

    def __call__(self, x, params):
        own = terminal_cost(self.problem, x, params)
        own += jnp.sum(self.inequality(terminal_inequality(self.problem, x, params)))
        return own + jnp.sum(self.equality(terminal_equality(self.problem, x, params)))


@pytree_function
class _HardStage(PytreeFunction):
    function: Callable
    soft: Bool[Array, "T q"]

    def __call__(self, x, u, t, params):
        return jnp.where(self.soft[t], 0.0, self.function(x, u, t, params))


@pytree_function
class _HardEnd(PytreeFunction):
    function: Callable
    soft: Bool[Array, " f"]

    def __call__(self, x, params):
        return jnp.where(self.soft, 0.0, self.function(x, params))


def _without_inequalities(theta: Theta, point: Point) -> Point:
    """A point of the barrier problem: its multipliers are those of hard equalities alone."""
    zeros = jnp.zeros_like(point.controls)
    nothing = multipliers_of_bounds(zeros, zeros, point.states)
    equality = Rows(point.multipliers.stage_equality, point.multipliers.terminal_equality)
    soft = jax.tree.map(jnp.isfinite, penalties(*theta)[1].linear)
    hard = jax.tree.map(lambda s, y: jnp.where(s, 0.0, y), soft, equality)
    kept = nothing._replace(stage_equality=hard.stage, terminal_equality=hard.terminal)
    return point._replace(multipliers=kept)


def path_multipliers(theta: Theta, kappa: float, states, controls, equality: Rows) -> Multipliers:
    """Those of all constraints on the central path: the barriers' slopes, and `equality`."""
    problem, x0, params = theta
    rows_g, rows_h = (Rows(*rows) for rows in present(problem, x0, params))
    price_g, price_h = penalties(problem, x0, params)
    soft_h = jax.tree.map(lambda p, w: p & jnp.isfinite(w), rows_h, price_h.linear)

    def slope(counts, linear, quadratic, values, equality: bool):
        barriers = _Barriers(counts, linear, quadratic, kappa, equality)
        return jax.grad(lambda values: jnp.sum(barriers(values)))(values)

    g = inequalities(problem, states, controls, params)
    h = equalities(problem, states, controls, params)
    z = jax.tree.map(partial(slope, equality=False), rows_g, *price_g, g)
    y = jax.tree.map(partial(slope, equality=True), soft_h, *price_h, h)
    parts = split(problem, x0, params, z)
    none = jnp.zeros_like(controls)
    return multipliers_of_bounds(none, none, states)._replace(
        stage_equality=equality.stage + y.stage,
        terminal_equality=equality.terminal + y.terminal,
        **parts,
    )
