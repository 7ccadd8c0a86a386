"""One plan for several draws of a model: shared controls, and a risk measure of the costs.

    robust = model_draws.over_draws(problem, 5, risk="cvar", level=0.8)
    x0 = model_draws.augment_state(x0, 5)
    solution = jaxmpc.solve(robust, x0, draws, solver=jaxmpc.ICEM(), key=key)
    states = model_draws.split_states(solution.states, 5, risk="cvar")     # [T+1, D, n]

Sources: Chua, Calandra, McAllister and Levine (2018), 'Deep reinforcement learning in a handful of
trials' (trajectory sampling over an ensemble); Rockafellar and Uryasev (2000) for CVaR.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from jaxmpc.checks import check_choice, check_not_negative, check_positive
from jaxmpc.problem import Problem, Soft
from jaxmpc.problem.pytree_function import PytreeFunction, pytree_function, static
from jaxmpc.spaces.space import Euclidean, Product, Space

RISKS = ("mean", "worst", "cvar")


def over_draws(
    problem: Problem,
    draws: int,
    *,
    risk: str = "mean",
    level: float = 0.9,
    params_axes: Any = 0,
) -> Problem:
    """The problem of one plan for D models side by side; state [x of draw 1, .., x of draw D].

        minimise  risk(J_1, .., J_D),    J_d the cost of the controls in the model of draw d

    All constraints must hold in every draw; the prices of soft ones are means over the draws,
    whatever the risk. An ordinary problem, for every solver that its costs
    suit: "worst" and "cvar" have kinks, for solvers that sample or for a start from those.

    Args:
        problem: its functions see the params of one draw.
        draws: the number D.
        risk: "mean"; "worst", the largest; or "cvar", the mean of the worst share 1 - `level`. The
            last two add the cost so far of each draw to the state.
        level: of "cvar", 0 .. 1: 0 is the mean, towards 1 the worst.
        params_axes: which params differ between the draws: 0 for those arrays with a leading axis
            of length D, None for those that all share, or a prefix of params with these. (What is
            no number, as an activation function in a network, is shared.)

    Raises:
        TypeError, ValueError: naming the argument, what came and what was wanted.
    """
    owner = "over_draws"
    if not isinstance(problem, Problem):
        raise TypeError(f"{owner}: problem must be a Problem, got {problem!r}.")
    check_positive(owner, "draws", draws, whole=True)
    check_choice(owner, "risk", risk, RISKS)
    check_not_negative(owner, "level", level)
    if level >= 1:
        raise ValueError(f"{owner}: level must be less than 1, got {level}.")
    if problem.state_bounds is not None:
        raise ValueError(
            f"{owner}: state_bounds are not carried over to several draws; write them as a "
            "stage_inequality."
        )
    shape = _Draws(draws, risk != "mean", _Axes(params_axes))

    def at_stage(name: str, function: Callable):
        if name == "dynamics":
            return _Dynamics(function, problem.stage_cost, shape)
        return (_StageCost if name == "stage_cost" else _Rows)(function, shape)

    def at_end(name: str, function: Callable):
        return _EndRows(function, shape)

    terminal = _TerminalCost(problem.terminal_cost, shape, risk, float(level))
    changes = {"soft": _prices(problem.soft, draws), "state_space": _space(problem, shape)}
    whole = problem.map_functions(at_stage, at_end, **changes)
    return dataclasses.replace(whole, terminal_cost=terminal)


def _space(problem: Problem, shape: "_Draws") -> Space | None:
    """That of all draws' states, each with the cost so far where the risk asks for it."""
    space = problem.state_space
    if space is None:
        return None
    return Product(*[Product(space, Euclidean(1)) if shape.with_costs else space] * shape.number)


def augment_state(
    x0: Float[ArrayLike, " n"] | Float[ArrayLike, "D n"], draws: int, *, risk: str = "mean"
) -> Float[Array, " N"]:
    """The state of all draws, from one that they share or from one of each [D, n]."""
    check_positive("augment_state", "draws", draws, whole=True)
    check_choice("augment_state", "risk", risk, RISKS)
    x0 = jnp.asarray(x0)
    if x0.ndim not in (1, 2) or (x0.ndim == 2 and len(x0) != draws):
        raise ValueError(
            f"augment_state: x0 must have shape [n] or [D, n] with D = {draws}; got {x0.shape}."
        )
    x0 = jnp.broadcast_to(x0, (draws, x0.shape[-1]))
    if risk != "mean":
        x0 = jnp.concatenate([x0, jnp.zeros_like(x0[:, :1])], axis=1)
    return x0.reshape(-1)


def split_states(
    states: Float[Array, "*batch T1 N"], draws: int, *, risk: str = "mean"
) -> Float[Array, "*batch T1 D n"]:
    """The states of each draw."""
    check_positive("split_states", "draws", draws, whole=True)
    check_choice("split_states", "risk", risk, RISKS)
    states = jnp.asarray(states)
    if np.shape(states)[-1] % draws:
        raise ValueError(
            f"split_states: states of shape {np.shape(states)} are not those of {draws} draws."
        )
    parts = states.reshape(*states.shape[:-1], draws, -1)
    return parts if risk == "mean" else parts[..., :-1]


class _Axes:
    """A prefix of params as a constant that is compared by value."""

    def __init__(self, axes: Any):
        self.axes = axes

    def _key(self):
        leaves, structure = jax.tree.flatten(self.axes, is_leaf=lambda axis: axis is None)
        return tuple(leaves), structure

    def __eq__(self, other):
        return isinstance(other, _Axes) and self._key() == other._key()

    def __hash__(self):
        return hash(self._key())


class _Draws:
    """How the draws lie in the state."""

    def __init__(self, number: int, with_costs: bool, axes: _Axes):
        self.number, self.with_costs, self.axes = number, with_costs, axes

    def __eq__(self, other):
        return isinstance(other, _Draws) and vars(self) == vars(other)

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
class _Dynamics(PytreeFunction):
    function: Callable
    stage_cost: Callable
    draws: _Draws = static()

    def __call__(self, z, u, t, params):
        x, costs = self.draws.split(z)
        after = self.draws.each(self.function, x, u, t, params)
        if self.draws.with_costs:
            costs = costs + self.draws.each(self.stage_cost, x, u, t, params)
            after = jnp.concatenate([after, costs[:, None]], axis=1)
        return after.reshape(-1)


@pytree_function
class _StageCost(PytreeFunction):
    function: Callable
    draws: _Draws = static()

    def __call__(self, z, u, t, params):
        x, costs = self.draws.split(z)
        if self.draws.with_costs:  # it is in the state
            return jnp.zeros_like(costs[0])
        return jnp.mean(self.draws.each(self.function, x, u, t, params))


@pytree_function
class _Rows(PytreeFunction):
    function: Callable
    draws: _Draws = static()

    def __call__(self, z, u, t, params):
        x, _ = self.draws.split(z)
        return self.draws.each(self.function, x, u, t, params).reshape(-1)


@pytree_function
class _EndRows(PytreeFunction):
    function: Callable
    draws: _Draws = static()

    def __call__(self, z, params):
        x, _ = self.draws.split(z)
        return self.draws.each_end(self.function, x, params).reshape(-1)


@pytree_function
class _TerminalCost(PytreeFunction):
    function: Callable | None
    draws: _Draws = static()
    risk: str = static()
    level: float = static()

    def __call__(self, z, params):
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


def _prices(soft: dict[str, Soft] | None, draws: int) -> dict[str, Soft] | None:
    """The prices of the rows of all draws: each counts as its draw does, 1 / D."""
    if soft is None:
        return None

    def shared(price):
        if price is None:
            return None
        price = jnp.asarray(price, jnp.result_type(float)) / draws
        return jnp.tile(price, draws) if price.ndim else price

    return {name: Soft(shared(of.linear), shared(of.quadratic)) for name, of in soft.items()}
