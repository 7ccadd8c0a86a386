"""The open seat: four pure functions make a solver, and the one driver that iterates it."""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree, UInt32

from jaxmpc import trees
from jaxmpc.batching.refill import RUNNING as RUNNING
from jaxmpc.checks import check_type
from jaxmpc.problem import Problem
from jaxmpc.problem.functions import Split
from jaxmpc.solution import Multipliers, Scales, Solution, Status
from jaxmpc.solvers.configuration import Configuration


class WarmStart(NamedTuple):
    """An earlier solution, and whether its dual part can be trusted."""

    states: Float[Array, "T1 n"]
    costates: Float[Array, "T1 n"]
    multipliers: Multipliers
    scales: Scales
    usable: Bool[Array, ""]

    @classmethod
    def of(cls, solution: Solution) -> "WarmStart":
        """What a solution is worth as a start: all of it, if it converged."""
        s = solution
        return cls(s.states, s.costates, s.multipliers, s.scales, s.converged)


class Guess(NamedTuple):
    """Where a solver starts; `states` may violate the dynamics, or be None.

    `key` is the data of a random key, for solvers that sample, or None: of numbers, for not all
    that is done to a state can be done to a typed key.
    """

    controls: Float[Array, "T m"]
    states: Float[Array, "T1 n"] | None = None
    warm: WarmStart | None = None
    key: UInt32[Array, "2"] | None = None


@runtime_checkable
class Solver(Protocol):
    """A solver is a small configuration with four pure functions over a state pytree.

    Whatever has these goes into `solve`, `solve_batch`, `initialize` and `learning`, and what it
    returns is differentiated by the KKT conditions at the returned point. The driver counts the
    steps and holds the limit. A state in which a scalar is NaN (its cost, say, or how far it moved)
    ends as `non_finite`: what is not known yet is better inf. A solver that cannot solve a problem
    says so in `init`, by a ValueError. Scalars `step_size`, `weight` and `barrier` of a state are
    what `jaxmpc.convergence` records besides the residuals.

    Attributes:
        max_iterations: how many steps may be taken; an int, or an array of one.

    Example:
        >>> isinstance(jaxmpc.SQP(), jaxmpc.Solver), isinstance(print, jaxmpc.Solver)
        (True, False)
    """

    @property
    def max_iterations(self) -> Any:
        """How many steps may be taken."""
        ...

    def init(self, problem: Problem, x0: Float[Array, " n"], params: PyTree, guess: Guess) -> Any:
        """The first state: a pytree of arrays of fixed structure.

        `guess` has `controls` [T, m], finite but not always within their bounds, `states`
        [T+1, n] or None, `warm`, the states and the dual part of an earlier solution, or None, and
        `key`, the data of a random key, or None.
        """
        ...

    def step(self, problem: Problem, params: PyTree, state: Any) -> Any:
        """An improved state. One after the last that was allowed only has to judge it."""
        ...

    def terminate(self, state: Any) -> Int[Array, ""]:
        """A `Status`, or -1 for as long as there is something left to do."""
        ...

    def postprocess(self, problem: Problem, params: PyTree, state: Any) -> Solution:
        """The last point that was judged, with what was found there (see `evaluate`).

        The driver puts its own status and number of iterations in; in a loop of your own nobody
        counts but you.
        """
        ...


def split_solver(solver: Solver) -> Split:
    """A solver as a pytree of arrays: those in it, and the numbers of a `Configuration`."""
    if isinstance(solver, Configuration):
        return Split.of(solver, lambda leaf: isinstance(leaf, int | float | jax.Array | np.ndarray))
    return Split.of(solver)


class Progress(NamedTuple):
    """The state of a solver, how often it was stepped, and what is to be said of that."""

    state: Any
    steps: Int[Array, ""]
    status: Int[Array, ""]  # or RUNNING


class Driver(NamedTuple):
    """A solver together with what its loop has to know: itself four functions, of `Progress`."""

    solver: Solver
    limit: int | Int[Array, ""]

    def init(self, problem: Problem, x0, params: PyTree, guess: Guess) -> Progress:
        """The solver's first state."""
        state = self.solver.init(problem, problem.projected(x0), params, guess)
        return self._judged(state, jnp.zeros_like(x0, shape=(), dtype=jnp.int32))

    def step(self, problem: Problem, params: PyTree, progress: Progress) -> Progress:
        """One step, which counts."""
        state = self.solver.step(problem, params, progress.state)
        return self._judged(state, progress.steps + 1)

    def terminate(self, progress: Progress) -> Int[Array, ""]:
        """The solver's status, or that of the driver."""
        return progress.status

    def postprocess(self, problem: Problem, params: PyTree, progress: Progress) -> Solution:
        """The solver's result, compact, with the driver's status and count."""
        solution = result_of(self.solver, problem, params, progress.state)
        solution = solution.ended(progress.status, iterations_after(progress.steps))
        return solution.compact(problem)

    def _judged(self, state: Any, steps: Int[Array, ""]) -> Progress:
        status = checked_status(self.solver, state)
        # One step more than the limit is run: it judges the last point.
        limit = jnp.asarray(self.limit, steps.dtype)
        ended = (status == RUNNING) & (steps > limit)
        status = jnp.where(ended, Status.max_iterations, status)
        return Progress(state, steps, status.astype(jnp.int32))


def result_of(solver: Solver, problem: Problem, params: PyTree, state: Any) -> Solution:
    """What a solver makes of its state; an error if that is no `Solution`."""
    solution = solver.postprocess(problem, params, state)
    name = f"what postprocess of {type(solver).__name__} returns"
    check_type("jaxmpc", name, solution, Solution)
    return solution


def iterations_after(steps: Int[Array, ""]) -> Int[Array, ""]:
    """The number of iterations that led to the last judged point: the step that judges is none."""
    return jnp.maximum(steps - 1, 0)


def checked_status(solver: Solver, state: Any) -> Int[Array, ""]:
    """A solver's status; `non_finite` where it is running and a scalar of its state is NaN."""
    status = solver.terminate(state)
    lost = (status == RUNNING) & _any_nan(state)
    return jnp.where(lost, Status.non_finite, status).astype(jnp.int32)


def run(
    solver: Solver,
    problem: Problem,
    x0,
    params: PyTree,
    guess: Guess,
    limit: int | Int[Array, ""] | None = None,
) -> Solution:
    """Step until the solver terminates, or a limit is reached: by default its own."""
    driver = Driver(solver, solver.max_iterations if limit is None else limit)
    progress = jax.lax.while_loop(
        lambda progress: driver.terminate(progress) == RUNNING,
        lambda progress: driver.step(problem, params, progress),
        driver.init(problem, x0, params, guess),
    )
    return driver.postprocess(problem, params, progress).expanded(problem)


def unroll(solver: Solver, problem: Problem, x0, params: PyTree, guess: Guess, length: int):
    """A fixed number of steps, differentiable in reverse mode; finished states stay as they are."""
    driver = Driver(solver, jnp.minimum(length, solver.max_iterations))

    def step(progress, _):
        going = driver.terminate(progress) == RUNNING
        return trees.where(going, driver.step(problem, params, progress), progress), None

    progress = driver.init(problem, x0, params, guess)
    progress, _ = jax.lax.scan(step, progress, None, length=length + 1)
    return driver.postprocess(problem, params, progress).expanded(problem)


def finite(*trees: PyTree) -> Bool[Array, ""]:
    """Whether every number in the trees is finite."""
    # Zero times what is not finite is NaN: one sum, and one number to look at.
    nothing = [jnp.sum(0 * leaf) for leaf in jax.tree.leaves(trees)]
    return jnp.isfinite(sum(nothing[1:], nothing[0]))


def _any_nan(state: PyTree) -> Bool[Array, ""]:
    """Whether a single number of the state is NaN; to look at its arrays would cost more."""
    leaves = [leaf for leaf in jax.tree.leaves(state) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    found = jnp.zeros((), bool)
    for number in (leaf for leaf in leaves if leaf.ndim == 0):
        found |= jnp.isnan(number)
    return found
