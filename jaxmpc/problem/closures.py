"""Tracing the user's functions once: their shapes are checked, and what they close over hoisted.

A function may close over values that are being differentiated or batched. Inside a custom
derivative rule such values would be constants, with a derivative of zero and no warning. Here
they become leaves of the `Problem`, and so ordinary arguments.
"""

import contextlib
import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, PyTree

from jaxmpc.compilation import at_top_level
from jaxmpc.problem import Problem
from jaxmpc.problem.explanations import explain
from jaxmpc.problem.functions import Program, SplitFunction, StaticTree, TracedFunction
from jaxmpc.problem.kinds import KINDS


@dataclasses.dataclass(frozen=True)
class _WithStatic:
    """A function of params from which the leaves that are no arrays were taken out."""

    function: Callable
    static: StaticTree

    def __call__(self, *args):
        return self.function(*args[:-1], self.whole(args[-1]))

    def whole(self, params: PyTree) -> PyTree:
        """The params with all their leaves."""
        return eqx.combine(params, self.static.tree())


def close_over_static(problem: Problem, params: PyTree) -> tuple[Problem, PyTree]:
    """Move leaves of params that are no numbers (an activation function, say) into the problem."""
    arrays, static = eqx.partition(params, eqx.is_array_like)
    if not jax.tree.leaves(static):
        return problem, params
    static = StaticTree.of(static)

    def wrapped(_, function):
        return _WithStatic(function, static)

    return problem.map_functions(wrapped, wrapped), arrays


def self_contained(
    problem: Problem, x0: Float[Array, " n"], params: PyTree
) -> tuple[Problem, PyTree, bool]:
    """The problem and params as arguments of a compiled function, and whether to keep that.

    All that the problem depends on is a leaf of it, and the leaves of params are numbers. What was
    hoisted belongs to the trace that it came from: no use keeping it compiled. Checked is the
    problem here but at top level, where no tracer can be closed over: there whoever traces the
    function checks it, once.
    """
    problem, params = close_over_static(problem, params)
    if at_top_level():
        return problem, params, True
    hoisted = check_and_hoist(problem, x0, params)
    return hoisted, params, hoisted is problem


def announced(what: str, problem: Problem, x0: Float[Array, " n"], params: PyTree) -> str:
    """Check a problem whose program is being traced at top level; what that is, in words."""
    check_and_hoist(problem, x0, params)
    return f"{what} of n={x0.shape[0]}, m={problem.control_dim}, T={problem.horizon}"


def check_and_hoist(problem: Problem, x0: Float[Array, " n"], params: PyTree) -> Problem:
    """The problem with each function traced: outputs checked, closed-over tracers hoisted."""
    u = jnp.zeros((problem.control_dim,), x0.dtype)
    t = problem.times[0]
    hoisted = []

    def checked(name: str, function: Callable, args):
        traced, shape = _trace(name, function, args)
        _check_output(name, shape, x0)
        if name in KINDS:
            _check_repeatable(name, function, args, shape)
        if not any(isinstance(c, Tracer) for c in traced.consts):
            return function
        hoisted.append(name)
        return traced

    new = problem.map_functions(
        lambda name, function: checked(name, function, (x0, u, t, params)),
        lambda name, function: checked(name, function, (x0, params)),
    )
    return new if hoisted else problem


@contextlib.contextmanager
def explained(problem: Problem, x0: Float[Array, " n"], params: PyTree):
    """Says of an error what `check_and_hoist` says, where the functions are called without it."""
    try:
        yield
    except Exception:
        problem, params = close_over_static(problem, params)
        try:
            check_and_hoist(problem, x0, params)
        except Exception as told:
            raise told from None  # the same one, or its cause
        raise


def _trace(name: str, function: Callable, args) -> tuple[TracedFunction, Any]:
    try:
        closed, shape = jax.make_jaxpr(function, return_shape=True)(*args)
    except Exception as error:
        explain(error, name, *_as_written(function, args))
        raise
    program = Program(closed, jax.tree.structure(shape))
    return TracedFunction(program, tuple(closed.consts)), shape


def _as_written(function: Callable, args) -> tuple[Callable, tuple]:
    """The user's own function, and what it was called with."""
    while isinstance(function, _WithStatic):
        function, args = function.function, (*args[:-1], function.whole(args[-1]))
    return function.whole() if isinstance(function, SplitFunction) else function, args


def _check_repeatable(name: str, function: Callable, args, shape):
    """A function with a state of its own may return another shape at the next call."""
    again = jax.eval_shape(lambda *args: function(*args), *args)  # a new function: no cache
    if again.shape != shape.shape:
        raise ValueError(
            f"Problem: {name} returned shape {shape.shape} and then {again.shape} for arguments of "
            "the same shapes. It must be pure: its output may depend on its arguments alone."
        )


def _check_output(name: str, output, x0):
    if not hasattr(output, "shape"):
        hint = ""
        if output is None:
            hint = " Its `return` may be missing."
        elif isinstance(output, list | tuple):
            hint = " Make one of the entries: jnp.array([...]), or jnp.concatenate."
        raise TypeError(
            f"Problem: {name} must return one array, got {type(output).__name__}.{hint}"
        )
    if output.dtype == bool:
        raise TypeError(
            f"Problem: {name} must return numbers of x0's dtype {x0.dtype}, got bool. A condition "
            "such as x[0] < limit is written as x[0] - limit, which is at most zero where it holds."
        )
    if name == "dynamics":
        wanted, word = x0.shape, "the shape of x0"
        right = output.shape == wanted
    elif name in ("stage_cost", "terminal_cost"):
        wanted, word = (), "a scalar"
        right = output.shape == wanted
    else:
        wanted, word = "[p]", "a vector"
        right = len(output.shape) == 1
    if not right:
        raise ValueError(
            f"Problem: {name} must return {word}: wanted shape {wanted}, got {output.shape}."
            + _shape_hint(name, output.shape, x0.shape)
        )
    if output.dtype != x0.dtype and not (output.weak_type and output.dtype.kind == "f"):
        cause = (
            "A float64 constant or parameter (a NumPy array, say) in a float32 problem does this."
        )
        if output.dtype.kind in "iu":
            cause = "Write 1.0 for 1."
        raise TypeError(
            f"Problem: {name} must return x0's dtype {x0.dtype}, got {output.dtype}. {cause}"
        )


def _shape_hint(name: str, shape: tuple, state: tuple) -> str:
    """What most likely mends an output of the wrong shape."""
    if name == "dynamics":
        same = np.prod(shape) == state[0]
        return " Entries of its array may be arrays: u[0] for u." if same else ""
    if name in ("stage_cost", "terminal_cost"):
        return " Take an entry (u[0] for u), or jnp.sum."
    return " One number is jnp.array([...])." if not shape else " Flatten it: .ravel()."
