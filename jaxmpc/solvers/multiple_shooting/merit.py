"""How good an iterate of the interior point is: residuals, violation, barrier objective."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmpc.solution import Residuals
from jaxmpc.solvers.loop import finite
from jaxmpc.solvers.multiple_shooting.filter import Merit
from jaxmpc.solvers.multiple_shooting.iterate import Functions, Iterate, Setting, Values
from jaxmpc.solvers.multiple_shooting.model import Expansion, lagrangian_gradient, price_gradient
from jaxmpc.trajectory.kkt import residual_scale


class Optimality(NamedTuple):
    """The KKT residuals of the barrier problem, for any mu: products are (value x multiplier)."""

    stationarity: Float[Array, ""]
    feasibility: Float[Array, ""]
    least_product: Float[Array, ""]
    largest_product: Float[Array, ""]
    mean: Float[Array, ""]  # of the multipliers and costates
    mean_of_rows: Float[Array, ""]  # of the inequalities' multipliers
    fixed_gradient: Float[Array, "T m"]  # the gradient in controls that equal bounds fix

    def residuals(self, mu, unit) -> Residuals:
        """Scaled, with multipliers in units of `unit`."""
        off = jnp.maximum(self.largest_product - mu, mu - self.least_product)
        scale = residual_scale(self.mean / unit)
        scale_of_rows = residual_scale(self.mean_of_rows / unit)
        return Residuals(
            stationarity=self.stationarity / unit / scale,
            feasibility=self.feasibility,
            complementarity=jnp.maximum(off, 0.0) / unit / scale_of_rows,
        )


def optimality(
    expansion: Expansion, iterate: Iterate, values: Values, setting: Setting
) -> Optimality:
    """Measure how far a point is from optimal."""
    in_states, in_controls = lagrangian_gradient(expansion, iterate, setting)
    in_excess = price_gradient(setting, iterate) - iterate.dual[1:]
    units = setting.units
    largest = [
        jnp.max(jnp.abs(in_states) * units.states),
        jnp.max(jnp.abs(jnp.where(setting.free, in_controls, 0.0)) * units.controls),
        jnp.max(jnp.abs(in_excess) * units.rows[None], initial=0.0),
    ]
    multipliers = jnp.abs(iterate.multipliers()) * units.rows
    costates = jnp.abs(iterate.costates) * units.states
    products = iterate.positive * iterate.dual
    exists = setting.exists
    return Optimality(
        stationarity=jnp.max(jnp.stack(largest)),
        feasibility=values.largest(units),
        least_product=jnp.min(jnp.where(exists, products, jnp.inf), initial=jnp.inf),
        largest_product=jnp.max(jnp.where(exists, products, -jnp.inf), initial=-jnp.inf),
        mean=(jnp.sum(multipliers) + jnp.sum(costates)) / (multipliers.size + costates.size),
        mean_of_rows=jnp.sum(jnp.abs(iterate.dual[0]) * units.rows) / max(multipliers.size, 1),
        fixed_gradient=jnp.where(setting.free, 0.0, in_controls),
    )


def checked(residuals: Residuals, expansion: Expansion, values: Values) -> Residuals:
    """The same; NaN, which ends a solve, where what they were made of was not finite.

    They are not finite themselves where a gradient is not: but for that in the given x_0.
    """
    A, _, q, _ = expansion.linearization
    made_of = (values.cost, values.penalty, A, q, expansion.stages, expansion.terminal)
    return residuals.if_sound(finite(residuals.largest(), made_of))


def violation_of_hard(setting: Setting, original: Setting, functions: Functions):
    """The largest violation of the dynamics and of what `original` holds for hard."""
    rows = functions.rows
    rows = jnp.where(setting.inequality, jnp.maximum(rows, 0.0), jnp.abs(rows))
    hard = original.present.flat() & ~original.exists[1]
    worst = jnp.max(jnp.where(hard, rows / setting.units.rows, 0.0), initial=0.0)
    return jnp.maximum(jnp.max(jnp.abs(functions.defects) / setting.units.states), worst)


def merit_of(values: Values, iterate: Iterate, setting: Setting, mu) -> Merit:
    """The pair that the filter compares."""
    barrier = mu * jnp.sum(jnp.log(jnp.where(setting.exists, iterate.positive, 1.0)))
    objective = setting.scale * values.cost + values.penalty
    return Merit(values.total(setting.units), objective - barrier)


def slope_of(expansion: Expansion, iterate: Iterate, change: Iterate, setting: Setting, mu):
    """The directional derivative of the barrier objective."""
    _, _, q, r = expansion.linearization
    price = setting.marginal_price(iterate.positive[1:])
    price = jnp.pad(price, ((1, 0), (0, 0))) - mu / iterate.positive
    in_positive = jnp.sum(jnp.where(setting.exists, price * change.positive, 0.0))
    return jnp.sum(q * change.states) + jnp.sum(r * change.controls) + in_positive
