"""Costs and bounds on the change of the controls of any problem, whose state gains the last one.

    augmented = slew_rate.bound_slew_rate(problem, -0.1, 0.1)
    solution = jaxmpc.solve(augmented, slew_rate.augment_state(x0, previous_control), params)
    states, controls = slew_rate.split_states(solution.states, problem.control_dim)

Source: Maciejowski (2002), Predictive Control with Constraints, ch. 2.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from jaxmpc.costs import quadratic_form
from jaxmpc.presentation.names import present
from jaxmpc.problem import Problem
from jaxmpc.problem.pytree_function import PytreeFunction, pytree_function, static
from jaxmpc.reformulations.augmented_state import (
    extended_bounds,
    extended_prices,
    extended_space,
)


def penalize_slew_rate(problem: Problem, weight) -> Problem:
    """The problem with a cost on the change of the control, its state [x; u_prev].

        + 1/2 sum_t (u_t - u_{t-1})' W (u_t - u_{t-1}),      u_{-1} given in x_0

    Args:
        weight: W: a number, [m], [m, m] or [T, m, m], read as in `costs`. Differentiable.

    Controls, bounds and constraints keep their meaning, and the costs may be any. Start it from
    `augment_state(x0, previous_control)`.

    Raises:
        ValueError: state bounds that are scalars, which do not tell n; when called, a weight of a
            wrong shape.

    Example:
        >>> slew_rate = jaxmpc.slew_rate
        >>> calm = slew_rate.penalize_slew_rate(problem, 1.0)
        >>> found = jaxmpc.solve(calm, slew_rate.augment_state(x0, jnp.zeros(1)), params)
        >>> bool(found.converged), bool(found.controls[0, 0] > solution.controls[0, 0])
        (True, True)
    """
    m = problem.control_dim
    return dataclasses.replace(
        _on_augmented_state(problem, increments=False),
        stage_cost=_WithSlewCost(problem.stage_cost, weight, m),
    )


def bound_slew_rate(problem: Problem, lower, upper) -> Problem:
    """The problem in the increments du of its controls, which are bounded; state [x; u_prev].

        u_t = u_{t-1} + du_t,      lower <= du_t <= upper,      u_{-1} given in x_0

    Args:
        lower, upper: bounds of du, in the unit of the control a step: None, a number, [m] or
            [T, m]. Differentiable.

    The controls of the new problem are du: guesses and solutions hold increments, and
    `split_states` gives the controls that are applied. Bounds that `problem` has on its controls
    become a `stage_inequality` [..; u - upper; lower - u] after its own, so that it needs a
    solver for general constraints.

    Raises:
        ValueError: state bounds that are scalars, which do not tell n; du's of a wrong shape.

    Example:
        >>> slew_rate = jaxmpc.slew_rate
        >>> calm = slew_rate.bound_slew_rate(problem, -0.2, 0.2)
        >>> found = jaxmpc.solve(calm, slew_rate.augment_state(x0, jnp.zeros(1)), params)
        >>> states, controls = slew_rate.split_states(found.states, problem.control_dim)
        >>> print(controls[:4, 0])
        [-0.2 -0.4 -0.6 -0.4]
    """
    augmented = _on_augmented_state(problem, increments=True)
    least, most = (
        None if _is_infinite(bound) else bound for bound in problem.control_bounds or (None, None)
    )
    if least is not None or most is not None:
        inequality = _ControlBounds(augmented.stage_inequality, least, most, problem.control_dim)
        augmented = dataclasses.replace(augmented, stage_inequality=inequality)
    return dataclasses.replace(augmented, control_bounds=(lower, upper))


def augment_state(
    x0: Float[ArrayLike, " n"], previous_control: Float[ArrayLike, " m"]
) -> Float[Array, " n+m"]:
    """The initial state [x0; u_{-1}] of a problem of this file.

    Differentiable in both; in the dtype of x0.

    Example:
        >>> print(jaxmpc.slew_rate.augment_state(x0, jnp.array([0.5])))
        [1.  0.  0.5]
    """
    x0 = jnp.asarray(x0)
    dtype = jnp.result_type(x0, float)
    return jnp.concatenate([x0.astype(dtype), jnp.asarray(previous_control, dtype)])


def split_states(
    states: Float[Array, "*batch K n_plus_m"], control_dim: int
) -> tuple[Float[Array, "*batch K n"], Float[Array, "*batch K-1 m"]]:
    """The states [K = T+1, n] and the applied controls [T, m] of the problem that was augmented.

    Differentiable in the states.

    Example:
        >>> z = jaxmpc.slew_rate.augment_state(x0, jnp.array([0.5]))
        >>> states, controls = jaxmpc.slew_rate.split_states(jnp.stack([z] * 11), 1)
        >>> states.shape, controls.shape
        ((11, 2), (10, 1))
    """
    return states[..., :-control_dim], states[..., 1:, -control_dim:]


def _on_augmented_state(problem: Problem, increments: bool) -> Problem:
    m = problem.control_dim

    def at_stage(name, function):
        return (_Dynamics if name == "dynamics" else _Stage)(function, m, increments)

    return problem.map_functions(
        at_stage,
        lambda _, function: _Terminal(function, m),
        state_bounds=extended_bounds("slew_rate", problem.state_bounds, m),
        soft=extended_prices(problem.soft, m),
        state_space=extended_space(problem.state_space, m),
    )


def _is_infinite(bound) -> bool:
    if isinstance(bound, jax.core.Tracer):
        return False
    return bound is None or bool(np.all(np.isinf(bound)))


@pytree_function
class _Stage(PytreeFunction):
    function: Callable
    control_dim: int = static()
    increments: bool = static()

    def __call__(self, z, u, t, params):
        return self.function(*_unpack(z, u, self.control_dim, self.increments), t, params)


@pytree_function
class _Dynamics(_Stage):
    def __call__(self, z, u, t, params):
        x, u = _unpack(z, u, self.control_dim, self.increments)
        return jnp.concatenate([self.function(x, u, t, params), u])


@pytree_function
class _Terminal(PytreeFunction):
    function: Callable
    control_dim: int = static()

    def __call__(self, z, params):
        return self.function(z[: -self.control_dim], params)


@pytree_function
class _WithSlewCost(PytreeFunction):
    stage_cost: Callable
    weight: Any
    control_dim: int = static()

    def __call__(self, z, u, t, params):
        x, previous = z[: -self.control_dim], z[-self.control_dim :]
        slew = quadratic_form("weight", self.weight, u - previous, t)
        return self.stage_cost(x, u, t, params) + slew


@pytree_function
class _ControlBounds(PytreeFunction):
    inequality: Callable | None
    lower: Any
    upper: Any
    control_dim: int = static()

    def __call__(self, z, u, t, params):
        parts = [] if self.inequality is None else [self.inequality(z, u, t, params)]
        _, u = _unpack(z, u, self.control_dim, increments=True)
        for bound, sign in ((self.upper, 1), (self.lower, -1)):
            if bound is None:
                continue
            bound = jnp.asarray(bound, u.dtype)
            bound = bound[t] if bound.ndim == 2 else bound
            # an infinite entry is met by any control; infinity itself would spoil the scaling
            parts.append(jnp.where(jnp.isinf(bound), -1, sign * (u - bound)))
        return jnp.concatenate(parts)


def _unpack(z, u, control_dim: int, increments: bool):
    x, previous = z[:-control_dim], z[-control_dim:]
    return x, (previous + u if increments else u)


present(__name__)
