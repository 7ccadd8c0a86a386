"""`dir`, `help` and `import *` of the public modules: their public names, and readable types."""

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

_PACKAGE = __name__.partition(".")[0]
_PREFIXES = re.compile(r"\b(?:[A-Za-z_]\w*\.)+(?=[A-Za-z_])")  # "jaxlib._jax." of an array


def present(name: str, *, on_demand: tuple[str, ...] = (), handed_on: tuple[str, ...] = ()):
    """Called by a public module at its end: shows what is public there, and nothing else.

    Of a package that is what its `__init__` imports; of a file, the functions and classes that it
    defines, and those of other files that are `handed_on`. Modules are public if they have
    presented themselves before. Those `on_demand` are imported when somebody asks for them.
    """
    module = sys.modules[name]
    everything = vars(module).items()
    values = {
        key: one for key, one in everything if key in handed_on or _is_public(module, key, one)
    }
    public = sorted([*values, *on_demand])

    def imported(key: str) -> Any:
        if key not in on_demand:
            raise AttributeError(f"module {name!r} has no attribute {key!r}", name=key, obj=module)
        return importlib.import_module(f"{name}.{key}")

    vars(module).update(__all__=public, __dir__=lambda: list(public), __getattr__=imported)
    for value in values.values():
        for function in _functions(value):
            _make_readable(function)


def _is_public(module: ModuleType, key: str, value: Any) -> bool:
    if key.startswith("_") or value is present:
        return False
    if inspect.ismodule(value):
        return value.__name__.startswith(module.__name__ + ".") and hasattr(value, "__all__")
    home = getattr(value, "__module__", None)  # data has none
    if hasattr(module, "__path__"):
        return home is None or home.partition(".")[0] == _PACKAGE
    return home == module.__name__


def _functions(value: Any) -> Iterator[FunctionType]:
    """The function itself, or those of a class and of its bases in this package."""
    if inspect.isfunction(value):
        yield value
    if not inspect.isclass(value):
        return
    own = [base for base in value.__mro__ if base.__module__.partition(".")[0] == _PACKAGE]
    for member in (member for base in own for member in vars(base).values()):
        function = getattr(member, "__func__", member)  # of a class method
        if inspect.isfunction(function):
            yield function


class _Words:
    """An annotation that is shown as it was written."""

    def __init__(self, text: str):
        self.text = text

    def __repr__(self):
        return self.text


def _readable(annotation: Any) -> Any:
    if annotation is inspect.Parameter.empty or isinstance(annotation, _Words):
        return annotation
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return _Words(_PREFIXES.sub("", text).replace("'", '"'))


def _make_readable(function: FunctionType):
    """`Float[Array, "T m"]` in its signature, without the modules that the names come from.

    For who reads it (`help`, notebooks, editors); its `__annotations__` stay what they are.
    """
    if not function.__annotations__:
        return
    signature = inspect.signature(function)
    parameters = [
        parameter.replace(annotation=_readable(parameter.annotation))
        for parameter in signature.parameters.values()
    ]
    words = _readable(signature.return_annotation)
    shown = signature.replace(parameters=parameters, return_annotation=words)
    vars(function)["__signature__"] = shown
