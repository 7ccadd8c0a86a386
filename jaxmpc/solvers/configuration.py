"""Configurations: frozen dataclasses whose words are static and whose numbers are leaves."""

import dataclasses
from typing import Any, Self, TypeVar, dataclass_transform

import jax

from jaxmpc.presentation.keywords import names_its_arguments

T = TypeVar("T")


class Configuration:
    """How something is to be done: as a pytree its `number()` fields are the leaves.

    A new number compiles nothing anew, and may be traced; a new word does.
    """

    __dataclass_fields__: dict

    def tree_flatten_with_keys(self):
        """The numbers are the children."""
        numbers, words = _fields(type(self))
        children = [(jax.tree_util.GetAttrKey(name), getattr(self, name)) for name in numbers]
        return children, tuple(getattr(self, name) for name in words)

    @classmethod
    def tree_unflatten(cls, static, children) -> Self:
        """The inverse; not checked, since JAX puts what it likes in the place of leaves."""
        new = object.__new__(cls)
        numbers, words = _fields(cls)
        for name, value in zip((*numbers, *words), (*children, *static), strict=True):
            object.__setattr__(new, name, value)
        return new


def number(*, default: Any) -> Any:
    """A field that is a leaf."""
    return dataclasses.field(default=default, metadata={"leaf": True})


@dataclass_transform(frozen_default=True, field_specifiers=(number,))
def configuration(cls: type[T]) -> type[T]:
    """Makes a frozen dataclass and a pytree of a `Configuration`."""
    frozen = names_its_arguments(cls.__name__)(dataclasses.dataclass(frozen=True)(cls))
    return jax.tree_util.register_pytree_with_keys_class(frozen)  # type: ignore[arg-type, return-value]


def _fields(cls: type) -> tuple[list[str], list[str]]:
    """The names of the numbers, and of the words."""
    fields = dataclasses.fields(cls)
    numbers = [field.name for field in fields if field.metadata.get("leaf")]
    return numbers, [field.name for field in fields if field.name not in numbers]
