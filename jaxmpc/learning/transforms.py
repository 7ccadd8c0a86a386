"""Parameters that stay positive, between bounds, or positive definite, whatever step is taken.

A transformed parameter holds a free array and says what value it stands for. `plain` replaces
every one in a pytree by its value; `fit` does it before it calls the loss, so that an optimiser
moves the free arrays and the problem's functions see the values.
"""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float, PyTree


class Transformed(eqx.Module):
    """A free array that stands for a value.

    Example:
        >>> class Negative(jaxmpc.learning.Transformed):
        ...     free: jax.Array
        ...     def value(self):
        ...         return -jnp.exp(self.free)
        >>> float(jaxmpc.learning.plain({"drag": Negative(jnp.array(0.0))})["drag"])
        -1.0
    """

    @abc.abstractmethod
    def value(self) -> Array:
        """What the free array stands for."""


class Positive(Transformed):
    """Entries above zero, exp(free): an optimiser's step is relative to the value.

    Example:
        >>> mass = jaxmpc.learning.Positive(2.0)
        >>> round(float(mass.value()), 2), round(float(mass.free), 2)
        (2.0, 0.69)
    """

    free: Float[Array, "*s"]

    def __init__(self, value):
        value = _floating("Positive", value)
        _check("Positive", value > 0, value, "above zero")
        self.free = jnp.log(value)

    def value(self):
        """exp(free)."""
        return jnp.exp(self.free)


class Bounded(Transformed):
    """Entries between two bounds, lower + (upper - lower) sigmoid(free).

    Example:
        >>> share = jaxmpc.learning.Bounded(0.25, lower=0.0, upper=1.0)
        >>> round(float(share.value()), 2), float(share.free) < 0
        (0.25, True)
    """

    free: Float[Array, "*s"]
    lower: float = eqx.field(static=True)
    upper: float = eqx.field(static=True)

    def __init__(self, value, lower: float, upper: float):
        value = _floating("Bounded", value)
        inside = (value > lower) & (value < upper)
        _check("Bounded", inside, value, f"between lower = {lower} and upper = {upper}")
        self.lower, self.upper = float(lower), float(upper)
        share = (value - lower) / (upper - lower)
        self.free = jnp.log(share) - jnp.log1p(-share)

    def value(self):
        """lower + (upper - lower) sigmoid(free)."""
        return self.lower + (self.upper - self.lower) * jax.nn.sigmoid(self.free)


class PositiveDefinite(Transformed):
    """A symmetric positive definite matrix, L L' with exp on the diagonal of a triangular L.

    Example:
        >>> Q = jaxmpc.learning.PositiveDefinite(jnp.array([[2.0, 1.0], [1.0, 2.0]]))
        >>> print(Q.value())
        [[2. 1.]
         [1. 2.]]
    """

    free: Float[Array, "n n"]  # L, with the logarithm of its diagonal; above it nothing is read

    def __init__(self, matrix):
        matrix = _floating("PositiveDefinite", matrix)
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            raise ValueError(
                f"learning.PositiveDefinite: the matrix must be [n, n], got {matrix.shape}."
            )
        symmetric = jnp.allclose(matrix, matrix.T)
        factor = jnp.linalg.cholesky(matrix)
        sound = symmetric & jnp.all(jnp.isfinite(factor))
        _check("PositiveDefinite", sound, matrix, "symmetric and positive definite")
        self.free = jnp.tril(factor, -1) + jnp.diag(jnp.log(jnp.diag(factor)))

    def value(self):
        """L L'."""
        factor = jnp.tril(self.free, -1) + jnp.diag(jnp.exp(jnp.diag(self.free)))
        return factor @ factor.T


def plain(params: PyTree) -> PyTree:
    """The same pytree with every transformed parameter replaced by its value; differentiable.

    Example:
        >>> given = {"mass": jaxmpc.learning.Positive(2.0), "length": 0.5}
        >>> {name: round(float(value), 2) for name, value in jaxmpc.learning.plain(given).items()}
        {'length': 0.5, 'mass': 2.0}
    """

    def one(leaf):
        return leaf.value() if isinstance(leaf, Transformed) else leaf

    return jax.tree.map(one, params, is_leaf=lambda leaf: isinstance(leaf, Transformed))


def _floating(name: str, value) -> Array:
    value = jnp.asarray(value)
    if jnp.issubdtype(value.dtype, jnp.integer):
        value = value.astype(jnp.result_type(float))
    if not jnp.issubdtype(value.dtype, jnp.floating):
        raise TypeError(f"learning.{name}: the value must be floating point, got {value.dtype}.")
    return value


def _check(name: str, condition, value, wanted: str):
    if isinstance(value, Tracer):
        return  # numbers are not known when tracing
    if not bool(jnp.all(condition)):
        raise ValueError(f"learning.{name}: the value must be {wanted}, got {value}.")
