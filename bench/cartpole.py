"""The 2018 paper's cart-pole, solved and differentiated by jaxmpc and its peers, side by side.

    python -m bench.cartpole                         # jaxmpc, CasADi + IPOPT, diffilqrax
    python -m bench.cartpole --peers none            # jaxmpc alone
    python -m bench.cartpole --peers casadi --batches 1,32

**The problem.** 20 controls, |u| <= 100, no terminal cost, stage cost 1/2 z'diag(q)z + p'z with
z = (x, u), q = (.1, .1, 1, 1, .1, .001), p = (0, 0, -1, 0, 0, 0), float64. The starts are the
120 of the paper's experts; in this convention the mean optimal cost is 22.085, as the paper's
data has it (no constant, no factor of 2). Everyone starts from zero controls. The clip of the
force to +-100 inside the authors' dynamics is the bound once more, and the peers leave it out.

**Who takes part.** Each contender runs in a process of its own, a peer in a virtual environment
that is made under bench/.environments on first use.

- jaxmpc: `jit(solve)`, `jit(vmap(solve))`.
- ipopt: CasADi, multiple shooting, exact Hessian, MUMPS, one thread, starts one after another;
  built once, only solves are timed. Its gradient is CasADi's sensitivity of the NLP, with the one
  option (`clip_inactive_lam`) without which it is silently zero: ipopt-defaults shows that.
- diffilqrax: its iLQR with full first steps, a batch by its strategy "map", its fastest on a CPU;
  diffilqrax-vmap: by "vmap". It has no bounds. At these starts no optimal control is at its
  bound (the script checks), so it finds the same solutions; it does the less work for it.

**What is measured.** Everyone is asked for 1e-8 by its own KKT test.

- ms: wall clock of one solve of the whole batch, after warm-up, results waited for; the contenders
  take turns, so that a slow minute of the machine is everybody's. With and without the gradient of
  the sum of squares of all optimal controls with respect to the four parameters of the dynamics.
- KKT: of the controls returned, by `bench.reference` (numpy; rolls out, so defects count), scaled
  as IPOPT scales; the worst of the batch. `ok`: how many are below 1e-7, ten times what was asked.
- gradient error: max |g - fd| / max |fd| against central differences of problems solved again, to
  rounding, near the contender's own solutions (it may have found another local minimum).
- compile: tracing, lowering and compiling, without a persistent cache; for CasADi, building.
- peak MiB: of the contender's process, everything up to and including that batch; in brackets
  after the imports alone.

Results go to bench/results/cartpole-MACHINE.json.
"""

import argparse
import sys
from typing import Any

import numpy as np

from bench import machine, reference, report
from bench.environments import python_with
from bench.task import Task
from bench.timing import ContenderFailed, Worker, interleave

_Q = (0.1, 0.1, 1.0, 1.0, 0.1, 0.001)
_DT = 0.05
_JAX = "jax==0.10.2"  # the peers' results are of this version, whatever ours runs on

# name: (the --peers word, file of bench/peers, its options, pip requirements)
CONTENDERS: dict[str, tuple[str, str, dict[str, Any], list[str]]] = {
    "jaxmpc": ("", "jaxmpc_solve", {}, []),
    "ipopt": ("casadi", "casadi_ipopt", {}, ["casadi==3.8.2", "numpy"]),
    "ipopt-defaults": ("casadi", "casadi_ipopt", {"tuned": False}, ["casadi==3.8.2", "numpy"]),
    "diffilqrax": ("diffilqrax", "diffilqrax_ilqr", {}, ["diffilqrax==1.0.0", _JAX]),
    "diffilqrax-vmap": (
        "diffilqrax",
        "diffilqrax_ilqr",
        {"strategy": "vmap"},
        ["diffilqrax==1.0.0", _JAX],
    ),
}


def _step(x, u, params, xp):
    gravity, masscart, masspole, length = (params[i] for i in range(4))
    position, velocity, cos, sin, omega = (x[i] for i in range(5))
    total, pole = masscart + masspole, masspole * length
    cart = (u[0] + pole * omega * omega * sin) / total
    swing = length * (4 / 3 - masspole * cos * cos / total)
    alpha = (gravity * sin - cos * cart) / swing
    acceleration = cart - pole * alpha * cos / total
    # cos and sin of atan2(sin, cos) + dt omega, without the atan2, which complex steps refuse
    radius = xp.sqrt(cos * cos + sin * sin)
    turn_cos, turn_sin = xp.cos(_DT * omega), xp.sin(_DT * omega)
    return (
        position + _DT * velocity,
        velocity + _DT * acceleration,
        (cos * turn_cos - sin * turn_sin) / radius,
        (sin * turn_cos + cos * turn_sin) / radius,
        omega + _DT * alpha,
    )


def _stage_cost(x, u):
    z = [x[i] for i in range(5)] + [u[0]]
    return sum(0.5 * q * v * v for q, v in zip(_Q, z, strict=True)) - z[2]


def _initial_states() -> np.ndarray:
    from jaxmpc.models import paper_initial_states  # not in the environments of the peers

    return paper_initial_states("cartpole")


TASK = Task(
    name="cartpole",
    horizon=20,
    state_dim=5,
    control_dim=1,
    lower=-100.0,
    upper=100.0,
    params={"gravity": 9.8, "masscart": 1.0, "masspole": 0.1, "length": 0.5},
    step=_step,
    stage_cost=_stage_cost,
    models=("cartpole", "cartpole_cost"),
    initial_states=_initial_states,
)


def _measure(workers: dict[str, Worker], x0s: np.ndarray, options) -> list[dict[str, Any]]:
    """One row for each contender: this batch, solved, and solved with its gradient."""
    rows = {name: {"contender": name, "starts": len(x0s)} for name in workers}
    for gradient in (False, True):
        ready = {}
        for name, worker in workers.items():
            try:
                seconds = worker.ask("prepare", x0s=x0s.tolist(), gradient=gradient)["seconds"]
                found = worker.ask("result")
            except ContenderFailed as failure:
                key = "gradient_failed" if gradient else "failed"
                rows[name][key] = str(failure).strip().splitlines()[-1]
                print(f"{name}, {len(x0s)} starts: {failure}", file=sys.stderr)
                continue
            ready[name] = worker
            rows[name]["compile_gradient_s" if gradient else "compile_s"] = seconds
            rows[name].update(_judged(x0s, found, options.tolerance))
        times = interleave(ready, options.rounds, options.repeats)
        for name, summary in times.items():
            rows[name]["solve_gradient_ms" if gradient else "solve_ms"] = summary
    return list(rows.values())


def _judged(x0s: np.ndarray, found: dict[str, Any], tolerance: float) -> dict[str, Any]:
    controls = np.array(found["controls"])
    row: dict[str, Any] = {"peak_mib": found["peak_mib"]}
    if "gradient" in found:
        truth = reference.loss_gradient(TASK, x0s, controls).sum(0)
        error = np.abs(np.array(found["gradient"]) - truth).max() / np.abs(truth).max()
        return {**row, "gradient": found["gradient"], "gradient_error": float(error)}
    verdict = reference.judge(TASK, x0s, controls)
    return {
        **row,
        "iterations": {"median": float(np.median(found["iterations"])), **_most(found)},
        "converged": int(np.sum(found["converged"])),
        "kkt": float(verdict.residual.max()),
        "kkt_unscaled": float(verdict.unscaled.max()),
        "kkt_ok": int(np.sum(verdict.residual < 10 * tolerance)),
        "mean_cost": float(verdict.cost.mean()),
        "at_bound": verdict.at_bound,
    }


def _most(found: dict[str, Any]) -> dict[str, int]:
    return {"max": int(np.max(found["iterations"]))}


def _options() -> argparse.Namespace:
    words = sorted({word for word, *_ in CONTENDERS.values() if word})
    parser = argparse.ArgumentParser("bench.cartpole", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--peers", default="all", help=f"none, all, or some of {','.join(words)}")
    parser.add_argument("--without-jaxmpc", action="store_true", help="measure the peers alone")
    parser.add_argument("--batches", default="1,32,120", help="how many of the 120 starts")
    parser.add_argument("--rounds", type=int, default=10, help="turns of each contender")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs in a turn")
    parser.add_argument("--tolerance", type=float, default=1e-8)
    options = parser.parse_args()
    chosen = {"none": [], "all": words}.get(options.peers, options.peers.split(","))
    if unknown := set(chosen) - set(words):
        parser.error(f"--peers: unknown {', '.join(sorted(unknown))}; wanted {', '.join(words)}")
    options.words = [*chosen] + ([] if options.without_jaxmpc else [""])
    options.batches = [int(size) for size in options.batches.split(",")]
    return options


def main():
    """Run the benchmark, print the table, write the JSON."""
    options, workers, here = _options(), {}, machine.describe()
    for name, (word, peer, settings, requirements) in CONTENDERS.items():
        if word in options.words:
            python = python_with(word or "jaxmpc", requirements)
            settings = {"tolerance": options.tolerance, **settings}
            try:
                workers[name] = Worker(python, "bench.cartpole", peer, settings)
            except ContenderFailed as failure:
                print(f"WARNING: {name} takes no part: {failure}", file=sys.stderr)
    x0s, rows = TASK.initial_states(), []
    for size in options.batches:
        rows += _measure(workers, x0s[:size], options)
        print(f"{size} starts done", file=sys.stderr)
    about = {name: worker.about for name, worker in workers.items()}
    for worker in workers.values():
        worker.close()
    print(report.table(rows, about))
    print(*report.warnings(rows, about), sep="\n")
    settings = {key: getattr(options, key) for key in ("tolerance", "rounds", "repeats")}
    content = {"benchmark": "cartpole", "settings": settings, "contenders": about, "results": rows}
    print("written:", machine.save("cartpole", here, content, report.accelerator(about)).name)


if __name__ == "__main__":
    main()
