"""The policy of an iteration whose backward pass is parallel in time.

A stage's box can only be respected stage by stage by a recursion that is sequential. Here the LQ
problem is solved over all boxes at once: its active set is found first, by whole recursions, and
given that the policy is one more.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxmpc import trees
from jaxmpc.lq.bounds.active_sides import active_sides
from jaxmpc.lq.bounds.control_limited import Policy
from jaxmpc.lq.problem import LQProblem
from jaxmpc.lq.riccati.choice import Recursion
from jaxmpc.lq.riccati.factorization import factor, substitute


def bounded_policy(
    problem: LQProblem,
    lower: Float[Array, "T m"],
    upper: Float[Array, "T m"],
    regularization: Float[Array, " m"],
    guess: Int[Array, "T m"],
    recursion: Recursion,
) -> Policy:
    """Minimise over  lower <= u <= upper  from x_0 = 0; feed back through the free controls only.

    `problem` is in deviations from a trajectory (its c and x0 are not read), and
    lower <= 0 <= upper. diag(`regularization`) is added to R: a proximal term on the controls.
    `guess` is where the controls are thought to be. Where the problem has no minimiser
    `definite` is False and the policy zero.
    """
    problem = problem._replace(c=jnp.zeros_like(problem.c), x0=jnp.zeros_like(problem.x0))
    proximal = problem._replace(R=problem.R + jnp.diag(regularization)[None])
    constants = jax.lax.stop_gradient((proximal, lower, upper, guess))
    side, found = active_sides(*constants, recursion)
    fixed = jnp.where(side < 0, lower, 0.0) + jnp.where(side > 0, upper, 0.0)
    matrices = factor(proximal, side == 0, recursion)
    solution = substitute(proximal, matrices, fixed)
    states, controls = solution.states, solution.controls
    curvature = jnp.einsum("ti,tij,tj", states, problem.Q, states)
    curvature += 2 * jnp.einsum("ti,tij,tj", controls, problem.S, states[:-1])
    curvature += jnp.einsum("ti,tij,tj", controls, problem.R, controls)
    slope = jnp.sum(problem.q * states) + jnp.sum(problem.r * controls)
    definite = found & matrices.is_convex()
    k, K = solution.feedforward, solution.feedback
    policy = Policy(k, K, side, slope, curvature, definite)
    none = jax.tree.map(jnp.zeros_like, policy)
    return trees.where(definite, policy, none)
