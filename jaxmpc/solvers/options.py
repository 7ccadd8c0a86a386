"""The tolerances of each precision, and limits that solvers share."""

import jax.numpy as jnp
from jaxtyping import Array, Float

# What stalls in rounding within so many times the tolerance is a solution to working precision.
WORKING_PRECISION = 10.0
# So is one that a whole Newton step, in units of the scales, changes by less than so many square
# roots of the machine precision: the cost cannot tell such steps apart.
_SMALL_STEP = 4.0
NEARLY = 10  # iterations within WORKING_PRECISION, after which rounding is to blame
FAILURES = 8  # line searches on the filter that may fail in a row
AFTER_FAILURE = 30.0  # the proximal weight after one that failed, in units of the last weight
LARGEST_PROXIMAL = 1e20
_TOLERANCES = {"float64": 1e-8, "float32": 1e-4}


def default_tolerance(tolerance: float | None, dtype) -> Float[Array, ""]:
    """The tolerance asked for, or what the precision can be relied on to reach."""
    by_default = _TOLERANCES.get(jnp.dtype(dtype).name, 1e-2)
    return jnp.asarray(by_default if tolerance is None else tolerance, dtype)


def sharper(tolerance: Float[Array, ""], dtype) -> Float[Array, ""]:
    """Less than the tolerance, for about one iteration more.

    It is asked of complementarity, which keeps active constraints at a distance from their
    bounds, and of the defects of multiple shooting, which users read as states that do not follow.
    Where so little would be lost in rounding, as in float32, it is the tolerance.
    """
    if jnp.finfo(dtype).bits < 64:
        return tolerance
    return jnp.minimum(tolerance, jnp.maximum(tolerance / 100, 1e-11))


def small_step(dtype) -> float:
    """The largest Newton step, in units of the scales, that may be rounding alone."""
    return _SMALL_STEP * float(jnp.finfo(dtype).eps) ** 0.5
