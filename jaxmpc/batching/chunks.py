"""`vmap` over a few elements at a time, so that what they need fits the cache."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import PyTree


def in_chunks(function: Callable, elements: PyTree, chunk_size: int) -> PyTree:
    """`vmap`, at most `chunk_size` elements at once; elements are leaves [N, ...]."""
    size = jax.tree.leaves(elements)[0].shape[0]
    number = -(-size // chunk_size)
    chunk = -(-size // number)  # of one size: the function is compiled once
    whole = padded(elements, number * chunk - size)
    chunks = jax.tree.map(lambda leaf: leaf.reshape(number, chunk, *leaf.shape[1:]), whole)
    done = jax.lax.map(jax.vmap(function), chunks)
    flat = jax.tree.map(lambda leaf: leaf.reshape(number * chunk, *leaf.shape[2:]), done)
    return shortened(flat, size)


def padded(elements: PyTree, extra: int) -> PyTree:
    """The elements, and as many `extra` copies of the first."""
    if not extra:
        return elements

    def longer(leaf):
        return jnp.concatenate([leaf, jnp.broadcast_to(leaf[:1], (extra, *leaf.shape[1:]))])

    return jax.tree.map(longer, elements)


def shortened(elements: PyTree, size: int) -> PyTree:
    """The first `size` elements: `padded` undone."""
    return jax.tree.map(lambda leaf: leaf if leaf.shape[0] == size else leaf[:size], elements)
