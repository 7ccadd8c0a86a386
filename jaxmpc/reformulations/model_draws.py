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

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from jaxmpc.checks import check_choice, check_not_negative, check_positive
from jaxmpc.presentation.names import present
from jaxmpc.problem import Problem
from jaxmpc.reformulations.draw_functions import (
    Axes,
    Draws,
    Dynamics,
    EndRows,
    Rows,
    StageCost,
    TerminalCost,
    prices,
)
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

    Example:
        >>> model_draws, masses = jaxmpc.model_draws, {"mass": jnp.array([0.8, 1.2])}
        >>> robust = model_draws.over_draws(problem, 2)
        >>> found = jaxmpc.solve(robust, model_draws.augment_state(x0, 2), masses)
        >>> found.controls.shape, model_draws.split_states(found.states, 2).shape
        ((10, 1), (11, 2, 2))
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
    shape = Draws(draws, risk != "mean", Axes(params_axes))

    def at_stage(name: str, function: Callable):
        if name == "dynamics":
            return Dynamics(function, problem.stage_cost, shape)
        return (StageCost if name == "stage_cost" else Rows)(function, shape)

    def at_end(name: str, function: Callable):
        return EndRows(function, shape)

    terminal = TerminalCost(problem.terminal_cost, shape, risk, float(level))
    changes = {"soft": prices(problem.soft, draws), "state_space": _space(problem, shape)}
    whole = problem.map_functions(at_stage, at_end, **changes)
    return dataclasses.replace(whole, terminal_cost=terminal)


def _space(problem: Problem, shape: "Draws") -> Space | None:
    """That of all draws' states, each with the cost so far where the risk asks for it."""
    space = problem.state_space
    if space is None:
        return None
    return Product(*[Product(space, Euclidean(1)) if shape.with_costs else space] * shape.number)


def augment_state(
    x0: Float[ArrayLike, " n"] | Float[ArrayLike, "D n"], draws: int, *, risk: str = "mean"
) -> Float[Array, " N"]:
    """The state of all draws, from one that they share or from one of each [D, n].

    Args:
        x0: [n], or [D, n] for a start of each draw.
        draws, risk: as for `over_draws`.

    Returns:
        [D n], or [D (n + 1)] where the costs so far are part of it. Differentiable in x0.

    Raises:
        ValueError: an x0 of another shape, or another risk.

    Example:
        >>> print(jaxmpc.model_draws.augment_state(x0, 2))
        [1. 0. 1. 0.]
        >>> print(jaxmpc.model_draws.augment_state(x0, 2, risk="worst"))  # with the costs so far
        [1. 0. 0. 1. 0. 0.]
    """
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
    """The states of each draw.

    Args:
        states: [..., T+1, N], of a solution.
        draws, risk: as for `over_draws`.

    Returns:
        [..., T+1, D, n], without the costs so far. Differentiable in the states.

    Raises:
        ValueError: states that are not those of so many draws, or another risk.

    Example:
        >>> jaxmpc.model_draws.split_states(jnp.zeros((11, 6)), 2, risk="worst").shape
        (11, 2, 2)
    """
    check_positive("split_states", "draws", draws, whole=True)
    check_choice("split_states", "risk", risk, RISKS)
    states = jnp.asarray(states)
    if np.shape(states)[-1] % draws:
        raise ValueError(
            f"split_states: states of shape {np.shape(states)} are not those of {draws} draws."
        )
    parts = states.reshape(*states.shape[:-1], draws, -1)
    return parts if risk == "mean" else parts[..., :-1]


present(__name__)
