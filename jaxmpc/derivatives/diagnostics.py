"""How far the derivatives of a solution can be trusted."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxmpc.checks import check_state
from jaxmpc.compilation import compiled
from jaxmpc.derivatives.active_rows import ActiveRows, row_terms
from jaxmpc.derivatives.adjoint import ImplicitAdjoint
from jaxmpc.derivatives.charts import in_chart
from jaxmpc.derivatives.instance import Instance, KKTPoint
from jaxmpc.derivatives.kkt_system import (
    KKTSystem,
    point_of,
    system_at,
)
from jaxmpc.lq.constrained import constrained_factor, multiplier_steps
from jaxmpc.lq.problem import LQProblem
from jaxmpc.lq.riccati.factorization import factor, substitute
from jaxmpc.lq.riccati.sequential import Factor
from jaxmpc.lq.rows import Jacobian, Rows, every_state
from jaxmpc.problem import Problem
from jaxmpc.problem.closures import announced, self_contained
from jaxmpc.solution import Solution
from jaxmpc.solvers.options import default_tolerance
from jaxmpc.trajectory.constraints import without_control_bounds
from jaxmpc.trajectory.row_kinds import row_kinds

_ITERATIONS = 30  # of the power method


class GradientDiagnostics(NamedTuple):
    """How well the KKT system at a solution determines its derivative.

    Attributes:
        reliable: whether the solution is a strict minimum (`smallest_pivot` > 0), converged, its
            active constraints independent, and none weakly active. False means: do not take
            this gradient for exact.
        smallest_pivot: of the reduced Hessian (the Riccati recursion's Quu on the free
            controls), in units of cost per unit of control squared. Not positive: the point is
            no strict minimum, and its derivative means nothing.
        condition: the largest pivot divided by the smallest one; inf if that is not positive.
        independence: of the active constraints besides the control bounds, between 1 and 0: the
            smallest eigenvalue of J K^-1 J' divided by the largest, with rows J scaled to length
            1. Near zero, some depend on each other (or on active control bounds): their
            multipliers are not unique, and their derivatives mean nothing.
        complementarity_margin: the least, over the finite bounds and the inequalities, of
            max(multiplier, curvature times distance), in units of cost per unit of the
            constraint. Near zero: one is weakly active, and the solution has a kink in the
            parameters there; `ImplicitAdjoint(smoothing=...)` smooths it.
        weakly_active: how many bounds and inequalities are so near both that the tolerance of a
            solver cannot decide: a margin below 3 sqrt(tolerance curvature), within 1e-3.
        kkt_residual: the largest scaled residual of the solution; derivatives are as accurate.
        active: how many control bounds (those that fix a control included), rows of constraints
            and equalities are active.

    Example:
        >>> found = jaxmpc.gradient_diagnostics(problem, x0, params, solution)
        >>> bool(found.reliable), int(found.active), int(found.weakly_active)
        (True, 1, 0)
    """

    reliable: Bool[Array, ""]
    smallest_pivot: Float[Array, ""]
    condition: Float[Array, ""]
    independence: Float[Array, ""]
    complementarity_margin: Float[Array, ""]
    weakly_active: Int[Array, ""]
    kkt_residual: Float[Array, ""]
    active: Int[Array, ""]


def gradient_diagnostics(
    problem: Problem, x0: Float[Array, " n"], params: PyTree, solution: Solution
) -> GradientDiagnostics:
    """Measure at a solution what its derivatives depend on; for a batch use `jax.vmap`.

    Compiles itself, as `solve` does.

    Source: Nocedal and Wright (2006), sections 12.2 (linear independence) and 12.5 (second-order
    sufficiency, strict complementarity).

    Args:
        problem, x0, params: what was solved, as it was given to `solve`.
        solution: what came out.

    Returns:
        A `GradientDiagnostics`.

    Example:
        >>> found = jaxmpc.gradient_diagnostics(problem, x0, params, solution)
        >>> bool(found.reliable), bool(found.smallest_pivot > 0)
        (True, True)
    """
    x0 = check_state(x0)
    problem, params, lasting = self_contained(problem, x0, params)
    function = _compiled if lasting else _diagnostics
    return function(Instance(problem, x0, params, solution.scales), solution)


def _diagnostics(instance: Instance, solution: Solution) -> GradientDiagnostics:
    instance, solution = in_chart(instance, solution)
    point = point_of(instance, solution)
    kkt = system_at(ImplicitAdjoint(), instance, point)
    model, free, rows = kkt[:3]
    matrices = constrained_factor(model, rows.jacobian, free)
    loose = factor(model, free)  # without the rows: the curvature of the cost alone
    smallest = jnp.min(jnp.where(free, matrices.Quu.pivots, jnp.inf))
    largest = jnp.max(jnp.where(free, jnp.abs(loose.Quu.pivots), 0.0))
    bounds, inequalities = (
        _margin_of_bounds(instance, point, kkt),
        _margin_of_rows(instance, point, kkt, loose),
    )
    weak = bounds.weak + inequalities.weak
    independence = _independence(model, rows, matrices, loose)
    residual = solution.residuals.largest()
    reliable = solution.converged & (smallest > 0) & (weak == 0)
    reliable &= independence > jnp.finfo(point.states.dtype).eps ** 0.5
    return GradientDiagnostics(
        reliable=reliable,
        smallest_pivot=smallest,
        condition=jnp.where(smallest > 0, jnp.maximum(1.0, largest / smallest), jnp.inf),
        independence=independence,
        complementarity_margin=jnp.minimum(bounds.least, inequalities.least),
        weakly_active=weak,
        kkt_residual=residual,
        active=jnp.sum(~free) + jnp.sum(rows.rows.flat()),
    )


_compiled = compiled(_diagnostics, lambda instance, _: announced("diagnostics", *instance[:3]))


class _Margin(NamedTuple):
    least: Float[Array, ""]
    weak: Int[Array, ""]


def _margin(judged, curvature, distance, push) -> _Margin:
    margin = jnp.where(judged, jnp.maximum(curvature * distance, push), jnp.inf)
    undecided = 3 * jnp.sqrt(default_tolerance(None, margin.dtype) * curvature)
    # With hardly any curvature a bound would count as near from any distance.
    weak = judged & (margin <= undecided) & (distance <= 1e-3)
    return _Margin(jnp.min(margin, initial=jnp.inf), jnp.sum(weak))


def _together(margins) -> _Margin:
    least, weak = zip(*margins, strict=True)
    return _Margin(jnp.min(jnp.stack(least)), jnp.sum(jnp.stack(weak)))


def _margin_of_bounds(instance: Instance, point: KKTPoint, kkt: KKTSystem) -> _Margin:
    lower, upper = instance.problem.limits(point.controls.dtype)
    curvature = jnp.abs(jnp.diagonal(kkt.model.R, axis1=1, axis2=2))
    gradient = kkt.gradient

    def margin(distance, push):
        judged = jnp.isfinite(distance) & (lower < upper)
        return _margin(judged, curvature, distance, jnp.maximum(push, 0.0))

    below, above = point.controls - lower, upper - point.controls
    return _together([margin(below, gradient), margin(above, -gradient)])


def _margin_of_rows(instance: Instance, point: KKTPoint, kkt: KKTSystem, loose: Factor) -> _Margin:
    """The same over the inequality rows; a soft one has a second kink where its price is met."""
    problem, x0, params, _ = instance
    general = without_control_bounds(problem)
    kinds, terms = row_kinds(general, x0, params), row_terms(instance, point)
    jacobian, model = kkt.jacobian, kkt.model
    F = jnp.concatenate([model.A, model.B], axis=2)
    H = jnp.concatenate(
        [
            jnp.concatenate([model.Q[:-1], model.S.swapaxes(1, 2)], axis=2),
            jnp.concatenate([model.S, model.R], axis=2),
        ],
        axis=1,
    )
    H += jnp.einsum("tij,tik,tkl->tjl", F, loose.V[1:], F)  # the Q-function's: with what follows
    bend = Rows(
        jnp.einsum("tpi,tij,tpj->tp", jacobian.stage, H, jacobian.stage),
        jnp.einsum("pi,ij,pj->p", jacobian.terminal, model.Q[-1], jacobian.terminal),
    )
    # To move a row by d takes a step d J' / |J|^2: the curvature along it.
    length = Rows(*(jnp.sum(J**2, axis=-1) for J in jacobian)).flat()
    curvature = jnp.abs(bend.flat()) / jnp.where(length > 0, length, 1.0) ** 2
    present, inequality = kinds.present.flat(), kinds.inequality.flat()
    soft = present & jnp.isfinite(kinds.linear.flat())
    excess = jnp.where(inequality, jnp.maximum(terms.values, 0.0), jnp.abs(terms.values))
    z = jnp.where(inequality, terms.multipliers, jnp.abs(terms.multipliers))
    price = jnp.where(soft, kinds.linear.flat(), 0.0) + kinds.quadratic.flat() * excess
    distance = jnp.maximum(-terms.values, 0.0)
    return _together(
        [
            _margin(present & inequality, curvature, distance, z),
            _margin(soft, curvature, excess, price - z),
        ]
    )


def _independence(model: LQProblem, rows: ActiveRows, matrices: Factor, loose: Factor):
    """Extreme eigenvalues of S = J K^-1 J' by the power method, K on the free controls."""
    exists = rows.rows
    if not any(leaf.size for leaf in exists):
        return jnp.ones_like(model.q, shape=())
    lengths = jax.tree.map(lambda J: jnp.sqrt(jnp.sum(J**2, axis=-1)), Rows(*rows.jacobian))
    lengths = jax.tree.map(lambda w: jnp.where(w > 0, w, 1.0), lengths)
    unit = Jacobian(*(J / w[..., None] for J, w in zip(rows.jacobian, lengths, strict=True)))
    matrices = constrained_factor(model, unit, matrices.free)
    still = jnp.zeros_like(model.r)

    def only(values: Rows) -> Rows:
        return jax.tree.map(lambda e, v: jnp.where(e, v, 0.0), exists, values)

    def shifted_inverse(values: Rows) -> Rows:  # (S + delta)^-1
        return only(multiplier_steps(model, unit, only(values), matrices, still, 1)[1])

    def forward(values: Rows) -> Rows:  # S
        stages, last = unit.transposed_times(only(values))
        n = model.q.shape[1]
        pulled = model._replace(q=model.q + every_state(stages[:, :n], last), r=stages[:, n:])
        step = substitute(pulled, loose, still)
        z = jnp.concatenate([step.states[:-1], step.controls], axis=1)
        return only(unit.times(z, step.states[-1]))

    smallest = 1 / _largest_eigenvalue(shifted_inverse, exists, model.q.dtype)
    smallest -= jnp.finfo(model.q.dtype).eps ** 0.5
    largest = _largest_eigenvalue(forward, exists, model.q.dtype)
    some = jnp.any(jnp.stack([jnp.any(e) for e in exists]))
    ratio = smallest / jnp.where(largest > 0, largest, 1.0)  # zero where nothing is free
    return jnp.where(some, jnp.clip(ratio, 0.0, 1.0), 1.0)


def _largest_eigenvalue(apply, exists: Rows, dtype) -> Float[Array, ""]:
    def norm(values: Rows):
        return jnp.sqrt(sum(jnp.sum(v**2) for v in values))

    # Neither constant nor periodic along the stages: no eigenvector of a regular problem.
    start = jax.tree.map(
        lambda e: jnp.where(
            e, jnp.cos(1.7 * jnp.arange(e.size, dtype=dtype) ** 1.5).reshape(e.shape), 0.0
        ),
        exists,
    )

    def iterate(_, carry):
        values, _ = carry
        size = norm(values)
        values = apply(jax.tree.map(lambda v: v / jnp.where(size > 0, size, 1.0), values))
        return values, norm(values)

    _, size = jax.lax.fori_loop(0, _ITERATIONS, iterate, (start, jnp.zeros((), dtype)))
    return size
