"""A first guess for long horizons: plans of a few stages at a time, one after the other."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxmpc.checks import check_positive, check_state
from jaxmpc.compilation import compiled
from jaxmpc.problem import Problem
from jaxmpc.problem.closures import announced, self_contained
from jaxmpc.solvers.interior_point import InteriorPoint
from jaxmpc.solvers.loop import Guess, run
from jaxmpc.solvers.start import starting_states
from jaxmpc.trajectory import open_loop

_TOLERANCE, _MAX_ITERATIONS = 1e-4, 100  # of each plan: it is only a guess


def receding_guess(
    problem: Problem,
    x0: Float[Array, " n"],
    params: PyTree = None,
    *,
    window: int = 80,
) -> tuple[Float[Array, "T1 n"], Float[Array, "T m"]]:
    """States and controls to start a long problem from.

        states, controls = jaxmpc.receding_guess(problem, x0, params)
        solution = jaxmpc.solve(problem, x0, params, states=states, controls=controls)

    Plans `window` stages, follows the first half of the plan, and plans again from there, each
    time from the rest of the plan before: as a receding-horizon controller would, with the
    problem's own model. Where a simulation of many stages is a useless guess (unstable
    dynamics, or a swing that takes energy from the integrator) that of a few is not. The time
    grows in proportion to the horizon. The terminal cost and terminal constraints count in the
    last window alone. Compiles itself when called outside of `jit`.

    Args:
        problem, x0, params: as for `solve`.
        window: the number of stages that are planned at a time.

    Returns:
        states [T+1, n], which satisfy the dynamics where the plans converged, and controls
        [T, m] within their bounds. Without derivatives.

    Raises:
        TypeError, ValueError: when tracing, naming the argument, what came, what was wanted.

    Source: Diehl, Bock and Schloeder (2005) for plans that start from the ones before.

    Example:
        >>> states, controls = jaxmpc.receding_guess(problem, x0, params, window=5)
        >>> states.shape, controls.shape, bool((states[0] == x0).all())
        ((11, 2), (10, 1), True)
    """
    x0 = problem.projected(check_state(x0))
    check_positive("jaxmpc.receding_guess", "window", window, whole=True)
    problem, params, lasting = self_contained(problem, x0, params)
    function = _compiled if lasting else _guess
    return function(min(window, problem.horizon), problem, x0, params)


def _guess(window: int, problem: Problem, x0, params):
    problem, x0, params = jax.lax.stop_gradient((problem, x0, params))
    horizon, m = problem.horizon, problem.control_dim
    last = horizon - window  # where the last window starts
    starts = jnp.asarray([*range(0, last, max(1, window // 2)), last])
    lower, upper = problem.limits(x0.dtype)
    controls = jnp.clip(jnp.zeros_like(x0, shape=(horizon, m)), lower, upper)
    first = _part(problem, 0, window, x0, False)
    states = starting_states(first, params, open_loop(first, x0, params, controls[:window]))
    states = jnp.concatenate([states, jnp.broadcast_to(states[-1], (last, *x0.shape))])

    def plan(carry, start):
        states, controls = carry
        part = _part(problem, start, window, x0, start == last)
        guess = Guess(
            jax.lax.dynamic_slice_in_dim(controls, start, window),
            jax.lax.dynamic_slice_in_dim(states, start, window + 1),
        )
        found = run(_rough(InteriorPoint()), part, states[start], params, guess)
        states = jax.lax.dynamic_update_slice_in_dim(states, found.states, start, 0)
        controls = jax.lax.dynamic_update_slice_in_dim(controls, found.controls, start, 0)
        # What comes after the window is not planned yet: wait there.
        later = jnp.arange(horizon + 1) > start + window
        return (jnp.where(later[:, None], found.states[-1], states), controls), None

    (states, controls), _ = jax.lax.scan(plan, (states, controls), starts)
    return states, controls


_compiled = compiled(
    _guess, lambda _, *given: announced("a receding guess", *given), static_argnums=0
)


def _rough(solver):
    """The solver for a plan of which only the first half is kept, and that as a guess."""
    return dataclasses.replace(solver, tolerance=_TOLERANCE, max_iterations=_MAX_ITERATIONS)


def _part(problem: Problem, start, window: int, x0, ends) -> Problem:
    """The stages from `start` on as a problem; terminal terms count only if it `ends` there."""

    def at_stage(_, function):
        return lambda x, u, t, params: function(x, u, t + start, params)

    def at_end(_, function):
        return lambda x, params: jnp.where(ends, function(x, params), 0.0)

    def bounds(pair, limits):
        parts = [jax.lax.dynamic_slice_in_dim(limit, start, window) for limit in limits]
        return pair and tuple(
            None if given is None else part for given, part in zip(pair, parts, strict=True)
        )

    return problem.map_functions(
        at_stage,
        at_end,
        horizon=window,
        control_bounds=bounds(problem.control_bounds, problem.limits(x0.dtype)),
        state_bounds=bounds(problem.state_bounds, problem.state_limits(x0.shape[0], x0.dtype)),
    )
