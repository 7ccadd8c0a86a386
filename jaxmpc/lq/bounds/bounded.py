"""LQ problems with bounded controls, solved exactly."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxmpc.lq.bounds.active_sides import active_sides
from jaxmpc.lq.differentiable import solve_with_factor
from jaxmpc.lq.problem import LQProblem
from jaxmpc.lq.riccati.choice import SEQUENTIAL, Recursion
from jaxmpc.lq.riccati.factorization import certain_factor
from jaxmpc.lq.riccati.sequential import LQSolution


def bounded_solution(
    problem: LQProblem,
    lower: Float[Array, "T m"],
    upper: Float[Array, "T m"],
    recursion: Recursion = SEQUENTIAL,
) -> LQSolution:
    """The minimiser over  lower <= u <= upper,  differentiable in the problem and the bounds.

    Bounds may be infinite, or equal. NaN where the active set was not found, as of a problem that
    is not convex.
    """
    free = jnp.zeros_like(lower, dtype=jnp.int32)
    return bounded_solution_near(problem, lower, upper, free, recursion)[0]


def bounded_solution_near(
    problem: LQProblem,
    lower: Float[Array, "T m"],
    upper: Float[Array, "T m"],
    guess: Int[Array, "T m"],
    recursion: Recursion = SEQUENTIAL,
) -> tuple[LQSolution, Int[Array, "T m"]]:
    """`bounded_solution` from a guess of the sides of the controls, and the sides it found."""
    plain = jax.lax.stop_gradient((problem, lower, upper))
    side, found = active_sides(*plain, guess, recursion)
    fixed = jnp.where(side < 0, lower, 0.0) + jnp.where(side > 0, upper, 0.0)
    solution = solve_with_factor(problem, certain_factor(plain[0], side == 0, recursion), fixed)
    worth = jnp.where(found, 1.0, jnp.nan).astype(fixed.dtype)  # of the derivatives as well
    return jax.tree.map(lambda leaf: worth * leaf, solution), side
