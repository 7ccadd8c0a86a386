"""The optimality conditions at the returned point, entry by entry, in units of the scales."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxmpc.compilation import compiled
from jaxmpc.derivatives.active_rows import row_terms
from jaxmpc.derivatives.adjoint import ImplicitAdjoint
from jaxmpc.derivatives.charts import in_chart
from jaxmpc.derivatives.instance import Instance
from jaxmpc.derivatives.kkt_system import lagrangian, point_of, system_at
from jaxmpc.diagnosis.case import Case
from jaxmpc.lq.problem import LQProblem
from jaxmpc.lq.rows import Jacobian, Rows
from jaxmpc.trajectory.constraints import split, without_control_bounds
from jaxmpc.trajectory.row_kinds import row_kinds


class Conditions(NamedTuple):
    """The Lagrangian's gradient (with the bounds' multipliers), its LQ model, the active rows."""

    in_states: Float[Array, "T1 k"]
    in_controls: Float[Array, "T m"]
    model: LQProblem
    free: Bool[Array, "T m"]
    active: Jacobian
    products: dict[str, Array]  # |multiplier times distance| of the inequalities, by name


def conditions_of(case: Case) -> Conditions:
    """Measure the conditions at the returned point; compiles itself."""
    instance = Instance(case.problem, case.x0, case.params, case.solution.scales)
    return _compiled(instance, case.solution)


def _conditions(instance: Instance, solution) -> Conditions:
    instance, solution = in_chart(instance, solution)
    point = point_of(instance, solution)
    in_states, in_controls = jax.grad(lagrangian, (1, 2))(instance, *point)
    multipliers = solution.multipliers
    # An interior point has the multipliers of the control bounds apart from the gradient.
    in_controls += multipliers.upper - multipliers.lower
    kkt = system_at(ImplicitAdjoint(), instance, point)
    return Conditions(
        in_states,
        in_controls,
        kkt.model,
        kkt.free,
        kkt.rows.jacobian,
        _products(instance, solution, point),
    )


_compiled = compiled(_conditions)


def _products(instance: Instance, solution, point) -> dict[str, Array]:
    problem, x0, params, _ = instance
    lower, upper = problem.limits(x0.dtype)
    multipliers, u = solution.multipliers, solution.controls

    def product(multiplier, distance):
        return jnp.abs(jnp.where(multiplier > 0, multiplier * distance, 0.0))

    products = {
        "lower": product(multipliers.lower, u - lower),
        "upper": product(multipliers.upper, upper - u),
    }
    general = without_control_bounds(problem)
    kinds = row_kinds(general, x0, params)
    count = kinds.present.flat() & kinds.inequality.flat() & ~jnp.isfinite(kinds.linear.flat())
    rows: Rows = kinds.linear.unflat(jnp.where(count, -row_terms(instance, point).values, 0.0))
    for name, distance in split(general, x0, params, rows).items():
        products[name] = product(getattr(multipliers, name), distance)
    return products


def largest_stationarity(case: Case, conditions: Conditions) -> str:
    """Where the scaled gradient of the Lagrangian is largest: 'u[0] at stage 3'."""
    scales = case.solution.scales
    parts = {
        "u": np.abs(conditions.in_controls) * np.asarray(scales.controls),
        "x": np.abs(conditions.in_states) * np.asarray(scales.states),
    }
    return _largest(parts, {"x": case.directions()})


def largest_complementarity(conditions: Conditions) -> str:
    """Where a multiplier times the distance to its bound is largest: 'upper[0] at stage 3'."""
    return _largest({name: np.asarray(part) for name, part in conditions.products.items()})


def _largest(parts: dict[str, np.ndarray], names: dict[str, list[str]] | None = None) -> str:
    parts = {name: np.asarray(part) for name, part in parts.items() if np.size(part)}
    name = max(parts, key=lambda name: np.max(parts[name]))
    *stage, entry = (
        int(i) for i in np.unravel_index(int(np.argmax(parts[name])), parts[name].shape)
    )
    what = (names or {}).get(name, {entry: f"{name}[{entry}]"})[entry]
    return f"{what} at stage {stage[0] + name.startswith('state_')}" if stage else what
