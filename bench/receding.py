"""One step of receding-horizon control: the time of a jitted, warm-started `jaxmpc.solve`.

The paper's cart-pole in closed loop from the experts' first start: each step solves from the
state that the last one led to, starting from the solution before, and applies its first control.
The state comes from a simulation with a pole one tenth heavier, and a push now and then, or there
would be nothing left to solve after a second.
"""

import time

import numpy as np

from bench import machine, report
from bench.problems import load

_STEPS, _PUSHED_EVERY = 500, 50


def run(options):
    """Measure, print, and write the JSON."""
    if options.without_jaxmpc:
        return
    here, row = machine.describe(), _measured(50 if options.quick else _STEPS, options.tolerance)
    print("\nreceding\n")
    print(*(f"{name}: {value}" for name, value in row.items()), sep="\n")
    if not options.dry:
        about = {"jaxmpc": {"device": row["device"]}}
        content = {"benchmark": "receding", "contenders": about, "results": [row]}
        path = machine.save("receding", here, content, report.accelerator(about))
        print("written:", path.name)


def _measured(steps: int, tolerance: float) -> dict[str, object]:
    import jax
    import jax.numpy as jnp

    import jaxmpc

    jax.config.update("jax_enable_x64", True)
    task = load("cartpole")
    problem, solver = task.jaxmpc_problem(), jaxmpc.ILQR(tolerance=tolerance)
    params = {name: jnp.asarray(value) for name, value in task.params.items()}
    real = {**params, "masspole": 1.1 * params["masspole"]}

    @jax.jit
    def step(x0, warm_start):
        return jaxmpc.solve(problem, x0, params, warm_start=warm_start, solver=solver)

    @jax.jit
    def simulated(x, u):
        return problem.dynamics(x, u, 0, real)

    random = np.random.default_rng(0)
    x = jnp.asarray(task.initial_states()[0])
    solution = jaxmpc.solve(problem, x, params, solver=solver)
    start = time.perf_counter()
    solution = jax.block_until_ready(step(x, solution))
    compile_s = time.perf_counter() - start
    milliseconds, iterations, converged = [], [], 0
    for k in range(steps):
        start = time.perf_counter()
        solution = jax.block_until_ready(step(x, solution))
        milliseconds.append(1e3 * (time.perf_counter() - start))
        iterations.append(int(solution.iterations))
        converged += bool(solution.converged)
        x = simulated(x, solution.controls[0])
        if k % _PUSHED_EVERY == 0:
            x = x.at[1].add(random.normal())
    return {
        "contender": "jaxmpc",
        "device": jax.devices()[0].device_kind,
        "steps": steps,
        "median_ms": float(np.median(milliseconds)),
        "p99_ms": float(np.quantile(milliseconds, 0.99)),
        "max_ms": max(milliseconds),
        "compile_s": compile_s,
        "iterations": {"median": float(np.median(iterations)), "max": max(iterations)},
        "converged": converged,
    }
