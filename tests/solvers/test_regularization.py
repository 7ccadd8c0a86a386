"""Making a Hessian convex, and what the line search and the loop promise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmpc.solvers.ilqr.regularization import convexity_lacking


def convexify(matrix):
    return matrix + convexity_lacking(matrix)


@pytest.mark.parametrize("size", [1, 3, 6, 17])
def test_a_convex_matrix_stays(size):
    half = np.random.RandomState(size).randn(size, max(1, size - 2))  # singular from size 3 on
    matrix = jnp.asarray(half @ half.T)
    np.testing.assert_allclose(convexify(matrix), matrix, atol=1e-12 * np.max(np.abs(matrix)))


@pytest.mark.parametrize("size", [1, 3, 6, 17])
def test_any_other_becomes_convex_and_stays_bounded(size):
    raw = np.random.RandomState(size).randn(20, size, size)
    matrices = jnp.asarray(raw + np.swapaxes(raw, 1, 2))
    convex = np.asarray(jax.vmap(convexify)(matrices))
    largest = np.max(np.abs(matrices), axis=(1, 2))
    assert np.min(np.linalg.eigvalsh(convex) / largest[:, None]) > -1e-6
    # Gill, Murray and Wright's bound keeps the change within a modest multiple of the entries.
    assert np.max(np.abs(convex - matrices) / largest[:, None, None]) < 10 * size**2


def test_off_diagonals_are_kept():
    matrix = jnp.array([[0.0, 1.0], [1.0, 0.0]])
    np.testing.assert_allclose(convexify(matrix), [[1.0, 1.0], [1.0, 1.0]])
