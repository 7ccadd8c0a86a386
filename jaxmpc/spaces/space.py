"""A space of states, with steps in its tangent space; numbers, angles, and products of spaces."""

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


@runtime_checkable
class Space(Protocol):
    """A manifold of states in `dim` numbers, with `tangent_dim` directions at each point.

        retract(x, difference(x, y)) = y,        difference(x, retract(x, dx)) = dx  for short dx

    Anything that has these will do as the `state_space` of a problem: pure functions of JAX, twice
    differentiable at dx = 0 and y = x, of an object that is hashable. The derivative of a solution
    holds their point of expansion constant, so that these are the only derivatives that they need.

    Sources: Blanco (2010), 'A tutorial on SE(3) transformation parameterizations and on-manifold
    optimization'; Sola, Deray and Atchuthan (2018), 'A micro Lie theory for state estimation in
    robotics'.

    Attributes:
        dim: how many numbers a point has.
        tangent_dim: how many directions there are.

    Example:
        >>> isinstance(jaxmpc.spaces.Circle(), jaxmpc.spaces.Space)
        True
    """

    @property
    def dim(self) -> int:
        """How many numbers a point has."""
        ...

    @property
    def tangent_dim(self) -> int:
        """How many directions there are at a point."""
        ...

    def retract(self, x: Float[Array, " n"], dx: Float[Array, " k"]) -> Float[Array, " n"]:
        """The point that a step leads to. Of a step of zero: x, on the space to the last digit."""
        ...

    def difference(self, x: Float[Array, " n"], y: Float[Array, " n"]) -> Float[Array, " k"]:
        """The step that leads from x to y."""
        ...


@dataclasses.dataclass(frozen=True)
class Euclidean:
    """n ordinary numbers: a step is a sum.

    Example:
        >>> space = jaxmpc.spaces.Euclidean(2)
        >>> print(space.difference(jnp.array([1.0, 0.0]), jnp.array([3.0, 1.0])))
        [2. 1.]
    """

    dim: int

    def __post_init__(self):
        if isinstance(self.dim, bool) or not isinstance(self.dim, int | np.integer) or self.dim < 1:
            raise ValueError(f"Euclidean: dim must be an int of at least 1, got {self.dim!r}.")

    @property
    def tangent_dim(self) -> int:
        """How many directions there are: as many as numbers."""
        return self.dim

    def retract(self, x: Float[Array, " n"], dx: Float[Array, " n"]) -> Float[Array, " n"]:
        """x + dx."""
        return x + dx

    def difference(self, x: Float[Array, " n"], y: Float[Array, " n"]) -> Float[Array, " n"]:
        """y - x."""
        return y - x


@dataclasses.dataclass(frozen=True)
class Circle:
    """An angle without limits [rad]: kept within [-pi, pi], the shorter way around counts.

    Costs and constraints get the number, which jumps by 2 pi at the seam: let them be functions of
    its sine and cosine, or of `difference(goal, x)`. A joint with limits has no seam: it is
    `Euclidean(1)`.

    Example:
        >>> space = jaxmpc.spaces.Circle()
        >>> round(float(space.difference(jnp.array([3.0]), jnp.array([-3.0]))[0]), 3)
        0.283
    """

    dim: int = dataclasses.field(default=1, init=False, repr=False)
    tangent_dim: int = dataclasses.field(default=1, init=False, repr=False)

    def retract(self, x: Float[Array, "1"], dx: Float[Array, "1"]) -> Float[Array, "1"]:
        """x + dx within [-pi, pi]."""
        return _wrapped(x + dx)

    def difference(self, x: Float[Array, "1"], y: Float[Array, "1"]) -> Float[Array, "1"]:
        """y - x within [-pi, pi]."""
        return _wrapped(y - x)


@dataclasses.dataclass(frozen=True, init=False)
class Product:
    """Points of several spaces, one behind the other; so are the steps.

    Example:
        >>> from jaxmpc.spaces import Euclidean, Product, UnitQuaternion
        >>> space = Product(Euclidean(3), UnitQuaternion())
        >>> space.dim, space.tangent_dim
        (7, 6)
    """

    factors: tuple[Any, ...]

    def __init__(self, *factors: Space):
        if not factors:
            raise ValueError("Product: wanted at least one space.")
        for factor in factors:
            check_space("Product: each factor", factor)
        object.__setattr__(self, "factors", factors)

    def __repr__(self):
        return f"Product({', '.join(map(repr, self.factors))})"

    @property
    def dim(self) -> int:
        """How many numbers a point has."""
        return sum(factor.dim for factor in self.factors)

    @property
    def tangent_dim(self) -> int:
        """How many directions there are at a point."""
        return sum(factor.tangent_dim for factor in self.factors)

    def retract(self, x: Float[Array, " n"], dx: Float[Array, " k"]) -> Float[Array, " n"]:
        """The factors' steps, each by itself."""
        return self._joined(lambda f, i, j: f.retract(x[i : i + f.dim], dx[j : j + f.tangent_dim]))

    def difference(self, x: Float[Array, " n"], y: Float[Array, " n"]) -> Float[Array, " k"]:
        """The factors' differences, each by itself."""
        return self._joined(lambda f, i, _: f.difference(x[i : i + f.dim], y[i : i + f.dim]))

    def starts(self) -> list[tuple[int, int]]:
        """Where each factor's numbers and directions begin."""
        dims = np.cumsum([0, *(factor.dim for factor in self.factors)])
        tangents = np.cumsum([0, *(factor.tangent_dim for factor in self.factors)])
        return [(int(i), int(j)) for i, j in zip(dims[:-1], tangents[:-1], strict=True)]

    def _joined(self, part: Callable) -> Array:
        pairs = zip(self.factors, self.starts(), strict=True)
        return jnp.concatenate([part(factor, *start) for factor, start in pairs])


def check_space(owner: str, space: Any):
    """Raise unless `space` is one."""
    if isinstance(space, type):
        raise TypeError(
            f"{owner} must be a space, such as {space.__name__}(...); got the class "
            f"{space.__name__}."
        )
    wanted = ("dim", "tangent_dim", "retract", "difference")
    missing = [name for name in wanted if not hasattr(space, name)]
    if missing:
        raise TypeError(
            f"{owner} must be a space, such as jaxmpc.spaces.Euclidean(3); "
            f"{type(space).__name__} has no {', '.join(missing)}."
        )
    sizes = (space.dim, space.tangent_dim)
    if not all(isinstance(size, int | np.integer) and size >= 1 for size in sizes):
        raise ValueError(
            f"{owner}: dim and tangent_dim must be ints of at least 1, got {sizes[0]!r} and "
            f"{sizes[1]!r} of {type(space).__name__}."
        )
    try:
        hash(space)
    except TypeError as error:
        raise TypeError(
            f"{owner} must be hashable, as a frozen dataclass of numbers is; "
            f"{type(space).__name__} is not."
        ) from error


def _wrapped(angle: Float[Array, "1"]) -> Float[Array, "1"]:
    turn = 2 * jnp.pi
    return angle - turn * jnp.round(angle / turn)
