"""The functions of a problem of several draws, each made of those of one."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxmpc.problem import Soft
from jaxmpc.problem.pytree_function import PytreeFunction, pytree_function, static


class Axes:
    """A prefix of params as a constant that is compared by value."""

    def __init__(self, axes: Any):
        self.axes = axes

    def _key(self):
        leaves, structure = jax.tree.flatten(self.axes, is_leaf=lambda axis: axis is None)
        return tuple(leaves), structure

    def __eq__(self, other):
        return isinstance(other, Axes) and self._key() == other._key()

    def __hash__(self):
        return hash(self._key())


class Draws:
    """How the draws lie in the state."""

    def __init__(self, number: int, with_costs: bool, axes: Axes):
        self.number, self.with_costs, self.axes = number, with_costs, axes

    def __eq__(self, other):
        return isinstance(other, Draws) and vars(self) == vars(other)

    def __hash__(self):
        return hash((self.number, self.with_costs, self.axes))

    def split(self, z):
        """The states [D, n] and the costs so far [D], zeros where they are not kept."""
        if z.shape[0] % self.number:
            raise ValueError(
                f"over_draws: x0 must be the state of {self.number} draws, made by "
                f"model_draws.augment_state(x0, {self.number}, risk=...); got shape {z.shape}."
            )
        parts = z.reshape(self.number, -1)
        if self.with_costs:
            return parts[:, :-1], parts[:, -1]
        return parts, jnp.zeros_like(parts[:, 0])

    def each(self, function: Callable, x, u, t, params):
        """A stage function in all draws."""
        return self.each_end(lambda x, params: function(x, u, t, params), x, params)

    def each_end(self, function: Callable, x, params):
        """A function of the end in all draws; params may hold what is no number."""
        own, shared = self._parts(params)
        return jax.vmap(lambda x, own: function(x, eqx.combine(own, shared)))(x, own)

    def _parts(self, params):
        """What each draw has for itself, and what all share."""

        def below(axis, part):
            if axis not in (None, 0) or isinstance(axis, bool):
                raise ValueError(f"over_draws: params_axes must be None or 0, got {axis!r}.")
            return jax.tree.map(lambda leaf: axis == 0 and eqx.is_array_like(leaf), part)

        mask = jax.tree.map(below, self.axes.axes, params, is_leaf=lambda axis: axis is None)
        own, shared = eqx.partition(params, mask)
        for leaf in jax.tree.leaves(own):
            if jnp.shape(leaf)[:1] != (self.number,):
                raise ValueError(
                    f"over_draws: params must have a leading axis of {self.number} draws where "
                    f"params_axes is 0; got an array of shape {jnp.shape(leaf)}."
                )
        return own, shared


@pytree_function
class Dynamics(PytreeFunction):
    """The step of every draw, with its cost so far where that is part of the state."""

    function: Callable
    stage_cost: Callable
    draws: Draws = static()

    def __call__(self, z, u, t, params):
        """The states of all draws after the step."""
        x, costs = self.draws.split(z)
        after = self.draws.each(self.function, x, u, t, params)
        if self.draws.with_costs:
            costs = costs + self.draws.each(self.stage_cost, x, u, t, params)
            after = jnp.concatenate([after, costs[:, None]], axis=1)
        return after.reshape(-1)


@pytree_function
class StageCost(PytreeFunction):
    """The mean of the draws' stage costs; zero where they are summed up in the state."""

    function: Callable
    draws: Draws = static()

    def __call__(self, z, u, t, params):
        """The cost of a stage."""
        x, costs = self.draws.split(z)
        if self.draws.with_costs:  # it is in the state
            return jnp.zeros_like(costs[0])
        return jnp.mean(self.draws.each(self.function, x, u, t, params))


@pytree_function
class Rows(PytreeFunction):
    """A stage's rows of one constraint, of every draw."""

    function: Callable
    draws: Draws = static()

    def __call__(self, z, u, t, params):
        """All rows."""
        x, _ = self.draws.split(z)
        return self.draws.each(self.function, x, u, t, params).reshape(-1)


@pytree_function
class EndRows(PytreeFunction):
    """The rows of one constraint on the last state, of every draw."""

    function: Callable
    draws: Draws = static()

    def __call__(self, z, params):
        """All rows."""
        x, _ = self.draws.split(z)
        return self.draws.each_end(self.function, x, params).reshape(-1)


@pytree_function
class TerminalCost(PytreeFunction):
    """The mean of the draws' terminal costs, or the risk of their whole costs."""

    function: Callable | None
    draws: Draws = static()
    risk: str = static()
    level: float = static()

    def __call__(self, z, params):
        """The cost of the last states."""
        x, costs = self.draws.split(z)
        if self.function is not None:
            costs = costs + self.draws.each_end(self.function, x, params)
        if self.risk == "mean":
            return jnp.mean(costs)
        if self.risk == "worst":
            return jnp.max(costs)
        # The mean of the worst share: the last of them counts in part.
        share = (1 - self.level) * self.draws.number
        weights = np.clip(share - np.arange(self.draws.number), 0.0, 1.0) / share
        return jnp.asarray(weights, costs.dtype) @ jnp.sort(costs)[::-1]


def prices(soft: dict[str, Soft] | None, draws: int) -> dict[str, Soft] | None:
    """The prices of the rows of all draws: each counts as its draw does, 1 / D."""
    if soft is None:
        return None

    def shared(price):
        if price is None:
            return None
        price = jnp.asarray(price, jnp.result_type(float)) / draws
        return jnp.tile(price, draws) if price.ndim else price

    return {name: Soft(shared(of.linear), shared(of.quadratic)) for name, of in soft.items()}
