"""Pytrees of arrays: what `jnp` has for arrays alone."""

from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

Tree = TypeVar("Tree")


def where(condition: Bool[Array, "*b"], new: Tree, old: Tree) -> Tree:
    """`jnp.where` for each leaf of two trees of one structure.

    A condition with axes chooses among the leading axes of the leaves.
    """

    def choose(a, b):
        inner = (1,) * (jnp.ndim(a) - jnp.ndim(condition))
        mask = condition.reshape(condition.shape + inner) if jnp.ndim(condition) else condition
        return jnp.where(mask, a, b)

    return jax.tree.map(choose, new, old)
