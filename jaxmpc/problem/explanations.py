"""A user's function that fails while it is traced: what it was given, and what most likely helps.

An error keeps its type and its message; what is said here is added to it as notes.
"""

import difflib
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from jaxmpc.checks import fits

_STAGE, _END, _ODE = ("x", "u", "t", "params"), ("x", "params"), ("x", "u", "params")
_LONGEST = 200  # characters of params that are shown
_LISTED = 12  # keys
_ABOUT_SIZES = ("shape", "dimensions", "unpack")  # words of errors

# The first that fits: the special ones are subclasses of the last.
_TRACED = {
    jax.errors.TracerArrayConversionError: (
        "the arguments are traced, and NumPy cannot compute with them: use jax.numpy (jnp.sin for "
        "np.sin, jnp.array for np.array), and jnp.asarray(table)[t] to read a NumPy table."
    ),
    jax.errors.TracerBoolConversionError: (
        "the arguments are traced, so that Python cannot know which branch to take (if, and, or, "
        "not, min, max): use jnp.where(condition, a, b), jnp.minimum, jnp.maximum or jax.lax.cond."
    ),
    jax.errors.TracerIntegerConversionError: (
        "the arguments are traced, t too, and a list or range() needs a number: use "
        "jnp.asarray(table)[t], or jax.lax.fori_loop."
    ),
    jax.errors.ConcretizationTypeError: (
        "the arguments are traced and have no numbers yet: leave float(), int() and .item() out, "
        "and use jax.numpy where math was (jnp.sin for math.sin)."
    ),
}


def explain(error: Exception, name: str, function: Callable, args: tuple):
    """Add notes to what `function`, the problem's `name`, raised when called with `args`."""
    names = _STAGE if len(args) == 4 else _END
    given = ", ".join(
        f"{word} {_short(value)}" for word, value in zip(names[:-1], args, strict=False)
    )
    params = _short(args[-1])
    if len(params) > _LONGEST:
        params = params[:_LONGEST] + "..."
    error.add_note(
        f"jaxmpc: while tracing {name}({', '.join(names)}) with {given} and params {params}."
    )
    hint = _hint(error, name, function, names, args[-1])
    if hint:
        error.add_note(f"jaxmpc: {hint}")


def explaining(name: str, function: Callable) -> Callable:
    """The function, with its errors explained: for where it is called without its problem."""

    def call(*args):
        try:
            return function(*args)
        except Exception as error:
            explain(error, name, function, args)
            raise

    return call


def _hint(error: Exception, name: str, function: Callable, names: tuple, params) -> str | None:
    """The cure, where it can be told."""
    if isinstance(error, TypeError):
        wrong = _other_arguments(name, function, names)
        if wrong:
            return wrong
    for kind, words in _TRACED.items():
        if isinstance(error, kind):
            return words
    text = str(error)
    if params is None and "NoneType" in text:
        return "params is None: give them after x0, as in jaxmpc.solve(problem, x0, params)."
    if isinstance(error, KeyError) and error.args:
        return _missing_key(error.args[0], params)
    if (
        isinstance(error, AttributeError)
        and isinstance(error.obj, dict)
        and error.name in error.obj
    ):
        return f"params is a dict: write params[{error.name!r}] for params.{error.name}."
    if not isinstance(params, Mapping) and ("string indexing" in text or "not str" in text):
        return (
            f"params has no names in it, being {_short(params)}: give a dict, as {{'mass': 1.0}}."
        )
    if isinstance(error, TypeError | ValueError) and any(word in text for word in _ABOUT_SIZES):
        return (
            "x has as many entries as x0 has, u as many as the problem's control_dim says, also if "
            "that is one: u[0] is a number, and u is none."
        )
    return None


def _other_arguments(name: str, function: Callable, names: tuple) -> str | None:
    """What to say of a function that cannot be called as it is."""
    if not fits(function, names):
        words = (
            f"{name} is called as {name}({', '.join(names)}), but defined as {_defined(function)}."
        )
        if name == "dynamics" and fits(function, _ODE):
            words += (
                " A model or a differential equation, of (x, u, params), becomes dynamics by "
                "jaxmpc.integrators: discrete(model), or rk4(ode, dt)."
            )
        return words
    ode = getattr(function, "ode", None)  # of an integrator
    if callable(ode) and not fits(ode, _ODE):
        return f"integrators call ode(x, u, params), but it is defined as {_defined(ode)}."
    return None


def _defined(function: Callable) -> str:
    return f"{_called(function)}({', '.join(inspect.signature(function).parameters)})"


def _called(function: Callable) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _missing_key(key: Any, params: Any) -> str | None:
    if not isinstance(params, Mapping) or not isinstance(key, str | int) or key in params:
        return None
    paths = dict(_paths("params", params))
    near = difflib.get_close_matches(str(key), [str(own) for own in paths.values()], n=1)
    listed = ", ".join(list(paths)[:_LISTED]) + (", ..." if len(paths) > _LISTED else "")
    words = f"params has no key {key!r}; there is {listed or 'nothing in it'}."
    meant = [path for path, own in paths.items() if near and str(own) == near[0]]
    return f"{words} Did you mean {meant[0]}?" if meant else words


def _paths(before: str, params: Mapping) -> Iterator[tuple[str, Any]]:
    """How to write each entry, and its key."""
    for key, value in params.items():
        path = f"{before}[{key!r}]"
        yield path, key
        if isinstance(value, Mapping):
            yield from _paths(path, value)


def _short(value: Any) -> str:
    """A value in a few characters; of an array the dtype and the shape."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {_short(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_short(part) for part in value) + "]"
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        return f"{value.dtype}[{','.join(str(size) for size in value.shape)}]"
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    return _called(value)
