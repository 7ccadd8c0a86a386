"""Where an iteration of `ILQR` spends its time, and how far that is from the machine's limit.

    python -m bench.profile

The paper's cart-pole, 24 starts at once (as `solve_batch` does), float64. For each part of an
iteration: microseconds a start, compile seconds, and, by XLA's cost analysis of the compiled
program, operations and bytes a start, from which follow GFLOP/s and GB/s. (A scan's body is counted
once for each stage where XLA knows how often it runs, else once.)
"""

import statistics
import time
from functools import partial

import jax
import jax.numpy as jnp

import jaxmpc
from bench import machine
from bench.problems import load
from jaxmpc.lq.bounds.control_limited import control_limited_policy
from jaxmpc.solvers.ilqr.line_search import line_search
from jaxmpc.solvers.ilqr.regularization import convexify_expansion
from jaxmpc.solvers.loop import Guess
from jaxmpc.trajectory import costates, derivatives, dynamics_curvature, lq_model

_LANES, _RUNS = 24, 200


def _measured(name: str, function, *arguments):
    start = time.perf_counter()
    compiled = jax.jit(jax.vmap(function)).lower(*arguments).compile()
    row = {"part": name, "compile_s": round(time.perf_counter() - start, 2)}
    output = jax.block_until_ready(compiled(*arguments))
    times = []
    for _ in range(_RUNS):
        start = time.perf_counter()
        jax.block_until_ready(compiled(*arguments))
        times.append(1e6 * (time.perf_counter() - start))
    cost = compiled.cost_analysis() or {}
    microseconds = statistics.median(times)
    flops, moved = cost.get("flops", 0.0), cost.get("bytes accessed", 0.0)
    row["us_per_start"] = round(microseconds / _LANES, 2)
    row["flops_per_start"] = round(flops / _LANES)
    row["bytes_per_start"] = round(moved / _LANES)
    row["gflops"] = round(1e-3 * flops / microseconds, 2)
    row["gbytes_per_s"] = round(1e-3 * moved / microseconds, 2)
    return row, output


def main():
    """Measure, print, and write the JSON."""
    jax.config.update("jax_enable_x64", True)
    here, rows = machine.describe(), []
    task = load("cartpole")
    problem, solver = task.jaxmpc_problem(), jaxmpc.ILQR()
    params = {name: jnp.asarray(value, float) for name, value in task.params.items()}
    starts = jnp.asarray(task.initial_states()[:_LANES])
    limits = problem.limits(starts.dtype)
    guess = Guess(jnp.zeros((problem.horizon, problem.control_dim)), None, None)

    def measured(name, function, *arguments):
        row, output = _measured(name, function, *arguments)
        rows.append(row)
        print(" ".join(f"{key} {value}" for key, value in row.items()), flush=True)
        return output

    def init(x0):
        return solver.init(problem, x0, params, guess)

    state = measured("init", init, starts)
    state = measured("step", partial(solver.step, problem, params), state)
    nominal = state.nominal

    def first(nominal):
        return derivatives(problem, nominal.states, nominal.controls, params)

    def second(nominal, costate):
        return dynamics_curvature(problem, nominal.states, nominal.controls, costate, params)

    along = measured("derivatives", first, nominal)
    linear = along.linearization
    costate = measured("costates", costates, linear)
    measured("curvature of the dynamics", second, nominal, costate)
    stages, terminal = measured("convexify", convexify_expansion, *along.cost, state.scales)
    model = jax.vmap(lq_model)(linear, stages, terminal, jnp.zeros_like(nominal.states[:, 1:]))

    def policy(model, nominal):
        low, high = (bound - nominal.controls for bound in limits)
        return control_limited_policy(model, low, high, jnp.zeros_like(nominal.controls[0]))

    found = measured("policy", policy, model, nominal)
    measured("line search", lambda n, p: line_search(problem, params, n, p, limits), nominal, found)
    print("written:", machine.save_own("profile", here, rows).name)


if __name__ == "__main__":
    main()
