"""References that move: the part of one that a horizon sees."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from jaxmpc.checks import check_not_negative, check_positive


def window(
    reference: Float[ArrayLike, "N *k"], t: int | Int[Array, ""], horizon: int
) -> Float[Array, "T1 *k"]:
    """Rows t .. t + horizon of a reference, which rests at its last row.

        params = lambda t: {"reference": control.window(reference, t, problem.horizon)}
        loop = jaxmpc.simulate(controller, plant, x0, steps, params)

    Args:
        reference: [N, ...], a row for each sample; at least horizon + 1 of them.
        t: the sample, 0 or more; may be traced.
        horizon: the T of the problem.

    Returns:
        [horizon + 1, ...], differentiable in the reference.

    Raises:
        ValueError: for a reference that is too short for a single horizon.

    Example:
        >>> print(jaxmpc.control.window(jnp.arange(6.0), 3, horizon=4))
        [3. 4. 5. 5. 5.]
    """
    check_positive("control.window", "horizon", horizon, whole=True)
    check_not_negative("control.window", "t", t, whole=True)
    rows = np.shape(reference)[0] if np.ndim(reference) else 0
    if rows < horizon + 1:
        raise ValueError(
            f"control.window: reference must have at least horizon + 1 = {horizon + 1} rows; got "
            f"shape {np.shape(reference)}."
        )
    stages = jnp.arange(horizon + 1)
    stages = jnp.minimum(stages + jnp.asarray(t, stages.dtype), rows - 1)
    return jnp.take(jnp.asarray(reference), stages, axis=0)
