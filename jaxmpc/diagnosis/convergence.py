"""The course of a solve: what each iteration found, by a loop around the solver's steps."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from jaxmpc.compilation import at_top_level, compiled
from jaxmpc.problem import Problem
from jaxmpc.problem.closures import close_over_static
from jaxmpc.problem.functions import Split
from jaxmpc.solution import Solution
from jaxmpc.solvers.loop import RUNNING, Solver, checked_status, result_of, split_solver
from jaxmpc.solving import default_solver, finalize, initialize


@dataclasses.dataclass(frozen=True, eq=False)
class Convergence:
    """The course of one solve; `jaxmpc.plot.plot_convergence` draws it.

    Row 0 of each array is the guess, row k the point after k iterations; I is the number of
    iterations that led to the last one.

    Attributes:
        cost: [I+1], of the point, with the penalties of soft constraints.
        stationarity, feasibility, complementarity: [I+1], the scaled KKT residuals there.
        step_size: [I+1], which part of the proposed step was taken to get there: 1 is all of it, 0
            none. NaN of the guess.
        regularization: [I+1], the weight of the proximal term in the model of the next step.
        barrier: [I+1], the barrier parameter at the point, in units of the scaled cost.
        solution: what `solve` returns.

    The last three numbers are NaN where a solver has no such thing.

    Example:
        >>> course = jaxmpc.convergence(problem, x0, params)
        >>> course.cost.shape, course.step_size.shape, bool(course.solution.converged)
        ((2,), (2,), True)
    """

    cost: Float[np.ndarray, " I1"]
    stationarity: Float[np.ndarray, " I1"]
    feasibility: Float[np.ndarray, " I1"]
    complementarity: Float[np.ndarray, " I1"]
    step_size: Float[np.ndarray, " I1"]
    regularization: Float[np.ndarray, " I1"]
    barrier: Float[np.ndarray, " I1"]
    solution: Solution


class _Row(NamedTuple):
    """What is recorded of a state."""

    cost: Float[Array, ""]
    stationarity: Float[Array, ""]
    feasibility: Float[Array, ""]
    complementarity: Float[Array, ""]
    step_size: Float[Array, ""]
    regularization: Float[Array, ""]
    barrier: Float[Array, ""]


def convergence(
    problem: Problem,
    x0: Float[Array, " n"],
    params: PyTree = None,
    *,
    controls: Float[Array, "T m"] | None = None,
    states: Float[Array, "T1 n"] | None = None,
    warm_start: Solution | None = None,
    solver: Solver | None = None,
    key: Array | None = None,
) -> Convergence:
    """Solve one problem step by step, and record what each iteration found.

    A loop in Python around `initialize`, `solver.step` and `finalize`: three programs, whatever
    the number of iterations. It is for looking at one solve; `solve` is quicker, and the one with
    derivatives.

    Of any solver cost and residuals are recorded, as its `postprocess` says. Of its state also the
    scalars `step_size`, `weight` (of the proximal term) and `barrier`, if it has attributes of
    these names.

    Args:
        problem, x0, params, controls, states, warm_start, solver, key: as for `solve`.

    Returns:
        A `Convergence`.

    Raises:
        RuntimeError: inside of a transformation such as `jit`, where no loop can look at a status.
        TypeError, ValueError: naming the argument, what came, what was wanted.

    Example:
        >>> course = jaxmpc.convergence(problem, x0, params)
        >>> len(course.cost) == int(course.solution.iterations) + 1
        True
        >>> round(float(course.cost[-1]), 2), bool(course.stationarity[-1] < course.stationarity[0])
        (9.27, True)
    """
    if not at_top_level():
        raise RuntimeError(
            "jaxmpc.convergence: it looks at every iteration, and so cannot run inside of jit, "
            "vmap or grad; call it with concrete numbers."
        )
    guesses = {"controls": controls, "states": states, "warm_start": warm_start, "key": key}
    solver = default_solver(problem) if solver is None and isinstance(problem, Problem) else solver
    state: Any = initialize(problem, x0, params, solver=solver, **guesses)
    assert solver is not None  # what is no Problem has been refused
    problem_now, given = close_over_static(problem, params)
    split, rows = split_solver(solver), []
    status = int(checked_status(solver, state))
    while status == RUNNING and len(rows) <= int(solver.max_iterations):  # the last one judges
        state, status, row = _step_compiled(split, problem_now, given, state)
        rows.append(row)
        status = int(status)
    solution = finalize(problem, x0, params, state, solver=solver)
    columns = [np.array(column) for column in zip(*jax.device_get(rows), strict=True)]
    course = dict(zip(_Row._fields, columns or [np.zeros(0)] * len(_Row._fields), strict=True))
    course["step_size"][:1] = np.nan
    return Convergence(**course, solution=solution)


def _step(split: Split, problem: Problem, params: PyTree, state: Any):
    """A step, the status after it, and what it found."""
    solver = split.whole()
    state = solver.step(problem, params, state)
    found = result_of(solver, problem, params, state)

    def number(name: str) -> Array:
        value = jnp.asarray(getattr(state, name, jnp.nan), found.cost.dtype)
        return value if value.ndim == 0 else jnp.nan * found.cost

    own = (number("step_size"), number("weight"), number("barrier"))
    return state, checked_status(solver, state), _Row(found.cost, *found.residuals, *own)


_step_compiled = compiled(_step, lambda *_: "a step")
