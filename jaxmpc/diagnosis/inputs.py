"""Inputs that no solver can work with: numbers that are not finite, bounds that exclude all."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxmpc.diagnosis.case import Case
from jaxmpc.problem.kinds import END_FUNCTIONS, STAGE_FUNCTIONS


def bad_inputs(case: Case) -> list[str]:
    """A sentence for each input that is NaN, for an infinite x0, and for bounds that exclude all.

    Infinite entries of params or bounds may be meant.
    """
    problem = case.problem
    named = [("x0", case.x0)]
    leaves, _ = jax.tree_util.tree_flatten_with_path(case.params)
    named += [("params" + jax.tree_util.keystr(path), leaf) for path, leaf in leaves]
    for field in ("control_bounds", "state_bounds"):
        sides = zip(("lower", "upper"), getattr(problem, field) or (), strict=False)
        named += [(f"{field} ({side})", bound) for side, bound in sides if bound is not None]
    for field, price in (problem.soft or {}).items():
        given = {"linear": price.linear, "quadratic": price.quadratic}
        named += [(f"soft[{field!r}].{word}", w) for word, w in given.items() if w is not None]
    for field, function in problem.functions(STAGE_FUNCTIONS + END_FUNCTIONS).items():
        inside = jax.tree.leaves(function)
        named += [(f"an array inside of {field}", leaf) for leaf in inside if not callable(leaf)]
    lines = [line for name, leaf in named for line in _not_numbers(name, leaf)]
    return lines or _crossed(case)


def _not_numbers(name: str, leaf) -> list[str]:
    try:
        array = np.asarray(leaf)
        if not jnp.issubdtype(array.dtype, jnp.inexact):
            return []
        array = array.astype(np.float64)  # NumPy knows no isnan of the small floats
    except TypeError:  # a random key, a string
        return []
    kinds = {"NaN": np.isnan(array)}
    if name == "x0":
        kinds["infinite"] = np.isinf(array)
    return [_entry(name, bad, kind) for kind, bad in kinds.items() if bad.any()]


def _entry(name: str, bad: np.ndarray, kind: str) -> str:
    count = int(bad.sum())
    if bad.ndim:
        index = np.unravel_index(int(np.argmax(bad)), bad.shape)
        name += "[" + ", ".join(str(int(i)) for i in index) + "]"
    more = f" (and {count - 1} more of its entries)" if count > 1 else ""
    return f"{name} is {kind}{more}: no solver can start from that; check where it comes from."


def _crossed(case: Case) -> list[str]:
    problem, x0 = case.problem, case.x0
    limits = {
        "control_bounds": ("u", 0, problem.limits(x0.dtype)),
        "state_bounds": ("x", 1, problem.state_limits(x0.shape[0], x0.dtype)),
    }
    lines = []
    for field, (letter, first, pair) in limits.items():
        lower, upper = (np.asarray(bound) for bound in pair)
        bad = lower > upper
        if bad.any():
            stage, entry = (int(i) for i in np.unravel_index(int(np.argmax(bad)), bad.shape))
            low, high = lower[stage, entry], upper[stage, entry]
            lines.append(
                f"{field} have lower > upper: {letter}[{entry}] at stage {stage + first} must be "
                f"at least {low:.4g} and at most {high:.4g}. Exchange them, or widen them."
            )
    return lines
