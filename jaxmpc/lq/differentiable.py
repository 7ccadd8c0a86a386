"""Solving an LQ problem as a differentiable function: the derivative reuses the factor."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmpc.lq.problem import LQProblem
from jaxmpc.lq.riccati.factorization import substitute
from jaxmpc.lq.riccati.sequential import Factor, LQSolution
from jaxmpc.lq.small_linalg import stagewise, stagewise_transposed

Primal = tuple[Float[Array, "T1 n"], Float[Array, "T m"], Float[Array, "T1 n"]]


@jax.custom_vjp
def solve_with_factor(problem: LQProblem, factor: Factor, fixed: Float[Array, "T m"]) -> LQSolution:
    """`substitute` with a derivative: that of the KKT system, in `problem` and `fixed`.

    The KKT matrix is symmetric, so the adjoint system is another LQ problem with the same
    matrices and one more substitution solves it. The factor says how to solve and not what: its
    cotangent is zero, and the gains of the result carry no derivative.
    """
    return substitute(problem, factor, fixed)


def _forward(problem, factor, fixed):
    # The wrapped function itself, so that its result carries a derivative of its own.
    solution = solve_with_factor(problem, factor, fixed)
    return solution, (problem, factor, solution)


def _backward(residuals, cotangent: LQSolution):
    problem, factor, solution = residuals
    adjoint = adjoint_problem(problem, cotangent.states, cotangent.controls, cotangent.costates)
    fixed = jnp.zeros_like(solution.controls)
    direction = solve_with_factor(adjoint, factor, fixed)
    # d/d(problem) of the Lagrangian's derivative along the adjoint direction.
    point = (solution.states, solution.controls, solution.costates)
    toward = (direction.states, direction.controls, direction.costates)

    def slope(problem):
        return jax.jvp(lambda point: lagrangian(problem, *point), (point,), (toward,))[1]

    d_problem = jax.tree.map(jnp.negative, jax.grad(slope)(problem))
    # A fixed control moves everything else and itself.
    d_fixed = cotangent.controls - control_gradient(adjoint, direction, linear=False)
    d_fixed = jnp.where(factor.free, 0.0, d_fixed)
    return d_problem, None, d_fixed


solve_with_factor.defvjp(_forward, _backward)


def adjoint_problem(problem: LQProblem, states_bar, controls_bar, costates_bar) -> LQProblem:
    """The LQ problem whose solution d solves  K d = (states_bar, controls_bar, costates_bar)."""
    return problem._replace(
        q=-states_bar, r=-controls_bar, c=-costates_bar[1:], x0=-costates_bar[0]
    )


def lagrangian(problem: LQProblem, states, controls, costates):
    """cost + sum_t lambda_{t+1} . (A x + B u + c - x_{t+1}) + lambda_0 . (x0 - x_0)."""
    Q, S, R, q, r, A, B, c, x0 = problem
    quadratic = 0.5 * jnp.einsum("ti,tij,tj", states, Q, states)
    quadratic += jnp.einsum("ti,tij,tj", controls, S, states[:-1])
    quadratic += 0.5 * jnp.einsum("ti,tij,tj", controls, R, controls)
    linear = jnp.sum(q * states) + jnp.sum(r * controls)
    x_next = stagewise(A, states[:-1]) + stagewise(B, controls) + c
    defects = jnp.sum(costates[1:] * (x_next - states[1:]))
    return quadratic + linear + defects + jnp.sum(costates[0] * (x0 - states[0]))


def control_gradient(problem: LQProblem, solution: LQSolution, linear=True) -> Float[Array, "T m"]:
    """The Lagrangian's gradient in the controls: minus the multiplier of a fixed control."""
    gradient = stagewise(problem.S, solution.states[:-1])
    gradient += stagewise(problem.R, solution.controls)
    gradient += stagewise_transposed(problem.B, solution.costates[1:])
    return gradient + problem.r if linear else gradient
