"""The stages of an LQ problem in blocks: recursions inside of every block, all blocks at once.

N blocks of b stages; idle stages fill the last block. Arrays have the leading axes [N, b].
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxmpc.lq.problem import LQProblem, LQStage, stages
from jaxmpc.lq.riccati.sequential import masked_ldl, masked_solve, quadratic_part, value_hessian
from jaxmpc.lq.small_linalg import LDL, matmul, matvec


class Sweep(NamedTuple):
    """What the Riccati recursion finds inside of blocks from a given Hessian at their ends.

    `through` is the closed loop from a block's start to its end and `reached` the C of `sweep`;
    `size` is the largest entry of Qxx, whose rounding V has.
    """

    K: Float[Array, "N b m n"]
    V: Float[Array, "N b n n"]
    Quu: LDL
    through: Float[Array, "N n n"]
    reached: Float[Array, "N n n"]
    size: Float[Array, " N"]


def folded(tree, block: int):
    """[T, ...] as [N, b, ...], filled up with zeros."""

    def fold(leaf):
        missing = -leaf.shape[0] % block
        if missing:
            leaf = jnp.concatenate([leaf, jnp.repeat(jnp.zeros_like(leaf[:1]), missing, axis=0)])
        return leaf.reshape(-1, block, *leaf.shape[1:])

    return jax.tree.map(fold, tree)


def unfolded(tree, horizon: int):
    """The inverse: [N, b, ...] as [T, ...]."""
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[:horizon], tree)


def with_identity(matrices: Float[Array, "N b n n"], horizon: int):
    """The identity in place of the zeros that filled the last block."""
    count, block, n, _ = matrices.shape
    idle = (jnp.arange(count * block) >= horizon).reshape(count, block, 1, 1)
    return matrices + jnp.where(idle, jnp.eye(n, dtype=matrices.dtype), 0.0)


def in_blocks(
    problem: LQProblem, free: Bool[Array, "T m"], block: int
) -> tuple[LQStage, Bool[Array, "N b m"]]:
    """The stages and the free controls in blocks.

    In an idle stage x stays and u costs 1/2 u'u, so that the value function is the terminal cost
    all along idle stages, without any rounding.
    """
    horizon = problem.r.shape[0]
    given = folded(stages(problem), block)
    idle = given._replace(A=with_identity(given.A, horizon), R=with_identity(given.R, horizon))
    return idle, folded(free, block)


def sweep(ends: Float[Array, "N n n"], blocks: LQStage, free: Bool[Array, "N b m"]) -> Sweep:
    """The Riccati recursion from the given Hessians at the ends of all blocks.

    With the cost lambda'x + 1/2 x'V x at its end, a block has the value
    1/2 x'V_0 x + lambda'(through x) - 1/2 lambda'C lambda,  C = sum_t F_t B_t Quu_t^-1 B_t' F_t'
    with the closed loop F_t from t + 1 to the end.
    """

    def step(carry, inputs):
        V, through, reached, size = carry
        stage, free_now = inputs
        n = V.shape[0]
        Qxx, Qux, Quu = quadratic_part(V, stage)
        factor = masked_ldl(Quu, free_now)
        push = matmul(through, stage.B)
        solved = masked_solve(factor, free_now, jnp.concatenate([Qux, push.T], axis=1))
        K = -solved[:, :n]
        reached = reached + matmul(push, solved[:, n:])
        through = matmul(through, stage.A + matmul(stage.B, K))
        V = value_hessian(Qxx, Qux, K)
        size = jnp.maximum(size, jnp.max(jnp.abs(Qxx)))
        return (V, through, reached, size), (K, V, factor)

    def one(end, block, free):
        zero = jnp.zeros_like(end)
        start = (end, zero + jnp.eye(end.shape[0], dtype=end.dtype), zero, zero[0, 0])
        carry, (K, V, Quu) = jax.lax.scan(step, start, (block, free), reverse=True)
        _, through, reached, size = carry
        return Sweep(K, V, Quu, through, 0.5 * (reached + reached.T), size)

    return jax.vmap(one)(ends, blocks, free)


def products(matrices: Float[Array, "N b n n"]) -> Float[Array, "N n n"]:
    """M_b ... M_2 M_1 of every block."""

    def step(product, matrix):
        return jax.vmap(matmul)(matrix, product), None

    rest = jnp.swapaxes(matrices[:, 1:], 0, 1)
    return jax.lax.scan(step, matrices[:, 0], rest)[0]


def affine_steps(
    matrices: Float[Array, "N b n n"], offsets: Float[Array, "N b n"], starts: Float[Array, "N n"]
) -> Float[Array, "N b n"]:
    """x <- M x + d  through every block, from its start."""

    def step(x, inputs):
        matrix, offset = inputs
        x = jax.vmap(matvec)(matrix, x) + offset
        return x, x

    by_stage = jnp.swapaxes(matrices, 0, 1), jnp.swapaxes(offsets, 0, 1)
    return jnp.swapaxes(jax.lax.scan(step, starts, by_stage)[1], 0, 1)
