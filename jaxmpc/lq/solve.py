"""`lq.solve`: matrices in, trajectory out."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmpc.lq.bounded import bounded_solution
from jaxmpc.lq.differentiable import solve_with_factor
from jaxmpc.lq.problem import LQProblem
from jaxmpc.lq.riccati import Factor, LQSolution, factor as factorize


def solve(
    problem: LQProblem,
    lower: Float[Array, "T m"] | Float[Array, " m"] | float | None = None,
    upper: Float[Array, "T m"] | Float[Array, " m"] | float | None = None,
    *,
    factor: Factor | None = None,
) -> LQSolution:
    """Minimise a convex LQ problem, with optional bounds on the controls.

    Args:
        problem: the matrices; only the symmetric parts of Q and R count.
        lower, upper: None, a scalar, [m] or [T, m]; infinite entries are allowed.
        factor: an earlier `lq.factor` of the same matrices, to solve for new q, r, c and x0
            without factorising again. Its free controls are the only ones that move. Not
            together with bounds.

    Returns:
        states, controls and costates, differentiable in every matrix, x0 and the bounds (the
        derivative reuses the factor); and the policy's gains, which carry no derivative.

    Raises:
        ValueError: for shapes that do not fit, or bounds together with a factor.

    Sources: Amos et al. (2018), section 3, for the derivative; Rao, Wright and Rawlings (1998)
    for interior points on this structure.
    """
    check_shapes(problem)
    problem = symmetric(problem)
    if lower is None and upper is None:
        factor = factorize(problem) if factor is None else factor
        factor = jax.lax.stop_gradient(factor)
        return solve_with_factor(problem, factor, jnp.zeros_like(problem.r))
    if factor is not None:
        raise ValueError("lq.solve: factor and bounds exclude each other; got both.")
    bounds = []
    for name, bound, missing in (("lower", lower, -jnp.inf), ("upper", upper, jnp.inf)):
        bound = jnp.asarray(missing if bound is None else bound, problem.r.dtype)
        if bound.shape not in ((), problem.r.shape[1:], problem.r.shape):
            raise ValueError(
                f"lq.solve: {name} must be a scalar, [m] or [T, m] = {problem.r.shape}; got "
                f"{bound.shape}."
            )
        bounds.append(jnp.broadcast_to(bound, problem.r.shape))
    return bounded_solution(problem, *bounds)


def symmetric(problem: LQProblem) -> LQProblem:
    """The problem with Q and R replaced by their symmetric parts: the same function."""

    def half(matrix):
        return 0.5 * (matrix + jnp.swapaxes(matrix, -1, -2))

    return problem._replace(Q=half(problem.Q), R=half(problem.R))


def check_shapes(problem: LQProblem):
    """Raise unless the matrices fit each other."""
    horizon, m = jnp.shape(problem.r)
    n = jnp.shape(problem.x0)[0]
    wanted = {
        "Q": (horizon + 1, n, n),
        "S": (horizon, m, n),
        "R": (horizon, m, m),
        "q": (horizon + 1, n),
        "r": (horizon, m),
        "A": (horizon, n, n),
        "B": (horizon, n, m),
        "c": (horizon, n),
        "x0": (n,),
    }
    for name, shape in wanted.items():
        matrix = getattr(problem, name)
        if jnp.shape(matrix) != shape:
            raise ValueError(
                f"lq.solve: {name} must have shape {shape} (T, n, m = {horizon}, {n}, {m} from r "
                f"and x0); got {jnp.shape(matrix)}."
            )
