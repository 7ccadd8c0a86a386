"""What derivatives are worth in contact, and what samples are: a finger shoves a puck.

    python -m bench.robots.stiff

Needs the extra `mujoco`. First the derivative of where the puck ends, in how hard it is pushed,
beside differences of ever smaller steps; then plans made with models of ever softer contact, and
by sampling, all tried on the stiff one.
"""

import jax
import jax.numpy as jnp
import numpy as np

import jaxmpc
from bench import machine
from jaxmpc.interop.mujoco import Robot, robot

_TIMES = (0.002, 0.01, 0.05)  # time constants of contact, MuJoCo's solref [s]; the first is true
_STEPS = (1e-1, 1e-2, 1e-3, 1e-4)  # of differences, relative
_HORIZON, _GOAL = 50, 0.25  # steps of 20 ms; where the puck is to lie [m]
_OPTIONS = {"hessian": "gauss_newton", "tolerance": 1e-4, "max_iterations": 100}

_MODEL = """
<mujoco model="shove">
  <option timestep="0.001" integrator="implicitfast" gravity="0 0 0"/>
  <default><geom solref="{time} 1" type="sphere" size="0.02"/></default>
  <worldbody>
    <body name="finger" pos="-0.1 0 0">
      <joint name="finger" type="slide" axis="1 0 0" damping="0.5"/><geom mass="0.2"/>
    </body>
    <body name="puck">
      <joint name="puck" type="slide" axis="1 0 0" damping="1"/><geom mass="0.3"/>
    </body>
  </worldbody>
  <actuator><motor joint="finger" ctrlrange="-2 2" ctrllimited="true"/></actuator>
</mujoco>
"""


def shove(time: float) -> Robot:
    """The finger and the puck, with contact that gives way so slowly."""
    return robot(_MODEL.format(time=time), backend="c", substeps=20)


def task(r: Robot) -> jaxmpc.Problem:
    """The puck at its goal, at rest, with little force."""

    def last(x, params):
        return 100 * (x[1] - _GOAL) ** 2 + x[3] ** 2

    return jaxmpc.Problem(
        r.dynamics,
        lambda x, u, t, params: 0.01 * u[0] ** 2,
        last,
        horizon=_HORIZON,
        control_dim=1,
        control_bounds=r.control_bounds,
    )


def derivatives(time: float) -> dict:
    """Of where the puck ends, in a factor on a shove of a fifth of a second."""
    r = shove(time)
    push = jnp.where(jnp.arange(_HORIZON) < 10, 1.0, 0.0)[:, None]

    @jax.jit
    def end(factor):
        step = lambda x, u: (r.dynamics(x, factor * u), None)  # noqa: E731
        return jax.lax.scan(step, r.x0, push)[0][1]

    row = {"solref": time, "derivative": float(jax.jit(jax.jacfwd(end))(1.0))}
    for h in _STEPS:
        row[f"difference {h:g}"] = float((end(1 + h) - end(1 - h)) / (2 * h))
    return row


def plan(name: str, time: float, solver: jaxmpc.Solver, controls) -> dict:
    """Made with one model, tried on the stiff one."""
    r, truth = shove(time), shove(_TIMES[0])
    given = {"solver": solver, "controls": controls, "key": jax.random.key(0)}
    found = jaxmpc.solve(task(r), r.x0, **given)
    tried = jaxmpc.evaluate(task(truth), truth.x0, None, found.controls)
    return {
        "plan": name,
        "solref": time,
        "status": jaxmpc.Status(int(found.status)).name,
        "iterations": int(found.iterations),
        "cost": float(found.cost),
        "cost_when_stiff": float(tried.cost),
        "miss_when_stiff": float(abs(tried.states[-1, 1] - _GOAL)),
    }


def main():
    """Both tables."""
    jax.config.update("jax_enable_x64", True)
    rows = []
    for time in _TIMES:
        rows.append(derivatives(time))
        print(rows[-1], flush=True)
    push = 0.5 * np.ones((_HORIZON, 1))
    local = jaxmpc.SQP(**_OPTIONS)
    sampler = jaxmpc.ICEM(samples=128, elites=16, iterations=10, noise=0.7)
    for time in _TIMES:
        for name, solver, controls in (
            ("SQP from no push", local, None),
            ("SQP from a push", local, push),
            ("ICEM", sampler, None),
            ("ICEM, then SQP", jaxmpc.Chain(sampler, local), None),
        ):
            rows.append(plan(name, time, solver, controls))
            print(rows[-1], flush=True)
    print(machine.save_own("robots_stiff", machine.describe(), rows))


if __name__ == "__main__":
    main()
