"""Networks as dynamics and as costs: what works, what goes wrong, and what it takes.

    python -m bench.networks            # 17 minutes on two cores that others were using too

What works, on a cart-pole and a planar quadrotor whose models have wrong masses and lengths and
know nothing of friction, drag or ground effect (48 rollouts with noise, 48 experts; below, the
regret of plans with their feedback gains on the true system, on 48 tasks that were not seen):

1.  Start from physics. `ResidualDynamics` is the prior plus a network of two layers whose last one
    starts at zero. Smooth activations; angles as sine and cosine; no input that the correction
    cannot depend on. The prior alone: 1.86 (cart-pole), 0.364 (quadrotor).
2.  Learn to predict one step: seconds, and most of the gain. 0.478, 0.0565.
3.  Then several steps, at a lower rate: errors that grow count. 0.326, 0.0512.
4.  Then through the controller, at a lower rate still, with a little prediction as an anchor:
    0.181, 0.0333. Without the anchor: 0.123, 0.0427, but the model predicts 10 steps 3.6 and 1.5
    times worse than before (with it: 5 % and 2 %), and is of use for this task alone.

The mean imitation loss of the cart-pole hardly moves in stage 4 (0.0019), while the median falls
from 0.00032 to 0.00011: a few tasks have two good plans. Judge by the true cost as well.

A cost: a quadratic one that is positive definite, with an input-convex network on top. Of experts
whose cost is convex and not quadratic it takes the loss from 0.00178 to 0.00095 (quadratic alone:
0.00132), and its least curvature is 0.51. Any network gets to 0.00073 (0.00033 in training), with
a least curvature of -15: nothing promises that the next start is solved.

What goes wrong, and the knob:

    symptom                            knob                      measured on the cart-pole
    gradient of a prediction explodes  shorter windows,          norm 0.18 at 1 step, 48 at 10,
                                       Prediction(steps=...)     30,000 at 80
    a few starts have huge gradients   ImplicitAdjoint(damping)  largest of 128: 4022, 1456, 564
                                                                 with 0, 0.01, 0.1; cosine of the
                                                                 mean to the exact one: 0.96, 0.82
    ReLU: kinks, no curvature          tanh                      unsolved 28 -> 0 of 48,
                                                                 iterations 284 -> 13
    cost not convex                    a convex one, or          unsolved of 48: "exact" 0,
                                       ILQR(hessian="exact")     "auto" 12, "gauss_newton" 48
    float32                            none needed               residual 1e-4, gradient within
                                                                 5e-6 of float64's

`gradient_diagnostics` called all 128 of the second row reliable: the largest has a pivot of 0.010
where the median is 0.020, and a condition of 2.2. So it is large, but well determined, and damping
buys a smaller norm with a wrong direction; the fits here clip the gradient instead. The ReLU plans
are good (regret 0.16, tanh 0.47) but no KKT points, and such plans have a gradient of zero.

What it takes: 64 planar quadrotors, 20 steps, two layers of 128, one thread: 0.98 s to solve, 1.22
with the gradient (error against differences 2e-10), 23 and 36 s to compile, 9.1 iterations in the
mean and 39 at most; float32 1.06 and 1.44 s. Default threads gained nothing (1.74 and 1.79 s, with
others on the cores). Evaluated alone for all 64, Hessians take 104 ms, Jacobians 39, a rollout 5:
the network's Hessian is the larger part of an iteration. `hessian="gauss_newton"` does not save it:
an iteration takes as long, and it needs 24 and leaves 10 of 64 unsolved. `chunk_size=64` takes 5.8
s, for all lanes wait for the slowest.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax

from bench import machine
from bench.networks import failures, learned_cost, picture
from bench.networks.stages import Effort, study
from bench.networks.systems import CARTPOLE, QUADROTOR

_EFFORT = Effort(examples=48, width=64, epochs=(300, 100, 25))
_SINGLE = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
_THREADS = {"1 thread": (_SINGLE, []), "default threads": ("", ["--whole"])}


def timing() -> dict[str, Any]:
    """`bench.networks.timing` for each setting of the threads, each a process of its own."""
    found = {}
    for name, (flags, options) in _THREADS.items():
        done = subprocess.run(
            [sys.executable, "-m", "bench.networks.timing", *options],
            env={**os.environ, "XLA_FLAGS": flags},
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
        found[name] = json.loads(done.stdout)
    return found


def table(rows: list[dict[str, Any]]):
    """Numbers to four digits; lists are left to the JSON."""
    for row in rows:
        short = {key: value for key, value in row.items() if not isinstance(value, list)}
        words = (f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in short.items())
        print("   ", ", ".join(words), flush=True)


def main():
    """Measure, print, and write the JSON and the picture."""
    jax.config.update("jax_enable_x64", True)
    here, clock = machine.describe(), time.perf_counter()

    def told(title: str):
        print(f"\n{title}  ({time.perf_counter() - clock:.0f} s)", flush=True)

    told("timing")
    content: dict[str, Any] = {"benchmark": "networks", "timing": timing()}
    for rows in content["timing"].values():
        table(rows)
    studies = []
    for system in (CARTPOLE, QUADROTOR):
        told(system.name)
        studies.append(study(system, _EFFORT))
        table(studies[-1].row["stages"])
    content["stages"] = [one.row for one in studies]
    told("costs")
    content["costs"] = learned_cost.measure(number=32, epochs=60)
    table(content["costs"])
    told("what goes wrong")
    content["failures"] = failures.measure(studies[0])
    for name, rows in content["failures"].items():
        print(f"  {name}")
        table(rows)
    content["seconds"] = time.perf_counter() - clock
    told("done")
    path = machine.save("networks", here, content)
    picture.draw(content, path.with_suffix(".png"))
    print("written:", path.name, "and its .png")


if __name__ == "__main__":
    main()
