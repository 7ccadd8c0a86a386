"""Smooth derivatives near a kink: those of the central path instead of the solution.

The inequalities are replaced by a barrier in the cost, -kappa log(-g) for a hard row, and the
derivative rule is applied to the minimiser of that problem, which has no inequalities left. Its
distances s and multipliers z satisfy s z = kappa; kappa -> 0 leads to the solution.

Source: Wright (1997), Primal-Dual Interior-Point Methods, ch. 1 (the central path).
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxmpc.derivatives.adjoint import ImplicitAdjoint, straight_through
from jaxmpc.derivatives.implicit import differentiable
from jaxmpc.derivatives.instance import Instance
from jaxmpc.lq.rows import Rows
from jaxmpc.problem import Problem, terminal_cost
from jaxmpc.problem.kinds import KINDS, Kind
from jaxmpc.problem.pytree_function import PytreeFunction, pytree_function, static
from jaxmpc.solution import Multipliers, Solution, multipliers_of_bounds
from jaxmpc.solvers.interior_point import InteriorPoint
from jaxmpc.solvers.loop import Guess, WarmStart, run
from jaxmpc.trajectory.constraints import (
    multipliers_by_name,
    rows_along,
    split,
    stage_rows,
    terminal_rows,
)
from jaxmpc.trajectory.row_kinds import RowKinds, row_kinds

_NEWTON_STEPS = 30


def smoothed(adjoint: ImplicitAdjoint, instance: Instance, solution: Solution) -> Solution:
    """What a solver returned, with the derivatives of the central path.

    The cost keeps its own: it has no kink.
    """
    plain = dataclasses.replace(adjoint, smoothing=0.0)
    central = central_path(adjoint, instance, solution)
    instance_of_path = instance._replace(problem=barrier_problem(instance, adjoint.smoothing))
    path = differentiable(plain, instance_of_path, central)
    along = (path.states, path.controls, path.multipliers)
    pushes = path_multipliers(instance, adjoint.smoothing, *along)

    def with_derivative(field: str, surrogate):
        return straight_through(getattr(solution, field), surrogate)

    return dataclasses.replace(
        solution,
        cost=differentiable(plain, instance, solution).cost,
        states=with_derivative("states", path.states),
        controls=with_derivative("controls", path.controls),
        costates=with_derivative("costates", path.costates),
        multipliers=with_derivative("multipliers", pushes),
        gains=with_derivative("gains", path.gains),
    )


def central_path(adjoint: ImplicitAdjoint, instance: Instance, solution: Solution) -> Solution:
    """The point of the central path near a solution, as one of `barrier_problem`; a constant.

    Its status is that of the solution, if that did not converge.
    """
    kappa = adjoint.smoothing
    instance = jax.lax.stop_gradient(instance)
    # Near a kink the derivative's relative error is that of the residual in units of kappa.
    tolerance = float(jnp.finfo(instance.x0.dtype).eps) ** 0.7
    solver = InteriorPoint(barrier=kappa, tolerance=tolerance)
    guess = Guess(solution.controls, warm=WarmStart.of(solution))
    central = run(solver, *instance[:3], jax.lax.stop_gradient(guess))
    status = jnp.where(solution.converged, central.status, solution.status)
    return _as_of_path(instance, dataclasses.replace(central, status=status))


def barrier_problem(instance: Instance, kappa: float) -> Problem:
    """The problem with inequalities and soft rows in the cost, as barriers.

    Controls and states that equal bounds fix stay fixed.
    """
    problem, x0, params, _ = instance
    kinds = row_kinds(problem, x0, params)
    low, high = problem.limits(x0.dtype)
    hard = _hard_equalities(instance)

    def only_hard(kind: Kind):
        if kind.name not in hard:
            return None
        cls = _HardEnd if kind.place == "end" else _HardStage
        return cls(kind.given(problem), ~hard[kind.name])

    state_bounds = None
    if "state_upper" in hard and "state_lower" in hard:
        limits = problem.state_limits(x0.shape[0], x0.dtype)
        state_bounds = _only(hard["state_upper"], *limits)
    return dataclasses.replace(
        problem,
        stage_cost=_StageCost(problem, _Barriers.of(kinds, 0, kappa)),
        terminal_cost=_TerminalCost(problem, _Barriers.of(kinds, 1, kappa)),
        control_bounds=_only(low == high, low, high),
        state_bounds=state_bounds,
        soft=None,
        **{kind.name: only_hard(kind) for kind in KINDS.values() if not kind.is_bound},
    )


def _only(fixed, lower, upper) -> tuple[Array, Array]:
    """The bounds of what equal bounds fix, none of the others."""
    return jnp.where(fixed, lower, -jnp.inf), jnp.where(fixed, upper, jnp.inf)


@pytree_function
class _Barriers(PytreeFunction):
    """The barriers of rows, as a function of their values; zero where a row has none."""

    present: Bool[Array, "*T p"]
    inequality: Bool[Array, "*T p"]
    linear: Float[Array, "*T p"]
    quadratic: Float[Array, "*T p"]
    kappa: float = static()

    @classmethod
    def of(cls, kinds: RowKinds, part: int, kappa: float) -> "_Barriers":
        """Those of the stages (part 0) or of the end (part 1)."""
        present, inequality, _, linear, quadratic = (rows[part] for rows in kinds)
        return cls(present, inequality, linear, quadratic, kappa)

    def at(self, t) -> "_Barriers":
        """Those of stage t."""
        return _Barriers(
            self.present[t], self.inequality[t], self.linear[t], self.quadratic[t], self.kappa
        )

    def __call__(self, rows) -> Float[Array, ""]:
        kappa = jnp.asarray(self.kappa, rows.dtype)
        soft = self.present & jnp.isfinite(self.linear)
        hard = self.present & self.inequality & ~soft
        w, v = jnp.where(soft, self.linear, 1.0), jnp.where(soft, self.quadratic, 0.0)
        logs = -kappa * jnp.log(jnp.where(hard, -rows, 1.0))
        price = _soft_barrier(jnp.where(soft, rows, 0.0), w, v, ~self.inequality, kappa)
        return jnp.sum(logs + jnp.where(soft, price, 0.0))


def _soft_barrier(rows, w, v, equality, kappa):
    """The least of  w (e + d) + 1/2 v (e^2 + d^2) - kappa log e - kappa log d,  e - d = rows.

    Without the price of d for an inequality, whose slack it is.
    """
    e = _excess(rows, jnp.where(equality, 2, 1) * w, v, jnp.where(equality, v, 0.0), kappa)
    d = e - rows
    price = w * e + 0.5 * v * e**2 - kappa * jnp.log(e) - kappa * jnp.log(d)
    return price + jnp.where(equality, w * d + 0.5 * v * d**2, 0.0)


def _excess(c, a, b, b_other, kappa):
    """The root e > max(0, c) of  a + b e + b_other (e - c) - kappa / e - kappa / (e - c).

    The function is concave and increasing: from its left Newton's steps never pass the root. The
    last ones are differentiated: each doubles the order to which the derivative is right.
    """

    def newton(e, c, a, b, b_other):
        value = a + b * e + b_other * (e - c) - kappa / e - kappa / (e - c)
        return e - value / (b + b_other + kappa / e**2 + kappa / (e - c) ** 2)

    fixed = jax.lax.stop_gradient((c, a, b, b_other))
    most = fixed[1] + (fixed[2] + fixed[3]) * (jnp.abs(fixed[0]) + kappa / fixed[1])
    e = jnp.maximum(fixed[0], 0.0) + kappa / most
    e = jax.lax.fori_loop(0, _NEWTON_STEPS, lambda _, e: newton(e, *fixed), e)
    for _ in range(2):
        e = newton(e, c, a, b, b_other)
    return e


@pytree_function
class _StageCost(PytreeFunction):
    problem: Problem
    barriers: _Barriers

    def __call__(self, x, u, t, params):
        own = self.problem.stage_cost(x, u, t, params)
        return own + self.barriers.at(t)(stage_rows(self.problem, t, x, u, params))


@pytree_function
class _TerminalCost(PytreeFunction):
    problem: Problem
    barriers: _Barriers

    def __call__(self, x, params):
        own = terminal_cost(self.problem, x, params)
        return own + self.barriers(terminal_rows(self.problem, x, params))


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


def _hard_equalities(instance: Instance) -> dict[str, Bool[Array, "..."]]:
    """Which rows `barrier_problem` keeps, by the name of their kind."""
    problem, x0, params, _ = instance
    kinds = row_kinds(problem, x0, params)
    hard = jax.tree.map(
        lambda inequality, price: ~inequality & jnp.isinf(price), kinds.inequality, kinds.linear
    )
    parts = split(problem, x0, params, hard)
    if "state_upper" in parts and "state_lower" in parts:  # equal: one row for both
        parts["state_lower"] = parts["state_upper"]
    kept = [name for name in parts if KINDS[name].is_equality or KINDS[name].place == "states"]
    return {name: parts[name] for name in kept}


def _as_of_path(instance: Instance, solution: Solution) -> Solution:
    """One of the barrier problem: its multipliers are those of the hard equalities alone."""
    none = jnp.zeros_like(solution.controls)
    kept = {
        name: jnp.where(rows, getattr(solution.multipliers, name), 0.0)
        for name, rows in _hard_equalities(instance).items()
    }
    multipliers = multipliers_of_bounds(none, none, solution.costates)._replace(**kept)
    return dataclasses.replace(solution, multipliers=multipliers)


def path_multipliers(
    instance: Instance, kappa: float, states, controls, hard: Multipliers
) -> Multipliers:
    """Those of all constraints on the central path: the barriers' slopes, and the `hard` ones'."""
    problem, x0, params, _ = instance
    kinds = row_kinds(problem, x0, params)
    rows = rows_along(problem, states, controls, params)
    slopes = Rows(*(jax.grad(_Barriers.of(kinds, k, kappa))(rows[k]) for k in range(2)))
    parts = multipliers_by_name(problem, x0, params, slopes)
    for name in _hard_equalities(instance):
        parts[name] = parts[name] + getattr(hard, name)
    none = jnp.zeros_like(controls)
    return multipliers_of_bounds(none, none, states)._replace(**parts)
