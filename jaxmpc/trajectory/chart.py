"""A problem in the tangent spaces along a trajectory: an ordinary one, of steps from there."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmpc.problem import Problem, Soft
from jaxmpc.problem.pytree_function import PytreeFunction, pytree_function, static
from jaxmpc.spaces.entries import arrived


def chart(problem: Problem, base: Float[Array, "T1 n"]) -> Problem:
    """The problem in y, its states x_t = retract(base[t], y_t).

        y_{t+1} = difference(base[t+1], dynamics(retract(base[t], y_t), u_t, t, params))

    Everything that is known of ordinary problems holds for it: at y = 0 its derivatives are those
    in the tangent spaces, of every order.

    Args:
        problem: with a `state_space`.
        base: the point of expansion, a constant.

    Source: Blanco (2010), section 10 (optimisation on a manifold by steps in its tangent space).
    """
    space = problem.state_space

    def at_stage(name: str, function: Callable):
        return (_Dynamics if name == "dynamics" else _Stage)(function, base, space)

    return problem.map_functions(
        at_stage,
        lambda _, function: _End(function, base[-1], space),
        state_bounds=_bounds(problem, base),
        soft=_prices(problem, base.shape[1]),
        state_space=None,
    )


def _bounds(problem: Problem, base):
    """The bounds of the states as bounds of steps; a side that is missing stays so."""
    if problem.state_bounds is None:
        return None
    limits = problem.directed_limits(base.shape[1], base.dtype)
    here = problem.directed(base[1:], 0.0)
    return tuple(
        None if given is None else limit - here
        for given, limit in zip(problem.state_bounds, limits, strict=True)
    )


def _prices(problem: Problem, n: int):
    """The prices of the states' bounds by the directions of their steps."""
    if problem.soft is None or "state_bounds" not in problem.soft:
        return problem.soft
    given = problem.soft["state_bounds"]
    linear, quadratic = given.weights("state_bounds", n, jnp.result_type(given.linear, float))
    prices = Soft(problem.directed(linear, jnp.inf), problem.directed(quadratic, 0.0))
    return {**problem.soft, "state_bounds": prices}


@pytree_function
class _Stage(PytreeFunction):
    function: Any
    base: Any  # [T+1, n]
    space: Any = static()

    def __call__(self, y, u, t, params):
        return self.function(self.space.retract(self.base[t], y), u, t, params)


@pytree_function
class _Dynamics(_Stage):
    def __call__(self, y, u, t, params):
        after = self.function(self.space.retract(self.base[t], y), u, t, params)
        return self.space.difference(self.base[t + 1], arrived(self.space, after))


@pytree_function
class _End(PytreeFunction):
    function: Any
    base: Any  # [n]
    space: Any = static()

    def __call__(self, y, params):
        return self.function(self.space.retract(self.base, y), params)
