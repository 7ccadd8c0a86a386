"""`solve`: one problem, one differentiable solution; and its parts, for who owns the loop."""

from typing import Any, NamedTuple

import jax
from jaxtyping import Array, Float, PyTree

from jaxmpc.arguments import (
    ELSEWHERE,
    check_arguments,
    check_on_space,
    check_warm_start,
    forward_mode_explained,
    refuse_off_space,
    refuse_to_unroll,
)
from jaxmpc.checks import check_type
from jaxmpc.compilation import at_top_level, compiled
from jaxmpc.derivatives.adjoint import ImplicitAdjoint, UnrolledAdjoint
from jaxmpc.derivatives.charts import in_chart, out_of_chart, told_off
from jaxmpc.derivatives.implicit import differentiable
from jaxmpc.derivatives.instance import Instance
from jaxmpc.derivatives.smoothing import smoothed
from jaxmpc.presentation.keywords import names_its_arguments
from jaxmpc.problem import Problem
from jaxmpc.problem.closures import announced, self_contained
from jaxmpc.problem.functions import Split
from jaxmpc.solution import Solution
from jaxmpc.solvers import keys
from jaxmpc.solvers.guesses import full_guess, guess_of
from jaxmpc.solvers.interior_point import InteriorPoint
from jaxmpc.solvers.loop import Guess, Solver, checked_status, result_of, run, split_solver, unroll
from jaxmpc.solvers.sqp import SQP


@names_its_arguments("jaxmpc.solve", ELSEWHERE)
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
    key: Array | None = None,
) -> Solution:
    """Find the controls that minimise the problem's cost; the result is differentiable.

    Works under `jit`, `vmap` and `grad`, and compiles itself when called outside of them (once
    per problem, shapes and words of the solver, not for its numbers; like any traced function the
    problem's must be pure).

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
            Any other `Solver` will do.
        adjoint: how the solution is differentiated.
        key: a `jax.random.key`, for solvers that sample; the others have no use for it. Under
            `vmap` give each element its own.

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

    Example:
        >>> solution = jaxmpc.solve(problem, x0, params)
        >>> jaxmpc.Status(int(solution.status)).name, round(float(solution.cost), 2)
        ('converged', 9.27)
        >>> def cost(mass):
        ...     return jaxmpc.solve(problem, x0, {"mass": mass}).cost
        >>> round(float(jax.grad(cost)(1.0)), 2)  # what a kilogram more would cost
        0.53
    """
    check_type("jaxmpc.solve", "adjoint", adjoint, ImplicitAdjoint | UnrolledAdjoint)
    guesses = (controls, states, warm_start)
    refuse_to_unroll("jaxmpc.solve", adjoint, solver)
    given, lasting = _checked("jaxmpc.solve", problem, x0, params, guesses, solver)
    function = _solve_compiled if lasting else _solve
    guess = _guess_of(problem, given.x0, guesses, keys.data_of("jaxmpc.solve", key))
    with forward_mode_explained():
        solution = function(adjoint, *given, guess)
    refuse_off_space("jaxmpc.solve", problem, solution)
    return solution


def initialize(
    problem: Problem,
    x0: Float[Array, " n"],
    params: PyTree = None,
    *,
    controls: Float[Array, "T m"] | None = None,
    states: Float[Array, "T1 n"] | None = None,
    warm_start: Solution | None = None,
    solver: Solver | None = None,
    key: Array | None = None,
) -> Any:
    """The first state of a solver, for a loop of your own.

        state = jaxmpc.initialize(problem, x0, params, solver=solver)
        step = jax.jit(solver.step)
        while solver.terminate(state) == -1:
            state = step(problem, params, state)
        solution = jaxmpc.finalize(problem, x0, params, state, solver=solver)

    That is `solve`, but for what its driver does: it holds the solver's `max_iterations`, and
    stops where a scalar of the state is NaN. The loop may stop whenever it wants.

    Args:
        problem, x0, params, controls, states, warm_start, key: as for `solve`.
        solver: the one whose `step` is called; None is what `solve` would pick,
            `jaxmpc.default_solver(problem)`.

    Returns:
        A pytree of arrays of fixed structure, which `solver.step` takes and returns. Without
        derivatives: `finalize` attaches those of the solution.

    Raises:
        TypeError, ValueError: when tracing, naming the argument, what came, what was wanted.

    Example:
        >>> solver = jaxmpc.default_solver(problem)
        >>> state = jaxmpc.initialize(problem, x0, params, solver=solver)
        >>> step = jax.jit(solver.step)
        >>> while solver.terminate(state) == -1:
        ...     state = step(problem, params, state)
        >>> bool(jaxmpc.finalize(problem, x0, params, state, solver=solver).converged)
        True
    """
    guesses = (controls, states, warm_start)
    given, lasting = _checked("jaxmpc.initialize", problem, x0, params, guesses, solver)
    function = _initialize_compiled if lasting else _initialize
    key = keys.data_of("jaxmpc.initialize", key)
    return function(*given, _guess_of(problem, given.x0, guesses, key))


def finalize(
    problem: Problem,
    x0: Float[Array, " n"],
    params: PyTree,
    state: Any,
    *,
    solver: Solver | None = None,
    adjoint: ImplicitAdjoint = ImplicitAdjoint(),
) -> Solution:
    """The solution that a solver's state has found so far, differentiable as that of `solve`.

    Args:
        problem, x0, params, solver: those of `initialize`.
        state: what `solver.step` returned last.
        adjoint: how the solution is differentiated.

    Returns:
        The last point that was judged. Before the solver has terminated its status is
        `max_iterations`, and its residuals say how far it has come. Before its first step that is
        the guess, of which nobody knows what it costs: inf.

    Raises:
        TypeError, ValueError: when tracing, naming the argument, what came, what was wanted.

    Example:
        >>> state = jaxmpc.initialize(problem, x0, params)
        >>> found = jaxmpc.finalize(problem, x0, params, state)  # before the first step
        >>> jaxmpc.Status(int(found.status)).name, float(found.cost)
        ('max_iterations', inf)
    """
    check_type("jaxmpc.finalize", "adjoint", adjoint, ImplicitAdjoint)
    guesses = (None, None, None)
    given, lasting = _checked("jaxmpc.finalize", problem, x0, params, guesses, solver)
    function = _finalize_compiled if lasting else _finalize
    with forward_mode_explained():
        return function(adjoint, *given, state)


class _Given(NamedTuple):
    """What is solved, and by what."""

    split: Split  # the solver
    problem: Problem
    x0: Float[Array, " n"]
    params: PyTree


def _checked(
    owner: str, problem: Problem, x0, params, guesses: tuple[Any, Any, Any], solver: Solver | None
) -> tuple[_Given, bool]:
    """What a call was given, once that is checked, and whether to keep its program."""
    x0 = check_arguments(owner, problem, x0, *guesses, solver)
    check_on_space(owner, problem, x0, guesses[1])
    solver = solver or default_solver(problem)
    problem, params, lasting = self_contained(problem, x0, params)
    if not at_top_level():
        check_warm_start(owner, problem, x0, params, guesses[-1])
    return _Given(split_solver(solver), problem, x0, params), lasting


def default_solver(problem: Problem) -> SQP | InteriorPoint:
    """What solves a problem unless somebody says otherwise.

    Example:
        >>> type(jaxmpc.default_solver(problem)).__name__
        'SQP'
    """
    return InteriorPoint() if problem.has_general_constraints else SQP()


def _guess_of(problem: Problem, x0, guesses: tuple, key: Array | None) -> Guess:
    controls, states, warm_start = guesses
    shape = (problem.horizon, problem.control_dim)
    return guess_of(shape, x0.dtype, controls, states, warm_start, key)


def _solve(adjoint, split: Split, problem: Problem, x0, params, guess) -> Solution:
    guess = full_guess(problem, x0, guess)
    given = (problem, x0, params)
    if isinstance(adjoint, UnrolledAdjoint):
        return unroll(split.whole(), problem, x0, params, guess, adjoint.iterations)
    solver = jax.lax.stop_gradient(split).whole()
    return attached(adjoint, given, run(solver, *jax.lax.stop_gradient(given), guess))


def _initialize(split: Split, problem: Problem, x0, params, guess):
    problem, x0, params, guess = jax.lax.stop_gradient((problem, x0, params, guess))
    guess = full_guess(problem, x0, guess)
    return split.whole().init(problem, problem.projected(x0), params, guess)


def _finalize(adjoint, split: Split, problem: Problem, x0, params, state) -> Solution:
    solver, given = split.whole(), (problem, x0, params)
    problem, params, state = jax.lax.stop_gradient((problem, params, state))
    try:
        solution = result_of(solver, problem, params, state)
    except (AttributeError, TypeError, ValueError) as error:
        error.add_note(
            "jaxmpc.finalize: state must be what step of this solver "
            f"({type(solver).__name__}) returned for this problem; got {type(state).__name__}."
        )
        raise
    solution = solution.ended(checked_status(solver, state), solution.iterations)
    solution = solution.compact(problem).expanded(problem)
    return attached(adjoint, given, solution)


def _announced(what: str, owner: str, given: _Given, warm_start=None) -> str:
    words = announced(what, *given[1:])
    check_warm_start(owner, *given[1:], warm_start)
    return words


_solve_compiled = compiled(
    _solve,
    lambda _, *given: _announced("a solve", "jaxmpc.solve", _Given(*given[:4]), given[4].warm),
)
_initialize_compiled = compiled(
    _initialize,
    lambda *given: _announced("a start", "jaxmpc.initialize", _Given(*given[:4]), given[4].warm),
)
_finalize_compiled = compiled(
    _finalize, lambda _, *given: _announced("an end", "jaxmpc.finalize", _Given(*given[:4]))
)


def attached(adjoint: ImplicitAdjoint, given: tuple, solution: Solution) -> Solution:
    """What a solver returned, with its derivative in (problem, x0, params)."""
    rule = smoothed if adjoint.smoothing else differentiable
    problem, x0, params = given
    instance = Instance(problem, x0, params, solution.scales)
    if problem.state_space is None:
        return rule(adjoint, instance, solution)
    solution = told_off(problem, params, solution)
    local, inside = in_chart(instance, solution)
    return out_of_chart(problem, solution, rule(adjoint, local, inside))
