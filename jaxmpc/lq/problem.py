"""The linear-quadratic problem: matrices in."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float


class LQProblem(NamedTuple):
    """A time-varying linear-quadratic problem with cross and affine terms.

        minimise    sum_{t<T} 1/2 x'Q_t x + u'S_t x + 1/2 u'R_t u + q_t'x + r_t'u
                    + 1/2 x_T'Q_T x_T + q_T'x_T
        subject to  x_{t+1} = A_t x_t + B_t u_t + c_t,   x_0 = x0

    Q and R are symmetric; the terminal cost is the last entry of Q and q.

    Example:
        >>> lqr = jaxmpc.lq.LQProblem(
        ...     Q=jnp.ones((4, 1, 1)),
        ...     S=jnp.zeros((3, 1, 1)),
        ...     R=jnp.ones((3, 1, 1)),
        ...     q=jnp.zeros((4, 1)),
        ...     r=jnp.zeros((3, 1)),
        ...     A=jnp.ones((3, 1, 1)),
        ...     B=jnp.ones((3, 1, 1)),
        ...     c=jnp.zeros((3, 1)),
        ...     x0=jnp.ones(1),
        ... )
        >>> print(jaxmpc.lq.solve(lqr).states[:, 0])
        [1.    0.385 0.154 0.077]
    """

    Q: Float[Array, "T1 n n"]
    S: Float[Array, "T m n"]
    R: Float[Array, "T m m"]
    q: Float[Array, "T1 n"]
    r: Float[Array, "T m"]
    A: Float[Array, "T n n"]
    B: Float[Array, "T n m"]
    c: Float[Array, "T n"]
    x0: Float[Array, " n"]


class LQStage(NamedTuple):
    """The matrices of one stage, in `LQProblem`'s notation."""

    Q: Float[Array, "n n"]
    S: Float[Array, "m n"]
    R: Float[Array, "m m"]
    q: Float[Array, " n"]
    r: Float[Array, " m"]
    A: Float[Array, "n n"]
    B: Float[Array, "n m"]
    c: Float[Array, " n"]


def stages(problem: LQProblem) -> LQStage:
    """All stages but the terminal one, stacked along time."""
    return LQStage(problem.Q[:-1], problem.S, problem.R, problem.q[:-1], problem.r, *problem[5:8])


def from_joint(
    C: Float[Array, "T1 z z"] | Float[Array, "T z z"],
    c: Float[Array, "T1 z"] | Float[Array, "T z"],
    F: Float[Array, "T n z"],
    f: Float[Array, "T n"] | None,
    x0: Float[Array, " n"],
) -> LQProblem:
    """An `LQProblem` from matrices over the joint vector z = [x; u], as mpc.pytorch has them.

        minimise    sum_t 1/2 z_t'C_t z_t + c_t'z_t
        subject to  x_{t+1} = F_t z_t + f_t

    With as many stages of cost as of dynamics there is no terminal cost. With one more cost than
    dynamics, the last cost's x-block is the terminal cost (its control minimises nothing here).
    mpc.pytorch's last control enters the cost alone: give it a last F of zeros for the same.

    Source: the argument convention of Amos et al. (2018).

    Differentiable in all of them: they are only taken apart.

    Raises:
        ValueError: C and c that have neither T nor T + 1 stages.

    Example:
        >>> C, c = jnp.stack([jnp.eye(2)] * 4), jnp.zeros((4, 2))
        >>> lqr = jaxmpc.lq.from_joint(C, c, F=jnp.ones((3, 1, 2)), f=None, x0=jnp.ones(1))
        >>> lqr.Q.shape, lqr.R.shape, lqr.B.shape
        ((4, 1, 1), (3, 1, 1), (3, 1, 1))
    """
    n, horizon = x0.shape[-1], F.shape[0]
    if C.shape[0] not in (horizon, horizon + 1) or c.shape[0] != C.shape[0]:
        raise ValueError(
            f"lq.from_joint: C and c need T or T + 1 stages for F's T = {horizon}; got C "
            f"{C.shape} and c {c.shape}."
        )
    Q, q = C[:, :n, :n], c[:, :n]
    if C.shape[0] == horizon:
        Q = jnp.concatenate([Q, jnp.zeros_like(Q[:1])])
        q = jnp.concatenate([q, jnp.zeros_like(q[:1])])
    stage = slice(0, horizon)
    return LQProblem(
        Q=Q,
        S=C[stage, n:, :n],
        R=C[stage, n:, n:],
        q=q,
        r=c[stage, n:],
        A=F[:, :, :n],
        B=F[:, :, n:],
        c=jnp.zeros_like(F[:, :, 0]) if f is None else f,
        x0=x0,
    )
