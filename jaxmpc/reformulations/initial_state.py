"""A free initial state: the first half of moving-horizon estimation.

    free = free_parameters.optimize_initial_state(problem, arrival_cost, state_dim=2)
    solution = jaxmpc.solve(free, x0_guess, params)
    states, controls = free_parameters.split_initial_state(solution.states, solution.controls)

Source: Rao, Rawlings and Mayne (2003), 'Constrained state estimation for nonlinear discrete-time
systems: stability and moving horizon approximations'.
"""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Float

from jaxmpc.problem import Problem
from jaxmpc.problem.pytree_function import PytreeFunction, pytree_function, static
from jaxmpc.reformulations.augmented_state import control_bounds_with_first, with_first

_OWNER = "optimize_initial_state"


def optimize_initial_state(
    problem: Problem,
    arrival_cost: Callable,
    *,
    state_dim: int,
    lower: Float[ArrayLike, " n"] | float | None = None,
    upper: Float[ArrayLike, " n"] | float | None = None,
) -> Problem:
    """The problem with x_0 free, at a cost; the control is [u; v].

        minimise  arrival_cost(x_0, params) + the cost of the problem,   lower <= x_0 <= upper,

    with x_0 = v_0 and v_t = 0 for t > 0. The x0 that `solve` is given is not used: it changes no
    solution, and its derivative is zero. All stage functions of the problem see the
    free x_0 at t = 0; state bounds, as always, only count from x_1 on. An ordinary problem, for
    every solver, with ordinary multipliers and derivatives.

    Args:
        problem: with state dimension `state_dim`.
        arrival_cost: (x_0, params) -> scalar: what is known of x_0 from before.
        state_dim: n.
        lower, upper: bounds of x_0: None, a scalar or [n]; they stay differentiable.

    `split_initial_state` takes a solution apart; `initial_state_guess` makes a guess. With
    parameters free too: `optimize_parameters` of what this returns.

    Raises:
        TypeError, ValueError: naming the argument, what came and what was wanted.

    Example:
        >>> free = jaxmpc.free_parameters
        >>> arrival = lambda x, params: 100 * jnp.sum((x - jnp.array([1.0, 0.5])) ** 2)
        >>> estimate = free.optimize_initial_state(problem, arrival, state_dim=2)
        >>> found = jaxmpc.solve(estimate, x0, params)
        >>> states, controls = free.split_initial_state(found.states, found.controls)
        >>> bool(found.converged), estimate.control_dim, controls.shape
        (True, 3, (10, 1))
    """
    if not isinstance(problem, Problem):
        raise TypeError(f"{_OWNER}: problem must be a Problem, got {problem!r}.")
    if not callable(arrival_cost):
        raise TypeError(
            f"{_OWNER}: arrival_cost must be a function (x_0, params) -> scalar, got "
            f"{arrival_cost!r}."
        )
    if isinstance(state_dim, bool) or not isinstance(state_dim, int) or state_dim < 1:
        raise ValueError(f"{_OWNER}: state_dim must be an int of at least 1, got {state_dim!r}.")

    if problem.state_space is not None:
        raise ValueError(
            f"{_OWNER}: problem has the state_space {problem.state_space!r}; the free x_0 is a "
            "control, and controls are plain numbers. Let a first stage lead there: dynamics that "
            "at t = 0 return the state after the step u[:k] from x0."
        )

    def at_stage(name, function):
        if name == "stage_cost":
            return _StageCost(function, arrival_cost, state_dim)
        return _Stage(function, state_dim)

    return problem.map_functions(
        at_stage,
        lambda _, function: function,
        control_dim=problem.control_dim + state_dim,
        control_bounds=control_bounds_with_first(problem, *_limits(lower, upper, state_dim)),
    )


def _limits(lower, upper, state_dim: int) -> list[Float[Array, " n"]]:
    """The bounds of x_0 as full arrays."""
    limits = []
    for name, bound, missing in (("lower", lower, -jnp.inf), ("upper", upper, jnp.inf)):
        try:
            bound = jnp.asarray(missing if bound is None else bound, jnp.result_type(float))
        except (TypeError, ValueError) as error:
            raise TypeError(f"{_OWNER}: {name} must be numbers, got {bound!r}.") from error
        if bound.shape not in ((), (state_dim,)):
            raise ValueError(
                f"{_OWNER}: {name} must be a scalar or [n] = {(state_dim,)}, got {bound.shape}."
            )
        limits.append(jnp.broadcast_to(bound, (state_dim,)))
    known = not any(isinstance(limit, Tracer) for limit in limits)
    if known and not bool(jnp.all(limits[0] <= limits[1])):
        raise ValueError(
            f"{_OWNER}: wanted lower <= upper, got lower = {limits[0]} and upper = {limits[1]}."
        )
    return limits


def initial_state_guess(
    controls: Float[ArrayLike, "T m"], x0: Float[ArrayLike, " n"]
) -> Float[Array, "T m+n"]:
    """Guessed controls of the problem with a free initial state, which is guessed to be x0.

    Raises:
        ValueError: controls that are not [T, m], or an x0 that is not [n].

    Example:
        >>> free = jaxmpc.free_parameters
        >>> free.initial_state_guess(solution.controls, x0).shape
        (10, 3)
    """
    controls, x0 = jnp.asarray(controls), jnp.asarray(x0)
    if controls.ndim != 2 or x0.ndim != 1:
        raise ValueError(
            f"initial_state_guess: wanted controls [T, m] and x0 [n]; got shapes {controls.shape} "
            f"and {x0.shape}."
        )
    return with_first(controls, x0)


def split_initial_state(
    states: Float[Array, "*batch T1 n"], controls: Float[Array, "*batch T m_plus_n"]
) -> tuple[Float[Array, "*batch T1 n"], Float[Array, "*batch T m"]]:
    """The states [T+1, n], of which the first is the free one, and the controls [T, m].

    Differentiable in both.

    Raises:
        ValueError: controls without room for the state.

    Example:
        >>> free = jaxmpc.free_parameters
        >>> controls = free.initial_state_guess(solution.controls, x0)
        >>> states, controls = free.split_initial_state(solution.states, controls)
        >>> states.shape, controls.shape, bool((states[0] == x0).all())
        ((11, 2), (10, 1), True)
    """
    n = np.shape(states)[-1]
    if np.shape(controls)[-1] <= n:
        raise ValueError(
            f"split_initial_state: controls of shape {np.shape(controls)} have no room for the "
            f"free state of states of shape {np.shape(states)}; wanted [T, m + n]."
        )
    first = controls[..., :1, -n:]
    return jnp.concatenate([first, states[..., 1:, :]], axis=-2), controls[..., :-n]


@pytree_function
class _Stage(PytreeFunction):
    function: Callable
    state_dim: int = static()

    def __call__(self, x, v, t, params):
        x, u = _unpack(x, v, t, self.state_dim)
        return self.function(x, u, t, params)


@pytree_function
class _StageCost(PytreeFunction):
    function: Callable
    arrival_cost: Callable
    state_dim: int = static()

    def __call__(self, x, v, t, params):
        x, u = _unpack(x, v, t, self.state_dim)
        arrival = jnp.where(t == 0, self.arrival_cost(x, params), 0.0)
        return self.function(x, u, t, params) + arrival


def _unpack(x, v, t, n: int):
    return jnp.where(t == 0, v[-n:], x), v[:-n]
