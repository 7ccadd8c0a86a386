"""The infinite-horizon LQ problem: what a terminal cost should know of the time after it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxmpc.compilation import compiled

_DOUBLINGS = 40  # 2^40 stages: those of a closed loop that forgets in 1e11 are enough
_NEWTON_STEPS = 2


class InfiniteHorizon(NamedTuple):
    """The value function 1/2 x'P x and the policy u = K x of an infinite horizon.

    Attributes:
        P: [n, n], symmetric.
        K: [m, n]; minus that of those who write u = -K x.
        stabilizing: whether the closed loop A + B K is stable and P a fixed point of the Riccati
            recursion. Elsewhere P and K are what the doubling ended with, of no use.

    Example:
        >>> A, B = jnp.array([[1.0, 0.1], [0.0, 1.0]]), jnp.array([[0.0], [0.1]])
        >>> lqr = jaxmpc.lq.infinite_horizon(A, B, jnp.eye(2), jnp.eye(1))
        >>> lqr.P.shape, lqr.K.shape, bool(lqr.stabilizing)
        ((2, 2), (1, 2), True)
    """

    P: Float[Array, "n n"]
    K: Float[Array, "m n"]
    stabilizing: Bool[Array, ""]


def infinite_horizon(
    A: Float[Array, "n n"],
    B: Float[Array, "n m"],
    Q: Float[Array, "n n"],
    R: Float[Array, "m m"],
    S: Float[Array, "m n"] | None = None,
) -> InfiniteHorizon:
    """Minimise  sum_t 1/2 x'Q x + u'S x + 1/2 u'R u  subject to  x_{t+1} = A x + B u.

    The stabilizing solution of the discrete algebraic Riccati equation

        P = Q + A'P A - (S + B'P A)' (R + B'P B)^-1 (S + B'P A).

    As a terminal cost, 1/2 (x - goal)'P (x - goal) is the cost of all that a horizon does not see,
    near a goal where the linear model holds and no constraint is active.

        A, B = jax.jacfwd(problem.dynamics, (0, 1))(goal, u_goal, 0, params)
        P = jaxmpc.lq.infinite_horizon(A, B, Q, R).P

    Args:
        A, B: the model, (A, B) stabilizable.
        Q, R, S: the cost; only the symmetric parts of Q and R count. R positive definite, the
            whole cost convex and what is not stable of A in it.

    Differentiable in all matrices, forward and backward, up to the third order; the derivatives
    are those of the equation, not of the iteration that solves it.

    Raises:
        ValueError: for shapes that do not fit.

    Sources: Chu, Fan and Lin (2005) for the doubling; Kleinman (1968) for Newton's method on the
    equation, whose last steps carry the derivative.

    Example:
        >>> one = jnp.ones((1, 1))
        >>> lqr = jaxmpc.lq.infinite_horizon(one, one, one, one)
        >>> round(float(lqr.P[0, 0]), 3), round(float(lqr.K[0, 0]), 3)  # the golden ratio
        (1.618, -0.618)
    """
    if np.ndim(B) != 2:
        raise ValueError(f"lq.infinite_horizon: B must have shape [n, m]; got {np.shape(B)}.")
    n, m = np.shape(B)
    wanted = {"A": (n, n), "B": (n, m), "Q": (n, n), "R": (m, m), "S": (m, n)}
    S = jnp.zeros(wanted["S"], jnp.result_type(B)) if S is None else S
    for (name, shape), matrix in zip(wanted.items(), (A, B, Q, R, S), strict=True):
        if np.shape(matrix) != shape:
            raise ValueError(
                f"lq.infinite_horizon: {name} must have shape {shape} (n, m = {n}, {m} from B); "
                f"got {np.shape(matrix)}."
            )
    dtype = jnp.result_type(A, B, Q, R, S, float)
    return _compiled(*(jnp.asarray(matrix, dtype) for matrix in (A, B, Q, R, S)))


def _solution(A, B, Q, R, S) -> InfiniteHorizon:
    Q, R = 0.5 * (Q + Q.T), 0.5 * (R + R.T)
    P = jax.lax.stop_gradient(_doubled(A, B, Q, R, S))
    # Each step of Newton doubles the order to which the derivative is right.
    for _ in range(_NEWTON_STEPS):
        P = _newton(P, A, B, Q, R, S)
    K = _gain(P, A, B, R, S)
    closed = A + B @ K
    again = Q + A.T @ P @ A + (S + B.T @ P @ A).T @ K
    off = jnp.max(jnp.abs(again - P))
    precise = off <= jnp.sqrt(jnp.finfo(P.dtype).eps) * jnp.max(jnp.abs(P))
    # A stable loop forgets; one that is not has grown beyond all numbers by then, or stays.
    forgotten = closed
    for _ in range(_DOUBLINGS):
        forgotten = forgotten @ forgotten
    stable = jnp.max(jnp.abs(forgotten)) < 0.5
    return InfiniteHorizon(P, K, precise & stable)


_compiled = compiled(_solution)


def _doubled(A, B, Q, R, S) -> Float[Array, "n n"]:
    """The value of 2^k stages, for k = 0, 1, ...: each doubling composes a horizon with itself."""
    of_S = jnp.linalg.solve(R, S)
    F, G, H = A - B @ of_S, B @ jnp.linalg.solve(R, B.T), Q - S.T @ of_S
    eye = jnp.eye(len(A), dtype=A.dtype)

    def double(_, horizon):
        F, G, H = horizon
        W = jnp.linalg.solve(eye + G @ H, jnp.concatenate([F, G], axis=1))
        of_F, of_G = jnp.split(W, 2, axis=1)
        G_new, H_new = G + F @ of_G @ F.T, H + F.T @ H @ of_F
        new = F @ of_F, 0.5 * (G_new + G_new.T), 0.5 * (H_new + H_new.T)
        # Of a loop that forgets F is zero by then; what overflows is nobody's solution.
        return jax.tree.map(lambda a, b: jnp.where(jnp.isfinite(a), a, b), new, horizon)

    return jax.lax.fori_loop(0, _DOUBLINGS, double, (F, G, H))[2]


def _newton(P, A, B, Q, R, S):
    """P of the policy that P's own gain is: a Lyapunov equation, by doubling."""
    K = _gain(P, A, B, R, S)
    closed = A + B @ K
    cost = Q + S.T @ K + K.T @ S + K.T @ R @ K

    def double(carry, _):
        total, power = carry
        return (total + power.T @ total @ power, power @ power), None

    (P, _), _ = jax.lax.scan(double, (cost, closed), None, length=_DOUBLINGS)
    return 0.5 * (P + P.T)


def _gain(P, A, B, R, S):
    return -jnp.linalg.solve(R + B.T @ P @ B, S + B.T @ P @ A)
