"""Newton's direction from a point, and what a step along it is compared with."""

from operator import itemgetter
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxmpc.lq.riccati.sequential import Factor
from jaxmpc.problem import Problem
from jaxmpc.problem.kinds import KINDS
from jaxmpc.solvers.multiple_shooting.filter import Merit
from jaxmpc.solvers.multiple_shooting.iterate import Iterate, Setting, Values
from jaxmpc.solvers.multiple_shooting.merit import merit_of, slope_of
from jaxmpc.solvers.multiple_shooting.model import Expansion, direction

_HEAVY = 100.0  # a proximal weight that is more than a little curvature


class Box(NamedTuple):
    """Bounds of the controls that are no rows, and where a full step ends."""

    lower: Float[Array, "T m"]
    upper: Float[Array, "T m"]
    side: Int[Array, "T m"]

    def change(self, controls) -> Float[Array, "T m"]:
        """From the controls to the bounds that they are to end on; zero for the others."""
        ends = jnp.where(self.side < 0, self.lower, self.upper)
        return jnp.where(self.side != 0, ends - controls, 0.0)

    def inside(self, controls, size) -> Float[Array, "T m"]:
        """The controls within the bounds; after a full step, at them to the last bit."""
        ends = jnp.where(self.side < 0, self.lower, self.upper)
        controls = jnp.clip(controls, self.lower, self.upper)
        return jnp.where((self.side != 0) & (size == 1), ends, controls)


def no_box(controls: Float[Array, "T m"]) -> Box:
    """Where bounds of the controls are rows, or there are none."""
    none = jnp.zeros_like(controls)
    return Box(none - jnp.inf, none + jnp.inf, none.astype(jnp.int32))


class Model(NamedTuple):
    """The model that Newton's direction minimises, factorised, and what a full step is to do."""

    expansion: Expansion
    matrices: Factor
    convex: Bool[Array, ""]  # whether it has a minimum; without one there is no direction
    proximal: Float[Array, ""]  # the weight that is in the factor
    mu: Float[Array, ""]
    aim: Values  # the residuals that a full step closes
    box: Box


class Move(NamedTuple):
    """Where to go from a point: the next iteration begins with the search along it."""

    change: Iterate
    side: Int[Array, "T m"]  # the bounds that a full step ends on
    mu: Float[Array, ""]  # the barrier parameter on the way
    now: Merit
    slope: Float[Array, ""]  # of the objective
    price_of_residuals: Float[Array, ""]  # what the Lagrangian has more than the objective
    priced_slope: Float[Array, ""]  # its slope
    possible: Bool[Array, ""]
    fresh: Bool[Array, ""]  # nowhere: the point has not been evaluated yet


def stay(iterate: Iterate) -> Move:
    """The move to a point that is to be evaluated."""
    nowhere = jax.tree.map(jnp.zeros_like, iterate)
    nowhere = nowhere._replace(states=nowhere.costates)
    none = jnp.zeros_like(iterate.states[0, 0])
    side = jnp.zeros_like(iterate.controls, dtype=jnp.int32)
    return Move(nowhere, side, none, Merit(none, none), none, none, none, none < 0, none == 0)


def move_along(
    problem: Problem, setting: Setting, iterate: Iterate, values: Values, model: Model
) -> Move:
    """The move in Newton's direction."""
    change = _newton(problem, setting, iterate, model)
    # Rows that do not exist too must vary over devices as the data does.
    change = jax.tree.map(
        lambda new, old: new if new.size else jnp.zeros_like(old), change, iterate
    )
    slope = slope_of(model.expansion, iterate, change, setting, model.mu)
    # The Lagrangian has the multipliers that the whole step leads to.
    prices = (iterate.costates + change.costates)[1:]
    of_rows = iterate.multipliers() + change.equality + change.dual[0]

    def worth(of: Values):
        return jnp.sum(prices * of.defects) + jnp.sum(of_rows * of.rows)

    # NaN is worse than anything: no step is good enough, but the solve has not ended.
    now = merit_of(values, iterate, setting, model.mu)
    compared = (now, slope, worth(values), slope - worth(model.aim))
    now, slope, price, priced_slope = jax.tree.map(
        lambda number: jnp.where(jnp.isnan(number), jnp.inf, number), compared
    )
    return Move(
        change=change,
        side=model.box.side,
        mu=model.mu,
        now=now,
        slope=slope,
        price_of_residuals=price,
        priced_slope=priced_slope,
        possible=model.convex,
        fresh=model.convex & False,
    )


def length_of(change: Iterate, setting: Setting) -> Float[Array, ""]:
    """The largest change of a state or control, in its unit."""
    of_states = jnp.max(jnp.abs(change.states) / setting.units.states)
    return jnp.maximum(of_states, jnp.max(jnp.abs(change.controls) / setting.units.controls))


def _newton(problem: Problem, setting: Setting, iterate: Iterate, model: Model) -> Iterate:
    """Newton's direction to the sides of the box, which closes the residuals that it aims at.

    A heavy proximal weight resists the closing of residuals and the moves to bounds with a force
    of its own size. In costates and multipliers that force would be curvature of the next model,
    which asks for a larger weight yet; so they are taken from the direction that does neither.
    """
    equalities = [kind for kind in KINDS.values() if kind.is_equality]
    substitutions = 2 if any(kind.given(problem) is not None for kind in equalities) else 1

    def newton(aim: Values, fixed) -> Iterate:
        matrices, expansion = model.matrices, model.expansion
        return direction(matrices, expansion, iterate, aim, setting, model.mu, substitutions, fixed)

    aim, fixed = model.aim, model.box.change(iterate.controls)
    still = aim._replace(defects=0 * aim.defects, rows=jnp.where(setting.inequality, aim.rows, 0.0))
    # Both side by side: one program.
    both = jax.tree.map(lambda *pair: jnp.stack(pair), (aim, fixed), (still, 0 * fixed))
    found = jax.vmap(newton)(*both)
    change, along = (jax.tree.map(itemgetter(which), found) for which in range(2))
    heavy = model.proximal > _HEAVY
    return change._replace(
        costates=jnp.where(heavy, along.costates, change.costates),
        equality=jnp.where(heavy, along.equality, change.equality),
    )
