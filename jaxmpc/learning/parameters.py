"""Which parts of the params are trained, and in which epochs."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import DictKey, SequenceKey
from jaxtyping import PyTree


def floats_as_arrays(params: PyTree) -> PyTree:
    """Python floats in dicts, lists and tuples are parameters; those inside modules are not."""

    def one(path, leaf):
        plain = all(isinstance(key, DictKey | SequenceKey) for key in path)
        if eqx.is_array_like(leaf) and (eqx.is_array(leaf) or (isinstance(leaf, float) and plain)):
            return jnp.asarray(leaf, jnp.result_type(leaf))  # never weakly typed: that retraces
        return leaf

    return jax.tree_util.tree_map_with_path(one, params)


def masks_of(arrays: PyTree, alternate: Sequence[tuple[PyTree, int]] | None):
    """[(mask of all leaves, number of epochs)], with nothing but floating-point arrays in a mask.

    Raises:
        TypeError, ValueError: if `alternate` is not a sequence of these, or trains nothing.
    """
    if alternate is None:
        alternate = [(True, 1)]
    pairs = [_pair(entry) for entry in alternate]
    return [(_mask(arrays, chosen), epochs) for chosen, epochs in pairs]


def group_of(epoch: int, lengths: Sequence[int]) -> int:
    """Whose turn it is."""
    ends = np.cumsum(lengths)
    return int(np.searchsorted(ends, epoch % ends[-1], side="right"))


def _pair(entry: Any) -> tuple[PyTree, int]:
    sound = isinstance(entry, tuple) and len(entry) == 2
    if not (sound and isinstance(entry[1], int) and entry[1] > 0):
        raise TypeError(
            "learning.fit: alternate must be a sequence of (mask, epochs) with a pytree of bools "
            f"and a positive int, got {entry!r}."
        )
    return entry


def _mask(arrays: PyTree, chosen: PyTree) -> PyTree:
    def below(choice, part):
        return jax.tree.map(lambda leaf: bool(choice) and eqx.is_inexact_array(leaf), part)

    try:
        mask = jax.tree.map(below, chosen, arrays)
    except (ValueError, TypeError) as error:
        raise ValueError(
            "learning.fit: a mask of alternate must be a prefix of params, got "
            f"{jax.tree.structure(chosen)} for {jax.tree.structure(arrays)}."
        ) from error
    if not any(jax.tree.leaves(mask)):
        raise ValueError(
            "learning.fit: there is nothing to train: params (or what a mask leaves of it) has no "
            "floating-point arrays."
        )
    return mask
