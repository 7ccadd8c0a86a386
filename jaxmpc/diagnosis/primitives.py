"""Which operation of a function is the first whose value, or derivative, is not finite."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox
import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Literal

_CALLS = ("jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call")
_CALLS += ("remat", "checkpoint", "remat2", "custom_vjp_call_jaxpr")
_WORDS = {"add": "a sum", "sub": "a difference", "mul": "a product", "div": "a division"}
_WORDS |= {"pow": "a power", "integer_pow": "a power", "square": "a square"}
_WORDS |= {"reduce_sum": "a sum", "dot_general": "a product"}
_LIBRARIES = tuple(str(Path(str(module.__file__)).parent) for module in (jax, equinox))
_HERE = str(Path(__file__).parent)


@dataclasses.dataclass(eq=False)
class _Node:
    """A value, the operation that it came from (None: an input) and what that was given."""

    value: Any
    equation: Any = None
    inputs: tuple["_Node", ...] = ()
    varies: bool = False  # with the arguments that derivatives are taken in
    line: str = ""  # of the user's code, in which the operation was written


def culprit(function: Callable, args: tuple, varying: int, order: int) -> tuple[str, str]:
    """What is not finite ('sqrt', 'the derivative of sqrt'), and where ('model.py, line 12').

    The first `varying` arguments are those that derivatives are taken in; `order` is that of the
    derivative, 0 for the value itself. The function's program is evaluated operation by
    operation. Both are empty where that finds none, or this version of JAX cannot be looked into.
    """
    try:
        outputs, operations = _evaluate(function, args, varying)
        found = _origin(outputs) if order == 0 else _steepest(operations, order)
        if found is None:
            return "", ""
        words = ("", "the derivative of ", "the second derivative of ")[order]
        return words + _name(found), found.line
    except Exception:  # internals of JAX, which may change; the caller names the function at least
        return "", ""


def _evaluate(function: Callable, args: tuple, varying: int):
    closed = jax.make_jaxpr(function)(*args)
    count = len(jax.tree.leaves(args[:varying]))
    nodes = [
        _Node(jnp.asarray(leaf), varies=i < count) for i, leaf in enumerate(jax.tree.leaves(args))
    ]
    operations: list[_Node] = []
    return _run(closed.jaxpr, closed.consts, nodes, operations), operations


def _run(jaxpr, consts, nodes: list[_Node], operations: list[_Node], call: str = "") -> list[_Node]:
    """The outputs of a program; each operation is appended to `operations`, those of calls too.

    Inside of a call the line is that of the call: its program may have been traced for another.
    """
    known = dict(zip(jaxpr.constvars, map(_Node, consts), strict=True))
    known |= dict(zip(jaxpr.invars, nodes, strict=True))

    def read(atom) -> _Node:
        return _Node(jnp.asarray(atom.val)) if isinstance(atom, Literal) else known[atom]

    for equation in jaxpr.eqns:
        inputs = [read(atom) for atom in equation.invars]
        line = call or _line(equation)
        inner, passed = _body(equation, inputs)
        if inner is not None:
            outputs = _run(inner.jaxpr, inner.consts, passed, operations, line)
        else:
            values = _bind(equation, [node.value for node in inputs])
            varies = any(node.varies for node in inputs)
            outputs = [_Node(value, equation, tuple(inputs), varies, line) for value in values]
            operations += outputs[:1]
        known |= dict(zip(equation.outvars, outputs, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _body(equation, inputs: list[_Node]):
    """The program that an operation calls and what it is given; None for any other operation."""
    if equation.primitive.name == "cond":
        branches, which = equation.params["branches"], int(inputs[0].value)
        return branches[min(max(which, 0), len(branches) - 1)], inputs[1:]
    if equation.primitive.name not in _CALLS:
        return None, inputs
    names = ("jaxpr", "call_jaxpr", "fun_jaxpr")
    found = [equation.params[name] for name in names if name in equation.params]
    return (found[0] if found and hasattr(found[0], "consts") else None), inputs


def _bind(equation, values: list) -> list:
    primitive = equation.primitive
    bound = primitive.get_bind_params(equation.params)
    functions, params = bound if isinstance(bound, tuple) else ((), bound)
    result = primitive.bind(*functions, *values, **params)
    return list(result) if primitive.multiple_results else [result]


def _finite(value) -> bool:
    dtype = jnp.result_type(value)
    return not jnp.issubdtype(dtype, jnp.inexact) or bool(jnp.all(jnp.isfinite(value)))


def _origin(outputs: list[_Node]) -> _Node | None:
    """Back from an output that is not finite to the operation whose inputs all are."""
    node = next((output for output in outputs if not _finite(output.value)), None)
    while node is not None:
        earlier = next((given for given in _used(node) if not _finite(given.value)), None)
        if earlier is None:
            break
        node = earlier
    return node if node is not None and node.equation is not None else None


def _used(node: _Node) -> tuple[_Node, ...]:
    """The inputs that matter: of a choice, those from which an entry that is not finite came."""
    if node.equation is None or node.equation.primitive.name != "select_n":
        return node.inputs
    which, *cases = node.inputs
    chosen = np.asarray(which.value).astype(int)
    return tuple(
        case
        for number, case in enumerate(cases)
        if np.any(~np.isfinite(np.asarray(case.value)) & (chosen == number))
    )


def _steepest(operations: list[_Node], order: int) -> _Node | None:
    """The first operation whose own derivative is not finite where it was evaluated."""
    for node in operations:
        floating = [jnp.issubdtype(jnp.result_type(n.value), jnp.inexact) for n in node.inputs]
        moving = [n.varies and f for n, f in zip(node.inputs, floating, strict=True)]
        if any(moving) and not _finite(_derivative(node, moving, order)):
            return node
    return None


def _derivative(node: _Node, moving: list[bool], order: int):
    """The derivative of an operation where all its varying inputs grow at the same rate."""
    given = [n.value for n, m in zip(node.inputs, moving, strict=True) if m]

    def operation(step):
        moved = iter(given)
        values = [
            next(moved) + step.astype(n.value.dtype) if m else n.value
            for n, m in zip(node.inputs, moving, strict=True)
        ]
        return _bind(node.equation, values)[0]

    def derivative(function):
        return lambda step: jax.jvp(function, (step,), (jnp.ones_like(step),))[1]

    for _ in range(order):
        operation = derivative(operation)
    return operation(jnp.zeros_like(given[0], shape=()))


def _name(node: _Node) -> str:
    name: str = node.equation.primitive.name
    return _WORDS.get(name, name)


def _line(equation) -> str:
    """Where in the user's code an operation was written, if JAX says so."""
    traceback = getattr(equation.source_info, "traceback", None)
    for frame in getattr(traceback, "frames", ()):
        line = getattr(frame, "start_line", None) or getattr(frame, "line_num", None)
        if frame.file_name.startswith(_HERE):
            break
        if line and not frame.file_name.startswith((*_LIBRARIES, "<")):
            return f"{Path(frame.file_name).name}, line {line}"
    return ""
