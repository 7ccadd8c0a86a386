"""The backward pass with bounded controls: control-limited differential dynamic programming."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxmpc.lq.bounds.box_qp import box_qp
from jaxmpc.lq.problem import LQProblem, stages
from jaxmpc.lq.riccati.sequential import linear_part, masked_solve, quadratic_part, value_hessian
from jaxmpc.lq.small_linalg import matmul, matvec


class Policy(NamedTuple):
    """An affine policy du = k + K dx that respects bounds on du, and the decrease it predicts.

    A step of size s is predicted to lower the cost by  -(s * slope + s^2/2 * curvature).

    Example:
        >>> lq, limit = jaxmpc.lq, 0.5 * jnp.ones((3, 1))
        >>> costs = jnp.stack([jnp.eye(2)] * 4), jnp.ones((4, 2))
        >>> lqr = lq.from_joint(*costs, jnp.ones((3, 1, 2)), None, jnp.ones(1))
        >>> policy = lq.control_limited_policy(lqr, -limit, limit, jnp.zeros(1))
        >>> bool(policy.definite), bool(policy.expected_decrease(1.0) > 0)
        (True, True)
    """

    k: Float[Array, "T m"]
    K: Float[Array, "T m n"]
    side: Int[Array, "T m"]  # -1 / 1: k reaches the lower / upper bound and K is zero there
    slope: Float[Array, ""]
    curvature: Float[Array, ""]
    definite: Bool[Array, ""]

    def expected_decrease(self, step_size):
        """How much the quadratic model falls along the policy."""
        return -(step_size * self.slope + 0.5 * step_size**2 * self.curvature)


def control_limited_policy(
    problem: LQProblem,
    lower: Float[Array, "T m"],
    upper: Float[Array, "T m"],
    regularization: Float[Array, " m"],
) -> Policy:
    """Minimise each stage's Q-function over its box; feed back through the free controls only.

    `problem` is in deviations from a trajectory (its c and x0 are not read), and
    lower <= 0 <= upper. diag(`regularization`) is added to Quu: a proximal term on the
    controls. Where some stage has no minimiser `definite` is False and the policy zero.

    Source: Tassa, Mansard and Todorov (2014), section III.

    Example:
        >>> lq, limit = jaxmpc.lq, 0.5 * jnp.ones((3, 1))
        >>> costs = jnp.stack([jnp.eye(2)] * 4), jnp.ones((4, 2))
        >>> lqr = lq.from_joint(*costs, jnp.ones((3, 1, 2)), None, jnp.ones(1))
        >>> policy = lq.control_limited_policy(lqr, -limit, limit, jnp.zeros(1))
        >>> print(policy.k[:, 0], policy.side[:, 0])  # all controls at their lower bounds
        [-0.5 -0.5 -0.5] [-1 -1 -1]
    """
    problem = problem._replace(c=jnp.zeros_like(problem.c))
    proximal = jnp.diag(regularization)

    def step(carry, inputs):
        V, v, slope, curvature, definite = carry
        stage, low, high = inputs
        Qxx, Qux, Quu = quadratic_part(V, stage)
        Qx, Qu = linear_part(V, v, stage)
        k, side, factor = box_qp(Quu + proximal, Qu, low, high)
        K = -masked_solve(factor, side == 0, Qux)
        curved = matvec(Quu, k)
        slope, curvature = slope + jnp.dot(k, Qu), curvature + jnp.dot(k, curved)
        definite = definite & factor.is_positive()
        # The policy need not minimise the Q-function (the proximal term), so its value is
        # that of the policy itself and not the shorter form that assumes a minimiser.
        V = value_hessian(Qxx, matmul(Quu, K) + 2 * Qux, K)
        v = Qx + matvec(K.T, curved + Qu) + matvec(Qux.T, k)
        return (V, v, slope, curvature, definite), (k, K, side)

    zero = jnp.zeros_like(problem.q[0, 0])
    start = (problem.Q[-1], problem.q[-1], zero, zero, zero == 0)
    (_, _, slope, curvature, definite), (k, K, side) = jax.lax.scan(
        step, start, (stages(problem), lower, upper), reverse=True
    )
    k, K = jnp.where(definite, k, 0.0), jnp.where(definite, K, 0.0)
    # Beyond a stage without a minimiser the recursion may grow until it is no number: that is not
    # to be taken for Hessians that are none, which stay to be seen.
    overgrown = ~definite & jnp.isfinite(sum(jnp.sum(part) for part in problem[:3]))
    slope, curvature = (jnp.where(overgrown, 0.0, part) for part in (slope, curvature))
    return Policy(k, K, side, slope, curvature, definite)
