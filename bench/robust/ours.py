"""jaxmpc's answers: one compiled program for each size and solver."""

import functools
import time
from typing import Any

import jax
import jax.numpy as jnp

import jaxmpc
from bench.robust import draws, families
from bench.robust.families import Draw, Size
from bench.robust.ipopt import nlp_of

SOLVERS = {
    "default": None,
    "ilqr": jaxmpc.ILQR(),
    "sqp": jaxmpc.SQP(),
    "interior": jaxmpc.InteriorPoint(),
}
_STATIONARY, _FEASIBLE = 1e-6, 1e-7  # what the check of `converged` grants


def possible(solver: str, family: str) -> bool:
    """Whether a solver takes the family's constraints."""
    return solver not in ("ilqr", "sqp") or family == "box"


def solve(draw: Draw, solver: str) -> dict[str, Any]:
    """The answer of the solver of that name, and what an independent check says of it."""
    program, arguments = _program(draw.size, solver), arguments_of(draw)
    began = time.perf_counter()
    solution = jax.device_get(program(*arguments))
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
    return jaxmpc.Problem(
        _dynamics,
        _stage_cost,
        _terminal_cost,
        horizon=size.horizon,
        control_dim=size.m,
        control_bounds=control_bounds,
        state_bounds=state_bounds,
        **_CONSTRAINTS.get(size.family, {}),
    )


@functools.lru_cache
def _program(size: Size, solver: str):
    def program(control_bounds, state_bounds, x0, params):
        problem = _problem(size, control_bounds, state_bounds)
        return jaxmpc.solve(problem, x0, params, solver=SOLVERS[solver])

    return jax.jit(program).lower(*arguments_of(draws.draw(size, 0))).compile()


def _dynamics(x, u, t, params):
    return families.step(x, u, params, jnp)


def _stage_cost(x, u, t, params):
    return families.stage_cost(x, u, params, jnp)


def _terminal_cost(x, params):
    return families.terminal_cost(x, params, jnp)


def _outside(x, u, t, params):
    return families.outside_discs(x, params, jnp)


def _outside_at_the_end(x, params):
    return families.outside_discs(x, params, jnp)


def _on_target(x, params):
    return families.on_target(x, params, jnp)


def _coupling(x, u, t, params):
    return families.coupling(x, u, params, jnp)


_CONSTRAINTS = {
    "discs": {"stage_inequality": _outside, "terminal_inequality": _outside_at_the_end},
    "terminal_equality": {"terminal_equality": _on_target},
    "stage_equality": {"stage_equality": _coupling},
}
