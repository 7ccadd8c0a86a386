"""Random keys as two numbers: not all that is done to a state can be done to a typed key."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, UInt32

_GENERATOR = "threefry2x32"  # whatever the default one is


def data_of(owner: str, key) -> UInt32[Array, "2"] | None:
    """The numbers of a `jax.random.key`, or of an old `PRNGKey`; None for None."""
    if key is None:
        return None
    typed = isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    data = jax.random.key_data(key) if typed else key
    shape, dtype = getattr(data, "shape", None), getattr(data, "dtype", None)
    right = dtype == jnp.uint32 and shape is not None and len(shape) == 1
    if not right or not (typed or shape == (2,)):
        kind = f"an array of shape {key.shape}" if hasattr(key, "shape") else type(key).__name__
        came = kind if hasattr(key, "shape") else f"{kind} ({key!r})"
        raise TypeError(f"{owner}: key must be one jax.random.key(...), got {came}.")
    # Keys of other generators are longer.
    return jnp.asarray(data) if shape == (2,) else jax.random.bits(key, (2,), jnp.uint32)


def key_of(data: UInt32[Array, "2"]) -> Array:
    """The key of two numbers."""
    return jax.random.wrap_key_data(data, impl=_GENERATOR)


def split(data: UInt32[Array, "2"], shape: int | tuple[int, ...] = 2) -> UInt32[Array, "... 2"]:
    """Several keys from one."""
    return jax.random.key_data(jax.random.split(key_of(data), shape))


def folded(data: UInt32[Array, "2"], number) -> UInt32[Array, "2"]:
    """Another key for each number."""
    return jax.random.key_data(jax.random.fold_in(key_of(data), number))
