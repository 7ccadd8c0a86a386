"""Functions with arrays in them: callables that are pytrees, so that their arrays are leaves."""

import dataclasses
from collections.abc import Callable
from typing import Any, Self

import equinox as eqx
import jax
import numpy as np
from jax.extend.core import jaxpr_as_fun


class ParametricFunction:
    """A callable pytree whose leaves are arrays: a `Problem` passes them on as its own leaves."""

    def __call__(self, *args) -> Any:
        """Call it with the problem's arguments."""
        raise NotImplementedError


@jax.tree_util.register_pytree_node_class
class Split:
    """Any pytree as one whose leaves are arrays: them, and the static rest."""

    def __init__(self, arrays, static: "StaticTree"):
        self.arrays, self.static = arrays, static

    @classmethod
    def of(cls, tree, dynamic: Callable[[Any], bool] | None = None) -> Self:
        """Take the arrays out, or the leaves that are `dynamic`."""
        arrays, static = eqx.partition(tree, dynamic or _is_array)
        return cls(arrays, StaticTree.of(static))

    def whole(self) -> Any:
        """The tree again."""
        return eqx.combine(self.arrays, self.static.tree())

    def tree_flatten(self):
        """The arrays are the only child."""
        return (self.arrays,), self.static

    @classmethod
    def tree_unflatten(cls, static, children):
        """The inverse of `tree_flatten`."""
        return cls(children[0], static)


@jax.tree_util.register_pytree_node_class
class SplitFunction(Split, ParametricFunction):
    """A callable pytree (an Equinox module, say)."""

    def __call__(self, *args):
        """Call the whole function."""
        return self.whole()(*args)


@jax.tree_util.register_pytree_node_class
class TracedFunction(ParametricFunction):
    """A traced function whose closed-over values are leaves."""

    def __init__(self, program: "Program", consts: tuple):
        self.program, self.consts = program, consts

    def __call__(self, *args):
        """Run the traced program."""
        closed = self.program.jaxpr.replace(consts=list(self.consts))
        return jax.tree.unflatten(
            self.program.out_tree, jaxpr_as_fun(closed)(*jax.tree.leaves(args))
        )

    def tree_flatten(self):
        """The closed-over values are the only child; the program is static."""
        return (self.consts,), self.program

    @classmethod
    def tree_unflatten(cls, program, children):
        """The inverse of `tree_flatten`."""
        return cls(program, children[0])


@dataclasses.dataclass(frozen=True, eq=False)
class Program:
    """What a trace produced; compared by identity: programs of different traces differ."""

    jaxpr: Any
    out_tree: Any


@dataclasses.dataclass(frozen=True)
class StaticTree:
    """A pytree of hashable leaves that are no arrays (None where an array was)."""

    leaves: tuple
    treedef: Any

    @classmethod
    def of(cls, tree) -> "StaticTree":
        """Take a tree apart; None counts as a leaf."""
        leaves, treedef = jax.tree.flatten(tree, is_leaf=lambda leaf: leaf is None)
        return cls(tuple(leaves), treedef)

    def tree(self):
        """The tree again."""
        return jax.tree.unflatten(self.treedef, self.leaves)


def parametric(function: Callable | None) -> Callable | None:
    """The function; as a `ParametricFunction` if it is a pytree with arrays in it."""
    if function is None or isinstance(function, ParametricFunction):
        return function
    split = SplitFunction.of(function)
    return split if jax.tree.leaves(split.arrays) else function


def _is_array(leaf) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray)
