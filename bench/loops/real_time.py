"""Real time: beside acados' real-time iteration, and two loops of 100,000 samples.

    python -m bench.loops.real_time                   # ten minutes on one core
    python -m bench.loops.real_time --samples 5000 --dry

Pin it to a core (`taskset -c 0`) on a machine that does nothing else: the tail is what counts.
JSON and a histogram are written to bench/results.
"""

import argparse
import json
import os
import resource
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxmpc
from bench import machine
from bench.contenders import CONTENDERS
from bench.environments import python_with
from jaxmpc import lq, models
from jaxmpc.control import TimingReport, window
from jaxmpc.integrators import rk4

_ROUNDS = 3
_ROOT = Path(__file__).parents[2]


def beside_acados() -> list[dict[str, Any]]:
    """Both in turns, each in a process and an environment of its own."""
    found: dict[str, list] = {"jaxmpc": [], "acados": []}
    for _ in range(_ROUNDS):
        for name, runs in found.items():
            contender = CONTENDERS[name]
            python = python_with(contender.word, contender.steps)
            command = [python, "-m", "bench.loops.rti", name]
            # acados' generator prints too.
            output = subprocess.run(command, cwd=_ROOT, check=True, stdout=subprocess.PIPE).stdout
            runs.append(json.loads(output.splitlines()[-1]))
    rows = []
    for name, runs in found.items():
        row: dict[str, Any] = {"contender": name, "cost": runs[0]["cost"], "last": runs[0]["last"]}
        for clock in ("seconds", "own_seconds"):
            if clock not in runs[0]:
                continue
            for phase in ("preparation", "feedback"):
                report = TimingReport(np.concatenate([run[clock][phase] for run in runs]))
                row[f"{phase}_{clock}"] = {"median": report.median, "p99": report.p99}
        rows.append(row)
    return rows


def cartpole_at_1_khz() -> tuple[Any, Callable, np.ndarray, float, Callable]:
    """Balanced with a horizon of 25 ms; the terminal cost knows the rest."""
    dt, goal = 1e-3, jnp.zeros(4)
    step = rk4(models.cartpole_acados, dt)
    Q, R = jnp.diag(jnp.array([1.0, 5.0, 0.1, 0.1])), jnp.array([[0.01]])
    A, B = jax.jacfwd(lambda x, u: step(x, u, 0, None), (0, 1))(goal, jnp.zeros(1))
    P = lq.infinite_horizon(A, B, Q, R).P
    problem = jaxmpc.Problem(
        step,
        lambda x, u, t, params: 0.5 * x @ Q @ x + 0.5 * u @ R @ u,
        lambda x, params: 0.5 * x @ P @ x,
        horizon=25,
        control_dim=1,
        control_bounds=(-20.0, 20.0),
    )
    real = {**models.CARTPOLE_ACADOS, "mass_pole": 1.2 * models.CARTPOLE_ACADOS["mass_pole"]}
    plant = rk4(models.cartpole_acados, dt)

    def moved(x, u, t):
        return plant(x, u, t, real)

    return problem, moved, np.array([0.2, 0.1, 0.0, 0.0]), dt, lambda t: None


def quadrotor_at_50_hz() -> tuple[Any, Callable, np.ndarray, float, Callable]:
    """Thirteen states around a circle on which four columns stand in the way."""
    dt, horizon, round_trip = 0.02, 30, 600
    step = rk4(models.quadrotor, dt)
    angles = np.pi / 4 + np.pi / 2 * np.arange(4)
    columns = jnp.asarray(2.0 * np.stack([np.cos(angles), np.sin(angles)], axis=1))
    radius, weights = 0.4, jnp.repeat(jnp.array([5.0, 0.5, 0.5, 0.05]), np.array([3, 4, 3, 3]))

    def stage(x, u, t, params):
        target = jnp.concatenate([params["reference"][t], jnp.array([1.0]), jnp.zeros(9)])
        away, hover = x - target, 0.5 * 9.81 / 4
        return 0.5 * away @ (weights * away) + 0.05 * jnp.sum((u - hover) ** 2)

    problem = jaxmpc.Problem(
        lambda x, u, t, params: step(x, u, t, None),
        stage,
        lambda x, params: 5.0 * stage(x, jnp.full(4, 0.5 * 9.81 / 4), horizon, params),
        horizon=horizon,
        control_dim=4,
        control_bounds=(0.0, 5.0),
        stage_inequality=lambda x, u, t, params: (
            radius**2 - jnp.sum((x[None, :2] - columns) ** 2, axis=1)
        ),
        soft={"stage_inequality": jaxmpc.Soft(linear=100.0, quadratic=1000.0)},
    )
    phase = 2 * np.pi * np.arange(round_trip + horizon + 1) / round_trip
    path = np.stack([2.0 * np.cos(phase), 2.0 * np.sin(phase), np.ones_like(phase)], axis=1)
    windows = [{"reference": np.asarray(window(path, t, horizon))} for t in range(round_trip)]
    real = {**models.QUADROTOR, "mass": 1.05 * models.QUADROTOR["mass"]}
    plant = rk4(models.quadrotor, dt)

    def moved(x, u, t):
        x = plant(x, u, t, real)
        return x.at[3:7].divide(jnp.linalg.norm(x[3:7]))

    x0 = np.r_[2.0, 0.0, 1.0, 1.0, np.zeros(9)]
    return problem, moved, x0, dt, lambda t: windows[t % round_trip]


def long_loop(make: Callable, samples: int) -> tuple[dict[str, Any], TimingReport]:
    """One iteration a sample, by a jitted `step`, with noise; what the plant takes is not timed."""
    problem, moved, x, dt, params = make()
    controller = jaxmpc.RecedingHorizon(problem, iterations=1)
    options = jaxmpc.compiler_options()
    step = jax.jit(controller.step, compiler_options=options)
    plant = jax.jit(moved, compiler_options=options)
    random, plan = np.random.default_rng(0), controller.init(x, params(0))
    seconds, memory, farthest = np.zeros(samples), [], 0.0
    for t in range(samples):
        given = params(t)
        start = time.perf_counter()
        u, plan = jax.block_until_ready(step(x, plan, given))
        seconds[t] = time.perf_counter() - start
        x = np.asarray(plant(x, u, t)) + dt * 0.05 * random.normal(size=x.shape)
        farthest = max(farthest, float(np.max(np.abs(x[:3]))))
        if t in (samples // 10, samples - 1):
            memory.append(_resident_mib())
    report = TimingReport(seconds[1:], dt)  # the first sample solves, from nothing
    row = {
        "samples": samples,
        "deadline_ms": 1e3 * dt,
        "median_ms": 1e3 * report.median,
        "p99_ms": 1e3 * report.p99,
        "p999_ms": 1e3 * report.p999,
        "worst_ms": 1e3 * report.worst,
        "missed": report.missed,
        "programs": getattr(step, "_cache_size")(),  # noqa: B009
        "resident_mib": memory,
        "statuses": np.asarray(plan.counts).tolist(),
        "farthest_state": farthest,
    }
    return row, report


def _resident_mib() -> float:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 2**20
    except OSError:
        return float("nan")


LOOPS = {"cart-pole, 1 kHz": cartpole_at_1_khz, "quadrotor, 50 Hz": quadrotor_at_50_hz}


def main():
    """Measure, print, keep, draw."""
    parser = argparse.ArgumentParser("python -m bench.loops.real_time")
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--without-acados", action="store_true")
    parser.add_argument("--dry", action="store_true", help="print only, write no files")
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    here, rows, reports = machine.describe(), [], {}
    if not options.without_acados:
        rows += beside_acados()
        for row in rows:
            print(json.dumps(row))
    for name, make in LOOPS.items():
        row, reports[name] = long_loop(make, options.samples)
        rows.append({"loop": name, **row})
        print(f"{name}: {reports[name]}\n    {json.dumps(row)}", flush=True)
    if not options.dry:
        path = machine.save_own("real_time", here, rows)
        print("written:", path.name, *_draw(reports, path))


def _draw(reports: dict[str, TimingReport], path: Path) -> list[str]:
    from jaxmpc import plot

    names = []
    for number, (title, report) in enumerate(reports.items()):
        figure = plot.plot_timing(report).figure
        figure.suptitle(f"{title}, {len(report.seconds)} samples on one core")
        file = path.with_name(f"{path.stem}-{number + 1}.png")
        figure.savefig(file, dpi=110)
        names.append(file.name)
    return names


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
