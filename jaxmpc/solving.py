"""`solve`: one problem, one differentiable solution."""

import contextlib

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxmpc.arguments import check_arguments, check_warm_start
from jaxmpc.derivatives.adjoint import ImplicitAdjoint, UnrolledAdjoint
from jaxmpc.derivatives.implicit import differentiable
from jaxmpc.derivatives.instance import Instance
from jaxmpc.derivatives.smoothing import smoothed
from jaxmpc.problem import Problem
from jaxmpc.problem.closures import self_contained
from jaxmpc.solution import Solution
from jaxmpc.solvers.ilqr import ILQR
from jaxmpc.solvers.interior_point import InteriorPoint
from jaxmpc.solvers.loop import Guess, Solver, WarmStart, run, unroll
from jaxmpc.solvers.sqp import SQP


def solve(
    problem: Problem,
    x0: Float[Array, " n"],
    params: PyTree = None,
    *,
    controls: Float[Array, "T m"] | None = None,
    states: Float[Array, "T1 n"] | None = None,
    warm_start: Solution | None = None,
    solver: Solver | None = None,
    adjoint: ImplicitAdjoint | UnrolledAdjoint = ImplicitAdjoint(),
) -> Solution:
    """Find the controls that minimise the problem's cost; the result is differentiable.

    Works under `jit`, `vmap` and `grad`, and compiles itself when called outside of them (once
    per problem, shapes and solver; like any traced function the problem's must be pure).

    Args:
        problem: what to solve.
        x0: [n] floating point, the initial state; its dtype is that of the whole computation.
        params: any pytree; passed to the problem's functions.
        controls: [T, m], where to start; zeros by default. Moved inside the bounds; entries
            that are not finite become zero, so a failed solution is a safe guess.
        states: [T+1, n], guessed states, which need not satisfy the dynamics.
        warm_start: an earlier solution of a problem of the same sizes; `controls` and `states`
            override it. Its multipliers are used too if it converged, and its states, both
            but by `ILQR`, which rolls its controls out.
        solver: None picks one: `InteriorPoint()` for problems with constraints other than control
            bounds, `SQP()` for the others. `ILQR()` is the one to try for large batches of
            short problems whose dynamics are stable: quicker there, lost more easily elsewhere.
        adjoint: how the solution is differentiated.

    Returns:
        A `Solution`. Whatever went wrong with the numbers is in its `status`.

    Differentiable (reverse mode, any order) with respect to x0, every floating-point leaf of
    `params`, all bounds, the prices of soft constraints, and every value that the problem's
    functions close over. Guesses and warm starts have zero derivatives. For forward mode see
    `solution_jvp`.

    Raises:
        TypeError, ValueError: when tracing, naming the argument, what came, what was wanted.

    Sources: Amos, Jimenez, Sacks, Boots and Kolter (2018), 'Differentiable MPC for end-to-end
    planning and control'. The solvers name theirs.
    """
    x0 = check_arguments("jaxmpc.solve", problem, x0, controls, states, warm_start, solver, adjoint)
    solver = solver or default_solver(problem)
    problem, params, lasting = self_contained(problem, x0, params)
    check_warm_start("jaxmpc.solve", problem, x0, params, warm_start)
    guess = guess_of(solver, controls, states, warm_start)
    function = _compiled if lasting else _solve
    with forward_mode_explained():
        return function(solver, adjoint, problem, x0, params, guess)


@contextlib.contextmanager
def forward_mode_explained():
    """Adds to JAX's words on `custom_vjp` what to do instead."""
    try:
        yield
    except TypeError as error:
        if "custom_vjp" in str(error):
            error.add_note(
                "jaxmpc: a solution has reverse-mode derivatives, of any order (jax.grad, vjp, "
                "jacrev; a Hessian is jacrev of jacrev). For jax.jvp, jacfwd, linearize and "
                "jax.hessian there is jaxmpc.solution_jvp."
            )
        raise


def default_solver(problem: Problem) -> SQP | InteriorPoint:
    """What solves a problem unless somebody says otherwise."""
    return InteriorPoint() if problem.has_general_constraints else SQP()


def guess_of(solver, controls, states, warm_start: Solution | None) -> tuple:
    """The parts of a guess that the solver uses; None where nothing is known."""
    dual = None
    if warm_start is not None:
        controls = warm_start.controls if controls is None else controls
        if not isinstance(solver, ILQR):
            states = warm_start.states if states is None else states
            dual = WarmStart(
                warm_start.costates, warm_start.multipliers, warm_start.scales, warm_start.converged
            )
    return controls, states, dual


def _solve(solver, adjoint, problem: Problem, x0, params, guess) -> Solution:
    guess = full_guess(problem, x0, guess)
    given = (problem, x0, params)
    if isinstance(adjoint, UnrolledAdjoint):
        return unroll(solver, problem, x0, params, guess, adjoint.iterations)
    return attached(adjoint, given, run(solver, *jax.lax.stop_gradient(given), guess))


_compiled = jax.jit(_solve)


def attached(adjoint: ImplicitAdjoint, given: tuple, point: Solution) -> Solution:
    """The solution that a solver's point is, with its derivative in (problem, x0, params)."""
    rule = smoothed if adjoint.smoothing else differentiable
    problem, x0, params = given
    return rule(adjoint, Instance(problem, x0, params, point.scales), point)


def full_guess(problem: Problem, x0, guess) -> Guess:
    """A full guess without derivatives and without numbers that are not finite."""
    controls, states, dual = guess
    shape = (problem.horizon, problem.control_dim)
    controls = jnp.zeros_like(x0, shape=shape) if controls is None else controls
    controls = jnp.asarray(controls, x0.dtype)
    controls = jnp.where(jnp.isfinite(controls), controls, 0.0)
    if states is not None:
        states = jnp.asarray(states, x0.dtype)
        states = jnp.where(jnp.isfinite(states), states, x0)
    return Guess(*jax.lax.stop_gradient((controls, states, dual)))
