"""Pytrees of arrays: what `jnp` has for arrays alone."""

from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

Tree = TypeVar("Tree")


def where(condition: Bool[Array, ""], new: Tree, old: Tree) -> Tree:
    """`jnp.where` for each leaf of two trees of one structure."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)
