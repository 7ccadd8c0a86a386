"""Functions with fields: what `integrators`, `costs` and `slew_rate` hand to a `Problem`."""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar, dataclass_transform

import jax
import numpy as np

T = TypeVar("T")


class PytreeFunction:
    """A callable that is compared by value, so that an equal one does not retrace.

    Its arrays are compared by identity, for their values may be traced. As a pytree its fields
    are children, unless they are declared as `static()`: arrays among them become leaves of the
    problem, which are traced, differentiated and changed without a new trace.
    """

    __call__: Callable[..., Any]

    def _key(self):
        leaves, treedef = jax.tree.flatten(self)
        array = (jax.Array, np.ndarray)
        return treedef, tuple(("array", id(x)) if isinstance(x, array) else x for x in leaves)

    def __eq__(self, other):
        return type(self) is type(other) and self._key() == other._key()

    def __hash__(self):
        return hash(self._key())


def static() -> Any:
    """A field that is a constant of the pytree and not a child."""
    return dataclasses.field(metadata={"static": True})


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(static,))
def pytree_function(cls: type[T]) -> type[T]:
    """Makes a frozen dataclass and a pytree of a `PytreeFunction`."""
    return jax.tree_util.register_dataclass(dataclasses.dataclass(frozen=True, eq=False)(cls))
