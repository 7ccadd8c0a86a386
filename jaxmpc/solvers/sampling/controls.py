"""Sampled controls: splines over a few knots, and noise of a colour."""

import numpy as np


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
