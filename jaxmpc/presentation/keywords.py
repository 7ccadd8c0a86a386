"""What functions and classes say when they are called with arguments that they do not have."""

import difflib
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import TypeVar

F = TypeVar("F", bound=Callable)


def names_its_arguments(owner: str, elsewhere: Mapping[str, str] | None = None) -> Callable[[F], F]:
    """Makes a function, or a class, say which arguments it takes when it is given others.

    Args:
        owner: the name that errors begin with.
        elsewhere: of arguments that belong somewhere else: where that is.
    """

    def decorated(target: F) -> F:
        if not isinstance(target, type):
            return _explained(owner, target, elsewhere or {})
        target.__init__ = _explained(owner, target.__init__, elsewhere or {})
        return target  # type: ignore[return-value]

    return decorated


def _explained(owner: str, function: F, elsewhere: Mapping[str, str]) -> F:
    signature = inspect.signature(function)
    names = [name for name in signature.parameters if name != "self"]
    placed = [name for name, one in signature.parameters.items() if one.kind != one.KEYWORD_ONLY]

    @functools.wraps(function)
    def call(*args, **kwargs):
        if len(args) > len(placed):
            own = ", ".join(name for name in placed if name != "self")
            others = ", ".join(f"{name}=" for name in names if name not in placed)
            raise TypeError(
                f"{owner}: too many arguments without a name: they are ({own}). Give the others "
                f"by name: {others or 'there are none'}."
            )
        for name in kwargs:
            if name not in names:
                raise TypeError(_unknown(owner, name, names, elsewhere))
        return function(*args, **kwargs)

    return call  # type: ignore[return-value]


def _unknown(owner: str, name: str, names: list[str], elsewhere: Mapping[str, str]) -> str:
    words = f"{owner} has no argument {name!r}"
    if name in elsewhere:
        return f"{words}: {elsewhere[name]}."
    near = [own for own in names if name in own] or difflib.get_close_matches(name, names)
    meant = f" Did you mean {' or '.join(near)}?" if near else ""
    return f"{words}.{meant} It takes {', '.join(names)}."
