"""`lq.solve`: matrices in, trajectory out."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxmpc.compilation import compiled
from jaxmpc.lq.bounds.bounded import bounded_solution
from jaxmpc.lq.differentiable import solve_with_factor
from jaxmpc.lq.problem import LQProblem
from jaxmpc.lq.riccati.choice import CHOICES, Recursion, choose
from jaxmpc.lq.riccati.factorization import certain_factor
from jaxmpc.lq.riccati.sequential import Factor, LQSolution


def solve(
    problem: LQProblem,
    lower: Float[Array, "T m"] | Float[Array, " m"] | float | None = None,
    upper: Float[Array, "T m"] | Float[Array, " m"] | float | None = None,
    *,
    factor: Factor | None = None,
    riccati: str = "auto",
) -> LQSolution:
    """Minimise a convex LQ problem, with optional bounds on the controls.

    Compiles itself when called outside of `jit`.

    Args:
        problem: the matrices; only the symmetric parts of Q and R count.
        lower, upper: None, a scalar, [m] or [T, m]; infinite entries are allowed.
        factor: an earlier `lq.factor` of the same matrices, to solve for new q, r, c and x0
            without factorising again. Its free controls are the only ones that move. Not
            together with bounds.
        riccati: "sequential" in time; "parallel" (associative scans, O(log T) after each other);
            "auto": the one that was measured to be faster at these sizes on this device.

    Returns:
        states, controls and costates, differentiable in every matrix, x0 and the bounds (the
        derivative reuses the factor); and the policy's gains, which carry no derivative. With
        bounds, NaN where the active set was not found, as of a problem that is not convex.

    Raises:
        ValueError: for shapes that do not fit, or bounds together with a factor.

    Sources: Amos et al. (2018), section 3, for the derivative; Rao, Wright and Rawlings (1998)
    for interior points on this structure; Särkkä and García-Fernández (2023) for the scans.

    Example:
        >>> C, c = jnp.stack([jnp.eye(2)] * 4), jnp.zeros((4, 2))
        >>> lqr = jaxmpc.lq.from_joint(C, c, jnp.ones((3, 1, 2)), None, jnp.ones(1))
        >>> print(jaxmpc.lq.solve(lqr).controls[:, 0])
        [-0.615 -0.231 -0.077]
        >>> print(jaxmpc.lq.solve(lqr, lower=-0.25).controls[:, 0])
        [-0.25 -0.25 -0.25]
    """
    check_shapes("lq.solve", problem)
    problem = symmetric(problem)
    recursion = choice(problem, riccati)
    if lower is None and upper is None:
        return _compiled_solution(problem, None, factor, recursion)
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
    return _compiled_solution(problem, tuple(bounds), None, recursion)


def _solution(
    problem: LQProblem,
    bounds: tuple[Array, Array] | None,
    factor: Factor | None,
    recursion: Recursion,
) -> LQSolution:
    if bounds is not None:
        return bounded_solution(problem, *bounds, recursion)
    factor = certain_factor(problem, None, recursion) if factor is None else factor
    factor = jax.lax.stop_gradient(factor)
    return solve_with_factor(problem, factor, jnp.zeros_like(problem.r))


def _sizes(problem: LQProblem) -> str:
    horizon, m, n = problem.S.shape
    return f"n={n}, m={m}, T={horizon}"


_compiled_solution = compiled(_solution, lambda problem, *_: f"lq.solve of {_sizes(problem)}")


def factor(
    problem: LQProblem, free: Bool[Array, "T m"] | None = None, *, riccati: str = "auto"
) -> Factor:
    """Factorise a problem's matrices, for `solve` to use with any q, r, c and x0.

    Args:
        problem: the matrices; only the symmetric parts of Q and R count.
        free: [T, m], which controls may move; the others are held at zero. None: all.
        riccati: as for `solve`.

    Returns:
        gains and value functions; `is_convex()` tells whether the problem has a minimiser.

    Raises:
        ValueError: for shapes that do not fit.

    Example:
        >>> C, c = jnp.stack([jnp.eye(2)] * 4), jnp.zeros((4, 2))
        >>> lqr = jaxmpc.lq.from_joint(C, c, jnp.ones((3, 1, 2)), None, jnp.ones(1))
        >>> factor = jaxmpc.lq.factor(lqr)
        >>> elsewhere = jaxmpc.lq.solve(lqr._replace(x0=jnp.array([2.0])), factor=factor)
        >>> print(elsewhere.states[:, 0])
        [2.    0.769 0.308 0.154]
    """
    check_shapes("lq.factor", problem)
    return _compiled_factor(symmetric(problem), free, choice(problem, riccati))


_compiled_factor = compiled(certain_factor, lambda problem, *_: f"lq.factor of {_sizes(problem)}")


def choice(problem: LQProblem, riccati: str) -> Recursion:
    """The form of the recursion for a problem of these sizes."""
    if riccati not in CHOICES:
        raise ValueError(f"lq: riccati must be one of {CHOICES}, got {riccati!r}.")
    return choose(riccati, problem.r.shape[0], problem.q.shape[1], problem.r.shape[1])


def symmetric(problem: LQProblem) -> LQProblem:
    """The problem with Q and R replaced by their symmetric parts: the same function."""

    def half(matrix):
        return 0.5 * (matrix + jnp.swapaxes(matrix, -1, -2))

    return problem._replace(Q=half(problem.Q), R=half(problem.R))


def check_shapes(owner: str, problem: LQProblem):
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
                f"{owner}: {name} must have shape {shape} (T, n, m = {horizon}, {n}, {m} from r "
                f"and x0); got {jnp.shape(matrix)}."
            )
