"""Closed loops with a wrong model, noise and a push: cost and failures over 100 seeds.

    python -m bench.loops.disturbances                   # ten minutes on one core
    python -m bench.loops.disturbances --tasks car --seeds 10 --dry

One `vmap` over the seeds for each task and controller. A loop fails where the task is not done at
its end (see `bench.loops.tasks`) or a state is not finite. JSON and a picture of the fans are
written to bench/results.
"""

import argparse
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import jaxmpc
from bench import machine
from bench.loops.tasks import TASKS, Task, loop
from jaxmpc.control import AdvancedStep

# "exact": solved at every sample. RTI: one iteration a sample, on the measured state; advanced:
# one iteration on the predicted state, before the sample, and its policy for the measured one.
CONTROLLERS = {
    "ILQR": lambda problem: jaxmpc.RecedingHorizon(problem, jaxmpc.ILQR()),
    "SQP": lambda problem: jaxmpc.RecedingHorizon(problem, jaxmpc.SQP()),
    "InteriorPoint": lambda problem: jaxmpc.RecedingHorizon(problem, jaxmpc.InteriorPoint()),
    "RTI": lambda problem: jaxmpc.RecedingHorizon(problem, iterations=1),
    "RTI, advanced step": lambda problem: AdvancedStep(
        jaxmpc.RecedingHorizon(problem, iterations=1)
    ),
    # 192 rollouts a sample.
    "ICEM": lambda problem: jaxmpc.RecedingHorizon(
        problem, jaxmpc.ICEM(samples=64, elites=8, iterations=2, decay=1.0)
    ),
}


def measure(task: Task, make, seeds: int) -> tuple[dict, jaxmpc.Simulation]:
    """The row of a controller, and its loops."""
    keys = jax.random.split(jax.random.key(0), seeds)
    run = jax.jit(
        jax.vmap(lambda key: loop(task, make(task.problem), key)),
        compiler_options=jaxmpc.compiler_options(),
    )
    clock = [time.perf_counter()]
    compiled = run.lower(keys).compile()
    clock.append(time.perf_counter())
    loops = jax.block_until_ready(compiled(keys))
    clock.append(time.perf_counter())
    done = np.asarray(jax.vmap(task.done)(loops.states))
    done = done & np.isfinite(np.asarray(loops.states)).all((1, 2))
    costs = np.asarray(jnp.sum(loops.costs, axis=1))
    return {
        "failures": int(np.sum(~done)),
        "median_cost": float(np.median(costs)),
        "mean_cost_of_done": float(costs[done].mean()) if done.any() else None,
        "not_relied_on": float(
            1 - np.asarray(loops.plan.counts)[:, :2].sum() / np.asarray(loops.plan.counts).sum()
        ),
        "not_converged": float(np.mean(np.asarray(loops.statuses) != 0)),
        "iterations": float(np.mean(np.asarray(loops.iterations))),
        "compile_s": round(clock[1] - clock[0], 1),
        "ms_a_sample_and_loop": 1e3 * (clock[2] - clock[1]) / (seeds * task.steps),
    }, loops


def main():
    """Measure, print, keep, draw."""
    parser = argparse.ArgumentParser("python -m bench.loops.disturbances")
    parser.add_argument("--tasks", default="", help="those whose name has this in it")
    parser.add_argument("--controllers", default="", help="those whose name has this in it")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--dry", action="store_true", help="print only, write no files")
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    here, rows, fans = machine.describe(), [], {}
    print(f"{'':44}failures  cost (median)  iterations  not converged  ms/sample  compile s")
    for name, make_task in TASKS.items():
        if options.tasks not in name:
            continue
        task = make_task()
        for controller, make in CONTROLLERS.items():
            if options.controllers not in controller:
                continue
            if task.problem.has_general_constraints and controller in ("ILQR", "SQP"):
                continue
            row, loops = measure(task, make, options.seeds)
            rows.append({"task": name, "controller": controller, "seeds": options.seeds, **row})
            fans[name, controller] = (task, loops)
            print(
                f"{name:22}{controller:22}{row['failures']:8}{row['median_cost']:15.4g}"
                f"{row['iterations']:12.2f}{row['not_converged']:15.1%}"
                f"{row['ms_a_sample_and_loop']:11.2f}{row['compile_s']:11.1f}",
                flush=True,
            )
    if not options.dry:
        path = machine.save_own("disturbances", here, rows)
        print("written:", path.name, *draw(fans, path))


def draw(fans, path: Path) -> list[str]:
    """The fan of one task, and a loop of another with its plans."""
    from jaxmpc import plot

    name, controller = "cart-pole, balance", "RTI, advanced step"
    pictures = {}
    if (name, controller) in fans:
        task, loops = fans[name, controller]
        pictures["fan"] = plot.plot_fan(loops, task.dt, task.labels)[0].figure
        pictures["fan"].suptitle(f"{name}, {controller}: {len(loops.states)} loops, a wrong model")
    task = TASKS["cart-pole, swing-up"]()
    one = loop(task, CONTROLLERS[controller](task.problem), jax.random.key(0), predictions=True)
    pictures["loop"] = plot.plot_closed_loop(one, task.dt, task.labels, every=8)[0].figure
    pictures["loop"].suptitle(f"cart-pole, swing-up, {controller}: masses 20 % off, noise, a push")
    for word, figure in pictures.items():
        figure.savefig(path.with_name(f"{path.stem}-{word}.png"), dpi=90)
    return list(pictures)


if __name__ == "__main__":
    main()
