"""Products and factorisations of small matrices, without library calls.

Inside a scan a library call per product dominates: XLA fuses these elementwise forms, and
vectorises them over a batch, where `dot` and LAPACK are called once per element. (A triangular
solve of LAPACK with 30 rows was seen to take milliseconds when its threads met a busy core.)
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_LARGEST_SUM = 16  # the largest contracted dimension for which `dot` is not the fastest form
_WRITTEN_OUT_PRODUCT = range(5, 9)  # those whose sum is better written out, term by term
_WRITTEN_OUT_FACTOR = 6  # largest matrix that is factorised column by column


def matmul(a: Float[Array, "i k"], b: Float[Array, "k j"]) -> Float[Array, "i j"]:
    """a @ b.

    A factorisation with 13 states and 4 controls, 40 stages, one alone and 64 side by side (jaxlib
    0.10.2, one core): summed 0.10 and 15 ms, written out 0.31 and 18, by `dot` 0.19 and 6. With 8
    states 0.07 and 5.7, 0.10 and 1.9, 0.15 and 2.3. A sum compiles in half the time. And `dot` of
    a constant matrix may end the process: see `stagewise`.
    """
    size = a.shape[1]
    if size > _LARGEST_SUM:
        return a @ b
    if size not in _WRITTEN_OUT_PRODUCT:
        return jnp.sum(a[:, :, None] * b[None], axis=1)
    out = a[:, 0, None] * b[None, 0, :]
    for k in range(1, size):
        out = out + a[:, k, None] * b[None, k, :]
    return out


def matvec(a: Float[Array, "i k"], b: Float[Array, " k"]) -> Float[Array, " i"]:
    """a @ b."""
    return matmul(a, b[:, None])[:, 0]


def stagewise(a: Float[Array, "T i k"], b: Float[Array, "T k"]) -> Float[Array, "T i"]:
    """a[t] @ b[t] at every stage.

    A sum of products and no `dot`: of a batch of vectors with one constant matrix for all, which
    a linear system has, XLA on CPUs (jaxlib 0.10.2) makes a `dot` with a layout that its emitter
    refuses, and the process ends.
    """
    return jnp.sum(a * b[:, None, :], axis=2)


def stagewise_transposed(a: Float[Array, "T k i"], b: Float[Array, "T k"]) -> Float[Array, "T i"]:
    """a[t].T @ b[t] at every stage."""
    return jnp.sum(a * b[:, :, None], axis=1)


class LDL(NamedTuple):
    """M = L diag(pivots) L', L unit lower triangular."""

    L: Float[Array, "m m"]
    pivots: Float[Array, " m"]

    def is_positive(self):
        """Whether the factorised matrix was numerically positive definite."""
        return jnp.min(self.pivots) > 0  # False for NaN


def ldl(matrix: Float[Array, "m m"]) -> LDL:
    """Factorise a symmetric matrix; a pivot that is not positive says that it is not definite."""
    m = matrix.shape[0]
    # Definite up to rounding only: a pivot lost to cancellation is no pivot.
    floor = 8 * m * jnp.finfo(matrix.dtype).eps * jnp.abs(jnp.diagonal(matrix))
    if m > _WRITTEN_OUT_FACTOR:
        below = jnp.tril(jnp.ones((m, m), bool))

        def eliminate(j, carry):
            schur, L, pivots = carry
            column = jnp.where(below[:, j], schur[:, j], 0.0)
            pivot = jnp.where(column[j] > floor[j], column[j], -1.0)
            scaled = column / pivot
            schur = schur - scaled[:, None] * column[None, :]
            return schur, L.at[:, j].set(scaled), pivots.at[j].set(pivot)

        start = (matrix, jnp.zeros_like(matrix), jnp.zeros_like(matrix[0]))
        return LDL(*jax.lax.fori_loop(0, m, eliminate, start)[1:])
    columns, pivots = [], []
    for j in range(m):
        column = matrix[:, j]
        for k in range(j):
            column = column - columns[k] * (pivots[k] * columns[k][j])
        pivot = jnp.where(column[j] > floor[j], column[j], -1.0)
        below = jnp.arange(m) >= j
        columns.append(jnp.where(below, column / pivot, 0.0))
        pivots.append(pivot)
    return LDL(jnp.stack(columns, axis=1), jnp.stack(pivots))


def solve(factor: LDL, rhs: Float[Array, "m j"]) -> Float[Array, "m j"]:
    """M^-1 rhs."""
    L, pivots = factor
    m = L.shape[0]
    if m > _WRITTEN_OUT_FACTOR:
        strict = jnp.tril(L, -1)

        def forward(j, rows):
            return rows - strict[:, j, None] * rows[None, j]

        def backward(i, rows):
            j = m - 1 - i
            return rows - strict[j, :, None] * rows[None, j]

        half = jax.lax.fori_loop(0, m, forward, rhs) / pivots[:, None]
        return jax.lax.fori_loop(0, m, backward, half)
    rows = [rhs[i] for i in range(m)]
    for i in range(m):
        for k in range(i):
            rows[i] = rows[i] - L[i, k] * rows[k]
    rows = [row / pivots[i] for i, row in enumerate(rows)]
    for i in reversed(range(m)):
        for k in range(i + 1, m):
            rows[i] = rows[i] - L[k, i] * rows[k]
    return jnp.stack(rows)
