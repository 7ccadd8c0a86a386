"""What it costs to compile: CPU-seconds before the first answer.

    python -m bench.compile             # the rows of MJX need the extra `mujoco`

Each row in a fresh process that may use one core, without any cache, with the options of the
package's own calls (`jaxmpc.compiler_options`): trace, lower and XLA apart, the size of the
optimised program, and the peak of memory. A tiny program is compiled first, so that JAX's own
start is in no row.
"""

import argparse
import importlib
import importlib.util
import itertools
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from bench import machine


def pendulum() -> tuple[Callable, tuple]:
    """README's first example."""
    import jax.numpy as jnp

    import jaxmpc

    def dynamics(x, u, t, params):
        acceleration = 9.81 / params["length"] * jnp.sin(x[0]) + u[0]
        return x + 0.05 * jnp.stack([x[1], acceleration])

    def stage_cost(x, u, t, params):
        return 1 - jnp.cos(x[0]) + 0.05 * x[1] ** 2 + 0.001 * u[0] ** 2

    problem = jaxmpc.Problem(
        dynamics, stage_cost, horizon=60, control_dim=1, control_bounds=(-8.0, 8.0)
    )
    return (
        lambda x0, params: jaxmpc.solve(problem, x0, params),
        (jnp.array([3.0, 0.0]), {"length": jnp.array(1.0)}),
    )


def cartpole(batched: bool, gradient: bool) -> tuple[Callable, tuple]:
    """The 2018 paper's cart-pole, one or all 120, the loss of imitation for the gradient."""
    import jax
    import jax.numpy as jnp

    import jaxmpc
    from jaxmpc import integrators, models

    problem = jaxmpc.Problem(
        integrators.discrete(models.cartpole),
        models.cartpole_cost,
        horizon=20,
        control_dim=1,
        control_bounds=(-models.CARTPOLE_MAX_FORCE, models.CARTPOLE_MAX_FORCE),
    )
    x0 = jnp.asarray(models.paper_initial_states("cartpole"))
    params = {name: jnp.asarray(value, x0.dtype) for name, value in models.CARTPOLE.items()}

    def solve(x0, params):
        return (jaxmpc.solve_batch if batched else jaxmpc.solve)(problem, x0, params)

    def loss(params, x0):
        return jnp.sum(solve(x0, params).controls ** 2)

    given = (x0 if batched else x0[0], params)
    return (jax.grad(loss), given[::-1]) if gradient else (solve, given)


def double_integrator(gradient: bool) -> tuple[Callable, tuple]:
    """A mass with a limit of its speed."""
    import jax
    import jax.numpy as jnp

    import jaxmpc

    problem = jaxmpc.Problem(
        lambda x, u, t, weight: x + 0.1 * jnp.stack([x[1], u[0]]),
        lambda x, u, t, weight: x @ x + weight * u @ u,
        horizon=20,
        control_dim=1,
        control_bounds=(-1.0, 1.0),
        state_bounds=(None, jnp.array([jnp.inf, 0.5])),
    )

    def loss(weight, x0):
        return jnp.sum(jaxmpc.solve(problem, x0, weight).controls ** 2)

    given = (jnp.array([-1.0, 0.0]), jnp.array(0.1))
    if gradient:
        return jax.grad(loss), given[::-1]
    return lambda x0, weight: jaxmpc.solve(problem, x0, weight), given


def quadrotor(gradient: bool) -> tuple[Callable, tuple]:
    """Thirteen states between two columns."""
    import jax
    import jax.numpy as jnp

    import jaxmpc
    from bench.problems import quadrotor

    task = quadrotor.task()
    problem = task.jaxmpc_problem()
    start = task.initial_states()[0]
    assert task.guessed_states is not None
    x0 = jnp.asarray(start)
    params = {name: jnp.asarray(value) for name, value in task.params.items()}
    states = jnp.asarray(task.guessed_states(start))

    def solve(x0, params, states):
        return jaxmpc.solve(problem, x0, params, states=states)

    def loss(params, x0, states):
        return jnp.sum(solve(x0, params, states).controls ** 2)

    if gradient:
        return jax.grad(loss), (params, x0, states)
    return solve, (x0, params, states)


def network(gradient: bool) -> tuple[Callable, tuple]:
    """A planar quadrotor whose dynamics have a network of two layers of 128 in them, 64 starts."""
    import jax
    import jax.numpy as jnp

    import jaxmpc
    from bench.networks.residual import residual_dynamics
    from bench.networks.systems import QUADROTOR, starts

    system, problem = QUADROTOR, QUADROTOR.problem()
    x0s = starts(system, jax.random.key(0), 64)
    model = residual_dynamics(
        system.prior, system.features, system.scale, 2, key=jax.random.key(2), width=128
    )

    def effort(model, x0s):
        return jnp.mean(jaxmpc.solve_batch(problem, x0s, model).controls ** 2)

    if gradient:
        return jax.grad(effort), (model, x0s)
    return lambda x0s, model: jaxmpc.solve_batch(problem, x0s, model), (x0s, model)


CARTPOLE_MJCF = """
<mujoco>
  <option timestep="0.04" integrator="Euler"><flag contact="disable"/></option>
  <worldbody>
    <body name="cart">
      <joint name="slide" type="slide" axis="1 0 0" damping="0.1"/>
      <geom type="box" size="0.1 0.05 0.05" mass="1"/>
      <body name="pole">
        <joint name="hinge" type="hinge" axis="0 1 0" damping="0.01"/>
        <geom type="capsule" fromto="0 0 0 0 0 0.5" size="0.02" mass="0.1"/>
      </body>
    </body>
  </worldbody>
  <actuator><motor joint="slide" ctrlrange="-10 10" ctrllimited="true"/></actuator>
</mujoco>
"""


def mujoco(gradient: bool, hessian: str, backend: str = "mjx") -> tuple[Callable, tuple]:
    """A cart-pole from an MJCF file, stepped by MJX or by MuJoCo's C library."""
    import jax
    import jax.numpy as jnp

    import jaxmpc

    interop: Any = importlib.import_module("jaxmpc.interop.mujoco")
    dynamics = interop.robot(CARTPOLE_MJCF, backend).dynamics

    problem = jaxmpc.Problem(
        lambda x, u, t, weight: dynamics(x, u),
        lambda x, u, t, weight: jnp.array([1.0, 10.0, 0.1, 0.1]) @ x**2 + weight * u @ u,
        horizon=50,
        control_dim=1,
        control_bounds=(-10.0, 10.0),
    )
    solver = jaxmpc.SQP(hessian=hessian, tolerance=1e-8 if backend == "mjx" else 1e-5)
    adjoint = jaxmpc.ImplicitAdjoint(hessian=hessian)

    def solve(x0, weight):
        return jaxmpc.solve(problem, x0, weight, solver=solver, adjoint=adjoint)

    def loss(weight, x0):
        return jnp.sum(solve(x0, weight).controls ** 2)

    given = (jnp.array([0.0, 0.3, 0.0, 0.0]), jnp.array(1e-3))
    return (jax.grad(loss), given[::-1]) if gradient else (solve, given)


ROWS: dict[str, Callable[[], tuple[Callable, tuple]]] = {
    "README's pendulum": pendulum,
    "the paper's cart-pole": lambda: cartpole(False, False),
    "120 cart-poles, solve_batch": lambda: cartpole(True, False),
    "120 cart-poles, gradient": lambda: cartpole(True, True),
    "double integrator, state bound": lambda: double_integrator(False),
    "double integrator, gradient": lambda: double_integrator(True),
    "quadrotor, two columns": lambda: quadrotor(False),
    "quadrotor, gradient": lambda: quadrotor(True),
    "64 networks, solve_batch": lambda: network(False),
    "64 networks, gradient": lambda: network(True),
    "MuJoCo's C, Gauss-Newton": lambda: mujoco(False, "gauss_newton", "c"),
    "MuJoCo's C, Gauss-Newton, gradient": lambda: mujoco(True, "gauss_newton", "c"),
    "MJX, Gauss-Newton": lambda: mujoco(False, "gauss_newton"),
    "MJX, Gauss-Newton, gradient": lambda: mujoco(True, "gauss_newton"),
    "MJX, exact": lambda: mujoco(False, "exact"),
    "MJX, exact, gradient": lambda: mujoco(True, "exact"),
}


def measure(name: str) -> dict[str, Any]:
    """The row, in this process."""
    import jax
    import jax.numpy as jnp

    import jaxmpc

    jax.config.update("jax_enable_x64", True)
    jax.jit(lambda x: jnp.sum(x**2))(jnp.ones(3)).block_until_ready()
    function, given = ROWS[name]()
    clock = [time.process_time()]
    traced = jax.jit(function, compiler_options=jaxmpc.compiler_options()).trace(*given)
    clock.append(time.process_time())
    lowered = traced.lower()
    clock.append(time.process_time())
    compiled = lowered.compile()
    clock.append(time.process_time())
    jax.block_until_ready(compiled(*given))
    program = compiled.as_text() or ""
    trace, lower, xla = (round(b - a, 2) for a, b in itertools.pairwise(clock))
    return {
        "name": name,
        "trace_s": trace,
        "lower_s": lower,
        "xla_s": xla,
        "total_s": round(clock[-1] - clock[0], 2),
        "instructions": program.count(" = "),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def main() -> int:
    """Measure all rows, print them and keep them."""
    parser = argparse.ArgumentParser("python -m bench.compile")
    parser.add_argument("--only", metavar="TEXT", default="", help="rows whose name has it")
    parser.add_argument("--row", choices=list(ROWS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        print(json.dumps(measure(options.row)))
        return 0
    about = machine.describe()
    print(f"{'CPU-seconds':<36}{'trace':>7}{'lower':>7}{'XLA':>7}{'total':>7}  instructions   MiB")
    rows = []
    for name in (name for name in ROWS if options.only in name):
        if ("MJX" in name or "MuJoCo" in name) and importlib.util.find_spec("mujoco") is None:
            print(f"{name:<36}  (pip install '.[mujoco]')")
            continue
        rows.append(_in_a_process(name))
        row = rows[-1]
        times = "".join(f"{row[key]:7.1f}" for key in ("trace_s", "lower_s", "xla_s", "total_s"))
        print(f"{name:<36}{times}{row['instructions']:14d}{row['peak_mib']:6d}", flush=True)
    if not options.only:
        print(f"\n{machine.save_own('compile', about, rows)}")
    return 0


def _in_a_process(name: str) -> dict[str, Any]:
    core = min(os.sched_getaffinity(0))
    command = [sys.executable, "-m", "bench.compile", "--row", name]
    environment = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=environment,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    sys.exit(main())
