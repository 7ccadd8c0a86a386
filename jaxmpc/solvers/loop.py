"""The one outer loop: four pure functions make a solver, this runs them."""

import dataclasses
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxmpc import trees
from jaxmpc.problem import Problem
from jaxmpc.solution import Multipliers, Scales, Solution

RUNNING = -1


class WarmStart(NamedTuple):
    """The dual part of an earlier solution, its scales, and whether it can be trusted."""

    costates: Float[Array, "T1 n"]
    multipliers: Multipliers
    scales: Scales
    usable: Bool[Array, ""]


class Guess(NamedTuple):
    """Where a solver starts; `states` may violate the dynamics, or be None."""

    controls: Float[Array, "T m"]
    states: Float[Array, "T1 n"] | None
    dual: WarmStart | None = None


@runtime_checkable
class Solver(Protocol):
    """A solver is a small static configuration with four pure functions over a state pytree.

    `init` makes the first state, `step` improves it, `terminate` returns a `Status` or RUNNING
    (-1), `postprocess` reads the result off. Who owns the loop calls `init` and `step` herself.
    """

    def init(self, problem: Problem, x0, params: PyTree, guess: Guess) -> Any:
        """The first state."""
        ...

    def step(self, problem: Problem, params: PyTree, state: Any) -> Any:
        """An improved state."""
        ...

    def terminate(self, state: Any) -> Int[Array, ""]:
        """A `Status`, or RUNNING."""
        ...

    def postprocess(self, problem: Problem, params: PyTree, state: Any) -> Solution:
        """What the state says about the problem."""
        ...


def run(solver: Solver, problem: Problem, x0, params: PyTree, guess: Guess) -> Solution:
    """Step until the solver terminates."""
    state = solver.init(problem, x0, params, guess)
    state = jax.lax.while_loop(
        lambda state: solver.terminate(state) == RUNNING,
        lambda state: solver.step(problem, params, state),
        state,
    )
    return solver.postprocess(problem, params, state)


def unroll(solver: Any, problem: Problem, x0, params: PyTree, guess: Guess, length: int):
    """A fixed number of steps, differentiable in reverse mode; finished states stay as they are.

    One more step than `length` is run, which judges the last point.
    """
    solver = dataclasses.replace(solver, max_iterations=min(length, solver.max_iterations))

    def step(state, _):
        going = solver.terminate(state) == RUNNING
        new = solver.step(problem, params, state)
        return trees.where(going, new, state), None

    state = solver.init(problem, x0, params, guess)
    state, _ = jax.lax.scan(step, state, None, length=length + 1)
    return solver.postprocess(problem, params, state)


def finite(*trees: PyTree) -> Bool[Array, ""]:
    """Whether every number in the trees is finite."""
    leaves = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(trees)]
    return jnp.all(jnp.stack(leaves))
