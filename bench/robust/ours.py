"""jaxmpc's answers: one compiled program for each size and solver."""

import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

import jaxmpc
from bench.robust import draws
from bench.robust.families import Draw, Size

SOLVERS = {
    "default": None,
    "ilqr": jaxmpc.ILQR(),
    "sqp": jaxmpc.SQP(),
    "interior": jaxmpc.InteriorPoint(),
}
_STATIONARY, _FEASIBLE = 1e-6, 1e-7  # what the check of `converged` grants


def possible(solver: str, draw: Draw) -> bool:
    """Whether a solver takes the constraints."""
    bounded = not draws.functions_of(draw.size).constrained and draw.state_bounds is None
    return solver not in ("ilqr", "sqp") or bounded


def solve(draw: Draw, solver: str) -> dict[str, Any]:
    """The answer of the solver of that name, and what an independent check says of it."""
    from bench.robust.ipopt import nlp_of  # CasADi, which only the check needs

    compile_for(draw.size, solver)
    began = time.perf_counter()
    solution = solution_of(draw, solver)
    seconds = time.perf_counter() - began
    stationarity, infeasibility = nlp_of(draw.size).violated_conditions(draw, solution)
    return {
        "solved": bool(solution.converged),
        "status": jaxmpc.Status(int(solution.status)).name,
        "iterations": int(solution.iterations),
        "cost": float(solution.cost),
        "seconds": seconds,
        "confirmed": stationarity <= _STATIONARY and infeasibility <= _FEASIBLE,
        "check": (stationarity, infeasibility),
    }


def solution_of(draw: Draw, solver: str) -> jaxmpc.Solution:
    """What the solver of that name returns, on the host."""
    return jax.device_get(_program(draw.size, solver)(*arguments_of(draw)))


def compile_for(size: Size, solver: str) -> float:
    """Compile the program of a size, if it is not yet; the seconds that it took."""
    began = time.perf_counter()
    _program(size, solver)
    return time.perf_counter() - began


def arguments_of(draw: Draw) -> tuple:
    """What a compiled program takes: the bounds, the start and the numbers of the functions."""
    state_bounds = draw.state_bounds and tuple(map(jnp.asarray, draw.state_bounds))
    controls = jnp.asarray(draw.lower), jnp.asarray(draw.upper)
    params = {name: jnp.asarray(value) for name, value in draw.params.items()}
    return controls, state_bounds, jnp.asarray(draw.x0), params


def problem_of(draw: Draw) -> jaxmpc.Problem:
    """A draw as a user would write it, to look into: `jaxmpc.solve(it, draw.x0, draw.params)`."""
    return _problem(draw.size, (draw.lower, draw.upper), draw.state_bounds)


def _problem(size: Size, control_bounds, state_bounds) -> jaxmpc.Problem:
    functions = draws.functions_of(size)
    inequality, target, coupling = (
        function and _of_arrays(function)
        for function in (
            functions.inequality,
            functions.terminal_equality,
            functions.stage_equality,
        )
    )
    step, stage_cost = _of_arrays(functions.step), _of_arrays(functions.stage_cost)
    return jaxmpc.Problem(
        lambda x, u, t, params: step(x, u, params),
        lambda x, u, t, params: stage_cost(x, u, params),
        _of_arrays(functions.terminal_cost),
        horizon=size.horizon,
        control_dim=size.m,
        control_bounds=control_bounds,
        state_bounds=state_bounds,
        stage_inequality=inequality and (lambda x, u, t, params: inequality(x, params)),
        terminal_inequality=inequality,
        terminal_equality=target,
        stage_equality=coupling and (lambda x, u, t, params: coupling(x, u, params)),
    )


def _of_arrays(function: Callable) -> Callable:
    """A function with jax.numpy for its module, whose list of scalars is an array."""

    def of_arrays(*arguments):
        value = function(*arguments, jnp)
        return jnp.stack(value) if isinstance(value, list) else value

    return of_arrays


@functools.lru_cache
def _program(size: Size, solver: str):
    def program(control_bounds, state_bounds, x0, params):
        problem = _problem(size, control_bounds, state_bounds)
        return jaxmpc.solve(problem, x0, params, solver=SOLVERS[solver])

    return jax.jit(program).lower(*arguments_of(draws.draw(size, 0))).compile()
