"""How good an iterate of the interior point is: residuals, violation, barrier objective."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxmpc.solution import Residuals
from jaxmpc.solvers.barrier import Expansion, lagrangian_gradient, price_gradient
from jaxmpc.solvers.filter import Merit
from jaxmpc.solvers.iterate import Iterate, Setting, Values, only, row_values


def residuals_of(
    expansion: Expansion, point: Iterate, values: Values, setting: Setting, mu, unit
) -> Residuals:
    """Scaled residuals of the barrier problem for `mu`, with multipliers in units of `unit`."""
    in_states, in_controls = lagrangian_gradient(expansion, point)
    in_excess = jax.tree.map(jnp.subtract, price_gradient(setting, point)[1:], point.dual[1:])
    gradient = (
        in_states,
        jnp.where(setting.free, in_controls, 0.0),
        only(in_excess, setting.exists[1:]),
    )
    multipliers = (point.costates, point.dual.slack, point.equality)
    number = sum(leaf.size for leaf in jax.tree.leaves(multipliers))
    rows = sum(leaf.size for leaf in point.dual.slack)
    mean = _total(multipliers) / unit / number
    mean_rows = _total(point.dual.slack) / unit / max(rows, 1)
    products = jax.tree.map(lambda s, z: s * z - mu, point.positive, point.dual)
    products = only(products, setting.exists)
    return Residuals(
        stationarity=_largest(gradient) / unit / (jnp.maximum(100.0, mean) / 100),
        feasibility=_largest(values.residuals()),
        complementarity=_largest(products) / unit / (jnp.maximum(100.0, mean_rows) / 100),
    )


def violation(values: Values) -> Float[Array, ""]:
    """The sum of the absolute residuals of dynamics and rows."""
    return _total(values.residuals())


def violation_of_hard(setting: Setting, original: Setting, point: Iterate, values: Values):
    """The largest violation of the dynamics and of what `original` holds for hard."""
    g, h = row_values(setting, point, values)
    exists = original.exists
    hard = jax.tree.map(lambda row, soft: row & ~soft, exists.slack, exists.excess)
    hard_h = jax.tree.map(lambda row, soft: row & ~soft, original.equality, exists.above)
    g = only(jax.tree.map(lambda g: jnp.maximum(g, 0.0), g), hard)
    return _largest((values.defects, g, only(h, hard_h)))


def merit_of(values: Values, point: Iterate, setting: Setting, mu) -> Merit:
    """The pair that the filter compares."""
    logs = only(jax.tree.map(jnp.log, point.positive), setting.exists)
    barrier = mu * sum(jnp.sum(leaf) for leaf in jax.tree.leaves(logs))
    return Merit(violation(values), setting.scale * values.cost + values.penalty - barrier)


def slope_of(expansion: Expansion, point: Iterate, change: Iterate, setting: Setting, mu):
    """The directional derivative of the barrier objective."""
    _, _, q, r = expansion.linearization
    price = jax.tree.map(
        lambda w, v, e, de: (w + v * e - mu / e) * de,
        setting.linear,
        setting.quadratic,
        point.positive,
        change.positive,
    )
    in_positive = sum(jnp.sum(leaf) for leaf in jax.tree.leaves(only(price, setting.exists)))
    return jnp.sum(q * change.states) + jnp.sum(r * change.controls) + in_positive


def _total(tree: PyTree) -> Float[Array, ""]:
    return sum(jnp.sum(jnp.abs(leaf)) for leaf in jax.tree.leaves(tree))  # type: ignore[return-value]


def _largest(tree: PyTree) -> Float[Array, ""]:
    leaves = [jnp.max(jnp.abs(leaf), initial=0.0) for leaf in jax.tree.leaves(tree)]
    return jnp.max(jnp.stack(leaves))
