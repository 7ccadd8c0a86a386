"""The sequential Riccati recursion: factor once, solve for any affine terms.

Notation (Tassa, Mansard and Todorov, 2014): V, v are the value function 1/2 x'Vx + v'x of a
stage; Qxx, Qux, Quu, Qx, Qu its Q-function; k, K the feedforward and feedback gains.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxmpc.lq.problem import LQProblem, LQStage, stages
from jaxmpc.lq.riccati.choice import SEQUENTIAL, Recursion
from jaxmpc.lq.small_linalg import LDL, ldl, matmul, matvec, solve, stagewise


class QFunction(NamedTuple):
    """The Q-function  1/2 x'Qxx x + u'Qux x + 1/2 u'Quu u + Qx'x + Qu'u  of a stage."""

    Qxx: Float[Array, "n n"]
    Qux: Float[Array, "m n"]
    Quu: Float[Array, "m m"]
    Qx: Float[Array, " n"]
    Qu: Float[Array, " m"]


class Factor(NamedTuple):
    """The part of the recursion that does not depend on the affine terms q, r, c, x0.

    Example:
        >>> C, c = jnp.stack([jnp.eye(2)] * 4), jnp.zeros((4, 2))
        >>> lqr = jaxmpc.lq.from_joint(C, c, jnp.ones((3, 1, 2)), None, jnp.ones(1))
        >>> factor = jaxmpc.lq.factor(lqr)
        >>> factor.K.shape, bool(factor.is_convex())
        ((3, 1, 1), True)
    """

    K: Float[Array, "T m n"]
    V: Float[Array, "T1 n n"]
    Quu: LDL
    free: Bool[Array, "T m"]
    recursion: Recursion = SEQUENTIAL  # static: how it was computed, and what solves with it

    def is_convex(self) -> Bool[Array, ""]:
        """Whether every stage's Quu was positive definite on the free controls."""
        return jnp.all(jax.vmap(LDL.is_positive)(self.Quu))


class LQSolution(NamedTuple):
    """The minimiser of an LQ problem, its costates and its policy u = feedforward + feedback x.

    Example:
        >>> C, c = jnp.stack([jnp.eye(2)] * 4), jnp.zeros((4, 2))
        >>> lqr = jaxmpc.lq.from_joint(C, c, jnp.ones((3, 1, 2)), None, jnp.ones(1))
        >>> solution = jaxmpc.lq.solve(lqr)
        >>> solution.states.shape, solution.feedback.shape
        ((4, 1), (3, 1, 1))
    """

    states: Float[Array, "T1 n"]
    controls: Float[Array, "T m"]
    costates: Float[Array, "T1 n"]
    feedforward: Float[Array, "T m"]
    feedback: Float[Array, "T m n"]


def quadratic_part(V: Float[Array, "n n"], stage: LQStage):
    """Qxx, Qux and Quu of a stage, given the Hessian V of the next value function."""
    n = V.shape[0]
    F = jnp.concatenate([stage.A, stage.B], axis=1)  # two products instead of five
    FVF = matmul(F.T, matmul(V, F))
    return stage.Q + FVF[:n, :n], stage.S + FVF[n:, :n], stage.R + FVF[n:, n:]


def linear_part(V: Float[Array, "n n"], v: Float[Array, " n"], stage: LQStage):
    """Qx and Qu of a stage, given the next value function."""
    n = v.shape[0]
    F = jnp.concatenate([stage.A, stage.B], axis=1)
    slope = matvec(F.T, v + matvec(V, stage.c))
    return stage.q + slope[:n], stage.r + slope[n:]


def value_hessian(Qxx, M, K):
    """The symmetric part of Qxx + M'K: V of a stage, for M = Quu K + 2 Qux.

    With the gain K that minimises the Q-function over the free controls, M = Qux does.
    """
    V = Qxx + matmul(M.T, K)
    return 0.5 * (V + V.T)


def masked_ldl(Quu: Float[Array, "m m"], free: Bool[Array, " m"]) -> LDL:
    """Factorise the block of the free controls; fixed ones get an identity row."""
    both = free[:, None] & free[None, :]
    return ldl(jnp.where(both, Quu, jnp.eye(Quu.shape[0], dtype=Quu.dtype)))


def masked_solve(factor: LDL, free: Bool[Array, " m"], rhs: Float[Array, "m j"]):
    """Solve on the free controls; zero in the rows of the fixed ones."""
    return solve(factor, jnp.where(free[:, None], rhs, 0.0))


def factor(problem: LQProblem, free: Bool[Array, "T m"] | None = None) -> Factor:
    """The backward Riccati recursion over the matrices of a problem.

    `free` says which controls may move; the others are held at zero. Where the problem is not
    convex, `Factor.is_convex` is False and the rest means nothing.
    """
    if free is None:
        free = jnp.ones_like(problem.r, bool)

    def step(V, inputs):
        stage, free_now = inputs
        Qxx, Qux, Quu = quadratic_part(V, stage)
        Quu_factor = masked_ldl(Quu, free_now)
        K = -masked_solve(Quu_factor, free_now, Qux)
        V = value_hessian(Qxx, Qux, K)
        return V, (K, V, Quu_factor)

    V_last = problem.Q[-1]
    _, (K, V, Quu) = jax.lax.scan(step, V_last, (stages(problem), free), reverse=True)
    return Factor(K, jnp.concatenate([V, V_last[None]]), Quu, free)


def substitute(problem: LQProblem, factor: Factor) -> LQSolution:
    """Minimise with a factor that was computed earlier for the same matrices."""

    def backward(v, inputs):
        stage, V_next, Quu, K, free = inputs
        Qx, Qu = linear_part(V_next, v, stage)
        k = -masked_solve(Quu, free, Qu[:, None])[:, 0]
        return Qx + matvec(K.T, Qu), (k, v)

    inputs = (stages(problem), factor.V[1:], factor.Quu, factor.K, factor.free)
    v0, (k, v_next) = jax.lax.scan(backward, problem.q[-1], inputs, reverse=True)
    v = jnp.concatenate([v0[None], v_next])

    def forward(x, inputs):
        A, B, c, k, K = inputs
        u = k + matvec(K, x)
        x_next = matvec(A, x) + matvec(B, u) + c
        return x_next, (x_next, u)

    inputs = (problem.A, problem.B, problem.c, k, factor.K)
    _, (states, controls) = jax.lax.scan(forward, problem.x0, inputs)
    states = jnp.concatenate([problem.x0[None], states])
    costates = v + stagewise(factor.V, states)
    return LQSolution(states, controls, costates, k, factor.K)
