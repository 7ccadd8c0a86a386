"""One problem, solved and differentiated by everyone who can, side by side."""

import subprocess
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from bench import reference
from bench.contenders import CONTENDERS, environment
from bench.derivatives import rollout
from bench.environments import python_with
from bench.problems import load
from bench.task import Task
from bench.timing import ContenderFailed, Settings, Worker, interleave

Row = dict[str, Any]


def measure(
    problem: str, names: Iterable[str], sizes: Sequence[int], settings: Settings
) -> tuple[list[Row], dict[str, Row]]:
    """The rows of a problem, and what each contender says of itself or why it is missing."""
    task, workers, about, rows = load(problem), {}, {}, []
    for name in names:
        if not CONTENDERS[name].takes_part(problem):
            continue
        try:
            workers[name] = _started(name, problem, settings)
            about[name] = workers[name].about
        except (ContenderFailed, subprocess.CalledProcessError, OSError) as failure:
            about[name] = {"missing": _last_line(failure)}
            print(f"WARNING: {name} takes no part in {problem}: {failure}", file=sys.stderr)
    x0s = task.initial_states()
    try:
        for size in sizes:
            able = {
                name: worker
                for name, worker in workers.items()
                if CONTENDERS[name].least <= size <= CONTENDERS[name].most
            }
            rows += _batch(task, able, x0s[:size], settings)
            print(f"{problem}: {min(size, len(x0s))} starts done", file=sys.stderr)
    finally:
        for worker in workers.values():
            worker.close()
    return [{"problem": problem, **row} for row in rows], about


def _started(name: str, problem: str, settings: Settings) -> Worker:
    contender = CONTENDERS[name]
    python = python_with(environment(contender.word), contender.steps)
    options = {"tolerance": settings.tolerance, **contender.options}
    return Worker(python, problem, contender.peer, options, settings.patience)


def _batch(task: Task, workers: dict[str, Worker], x0s: np.ndarray, settings: Settings):
    """One row for each contender: this batch, solved, and solved with its gradient."""
    rows: dict[str, Row] = {name: {"contender": name, "starts": len(x0s)} for name in workers}
    for gradient in (False, True) if settings.gradients else (False,):
        ready, first = {}, {}
        for name, worker in workers.items():
            if "failed" in rows[name] or (gradient and not worker.about.get("gradients", True)):
                continue
            try:
                seconds = worker.ask("prepare", x0s=x0s.tolist(), gradient=gradient)["seconds"]
                found = worker.ask("result")
            except ContenderFailed as failure:
                key = "gradient_failed" if gradient else "failed"
                rows[name][key] = _last_line(failure)
                print(f"{name}, {len(x0s)} starts: {failure}", file=sys.stderr)
                continue
            ready[name], first[name] = worker, found["first_ms"]
            rows[name]["compile_gradient_s" if gradient else "compile_s"] = seconds
            rows[name].update(_judged(task, x0s, found, settings.tolerance))
        times = interleave(ready, first, settings)
        for name, summary in times.items():
            rows[name]["solve_gradient_ms" if gradient else "solve_ms"] = summary
    return list(rows.values())


def _judged(task: Task, x0s: np.ndarray, found: Row, tolerance: float) -> Row:
    controls, row = np.array(found["controls"]), {"peak_mib": found["peak_mib"]}
    if "states" in found:
        states = np.array(found["states"])
    else:
        states = rollout(task, x0s, controls, task.values)
    if "gradient" in found:
        gradient = np.array(found["gradient"])
        row["gradient"] = found["gradient"] if gradient.size <= 12 else None
        try:
            error = reference.loss_gradient_error(task, x0s, states, controls, gradient)
            row["gradient_error"] = error
        except (RuntimeError, np.linalg.LinAlgError) as failure:
            row["gradient_unjudged"] = str(failure)
        return row
    verdict = reference.judge(task, x0s, states, controls)
    iterations = found.get("iterations")
    if iterations is not None:
        most = int(np.max(iterations))
        row["iterations"] = {"median": float(np.median(iterations)), "max": most}
    if "converged" in found:
        row["converged"] = int(np.sum(found["converged"]))
    if "own_ms" in found:
        row["own_ms"] = found["own_ms"]
    return {
        **row,
        "kkt": float(verdict.residual.max()),
        "kkt_unscaled": float(verdict.unscaled.max()),
        "kkt_ok": int(np.sum(verdict.residual < 10 * tolerance)),
        "mean_cost": float(verdict.cost.mean()),
        "at_bound": verdict.at_bound,
    }


def _last_line(failure: BaseException) -> str:
    return str(failure).strip().splitlines()[-1]
