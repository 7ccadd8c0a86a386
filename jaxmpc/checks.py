"""Checks of single arguments: each raises an error that says what came and what was wanted."""

import inspect
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer


def check_type(owner: str, name: str, value, kind):
    """Raise unless `value` is of that type, or of one of a union."""
    if not isinstance(value, kind):
        wanted = getattr(kind, "__name__", str(kind))
        raise TypeError(f"{owner}: {name} must be a {wanted}, got {type(value).__name__}.")


def check_state(x0) -> jax.Array:
    """x0 as a floating-point vector, or an error that says what came."""
    try:
        x0 = jnp.asarray(x0)
    except (TypeError, ValueError) as error:
        hint = " (The order is problem, x0, params.)" if isinstance(x0, Mapping) else ""
        raise TypeError(f"jaxmpc: x0 must be an array, got {type(x0).__name__}.{hint}") from error
    if not jnp.issubdtype(x0.dtype, jnp.floating):
        raise TypeError(
            f"jaxmpc: x0 must be floating point, got {x0.dtype}. Write 1.0 for 1, or "
            "x0.astype(float)."
        )
    if x0.ndim != 1 or x0.shape[0] == 0:
        hint = {
            0: " One number is jnp.array([1.0]); what jax.vmap maps over has shape [B, n].",
            2: " For a batch use jaxmpc.solve_batch or jax.vmap.",
        }.get(x0.ndim, "")
        raise ValueError(f"jaxmpc: x0 must have shape [n], got {x0.shape}.{hint}")
    return x0


def check_positive(owner: str, name: str, value, *, whole=False, optional=False):
    """Raise unless `value` is a positive number (an int where `whole`)."""
    if optional and value is None:
        return
    _check_number(owner, name, value, whole)
    if not isinstance(value, Tracer) and not value > 0:
        raise ValueError(f"{owner}: {name} must be positive, got {value}.")


def check_not_negative(owner: str, name: str, value, *, whole=False):
    """Raise unless `value` is a number (an int where `whole`) that is not negative."""
    _check_number(owner, name, value, whole)
    if not isinstance(value, Tracer) and not value >= 0:
        raise ValueError(f"{owner}: {name} must not be negative, got {value}.")


def check_function(owner: str, name: str, value, wanted: str, takes: tuple[str, ...] | None = None):
    """Raise unless `value` can be called, with as many arguments as it `takes`.

    `wanted` says as what.
    """
    if not callable(value):
        raise TypeError(f"{owner}: {name} must be a function {wanted}, got {value!r}.")
    if takes is not None and not fits(value, takes):
        own = ", ".join(inspect.signature(value).parameters)
        raise TypeError(f"{owner}: {name} must be a function {wanted}; got one of ({own}).")


def _check_number(owner: str, name: str, value, whole: bool):
    """Raise unless `value` is a number, which an array of no axes is too."""
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        wanted = jnp.integer if whole else jnp.number
        right = value.shape == () and jnp.issubdtype(value.dtype, wanted)
        came = f"an array of shape {value.shape} and dtype {value.dtype}"
    else:
        right = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        came = f"{type(value).__name__} ({value!r})"
    if not right:
        raise TypeError(f"{owner}: {name} must be {'an int' if whole else 'a number'}, got {came}.")


def check_bool(owner: str, name: str, value):
    """Raise unless `value` is True or False."""
    if not isinstance(value, bool):
        came = f"{type(value).__name__} ({value!r})"
        raise TypeError(f"{owner}: {name} must be a bool, got {came}.")


def check_choice(owner: str, name: str, value, choices: tuple[str, ...]):
    """Raise unless `value` is one of the choices."""
    if value not in choices:
        raise ValueError(f"{owner}: {name} must be one of {choices}, got {value!r}.")


def check_array(
    owner: str, name: str, value, wanted: tuple[int, ...], symbols: str, *, optional=True
):
    """Raise unless `value` is a floating-point array of the shape that is wanted.

    Or None, where that is `optional`.
    """
    if value is None:
        if optional:
            return
        raise TypeError(f"{owner}: {name} must be an array {symbols} = {wanted}, got None.")
    try:
        array = value if isinstance(value, jax.Array | np.ndarray) else jnp.asarray(value)
    except (TypeError, ValueError) as error:
        kind = type(value).__name__
        raise TypeError(f"{owner}: {name} must be an array, got {kind}.") from error
    if array.shape != wanted:
        raise ValueError(
            f"{owner}: {name} must have shape {symbols} = {wanted}, got {array.shape}."
        )
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(f"{owner}: {name} must be floating point, got {array.dtype}.")


def fits(function: Callable, arguments: tuple) -> bool:
    """Whether a function can be called with so many arguments, as far as one can tell."""
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return False
    except ValueError:  # without a signature, as some of C are
        return True
    return True
