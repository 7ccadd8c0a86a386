"""What to solve: `Problem`, the static functions and sizes of a trajectory optimisation problem."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int, PyTree

from jaxmpc.presentation.keywords import names_its_arguments
from jaxmpc.problem.functions import ParametricFunction, parametric
from jaxmpc.problem.kinds import END_FUNCTIONS, KINDS, SOFTENABLE, STAGE_FUNCTIONS
from jaxmpc.problem.soft import Soft, as_array, check_soft
from jaxmpc.spaces.entries import euclidean_entries, projected
from jaxmpc.spaces.space import Space, check_space

_FUNCTIONS = (*STAGE_FUNCTIONS, *END_FUNCTIONS)
_OF_SOLVE = ("x0", "params", "controls", "states", "warm_start", "solver", "adjoint", "key")


@names_its_arguments("Problem", dict.fromkeys(_OF_SOLVE, "it is an argument of jaxmpc.solve"))
@dataclasses.dataclass(frozen=True, eq=False)
class Problem:
    """A discrete-time trajectory optimisation problem.

        minimise    sum_{t<T} stage_cost(x_t, u_t, t, params) + terminal_cost(x_T, params)
        subject to  x_{t+1} = dynamics(x_t, u_t, t, params),   x_0 given,
                    lower <= u_t <= upper,                          t = 0 .. T-1,
                    state_lower <= x_t <= state_upper,              t = 1 .. T,
                    stage_inequality(x_t, u_t, t, params) <= 0,  stage_equality(...) = 0,
                    terminal_inequality(x_T, params) <= 0,       terminal_equality(...) = 0.

    A pytree: the functions and the sizes are static, the bounds (and the arrays of a function
    that is itself a pytree, such as an Equinox module) are leaves. Like every function that JAX
    traces, the functions must be pure.

    Args:
        dynamics: (x [n], u [m], t, params) -> x_next [n].
        stage_cost: (x [n], u [m], t, params) -> scalar. `t` is an integer array, 0 .. T-1.
        terminal_cost: (x [n], params) -> scalar; None is zero.
        horizon: the number T of controls; there are T + 1 states.
        control_dim: the size m of a control.
        control_bounds: (lower, upper), in the units of the controls: each None, a scalar, [m] or
            [T, m]; infinite entries are allowed, and equal ones fix a control.
        state_bounds: (lower, upper) of x_1 .. x_T, in the units of the states: each None, a
            scalar, [n] or [T, n]; infinite entries are allowed, and equal ones fix a state.
        stage_inequality, stage_equality: (x, u, t, params) -> [p], [q].
        terminal_inequality, terminal_equality: (x, params) -> [p], [q].
        soft: which constraints may be violated at a price, {name of a field above: `Soft`};
            the others are hard, and the control bounds always are.
        state_space: a `jaxmpc.spaces` object, for states that are no n ordinary numbers: angles,
            attitudes. The functions above still get, and the dynamics return, states of its n =
            `dim` numbers; steps, gains, costates, the multipliers and violations of the dynamics
            and of the state bounds have its k = `tangent_dim` entries. State bounds are then [n]
            or [T, n], infinite but for ordinary numbers; each counts in the direction of its own.

    Raises:
        TypeError, ValueError: naming the argument, what came and what was wanted.

    Example:
        >>> slow = jaxmpc.Problem(
        ...     dynamics,
        ...     stage_cost,
        ...     horizon=10,
        ...     control_dim=1,
        ...     state_bounds=([-2.0, -0.2], [2.0, 0.2]),  # of position and speed
        ... )
        >>> solution = jaxmpc.solve(slow, x0, params)
        >>> round(float(solution.states[:, 1].min()), 2)
        -0.2
    """

    dynamics: Callable
    stage_cost: Callable
    terminal_cost: Callable | None = None
    _: dataclasses.KW_ONLY
    horizon: int
    control_dim: int
    control_bounds: tuple[Any, Any] | None = None
    state_bounds: tuple[Any, Any] | None = None
    stage_inequality: Callable | None = None
    stage_equality: Callable | None = None
    terminal_inequality: Callable | None = None
    terminal_equality: Callable | None = None
    soft: dict[str, Soft] | None = None
    state_space: Space | None = None

    def __post_init__(self):
        for name in _FUNCTIONS:
            value, required = getattr(self, name), name in ("dynamics", "stage_cost")
            if not callable(value) and (required or value is not None):
                raise TypeError(f"Problem: {name} must be a function, got {_kind(value)}.")
            object.__setattr__(self, name, parametric(value))
        for name in ("horizon", "control_dim"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer):
                raise TypeError(f"Problem: {name} must be an int, got {_kind(value)}.")
            if value < 1:
                raise ValueError(f"Problem: {name} must be at least 1, got {value}.")
        m = self.control_dim
        self._check_bounds("control_bounds", "m", ((), (m,), (self.horizon, m)))
        n = _state_size(self.state_bounds)  # what x0 must have; unknown where all are scalars
        self._check_bounds("state_bounds", "n", ((), (n,), (self.horizon, n)))
        if self.soft is not None:
            check_soft(self.soft, {name for name in SOFTENABLE if getattr(self, name) is not None})
        if self.state_space is not None:
            check_space("Problem: state_space", self.state_space)
            _check_bounds_fit(self.state_space, self.state_bounds)

    def _check_bounds(self, field: str, size: str, allowed: tuple):
        bounds = getattr(self, field)
        if bounds is None:
            return
        if not isinstance(bounds, tuple | list) or len(bounds) != 2:
            raise TypeError(
                f"Problem: {field} must be a pair (lower, upper), each None, a scalar, [{size}] "
                f"or [T, {size}]; got {_kind(bounds)}. (All lower ones, then all upper ones.)"
            )
        if any(isinstance(bound, list | tuple) for bound in bounds):
            bounds = tuple(as_array(bound) for bound in bounds)
        object.__setattr__(self, field, tuple(bounds))
        for name, bound in zip(("lower", "upper"), bounds, strict=True):
            if bound is None:
                continue
            try:
                shape, dtype = np.shape(bound), jax.dtypes.result_type(bound)
            except TypeError as error:
                raise TypeError(
                    f"Problem: {field} ({name}) must be numbers, got {_kind(bound)}."
                ) from error
            if not (jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer)):
                raise TypeError(f"Problem: {field} ({name}) must be real, got {dtype}.")
            if shape not in allowed:
                raise ValueError(
                    f"Problem: {field} ({name}) has shape {shape}; wanted a scalar, "
                    f"[{size}] = {allowed[1]} or [T, {size}] = {allowed[2]}."
                )
        known = [b for b in bounds if b is not None and not isinstance(b, Tracer)]
        if any(np.any(np.isnan(np.asarray(b))) for b in known):
            raise ValueError(f"Problem: {field} contain NaN; use +-inf for no bound.")
        if len(known) == 2:
            lower, upper = known
            if np.any(np.asarray(lower) > np.asarray(upper)):
                raise ValueError(
                    f"Problem: {field} have lower > upper: lower = "
                    f"{np.asarray(lower)}, upper = {np.asarray(upper)}. They are (all lower ones, "
                    "all upper ones), not a pair for each."
                )

    @property
    def has_general_constraints(self) -> bool:
        """Whether there is any constraint besides the bounds on the controls."""
        general = [kind for kind in KINDS.values() if kind.field != "control_bounds"]
        return any(getattr(self, kind.field) is not None for kind in general)

    def map_functions(self, at_stage: Callable, at_end: Callable, **changes: Any) -> "Problem":
        """The problem with all its functions replaced, and what else is to change.

        Args:
            at_stage: (name, function) -> function, of (x, u, t, params).
            at_end: (name, function) -> function, of (x, params).
            changes: other fields.
        """
        new = {name: at_stage(name, f) for name, f in self.functions(STAGE_FUNCTIONS).items()}
        new |= {name: at_end(name, f) for name, f in self.functions(END_FUNCTIONS).items()}
        return dataclasses.replace(self, **new, **changes)

    def functions(self, names: tuple[str, ...]) -> dict[str, Callable]:
        """Those of the named functions that the problem has."""
        found = {name: getattr(self, name) for name in names}
        return {name: function for name, function in found.items() if function is not None}

    @property
    def times(self) -> Int[Array, " T"]:
        """The stages 0 .. T-1: what the functions get for t."""
        return jnp.arange(self.horizon)

    def limits(self, dtype) -> tuple[Float[Array, "T m"], Float[Array, "T m"]]:
        """The control bounds as two full arrays; a missing bound is infinite."""
        return _full_bounds(self.control_bounds, (self.horizon, self.control_dim), dtype)

    def state_limits(self, n: int, dtype) -> tuple[Float[Array, "T n"], Float[Array, "T n"]]:
        """The bounds of the states x_1 .. x_T as two full arrays."""
        return _full_bounds(self.state_bounds, (self.horizon, n), dtype)

    def directed_limits(self, n: int, dtype) -> tuple[Float[Array, "T k"], Float[Array, "T k"]]:
        """The same, of the directions of the tangent space; infinite where there is no bound."""
        lower, upper = self.state_limits(n, dtype)
        return self.directed(lower, -jnp.inf), self.directed(upper, jnp.inf)

    def directed(self, numbers: Float[Array, "*b n"], missing: float) -> Float[Array, "*b k"]:
        """The numbers of states by the directions that change them; `missing` in all others."""
        if self.state_space is None:
            return numbers
        entries, directions = euclidean_entries(self.state_space)
        shape = (*numbers.shape[:-1], self.state_space.tangent_dim)
        none = jnp.full_like(numbers, missing, shape=shape)
        return none.at[..., np.asarray(directions, int)].set(numbers[..., np.asarray(entries, int)])

    def tangent_dim(self, n: int) -> int:
        """How many directions there are at a state of n numbers."""
        return n if self.state_space is None else self.state_space.tangent_dim

    def projected(self, x: Float[Array, " n"]) -> Float[Array, " n"]:
        """The state, on its space to the last digit."""
        return x if self.state_space is None else projected(self.state_space, x)


def _full_bounds(bounds, shape: tuple[int, int], dtype):
    lower, upper = bounds or (None, None)
    lower = -jnp.inf if lower is None else lower
    upper = jnp.inf if upper is None else upper
    return (
        jnp.broadcast_to(jnp.asarray(lower, dtype), shape),
        jnp.broadcast_to(jnp.asarray(upper, dtype), shape),
    )


def _check_bounds_fit(space: Any, bounds: tuple | None):
    """Raise unless bounds of states are about ordinary numbers of their space alone."""
    entries, _ = euclidean_entries(space)
    bent = [entry for entry in range(space.dim) if entry not in entries]
    for name, bound in zip(("lower", "upper"), bounds or (), strict=False):
        shape = np.shape(bound)  # () for None
        if bound is None or (not shape and not bent):
            continue
        if not shape or shape[-1] != space.dim:
            raise ValueError(
                f"Problem: state_bounds ({name}) has shape {shape}; wanted [n] = {(space.dim,)} or "
                f"[T, n], as state_space has dim {space.dim}; infinite where it is no plain number."
            )
        if not isinstance(bound, Tracer):
            found = np.any(np.isfinite(np.asarray(bound)[..., bent]).reshape(-1, len(bent)), axis=0)
            wrong = [entry for entry, finite in zip(bent, found, strict=True) if finite]
            if wrong:
                raise ValueError(
                    f"Problem: state_bounds ({name}) bound the entries {wrong}, which are no plain "
                    f"numbers of state_space = {space!r}; wanted infinite ones there. What limits "
                    "an angle or an attitude is a stage_inequality; a joint with limits is "
                    "Euclidean."
                )


def _state_size(bounds) -> int | None:
    """The last dimension of the first bound that has one."""
    pair = bounds if isinstance(bounds, tuple | list) else ()
    shapes = [np.shape(bound) for bound in pair if bound is not None and np.ndim(bound)]
    return shapes[0][-1] if shapes else None


def terminal_cost(problem: Problem, x: Float[Array, " n"], params: PyTree) -> Float[Array, ""]:
    """The terminal cost, zero (in the state's dtype) where the problem has none."""
    if problem.terminal_cost is None:
        return jnp.zeros_like(x, shape=())
    return problem.terminal_cost(x, params)


def _kind(value) -> str:
    return f"{type(value).__name__} ({value!r})"


def _flatten(problem: Problem):
    # A function with arrays in it is a child, any other is static. Decided by its class and not
    # by its leaves: JAX maps leaves to masks, None and placeholders.
    functions = [getattr(problem, name) for name in _FUNCTIONS]
    children = tuple(f if isinstance(f, ParametricFunction) else None for f in functions)
    static = tuple(None if isinstance(f, ParametricFunction) else f for f in functions)
    bounds = (problem.control_bounds, problem.state_bounds, problem.soft)
    sizes = (problem.horizon, problem.control_dim, problem.state_space)
    return (bounds, children), (static, *sizes)


def _flatten_with_keys(problem: Problem):
    children, static = _flatten(problem)
    names = ("bounds", "functions")
    keys = [jax.tree_util.GetAttrKey(name) for name in names]
    return tuple(zip(keys, children, strict=True)), static


def _unflatten(static, children) -> Problem:
    functions, horizon, control_dim, state_space = static
    (control_bounds, state_bounds, soft), arrays = children
    problem = object.__new__(Problem)  # no checks: JAX unflattens with placeholders for leaves
    fields = {
        name: function if parametric is None else parametric
        for name, function, parametric in zip(_FUNCTIONS, functions, arrays, strict=True)
    }
    fields |= {"horizon": horizon, "control_dim": control_dim}
    fields |= {"control_bounds": control_bounds, "state_bounds": state_bounds, "soft": soft}
    fields |= {"state_space": state_space}
    for name, value in fields.items():
        object.__setattr__(problem, name, value)
    return problem


jax.tree_util.register_pytree_with_keys(Problem, _flatten_with_keys, _unflatten, _flatten)
