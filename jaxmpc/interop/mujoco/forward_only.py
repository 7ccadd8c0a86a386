"""Functions whose derivatives, of any order and in any mode, are made by forward mode alone."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array


def forward_only(
    function: Callable[..., Array],
    jacobian: Callable[[Sequence[int]], Callable[..., Array]] | None = None,
) -> Callable[..., Array]:
    """A function of vectors, with derivatives that are its Jacobian times what comes in.

    The product with a matrix runs in both directions, so that reverse mode works where the
    function itself has none (an iteration until convergence, a callback), and only columns of
    arguments that vary are made. The Jacobian is such a function again.

    Args:
        function: of vectors, to an array.
        jacobian: given the numbers of the arguments that vary, the function from all arguments to
            the columns of the Jacobian in these, one behind the other; by default by forward mode.
    """

    def by_forward_mode(varying):
        def joined(*arguments):
            columns = jax.jacfwd(function, argnums=tuple(varying))(*arguments)
            return jnp.concatenate(columns, axis=-1)

        return forward_only(joined)

    columns_in = by_forward_mode if jacobian is None else jacobian
    wrapped = jax.custom_jvp(function)

    def rule(primals, tangents):
        varying = [i for i, tangent in enumerate(tangents) if not isinstance(tangent, SymbolicZero)]
        value = wrapped(*primals)
        if not varying:
            return value, jnp.zeros_like(value)
        step = jnp.concatenate([tangents[i] for i in varying])
        return value, columns_in(varying)(*primals) @ step

    wrapped.defjvp(rule, symbolic_zeros=True)
    return wrapped
