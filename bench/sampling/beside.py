"""MPPI beside pytorch-mppi: the same pendulum, the same samples, in closed loop.

    python -m bench.sampling.beside

100 samples of 0.05 s from hanging, horizon 60, 256 rollouts a sample in all, torque within 8, noise
of 3. Each library with the best of three temperatures, since theirs do not mean the same. Each in
an environment and a process of its own, in turns, one thread. Times are medians of a control step.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

_ROOT = Path(__file__).parents[2]
_STEPS, _HORIZON, _SAMPLES, _NOISE, _LIMIT, _DT = 100, 60, 256, 3.0, 8.0, 0.05
_STEPS_OF_PIP = (("pytorch-mppi==0.9.1", "torch==2.13.0"),)
_TEMPERATURES = {"jaxmpc": (0.02, 0.1, 0.3), "pytorch-mppi": (0.1, 1.0, 10.0)}


def _loop(control) -> dict[str, Any]:
    """Drive the pendulum; `control` maps a state to a torque."""
    x, cost, seconds = np.array([3.0, 0.0]), 0.0, []
    for _ in range(_STEPS):
        start = time.perf_counter()
        u = float(control(x))
        seconds.append(time.perf_counter() - start)
        cost += 1 - np.cos(x[0]) + 0.05 * x[1] ** 2 + 0.001 * u**2
        x = x + _DT * np.array([x[1], 9.81 * np.sin(x[0]) + u])
    return {"cost": cost, "median_ms": 1e3 * float(np.median(seconds)), "last": x.tolist()}


def pytorch_mppi(temperature: float) -> dict[str, Any]:
    """Batched dynamics and costs, as its README has them."""
    import torch  # type: ignore[import-not-found]
    from pytorch_mppi import MPPI  # type: ignore[import-not-found]

    torch.set_num_threads(1)
    torch.manual_seed(0)

    def dynamics(x, u):
        rate = torch.stack([x[:, 1], 9.81 * torch.sin(x[:, 0]) + u[:, 0]], dim=1)
        return x + _DT * rate

    def cost(x, u):
        return 1 - torch.cos(x[:, 0]) + 0.05 * x[:, 1] ** 2 + 0.001 * u[:, 0] ** 2

    limit = torch.tensor([_LIMIT], dtype=torch.float64)
    solver = MPPI(
        dynamics,
        cost,
        2,
        _NOISE**2 * torch.eye(1, dtype=torch.float64),
        num_samples=_SAMPLES,
        horizon=_HORIZON,
        lambda_=temperature,
        u_min=-limit,
        u_max=limit,
    )
    return _loop(lambda x: solver.command(torch.tensor(x)).item())


def jaxmpc_mppi(temperature: float) -> dict[str, Any]:
    """Two rounds of half the samples: what one iteration is."""
    import jax
    import jax.numpy as jnp

    import jaxmpc

    jax.config.update("jax_enable_x64", True)
    problem = jaxmpc.Problem(
        lambda x, u, t, p: x + _DT * jnp.stack([x[1], 9.81 * jnp.sin(x[0]) + u[0]]),
        lambda x, u, t, p: 1 - jnp.cos(x[0]) + 0.05 * x[1] ** 2 + 0.001 * u[0] ** 2,
        horizon=_HORIZON,
        control_dim=1,
        control_bounds=(-_LIMIT, _LIMIT),
    )
    solver = jaxmpc.MPPI(
        samples=_SAMPLES // 2, iterations=1, temperature=temperature, noise=_NOISE, adapt=False
    )
    controller = jaxmpc.RecedingHorizon(problem, solver)
    step = jax.jit(controller.step, compiler_options=jaxmpc.compiler_options())
    memory = [controller.init(jnp.array([3.0, 0.0]), key=jax.random.key(0))]
    step(jnp.array([3.0, 0.0]), memory[0])  # compiled

    def control(x):
        u, memory[0] = jax.block_until_ready(step(jnp.asarray(x), memory[0]))
        return u[0]

    return _loop(control)


def main():
    """Both in turns; print and keep."""
    from bench import machine
    from bench.environments import python_with

    here, rows = machine.describe(), []
    for name, temperatures in _TEMPERATURES.items():
        python = python_with(name, () if name == "jaxmpc" else _STEPS_OF_PIP)
        found = []
        for temperature in temperatures:
            command = [python, "-m", "bench.sampling.beside", name, str(temperature)]
            output = subprocess.run(command, cwd=_ROOT, check=True, stdout=subprocess.PIPE).stdout
            row = json.loads(output.splitlines()[-1])
            found.append({"contender": name, "temperature": temperature, **row})
            print(found[-1], flush=True)
        rows.append(min(found, key=lambda row: row["cost"]))
    print("written:", machine.save_own("mppi", here, rows).name)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run = {"jaxmpc": jaxmpc_mppi, "pytorch-mppi": pytorch_mppi}[sys.argv[1]]
        print(json.dumps(run(float(sys.argv[2]))))
    else:
        main()
