"""One solver after the other."""

from typing import Any

import jax
from jaxtyping import Array, Float, Int, PyTree

from jaxmpc.problem import Problem
from jaxmpc.solution import Solution
from jaxmpc.solvers.configuration import Configuration
from jaxmpc.solvers.loop import Guess, Solver, run, split_solver


@jax.tree_util.register_pytree_node_class
class Chain(Configuration):
    """Solvers one after the other, each from the point of the one before.

        solver = jaxmpc.Chain(jaxmpc.CEM(), jaxmpc.ILQR())
        solution = jaxmpc.solve(problem, x0, params, solver=solver, key=jax.random.key(0))

    Sampling finds the valley, derivatives its bottom. The solution, its status, its iterations and
    its derivative are those of the last solver; all others run to their end inside its `init`.

    Args:
        solvers: two or more; whatever is a `Solver`.

    Raises:
        TypeError: for something else.
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
        for solver in self.solvers[:-1]:
            found = run(solver, problem, x0, params, guess)
            guess = Guess(found.controls, found.states, key=guess.key)
        return self.solvers[-1].init(problem, x0, params, guess)

    def step(self, problem: Problem, params: PyTree, state: Any) -> Any:
        """That of the last solver."""
        return self.solvers[-1].step(problem, params, state)

    def terminate(self, state: Any) -> Int[Array, ""]:
        """That of the last solver."""
        return self.solvers[-1].terminate(state)

    def postprocess(self, problem: Problem, params: PyTree, state: Any) -> Solution:
        """That of the last solver."""
        return self.solvers[-1].postprocess(problem, params, state)

    def tree_flatten(self):
        """The solvers, split into arrays and the rest, are the children."""
        return tuple(map(split_solver, self.solvers)), None

    @classmethod
    def tree_unflatten(cls, _, children) -> "Chain":
        """The inverse; not checked, since JAX puts what it likes in the place of leaves."""
        new = object.__new__(cls)
        new.solvers = tuple(child.whole() for child in children)
        return new
