"""The search of `SQP`: steps that end on bounds of the controls, judged by the Lagrangian too."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from jaxmpc.lq.riccati import Factor
from jaxmpc.problem import Problem
from jaxmpc.solvers import filter as filters
from jaxmpc.solvers.barrier import Expansion, direction
from jaxmpc.solvers.filter import Filter, Merit
from jaxmpc.solvers.filter_search import Search, backtrack, length_of
from jaxmpc.solvers.iterate import Iterate, Setting, Values, evaluate
from jaxmpc.solvers.merit import merit_of, slope_of

_HEAVY = 100.0  # a proximal weight that is more than a little curvature


class Box(NamedTuple):
    """Bounds of the controls that are no rows, and where a full step ends."""

    lower: Float[Array, "T m"]
    upper: Float[Array, "T m"]
    side: Int[Array, "T m"]
    proximal: Float[Array, ""]  # the weight that is in the model of the step
    defects: Float[Array, "T n"]  # what a full step is to close

    def change(self, controls) -> Float[Array, "T m"]:
        """From the controls to the bounds that they are to end on; zero for the others."""
        ends = jnp.where(self.side < 0, self.lower, self.upper)
        return jnp.where(self.side != 0, ends - controls, 0.0)

    def inside(self, controls, size) -> Float[Array, "T m"]:
        """The controls within the bounds; after a full step, at them to the last bit."""
        ends = jnp.where(self.side < 0, self.lower, self.upper)
        controls = jnp.clip(controls, self.lower, self.upper)
        return jnp.where((self.side != 0) & (size == 1), ends, controls)


def box_search(
    problem: Problem,
    params: PyTree,
    setting: Setting,
    memory: Filter,
    point: Iterate,
    expansion: Expansion,
    values: Values,
    matrices: Factor,
    box: Box,
) -> Search:
    """The longest step of Newton's direction that falls by the filter or by the Lagrangian.

    The problem has no bounds and no rows; the Lagrangian has the costates that the step leads to.
    """
    none = jnp.zeros_like(setting.scale)  # no barrier
    change = _to_sides(expansion, point, values, setting, matrices, box)
    now = merit_of(values, point, setting, none)
    slope = slope_of(expansion, point, change, setting, none)
    price = (point.costates + change.costates)[1:]
    priced_slope = slope - jnp.sum(price * box.defects)

    def priced(merit: Merit, values: Values) -> Merit:
        worth = jnp.sum(price * values.defects, axis=(-2, -1))
        return merit._replace(objective=merit.objective + worth)

    def trial_at(size):
        controls = box.inside(point.controls + size * change.controls, size)
        there = point._replace(states=point.states + size * change.states, controls=controls)
        its = evaluate(problem, params, setting, there)
        return there, its, merit_of(its, there, setting, none)

    def judge(its, merits, sizes):
        accepted, by_objective = filters.judge(memory, now, merits, sizes, slope)
        before, after = priced(now, values), priced(merits, its)
        falls = filters.falls(memory, before, after, sizes, priced_slope)
        return accepted | falls, by_objective | (falls & ~accepted)

    taken, _ = backtrack(trial_at, judge, none + 1)
    costates = point.costates + taken.size * change.costates
    return Search(
        taken.point._replace(costates=costates),
        taken.accepted,
        taken.by_objective,
        taken.size,
        length_of(change, setting),
        now,
    )


def _to_sides(
    expansion: Expansion, point: Iterate, values: Values, setting: Setting, matrices, box: Box
) -> Iterate:
    """Newton's direction to the sides of the box, which closes the defects that it aims at.

    A heavy proximal weight resists the closing of defects and the moves to bounds with a force of
    its own size. In the costates that force would be curvature of the next model, which asks for
    a larger weight yet; so they are taken from the direction that does neither.
    """

    def newton(defects, held) -> Iterate:
        aim = values._replace(defects=defects)
        none = jnp.zeros_like(setting.scale)
        return direction(matrices, expansion, point, aim, setting, none, 1, held)

    held = box.change(point.controls)
    change, along = newton(box.defects, held), newton(0 * box.defects, 0 * held)
    costates = jnp.where(box.proximal > _HEAVY, along.costates, change.costates)
    return change._replace(costates=costates)
