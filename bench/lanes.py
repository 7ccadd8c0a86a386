"""How much of a batch's work is wasted on elements that have already finished.

    python -m bench.lanes

1,024 random starts of the pendulum and of the paper's cart-pole: iterations (mean and largest),
the useful part of all iterations that were computed under `vmap` and by `solve_batch`, and the
milliseconds of each.
"""

import statistics
import time
from typing import Any

import jax
import jax.numpy as jnp

import jaxmpc
from bench import machine
from jaxmpc import batch, models
from jaxmpc.batching.refill import run_many
from jaxmpc.integrators import discrete
from jaxmpc.solvers.loop import Guess
from jaxmpc.solving import default_solver

_STARTS, _RUNS = 1024, 7


def _problems() -> dict[str, tuple[jaxmpc.Problem, Any, jax.Array]]:
    """Name: problem, params, starts."""
    keys = jax.random.split(jax.random.key(0), 2)
    angle, rate = jax.random.uniform(keys[0], (2, _STARTS), minval=-1.0)
    swing = jnp.stack([jnp.cos(jnp.pi * angle), jnp.sin(jnp.pi * angle), rate], axis=1)
    experts = jnp.asarray(models.paper_initial_states("cartpole"))
    chosen = jax.random.choice(keys[1], len(experts), (_STARTS,))
    noise = 0.05 * jax.random.normal(keys[1], (_STARTS, experts.shape[1]))
    return {
        "pendulum": (
            _problem(models.pendulum, models.pendulum_cost, 2.0),
            models.PENDULUM,
            swing,
        ),
        "cartpole": (
            _problem(models.cartpole, models.cartpole_cost, 100.0),
            models.CARTPOLE,
            experts[chosen] + noise,
        ),
    }


def _problem(dynamics, cost, limit: float) -> jaxmpc.Problem:
    return jaxmpc.Problem(
        discrete(dynamics),
        lambda x, u, t, params: cost(x, u),
        horizon=20,
        control_dim=1,
        control_bounds=(-limit, limit),
    )


def _milliseconds(function, *arguments) -> float:
    jax.block_until_ready(function(*arguments))
    times = []
    for _ in range(_RUNS):
        start = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def _measured(name: str, problem: jaxmpc.Problem, params: Any, starts: jax.Array):
    params = jax.tree.map(jnp.asarray, params)
    together = jax.jit(jax.vmap(jaxmpc.solve, (None, 0, None)))
    refilled = jax.jit(jaxmpc.solve_batch)
    solution = together(problem, starts, params)
    taken = solution.iterations + 1  # the last one judges
    solver = default_solver(problem)
    lanes = batch.default_chunk(problem, starts[0], _STARTS, jax.default_backend())

    def whole(x0):
        guess = Guess(jnp.zeros((problem.horizon, problem.control_dim), x0.dtype), None, None)
        return problem, x0, params, guess

    iteration = batch.iteration_of(solver, whole)
    steps = jax.jit(lambda starts: run_many(iteration, starts, lanes)[1])(starts)
    useful = float(jnp.sum(taken))
    return {
        "problem": name,
        "starts": _STARTS,
        "converged": int(jnp.sum(solution.converged)),
        "iterations": {"mean": float(jnp.mean(taken)), "max": int(jnp.max(taken))},
        "lanes": lanes,
        "wasted_vmap": 1 - useful / (_STARTS * int(jnp.max(taken))),
        "wasted_solve_batch": 1 - useful / (lanes * int(steps)),
        "vmap_ms": _milliseconds(together, problem, starts, params),
        "solve_batch_ms": _milliseconds(refilled, problem, starts, params),
    }


def main():
    """Measure, print, and write the JSON."""
    jax.config.update("jax_enable_x64", True)
    here, rows = machine.describe(), []
    for name, given in _problems().items():
        rows.append(_measured(name, *given))
        print(*(f"{key}: {value}" for key, value in rows[-1].items()), sep="\n", end="\n\n")
    print("written:", machine.save_own("lanes", here, rows).name)


if __name__ == "__main__":
    main()
