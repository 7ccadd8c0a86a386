"""Sampled controls: splines over a few knots, and noise of a colour."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxmpc.problem import Problem


def interpolation(horizon: int, knots: int | None) -> np.ndarray:
    """[T, K]: what turns values at K knots, evenly over the horizon, into T controls, linearly."""
    if knots is None or knots >= horizon:
        return np.eye(horizon)
    if knots == 1:
        return np.ones((horizon, 1))
    place = np.linspace(0.0, knots - 1.0, horizon)
    left = np.minimum(place.astype(int), knots - 2)
    share = place - left
    weights = np.zeros((horizon, knots))
    weights[np.arange(horizon), left] = 1 - share
    weights[np.arange(horizon), left + 1] = share
    return weights


def colouring(knots: int, exponent: float) -> np.ndarray:
    """[K, K]: what turns white noise into noise with the power spectrum 1 / f^exponent.

    Of unit variance, as a sum of sines and cosines over twice the horizon, so that its ends need
    not meet (Pinneri et al., 2020, take a Fourier transform of the noise).
    """
    if exponent == 0:
        return np.eye(knots)
    frequency = np.arange(1, knots + 1) / (2.0 * knots)
    time, size = np.arange(knots), frequency ** (-exponent / 2)
    waves = [np.cos(2 * np.pi * np.outer(time, frequency)) * size]
    waves += [np.sin(2 * np.pi * np.outer(time, frequency)) * size]
    # [K, 2K] of independent amplitudes: any square root of the same covariance will do.
    covariance = np.concatenate(waves, axis=1) @ np.concatenate(waves, axis=1).T
    covariance /= np.mean(np.diag(covariance))
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0.0))


def drawn(
    key: Array,
    mean: Float[Array, "K m"],
    deviation: Float[Array, "K m"],
    samples: int,
    exponent: float,
) -> Float[Array, "N K m"]:
    """Values at the knots, normal around a mean, with noise of a colour over time."""
    white = jax.random.normal(key, (samples, *mean.shape), mean.dtype)
    mixing = jnp.asarray(colouring(len(mean), exponent), mean.dtype)
    return mean[None] + deviation[None] * jnp.einsum("kj,njm->nkm", mixing, white)


def controls_of(problem: Problem, values: Float[Array, "N K m"]) -> Float[Array, "N T m"]:
    """The controls between the knots, within their bounds."""
    weights = jnp.asarray(interpolation(problem.horizon, values.shape[1]), values.dtype)
    lower, upper = problem.limits(values.dtype)
    return jnp.clip(jnp.einsum("tk,nkm->ntm", weights, values), lower[None], upper[None])
