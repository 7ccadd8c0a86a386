"""Experiment 1: differentiating the solution, or the iterations that led to it.

The gradient of the controls' mean square in gravity, mass and length, for eight of the paper's
pendulums; the implicit gradient solves one KKT system at the returned point, the unrolled one
goes back through every iteration. Rows: the number of iterations that the forward pass may take
(implicit: it stops when it has converged) or takes (unrolled).

Time of the backward pass: that of solution and gradient together less that of the solution; each
the shortest of thirty runs, as a busy machine only ever adds. (Of the implicit gradient it is less
than what two such times can be told apart by.) Memory: what the compiled program of
solution and gradient allocates besides its arguments and results. (In the paper's first figure on
run time the bars labelled 32, 64 and 128 are the measurements of 16, 32 and 64 iterations; the
numbers below are the thesis's.)
"""

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

import jaxmpc
from bench.paper import tasks
from jaxmpc import models, plot

_ITERATIONS = (1, 2, 4, 8, 16, 32, 64, 128)
_STARTS, _RUNS = 8, 30
# Seconds in the paper, for the same numbers of iterations: implicit and unrolled, backward.
_PAPER = {
    "implicit": (0.0248, 0.0247, 0.0171, 0.0156, 0.0154, 0.0153, 0.0153, 0.0154),
    "unrolled": (0.0533, 0.0858, 0.1538, 0.3088, 0.6510, 1.3293, 2.8324, 5.9340),
}


def run(short: bool) -> Iterator[dict[str, Any]]:
    """A row for each way to differentiate and number of iterations."""
    which = tasks.task("pendulum")
    starts = jnp.asarray(models.paper_initial_states("pendulum")[:_STARTS])
    for name in ("implicit", "unrolled"):
        for place, iterations in enumerate(_ITERATIONS[:3] if short else _ITERATIONS):
            measured = _measure(partial(loss, which, name, iterations), which.expert, starts)
            row = {"adjoint": name, "iterations": iterations, **measured}
            row["paper_backward_s"] = _PAPER[name][place]
            print(
                f"{name:<9} {iterations:>4} iterations: forward {row['forward_ms']:8.2f} ms, "
                f"backward {row['backward_ms']:8.2f} ms, memory {row['memory_mib']:7.2f} MiB"
            )
            yield row


def draw(rows: list[dict[str, Any]]):
    """Time and memory of solution and gradient over the number of iterations."""
    pyplot = plot.require_matplotlib()
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    for name, color in (("implicit", "C3"), ("unrolled", "0.45")):
        own = [row for row in rows if row["adjoint"] == name]
        iterations = [row["iterations"] for row in own]
        both = [row["forward_ms"] + row["backward_ms"] for row in own]
        memory = [row["memory_mib"] for row in own]
        for axis, values in zip(axes, (both, memory), strict=True):
            axis.loglog(iterations, values, "o-", color=color, label=name)
    for axis, label in zip(axes, ("solution and gradient [ms]", "memory [MiB]"), strict=True):
        axis.set(xlabel="iterations", ylabel=label)
        axis.set_xticks(_ITERATIONS, [str(number) for number in _ITERATIONS])
        axis.minorticks_off()
        axis.grid(color="0.9", lw=0.6)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False)
    return figure


def loss(which: tasks.Task, name: str, iterations: int, dynamics, starts):
    """The mean square of the controls, of a solver that may take so many iterations."""
    adjoint = jaxmpc.UnrolledAdjoint(iterations)
    if name == "implicit":
        # What a few iterations lead to has not converged; its gradient is wanted all the same.
        adjoint = jaxmpc.ImplicitAdjoint(on_failure="keep")
    solve = partial(jaxmpc.solve, solver=jaxmpc.ILQR(max_iterations=iterations), adjoint=adjoint)
    params = {**which.expert, "dynamics": dynamics}
    return jnp.mean(jax.vmap(solve, (None, 0, None))(which.problem, starts, params).controls ** 2)


def _measure(loss, expert, starts) -> dict[str, float]:
    dynamics = jax.tree.map(jnp.asarray, expert["dynamics"])
    forward = jax.jit(loss).lower(dynamics, starts).compile()
    both = jax.jit(jax.value_and_grad(loss)).lower(dynamics, starts).compile()
    analysis: Any = both.memory_analysis()
    alone, together = (_milliseconds(program, dynamics, starts) for program in (forward, both))
    return {
        "forward_ms": alone,
        "backward_ms": together - alone,
        "memory_mib": analysis.temp_size_in_bytes / 2**20,
    }


def _milliseconds(program, *arguments) -> float:
    times = []
    jax.block_until_ready(program(*arguments))
    for _ in range(_RUNS):
        start = time.perf_counter()
        jax.block_until_ready(program(*arguments))
        times.append(1e3 * (time.perf_counter() - start))
    return min(times)
