"""One solver after the other."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxmpc import trees
from jaxmpc.problem import Problem
from jaxmpc.solution import Solution, Status
from jaxmpc.solvers.configuration import Configuration
from jaxmpc.solvers.loop import Guess, Solver, run, split_solver


class ChainState(NamedTuple):
    """The state of the last solver, and what the one before it had found."""

    last: Any
    before: Solution


@jax.tree_util.register_pytree_node_class
class Chain(Configuration):
    """Solvers one after the other, each from the point of the one before.

        solver = jaxmpc.Chain(jaxmpc.CEM(), jaxmpc.ILQR())
        solution = jaxmpc.solve(problem, x0, params, solver=solver, key=jax.random.key(0))

    Sampling finds the valley, derivatives its bottom. The solution, its status, its iterations and
    its derivative are those of the last solver; all others run to their end inside its `init`.
    Where the last one fails, and ends at a point that is worse than the one it was given, that one
    is returned, with the status of the failure.

    Args:
        solvers: two or more; whatever is a `Solver`.

    Raises:
        TypeError: for something else.

    Example:
        >>> solver = jaxmpc.Chain(jaxmpc.CEM(samples=32, elites=4, iterations=3), jaxmpc.SQP())
        >>> found = jaxmpc.solve(problem, x0, params, solver=solver, key=jax.random.key(0))
        >>> bool(found.converged), bool(abs(found.cost - solution.cost) < 1e-4)
        (True, True)
    """

    def __init__(self, *solvers: Solver):
        if len(solvers) < 2:
            raise TypeError(f"Chain: wanted two or more solvers, got {solvers!r}.")
        for solver in solvers:
            if isinstance(solver, type) or not isinstance(solver, Solver):
                raise TypeError(f"Chain: solvers must be Solvers, such as ILQR(); got {solver!r}.")
        self.solvers = solvers

    def __eq__(self, other) -> bool:
        return isinstance(other, Chain) and self.solvers == other.solvers

    def __hash__(self) -> int:
        return hash(self.solvers)

    def __repr__(self) -> str:
        return f"Chain({', '.join(map(repr, self.solvers))})"

    @property
    def max_iterations(self) -> Any:
        """That of the last solver."""
        return self.solvers[-1].max_iterations

    def init(self, problem: Problem, x0: Float[Array, " n"], params: PyTree, guess: Guess) -> Any:
        """The start of the last solver, where the others ended."""
        found = run(self.solvers[0], problem, x0, params, guess)
        for solver in self.solvers[1:-1]:
            found = run(solver, problem, x0, params, self._from(found, guess))
        last = self.solvers[-1].init(problem, x0, params, self._from(found, guess))
        return ChainState(last, jax.tree.map(_without_nan, found))

    def step(self, problem: Problem, params: PyTree, state: ChainState) -> ChainState:
        """That of the last solver."""
        return state._replace(last=self.solvers[-1].step(problem, params, state.last))

    def terminate(self, state: ChainState) -> Int[Array, ""]:
        """That of the last solver."""
        return self.solvers[-1].terminate(state.last)

    def postprocess(self, problem: Problem, params: PyTree, state: ChainState) -> Solution:
        """That of the last solver, or what it was given where that is better."""
        last = self.solvers[-1].postprocess(problem, params, state.last)
        failed = self.terminate(state) != Status.converged
        return trees.where(failed & _better(state.before, last), state.before, last)

    @staticmethod
    def _from(found: Solution, guess: Guess) -> Guess:
        return Guess(found.controls, found.states, key=guess.key)

    def tree_flatten(self):
        """The solvers, split into arrays and the rest, are the children."""
        return tuple(map(split_solver, self.solvers)), None

    @classmethod
    def tree_unflatten(cls, _, children) -> "Chain":
        """The inverse; not checked, since JAX puts what it likes in the place of leaves."""
        new = object.__new__(cls)
        new.solvers = tuple(child.whole() for child in children)
        return new


def _better(one: Solution, other: Solution) -> Bool[Array, ""]:
    """Whether a solution costs less than another and is no less feasible."""
    most = jnp.maximum(other.residuals.feasibility, other.tolerance)
    cheaper = (one.cost < other.cost) | jnp.isnan(other.cost)
    return cheaper & ((one.residuals.feasibility <= most) | jnp.isnan(most))


def _without_nan(leaf: Array) -> Array:
    """Infinity for NaN, which in a single number of a state would end the solve."""
    inexact = jnp.issubdtype(leaf.dtype, jnp.inexact)
    return jnp.where(jnp.isnan(leaf), jnp.inf, leaf) if inexact else leaf
