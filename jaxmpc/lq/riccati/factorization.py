"""Factor once, solve for any affine terms: by whichever form of the recursion is chosen."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxmpc.lq.problem import LQProblem
from jaxmpc.lq.riccati import parallel, sequential
from jaxmpc.lq.riccati.choice import SEQUENTIAL, Recursion
from jaxmpc.lq.riccati.sequential import Factor, LQSolution
from jaxmpc.lq.small_linalg import stagewise, stagewise_transposed


def factor(
    problem: LQProblem, free: Bool[Array, "T m"] | None = None, recursion: Recursion = SEQUENTIAL
) -> Factor:
    """The factor of a problem's matrices.

    `free` says which controls may move; the others are held at zero (see `substitute` for other
    values). Where the problem is not convex, `Factor.is_convex` is False and the rest means
    nothing. The parallel form says so too where it has lost too many digits.
    """
    if recursion.block is None:
        return sequential.factor(problem, free)
    return parallel.factor(problem, free, recursion.block)._replace(recursion=recursion)


def certain_factor(
    problem: LQProblem, free: Bool[Array, "T m"] | None = None, recursion: Recursion = SEQUENTIAL
) -> Factor:
    """`factor`, by the sequential recursion where the parallel one has lost too many digits.

    For who cannot answer a failure with a larger regularization. Under `vmap` both run.
    """
    found = factor(problem, free, recursion)
    if recursion.block is None:
        return found

    def again():
        return sequential.factor(problem, found.free)._replace(recursion=recursion)

    return jax.lax.cond(found.is_convex(), lambda: found, again)


def substitute(
    problem: LQProblem, factor: Factor, fixed: Float[Array, "T m"] | None = None
) -> LQSolution:
    """Minimise with a factor that was computed earlier for the same matrices.

    `fixed` [T, m] holds the values of the controls that are not free. The form of the recursion
    is the factor's.
    """
    affine = problem
    if fixed is not None:
        fixed = jnp.where(factor.free, 0.0, fixed)
        affine = problem._replace(
            q=problem.q + jnp.pad(stagewise_transposed(problem.S, fixed), ((0, 1), (0, 0))),
            r=problem.r + stagewise(problem.R, fixed),
            c=problem.c + stagewise(problem.B, fixed),
        )
    block = factor.recursion.block
    if block is None:
        solution = sequential.substitute(affine, factor)
    else:
        solution = parallel.substitute(affine, factor, block)
    if fixed is None:
        return solution
    return solution._replace(
        controls=solution.controls + fixed, feedforward=solution.feedforward + fixed
    )
