"""What all models do with their arguments: check the shapes, keep to the dtype of the state."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

Params = Mapping[str, Any] | None  # a plain dict; None means the module's defaults


def arguments(
    model: str,
    x: Float[ArrayLike, " n"],
    u: Float[ArrayLike, " m"],
    params: Params,
    defaults: Mapping[str, float],
    dims: tuple[int, int],
) -> tuple[Array, Array, SimpleNamespace]:
    """The state, the control and the parameters (as attributes), all in the state's dtype.

    Python numbers stay Python numbers: JAX gives them the dtype of what they meet. An array of
    another dtype (float64 parameters beside a float32 state) is cast, so that a rollout never
    changes dtype on its way. Keys that the model does not know are ignored: one dict may hold
    the parameters of the dynamics and of the cost.
    """
    x = jnp.asarray(x)
    dtype = jnp.result_type(x, float)
    x, u = x.astype(dtype), jnp.asarray(u, dtype)
    for name, value, size in (("x", x, dims[0]), ("u", u, dims[1])):
        if value.shape != (size,):
            raise ValueError(
                f"models.{model}: {name} has shape {value.shape}; wanted ({size},). "
                "A model takes one state and one control: use jax.vmap for many."
            )
    params = defaults if params is None else params
    _check_params(model, params, defaults)
    return x, u, SimpleNamespace(**{key: _cast(params[key], dtype) for key in defaults})


def _check_params(model: str, params: Any, defaults: Mapping[str, float]):
    """Raise unless the parameters of the model are among params; say how to put them there."""
    own = f"models.{model.upper()}"
    if not isinstance(params, Mapping):
        raise TypeError(
            f"models.{model}: params must be a dict with the keys {list(defaults)}, or None for "
            f"{own}; got {type(params).__name__}."
        )
    missing = [key for key in defaults if key not in params]
    if missing:
        raise ValueError(
            f"models.{model}: params has no {missing}; it has {list(params)}. Wanted the keys "
            f"{list(defaults)}, among others: {{**{own}, ...}} adds yours to the defaults, and "
            f"lambda x, u, params: models.{model}(x, u) takes the defaults whatever params are."
        )


def _cast(value, dtype):
    # by exact type: NumPy's float64 scalar is a Python float too, but promotes float32
    return value if type(value) in (int, float) else jnp.asarray(value, dtype)


def saturate(u: Float[Array, "..."], limit: float) -> Float[Array, "..."]:
    """u clipped to [-limit, limit], with derivative 1 at the limits themselves.

    An active bound of the solver puts the control exactly at the limit. There `jnp.clip` splits
    the derivative of the tie in halves, and the multiplier of that bound would come out wrong;
    strict comparisons give the derivative of the inside.
    """
    return jnp.where(u > limit, limit, jnp.where(u < -limit, -limit, u))


def angle(cos: Float[Array, ""], sin: Float[Array, ""]) -> Float[Array, ""]:
    """atan2(sin, cos), with derivative 0 instead of NaN at the origin (a guess of zeros)."""
    origin = (cos == 0) & (sin == 0)
    return jnp.arctan2(sin, jnp.where(origin, 1, cos))


def rotate(
    cos: Float[Array, ""], sin: Float[Array, ""], by: Float[Array, ""]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """cos and sin of atan2(sin, cos) + by, without the arc tangent.

    The same function to rounding, for half of the time: a rotation of the normalised pair. It
    has no seam at +-pi. The origin (a guess of zeros) counts as the angle 0.
    """
    origin = (cos == 0) & (sin == 0)
    cos = jnp.where(origin, 1, cos)
    scale = 1 / jnp.sqrt(cos**2 + sin**2)
    c, s = jnp.cos(by) * scale, jnp.sin(by) * scale
    return cos * c - sin * s, sin * c + cos * s
