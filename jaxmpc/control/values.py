"""Values and action values of a problem: what actor-critic methods ask of an MPC layer."""

import dataclasses
from typing import Any

import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float, PyTree

from jaxmpc.checks import check_array, check_positive, check_state, check_type
from jaxmpc.problem import Problem
from jaxmpc.problem.pytree_function import PytreeFunction, pytree_function
from jaxmpc.solving import solve


def value(
    problem: Problem, x0: Float[Array, " n"], params: PyTree = None, **options: Any
) -> Float[Array, ""]:
    """V(x0): the least cost from there.

    Args:
        problem, x0, params: as for `solve`.
        options: those of `solve`: controls, states, warm_start, solver, adjoint.

    Returns:
        [], differentiable as `Solution.cost` is; NaN where the solve did not converge: what was
        found then is no value.

    Raises:
        TypeError, ValueError: as `solve` does.

    Example:
        >>> round(float(jaxmpc.control.value(problem, x0, params)), 2)
        9.27
    """
    solution = solve(problem, x0, params, **options)
    return jnp.where(solution.converged, solution.cost, jnp.nan)


def action_value(
    problem: Problem,
    x0: Float[Array, " n"],
    u0: Float[Array, " m"],
    params: PyTree = None,
    **options: Any,
) -> Float[Array, ""]:
    """Q(x0, u0): the least cost from there if the first control is given.

    That is the problem with equal control bounds at t = 0; those of u0 itself do not count.

    Args:
        problem, x0, params: as for `solve`.
        u0: [m], the first control, in its units.
        options: those of `solve`: controls, states, warm_start, solver, adjoint.

    Returns:
        [], differentiable as `Solution.cost` is, and in u0; NaN where the solve did not converge.

    Raises:
        TypeError, ValueError: when tracing, naming the argument, what came, what was wanted.

    Source: Gros and Zanon (2020), 'Data-driven economic NMPC using reinforcement learning'.

    Example:
        >>> best = jaxmpc.control.action_value(problem, x0, solution.controls[0], params)
        >>> other = jaxmpc.control.action_value(problem, x0, jnp.array([0.5]), params)
        >>> bool(abs(best - solution.cost) < 1e-3), bool(other > best)
        (True, True)
    """
    owner = "jaxmpc.control.action_value"
    check_type(owner, "problem", problem, Problem)
    check_array(owner, "u0", u0, (problem.control_dim,), "[m]", optional=False)
    x0 = check_state(x0)
    dtype = x0.dtype
    first = jnp.asarray(u0, dtype)
    bounds = tuple(limit.at[0].set(first) for limit in problem.limits(dtype))
    return value(dataclasses.replace(problem, control_bounds=bounds), x0, params, **options)


def discounted(problem: Problem, discount: float | Float[Array, ""]) -> Problem:
    """The problem with its stage costs times discount^t, and the terminal cost's discount^T.

    Args:
        problem: whose costs count less the later they are. Prices of soft constraints do not.
        discount: 0 < discount <= 1; may be traced and differentiated.

    Raises:
        TypeError, ValueError: naming the argument, what came, what was wanted.

    Example:
        >>> impatient = jaxmpc.control.discounted(problem, 0.9)
        >>> later = [impatient.stage_cost(x0, jnp.zeros(1), t, params) for t in range(3)]
        >>> print(jnp.stack(later))
        [1.   0.9  0.81]
    """
    owner = "jaxmpc.control.discounted"
    check_type(owner, "problem", problem, Problem)
    check_positive(owner, "discount", discount)
    if not isinstance(discount, Tracer) and discount > 1:
        raise ValueError(f"{owner}: discount must be at most 1, got {discount}.")
    stage = _Stage(problem.stage_cost, jnp.asarray(discount, float))
    terminal = problem.terminal_cost
    if terminal is not None:
        terminal = _Terminal(terminal, stage.discount**problem.horizon)
    return dataclasses.replace(problem, stage_cost=stage, terminal_cost=terminal)


@pytree_function
class _Stage(PytreeFunction):
    function: Any
    discount: Any

    def __call__(self, x, u, t, params):
        cost = self.function(x, u, t, params)
        return cost * self.discount.astype(cost.dtype) ** jnp.asarray(t, cost.dtype)


@pytree_function
class _Terminal(PytreeFunction):
    function: Any
    factor: Any

    def __call__(self, x, params):
        cost = self.function(x, params)
        return cost * self.factor.astype(cost.dtype)
