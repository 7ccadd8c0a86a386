"""Costs that one would rather not write by hand: quadratic tracking costs, a smooth |x|.

A weight is read by the number of its axes, never by its size: a number s is s I, [n] is a
diagonal, [n, n] a matrix, [T, n, n] a matrix for each stage t. A reference is [n], or [K, n] for
one a stage; a series that ends early holds its last entry.

Costs are pytrees with weights and references as leaves. In a `Problem` an array among them may be
traced, differentiated and changed without a new trace; numbers, lists and tuples are constants.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from jaxmpc.presentation.names import present
from jaxmpc.problem.pytree_function import PytreeFunction, pytree_function

_WEIGHTS = "a number, [n], [n, n] or [T, n, n]"


def quadratic(Q, R, *, cross=None, x_ref=None, u_ref=None) -> Callable:
    """A quadratic stage cost; with `x_ref` and `u_ref`, the tracking of a reference.

        1/2 dx' Q dx + 1/2 du' R du + dx' S du,    dx = x - x_ref(t),  du = u - u_ref(t)

    Args:
        Q, R: weights of the states and of the controls: a number, [n], [n, n] or [T, n, n] (with
            m for n in R). Diagonals that change with time are `jax.vmap(jnp.diag)(diagonals)`.
        cross: S, [n, m] or [T, n, m]; None is zero.
        x_ref: [n] or [K, n] with K = T or T + 1, whose last belongs to `terminal_quadratic`;
            None is zero.
        u_ref: [m] or [K, m]; None is zero.

    Returns:
        (x, u, t, params) -> scalar, in the dtype of x. Differentiable in x, u, the weights and
        the references.

    Raises:
        ValueError: a weight or a reference of a wrong shape, when called.

    Source: Anderson, Moore (1990), Optimal Control: Linear Quadratic Methods.

    Example:
        >>> goal = jnp.array([3.0, 0.0])
        >>> cost = jaxmpc.costs.quadratic(Q=jnp.array([1.0, 0.1]), R=0.1, x_ref=goal)
        >>> round(float(cost(x0, jnp.array([2.0]), 0, None)), 3)  # 1/2 (1 * 2^2 + 0.1 * 2^2)
        2.2
    """
    return _Quadratic(Q, R, cross, x_ref, u_ref)


def terminal_quadratic(Q, x_ref=None) -> Callable:
    """A quadratic terminal cost: the distance of the last state to a goal.

        1/2 (x - x_ref)' Q (x - x_ref)

    Args:
        Q: the weight: a number, [n] or [n, n].
        x_ref: the goal, [n]; None is zero.

    Returns:
        (x, params) -> scalar, in the dtype of x. Differentiable in x, Q and x_ref.

    Raises:
        ValueError: a weight or a goal of a wrong shape, when called.

    Example:
        >>> cost = jaxmpc.costs.terminal_quadratic(Q=10.0)
        >>> float(cost(x0, None))
        5.0
    """
    return _TerminalQuadratic(Q, x_ref)


def smooth_abs(x: Float[ArrayLike, "..."], scale: ArrayLike) -> Float[Array, "..."]:
    """|x| with a round bottom, entry by entry.

        sqrt(x^2 + scale^2) - scale

    Half a parabola of curvature 1 / scale where |x| is far below `scale` (in the unit of x, > 0,
    a number or one an entry), |x| - scale far above. Infinitely differentiable in x and scale.

    Source: Tassa, Mansard, Todorov (2014).

    Example:
        >>> [round(float(jaxmpc.costs.smooth_abs(x, 0.1)), 2) for x in (0.0, 0.1, 10.0)]
        [0.0, 0.04, 9.9]
    """
    x = jnp.asarray(x)
    scale = jnp.asarray(scale, jnp.result_type(x, float))
    # without the difference of two numbers that are nearly equal when |x| is small
    return x**2 / (jnp.sqrt(x**2 + scale**2) + scale)


@pytree_function
class _Quadratic(PytreeFunction):
    Q: Any
    R: Any
    cross: Any
    x_ref: Any
    u_ref: Any

    def __call__(self, x: Float[Array, " n"], u: Float[Array, " m"], t, params=None):
        dx = deviation("x_ref", x, self.x_ref, t)
        du = deviation("u_ref", u, self.u_ref, t)
        cost = quadratic_form("Q", self.Q, dx, t) + quadratic_form("R", self.R, du, t)
        if self.cross is None:
            return cost
        cross = _at(jnp.asarray(self.cross, dx.dtype), t, axes=2)
        if cross.shape != dx.shape + du.shape:
            raise ValueError(
                f"costs: cross has shape {jnp.shape(self.cross)}; wanted [n, m] = "
                f"{dx.shape + du.shape} or [T, n, m]."
            )
        return cost + dx @ cross @ du


@pytree_function
class _TerminalQuadratic(PytreeFunction):
    Q: Any
    x_ref: Any

    def __call__(self, x: Float[Array, " n"], params=None):
        return quadratic_form("Q", self.Q, deviation("x_ref", x, self.x_ref))


def deviation(name: str, z: Float[Array, " n"], reference, t=None) -> Float[Array, " n"]:
    """z less the reference of stage t; in the dtype of z.

    Args:
        name: what an error calls the reference.
        z: [n], a state or a control.
        reference: [n], or [K, n] for one a stage; None is zero.
        t: the stage; None where there is one reference alone.

    Differentiable in z and the reference.

    Raises:
        ValueError: a reference of a wrong shape.

    Example:
        >>> references = jnp.array([[1.0, 0.0], [2.0, 0.0]])
        >>> print(jaxmpc.costs.deviation("x_ref", jnp.array([3.0, 1.0]), references, t=5))
        [1. 1.]
    """
    z = jnp.asarray(z)
    if reference is None:
        return z
    series = jnp.asarray(reference, jnp.result_type(z, float))
    value = series if t is None else _at(series, t, axes=1)
    if value.shape != z.shape:
        per_stage = f" or [K, {z.shape[0]}]" if t is not None else ", one goal"
        raise ValueError(f"costs: {name} has shape {series.shape}; wanted {z.shape}{per_stage}.")
    return z - value


def quadratic_form(name: str, weight, z: Float[Array, " n"], t=None) -> Float[Array, ""]:
    """1/2 z' W z with a weight as described at the top of this file.

    Args:
        name: what an error calls the weight.
        weight: W: a number, [n], [n, n], or with a stage t [T, n, n].
        z: [n].
        t: the stage; None where there is one weight alone.

    Differentiable in z and the weight.

    Raises:
        ValueError: a weight of a wrong shape.

    Example:
        >>> float(jaxmpc.costs.quadratic_form("Q", jnp.array([1.0, 4.0]), jnp.array([2.0, 1.0])))
        4.0
    """
    given = jnp.asarray(weight, jnp.result_type(z, float))
    weight = given if t is None else _at(given, t, axes=2)
    if weight.shape == ():
        return 0.5 * weight * jnp.sum(z**2)
    if weight.shape == z.shape:
        return 0.5 * jnp.sum(weight * z**2)
    if weight.shape == z.shape * 2:
        return 0.5 * z @ weight @ z
    raise ValueError(
        f"costs: {name} has shape {given.shape}; wanted {_WEIGHTS} with n = {z.shape[0]}"
        + (" (T is for stage costs)." if t is None else ".")
    )


def _at(series: Array, t, axes: int) -> Array:
    """The entry of stage t of an array that has one axis more than `axes`."""
    return jnp.take(series, t, axis=0, mode="clip") if series.ndim == axes + 1 else series


present(__name__)
