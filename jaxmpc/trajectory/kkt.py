"""The first-order optimality (KKT) conditions of a trajectory with bounded controls."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmpc.solution import Residuals, Scales

_S_MAX = 100.0  # multipliers up to this mean size leave the residuals unscaled


class BoundMultipliers(NamedTuple):
    """The multipliers of the control bounds, >= 0."""

    lower: Float[Array, "T m"]
    upper: Float[Array, "T m"]


def residual_scale(mean: Float[Array, ""]) -> Float[Array, ""]:
    """By what a residual is divided where multipliers have a mean absolute value, as in IPOPT."""
    return jnp.maximum(_S_MAX, mean) / _S_MAX


def bound_multipliers(
    gradient: Float[Array, "T m"],
    controls: Float[Array, "T m"],
    lower: Float[Array, "T m"],
    upper: Float[Array, "T m"],
) -> BoundMultipliers:
    """The multipliers that balance the Lagrangian's gradient in u where a bound is met."""
    zero = jnp.zeros_like(gradient)
    return BoundMultipliers(
        lower=jnp.where(controls <= lower, jnp.maximum(gradient, 0.0), zero),
        upper=jnp.where(controls >= upper, jnp.maximum(-gradient, 0.0), zero),
    )


def kkt_residuals(
    gradient: Float[Array, "T m"],
    controls: Float[Array, "T m"],
    costate: Float[Array, "T1 k"],
    lower: Float[Array, "T m"],
    upper: Float[Array, "T m"],
    scales: Scales,
) -> tuple[Residuals, BoundMultipliers]:
    """Scaled residuals of a trajectory whose costates satisfy the adjoint recursion.

    `gradient` is that of the Lagrangian in u without the multipliers, r_t + B_t' lambda_{t+1};
    the trajectory satisfies the dynamics.
    """
    multipliers = bound_multipliers(gradient, controls, lower, upper)
    signed = multipliers.upper - multipliers.lower
    in_controls = scales.controls[None] / scales.cost
    size = jnp.sum(jnp.abs(costate) * scales.states[None] / scales.cost)
    size += jnp.sum(jnp.abs(signed) * in_controls)
    scale = residual_scale(size / (costate.size + signed.size))
    outside = jnp.maximum(lower - controls, controls - upper) / scales.controls[None]
    # A multiplier is nonzero only at (or outside) its bound, so an infinite slack never enters.
    slack_lower = jnp.where(multipliers.lower > 0, controls - lower, 0.0)
    slack_upper = jnp.where(multipliers.upper > 0, upper - controls, 0.0)
    complementarity = jnp.maximum(
        jnp.max(jnp.abs(multipliers.lower * slack_lower)) / scales.cost,
        jnp.max(jnp.abs(multipliers.upper * slack_upper)) / scales.cost,
    )
    residuals = Residuals(
        stationarity=jnp.max(jnp.abs(gradient + signed) * in_controls) / scale,
        feasibility=jnp.max(outside, initial=0.0),
        complementarity=complementarity / scale,
    )
    return residuals, multipliers
