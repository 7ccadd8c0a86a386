"""A free final time, other parameters, or a free initial state, optimised with the controls.

    def ode(x, u, params):  # in the time 0 .. 1 that is a fraction of the final time
        return params["final_time"] * f(x, u)

    def merge(params, p):
        return {**params, "final_time": p[0]}

    augmented = free_parameters.optimize_parameters(problem, merge, [0.1], [10.0])
    states, controls = free_parameters.augment_guess(states, controls, [2.0])
    solution = jaxmpc.solve(augmented, states[0], params, states=states, controls=controls)
    states, controls, p = free_parameters.split_trajectory(solution.states, solution.controls, 1)

Source: Betts (2010), Practical Methods for Optimal Control and Estimation Using Nonlinear
Programming.
"""

from collections.abc import Callable, Sequence

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from jaxmpc.presentation.names import present
from jaxmpc.problem import Problem
from jaxmpc.problem.pytree_function import PytreeFunction, pytree_function, static
from jaxmpc.reformulations.augmented_state import (
    control_bounds_with_first,
    extended_bounds,
    extended_prices,
    extended_space,
    with_first,
)
from jaxmpc.reformulations.initial_state import (
    initial_state_guess as initial_state_guess,
    optimize_initial_state as optimize_initial_state,
    split_initial_state as split_initial_state,
)


def optimize_parameters(
    problem: Problem,
    merge: Callable,
    lower: Float[ArrayLike, " k"] | Sequence[float],
    upper: Float[ArrayLike, " k"] | Sequence[float],
) -> Problem:
    """The problem with k parameters p of its trajectory free; state [x; p], control [u; v].

        p_{t+1} = p_t,      p_0 = v_0,      lower <= v_0 <= upper,      v_t = 0 for t > 0

    All functions of the problem get merge(params, p) for their params. The first control chooses
    p (that in x_0 is ignored), the state carries it on, and equal bounds fix the later v_t: an
    ordinary problem, for every solver, with ordinary multipliers and derivatives.

    Args:
        problem: its functions read the free parameters from params.
        merge: (params, p [k]) -> params with p put in; p has the dtype of the state.
        lower, upper: bounds of p, [k], +-inf for none. They and all bounds of `problem` stay
            differentiable; so do x0, params and what the functions hold.

    Start it from `augment_state` or `augment_guess`; `split_trajectory` takes a solution apart.

    Raises:
        TypeError, ValueError: naming the argument, what came and what was wanted. Among them
            state bounds that are scalars: they do not tell which states are x and which are p.

    Example:
        >>> free = jaxmpc.free_parameters
        >>> merge = lambda params, p: {"mass": p[0]}
        >>> lighter = free.optimize_parameters(problem, merge, [0.5], [2.0])
        >>> found = jaxmpc.solve(lighter, free.augment_state(x0, [1.0]), params)
        >>> states, controls, p = free.split_trajectory(found.states, found.controls, 1)
        >>> states.shape, controls.shape, round(float(p[0]), 2)  # the least mass is the best
        ((11, 2), (10, 1), 0.5)
    """
    if not isinstance(problem, Problem):
        raise TypeError(f"optimize_parameters: problem must be a Problem, got {problem!r}.")
    if not callable(merge):
        raise TypeError(
            f"optimize_parameters: merge must be a function (params, p) -> params, got {merge!r}."
        )
    low, high = _parameter_bounds(lower, upper)
    k = low.shape[0]

    def at_stage(name, function):
        return (_Dynamics if name == "dynamics" else _Stage)(function, merge, k)

    return problem.map_functions(
        at_stage,
        lambda _, function: _Terminal(function, merge, k),
        control_dim=problem.control_dim + k,
        control_bounds=control_bounds_with_first(problem, low, high),
        state_bounds=extended_bounds("optimize_parameters", problem.state_bounds, k),
        soft=extended_prices(problem.soft, k),
        state_space=extended_space(problem.state_space, k),
    )


def augment_state(
    x0: Float[ArrayLike, " n"], parameters: Float[ArrayLike, " k"] | Sequence[float]
) -> Float[Array, " n+k"]:
    """The initial state [x0; p]. The first control replaces this p: it changes no solution.

    Raises:
        TypeError, ValueError: naming the argument, what came and what was wanted.

    Example:
        >>> print(jaxmpc.free_parameters.augment_state(x0, [2.0]))
        [1. 0. 2.]
    """
    x0 = _array("augment_state", "x0", x0, "[n]")
    parameters = _array("augment_state", "parameters", parameters, "[k]")
    return jnp.concatenate([x0, parameters.astype(x0.dtype)])


def augment_guess(
    states: Float[ArrayLike, "T1 n"] | None,
    controls: Float[ArrayLike, "T m"],
    parameters: Float[ArrayLike, " k"] | Sequence[float],
) -> tuple[Float[Array, "T1 n+k"] | None, Float[Array, "T m+k"]]:
    """Guesses of the augmented states and controls, from those of the problem and of p.

    Every state holds p, the first control chooses it. `states` may be None, for a solver that
    begins with a rollout.

    Raises:
        TypeError, ValueError: naming the argument, what came and what was wanted.

    Example:
        >>> free = jaxmpc.free_parameters
        >>> states, controls = free.augment_guess(solution.states, solution.controls, [2.0])
        >>> states.shape, controls.shape
        ((11, 3), (10, 2))
    """
    controls = _array("augment_guess", "controls", controls, "[T, m]")
    parameters = _array("augment_guess", "parameters", parameters, "[k]")
    if states is not None:
        states = _array("augment_guess", "states", states, "[T+1, n]")
        if len(states) != len(controls) + 1:
            raise ValueError(
                f"augment_guess: states has shape {states.shape} and controls {controls.shape}; "
                "wanted [T+1, n] and [T, m]."
            )
        held = jnp.tile(parameters.astype(states.dtype), (len(states), 1))
        states = jnp.concatenate([states, held], axis=1)
    return states, with_first(controls, parameters)


def split_trajectory(
    states: Float[Array, "*batch T1 n_plus_k"],
    controls: Float[Array, "*batch T m_plus_k"],
    parameter_dim: int,
) -> tuple[Float[Array, "*batch T1 n"], Float[Array, "*batch T m"], Float[Array, "*batch k"]]:
    """The states [T+1, n] and controls [T, m] of the original problem, and the parameters p [k].

    Differentiable in both.

    Raises:
        ValueError: a parameter_dim that does not fit.

    Example:
        >>> free = jaxmpc.free_parameters
        >>> guess = free.augment_guess(solution.states, solution.controls, [2.0])
        >>> states, controls, p = free.split_trajectory(*guess, 1)
        >>> states.shape, controls.shape, p.tolist()
        ((11, 2), (10, 1), [2.0])
    """
    most = min(states.shape[-1], controls.shape[-1]) - 1
    if not 1 <= parameter_dim <= most:
        raise ValueError(
            f"split_trajectory: parameter_dim is {parameter_dim}; wanted 1 .. {most} for states "
            f"of shape {states.shape} and controls of shape {controls.shape}."
        )
    k = parameter_dim
    return states[..., :-k], controls[..., :-k], controls[..., 0, -k:]


@pytree_function
class _Stage(PytreeFunction):
    function: Callable
    merge: Callable
    parameter_dim: int = static()

    def __call__(self, z, v, t, params):
        x, u, p = _unpack(z, v, t, self.parameter_dim)
        return self.function(x, u, t, self.merge(params, p))


@pytree_function
class _Dynamics(_Stage):
    def __call__(self, z, v, t, params):
        x, u, p = _unpack(z, v, t, self.parameter_dim)
        return jnp.concatenate([self.function(x, u, t, self.merge(params, p)), p])


@pytree_function
class _Terminal(PytreeFunction):
    function: Callable
    merge: Callable
    parameter_dim: int = static()

    def __call__(self, z, params):
        x, p = z[: -self.parameter_dim], z[-self.parameter_dim :]
        return self.function(x, self.merge(params, p))


def _unpack(z, v, t, k: int):
    return z[:-k], v[:-k], jnp.where(t == 0, v[-k:], z[-k:])


def _parameter_bounds(lower, upper):
    low = _array("optimize_parameters", "lower", lower, "[k]")
    high = _array("optimize_parameters", "upper", upper, "[k]")
    if low.shape != high.shape or low.size == 0:
        raise ValueError(
            f"optimize_parameters: lower has shape {low.shape} and upper {high.shape}; wanted [k] "
            "of both, an entry for each free parameter."
        )
    known = not any(isinstance(bound, jax.core.Tracer) for bound in (low, high))
    if known and not np.all(np.asarray(low) <= np.asarray(high)):
        raise ValueError(
            f"optimize_parameters: wanted lower <= upper, got lower = {low} and upper = {high}."
        )
    return low, high


def _array(caller: str, name: str, value, wanted: str):
    try:
        array = jnp.asarray(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{caller}: {name} must be an array {wanted}, got {value!r}.") from error
    if array.ndim != wanted.count(",") + 1:
        raise ValueError(f"{caller}: {name} has shape {array.shape}; wanted {wanted}.")
    return array.astype(jnp.result_type(array, float))


present(
    __name__,
    handed_on=("initial_state_guess", "optimize_initial_state", "split_initial_state"),
)
