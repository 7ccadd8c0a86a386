"""LQ problems with linear equality rows, solved by the method of multipliers, differentiable.

The rows J z = b enter the Hessian as J'J / delta. With the small delta used here each
substitution is all but exact and the next ones correct what is left, so that rows that depend
on each other, or none at all, need no case of their own.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmpc.lq.differentiable import adjoint_problem, control_gradient, lagrangian
from jaxmpc.lq.problem import LQProblem
from jaxmpc.lq.riccati.choice import SEQUENTIAL, Recursion
from jaxmpc.lq.riccati.factorization import certain_factor, substitute
from jaxmpc.lq.riccati.sequential import Factor, LQSolution
from jaxmpc.lq.rows import Jacobian, Rows, every_state


def dual_regularization(dtype) -> float:
    """delta: as small as rounding in J'J / delta allows."""
    return float(jnp.finfo(dtype).eps ** 0.5)


def penalised(problem: LQProblem, jacobian: Jacobian) -> LQProblem:
    """The problem with J'J / delta in its Hessian."""
    delta = dual_regularization(problem.q.dtype)
    n = problem.q.shape[1]
    weights = Rows(
        jnp.full_like(jacobian.stage[:, :, 0], 1 / delta),
        jnp.full_like(jacobian.terminal[:, 0], 1 / delta),
    )
    stages, last = jacobian.squared(weights)
    Q = problem.Q + every_state(stages[:, :n, :n], last)
    return problem._replace(Q=Q, S=problem.S + stages[:, n:, :n], R=problem.R + stages[:, n:, n:])


def constrained_factor(
    problem: LQProblem, jacobian: Jacobian, free, recursion: Recursion = SEQUENTIAL
) -> Factor:
    """The factor that `solve_rows` needs."""
    return certain_factor(penalised(problem, jacobian), free, recursion)


@jax.custom_vjp
def solve_rows(
    problem: LQProblem,
    jacobian: Jacobian,
    values: Rows,
    matrices: Factor,
    fixed: Float[Array, "T m"],
) -> tuple[LQSolution, Rows]:
    """The minimiser subject to J [x; u] = values as well, and the multipliers of these rows.

    Differentiable, to any order, in everything but `matrices`, which must be those of
    `constrained_factor`.
    """
    solution, multipliers = multiplier_steps(problem, jacobian, values, matrices, fixed)
    if not any(leaf.size for leaf in values):
        return solution, multipliers
    # Once more for what is left of the KKT conditions: J z - values is rounded, and delta divides.
    point = (solution.states, solution.controls, solution.costates)
    q, r, defects = jax.grad(lagrangian, (1, 2, 3))(problem, *point)
    stages, last = jacobian.transposed_times(multipliers)
    n = problem.q.shape[1]
    homogeneous = problem._replace(
        q=q + every_state(stages[:, :n], last),
        r=jnp.where(matrices.free, r + stages[:, n:], 0.0),
        c=defects[1:],
        x0=defects[0],
    )
    missing = jax.tree.map(jnp.subtract, values, _reached(jacobian, solution))
    still = jnp.zeros_like(fixed)
    change, more = multiplier_steps(homogeneous, jacobian, missing, matrices, still)
    better = [a + b for a, b in zip(point, change[:3], strict=True)]
    solution = solution._replace(states=better[0], controls=better[1], costates=better[2])
    return solution, jax.tree.map(jnp.add, multipliers, more)


def multiplier_steps(
    problem: LQProblem,
    jacobian: Jacobian,
    values: Rows,
    matrices: Factor,
    fixed: Float[Array, "T m"],
    steps: int = 2,
) -> tuple[LQSolution, Rows]:
    """Steps of the method of multipliers from multipliers of zero."""
    delta = dual_regularization(problem.q.dtype)
    n = problem.q.shape[1]
    convexified = penalised(problem, jacobian)
    multipliers = jax.tree.map(jnp.zeros_like, values)
    solution = None
    for _ in range(steps if any(leaf.size for leaf in values) else 1):
        pull = jax.tree.map(lambda y, b: y - b / delta, multipliers, values)
        stages, last = jacobian.transposed_times(pull)
        pulled = convexified._replace(
            q=problem.q + every_state(stages[:, :n], last),
            r=problem.r + stages[:, n:],
        )
        solution = substitute(pulled, matrices, fixed)
        reached = _reached(jacobian, solution)
        multipliers = jax.tree.map(
            lambda y, a, b: y + (a - b) / delta, multipliers, reached, values
        )
    assert solution is not None
    return solution, multipliers


def _reached(jacobian: Jacobian, solution: LQSolution) -> Rows:
    stages = jnp.concatenate([solution.states[:-1], solution.controls], axis=1)
    return jacobian.times(stages, solution.states[-1])


def _forward(problem, jacobian, values, matrices, fixed):
    # The wrapped function itself, so that its result carries a derivative of its own.
    result = solve_rows(problem, jacobian, values, matrices, fixed)
    return result, (problem, jacobian, values, matrices, result)


def _backward(residuals, cotangents):
    problem, jacobian, values, matrices, (solution, multipliers) = residuals
    bar, rows_bar = cotangents
    adjoint = adjoint_problem(problem, bar.states, bar.controls, bar.costates)
    still = jnp.zeros_like(solution.controls)
    direction, along = solve_rows(adjoint, jacobian, rows_bar, matrices, still)
    point = (solution.states, solution.controls, solution.costates, multipliers)
    toward = (direction.states, direction.controls, direction.costates, along)

    def slope(problem, jacobian, values):
        def value(states, controls, costates, rows):
            stage_z = jnp.concatenate([states[:-1], controls], axis=1)
            reached = jacobian.times(stage_z, states[-1])
            balance = sum(
                jnp.sum(y * (a - b)) for y, a, b in zip(rows, reached, values, strict=True)
            )
            return lagrangian(problem, states, controls, costates) + balance

        return jax.jvp(value, point, toward)[1]

    gradient = jax.grad(slope, (0, 1, 2))(problem, jacobian, values)
    gradient = jax.tree.map(jnp.negative, gradient)
    stages, _ = jacobian.transposed_times(along)
    n = problem.q.shape[1]
    pushed = control_gradient(adjoint, direction, linear=False) + stages[:, n:]
    d_fixed = jnp.where(matrices.free, 0.0, bar.controls - pushed)
    return *gradient, None, d_fixed


solve_rows.defvjp(_forward, _backward)
