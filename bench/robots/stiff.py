"""What derivatives are worth in contact, and what samples are: a shoved puck, a tumbling box.

    python -m bench.robots.stiff

Needs the extra `mujoco`. First the derivative of where it ends, in how hard it is pushed, beside
differences of ever smaller steps; then plans made with models of ever softer contact, and by
sampling, all tried on the stiff one.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxmpc
from bench import machine
from jaxmpc.interop.mujoco import Robot, robot

_TIMES = (0.002, 0.01, 0.05)  # time constants of contact, MuJoCo's solref [s]; the first is true
_STEPS = (1e-1, 1e-2, 1e-3, 1e-4)  # of differences, relative
_HORIZON = 50  # steps of 20 ms
_OPTIONS = {"hessian": "gauss_newton", "tolerance": 1e-4, "max_iterations": 100}

_SHOVE = """
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
  <actuator><motor joint="finger" ctrlrange="-2 2"/></actuator>
</mujoco>
"""
_TUMBLE = """
<mujoco model="tumble">
  <option timestep="0.001" integrator="implicitfast" cone="elliptic"/>
  <default><geom solref="{time} 1"/></default>
  <worldbody>
    <geom type="plane" size="3 3 0.1"/>
    <body pos="0 0 0.3" euler="0 10 0">
      <joint name="x" type="slide" axis="1 0 0"/>
      <joint name="z" type="slide" axis="0 0 1"/>
      <joint name="turn" axis="0 1 0"/>
      <geom type="box" size="0.05 0.05 0.05" mass="0.2"/>
    </body>
  </worldbody>
  <actuator>
    <motor joint="x" ctrlrange="-4 4"/>
    <motor joint="z" ctrlrange="-4 4"/>
    <motor joint="turn" ctrlrange="-0.1 0.1"/>
  </actuator>
</mujoco>
"""


class Scene(NamedTuple):
    """A thing that is to lie somewhere.

    Attributes:
        model: the file's text, with a place for the softness of contact.
        place: which of the positions is to be brought to `goal` [m].
        push: a control that brings it there or thereabouts.
        stages: how long it may be pushed.
    """

    model: str
    place: int
    goal: float
    push: tuple[float, ...]
    stages: int

    def robot(self, time: float) -> Robot:
        """With contact that gives way so slowly."""
        return robot(self.model.format(time=time), backend="c", substeps=20)

    def pushes(self) -> np.ndarray:
        """The push, and nothing after it [T, m]."""
        return np.where(np.arange(_HORIZON)[:, None] < self.stages, np.array(self.push), 0.0)

    def problem(self, r: Robot) -> jaxmpc.Problem:
        """The thing at its goal, at rest, with little force."""
        size = r.model.nq
        strength = jnp.asarray(r.control_bounds)[1]

        def last(x, params):
            return 100 * (x[self.place] - self.goal) ** 2 + x[size + self.place] ** 2

        free = jnp.arange(_HORIZON)[:, None] < self.stages
        return jaxmpc.Problem(
            r.dynamics,
            lambda x, u, t, params: 0.01 * jnp.sum((u / strength) ** 2),
            last,
            horizon=_HORIZON,
            control_dim=r.control_dim,
            control_bounds=(jnp.where(free, -strength, 0.0), jnp.where(free, strength, 0.0)),
        )


SCENES = {
    "shove": Scene(_SHOVE, place=1, goal=0.25, push=(0.5,), stages=_HORIZON),
    "tumble": Scene(_TUMBLE, place=0, goal=0.6, push=(2.0, 2.0, 0.03), stages=5),
}


def derivatives(name: str, time: float) -> dict:
    """Of where it ends, in a factor on a push of at most a fifth of a second."""
    scene = SCENES[name]
    r = scene.robot(time)
    push = jnp.asarray(scene.pushes() * (np.arange(_HORIZON) < 10)[:, None])

    @jax.jit
    def end(factor):
        step = lambda x, u: (r.dynamics(x, factor * u), None)  # noqa: E731
        return jax.lax.scan(step, r.x0, push)[0][scene.place]

    row = {"scene": name, "solref": time, "derivative": float(jax.jit(jax.jacfwd(end))(1.0))}
    for h in _STEPS:
        row[f"difference {h:g}"] = float((end(1 + h) - end(1 - h)) / (2 * h))
    return row


def plan(name: str, by: str, time: float, solver: jaxmpc.Solver, controls) -> dict:
    """Made with one model, tried on the stiff one."""
    scene = SCENES[name]
    r, truth = scene.robot(time), scene.robot(_TIMES[0])
    given = {"solver": solver, "controls": controls, "key": jax.random.key(0)}
    found = jaxmpc.solve(scene.problem(r), r.x0, **given)
    tried = jaxmpc.evaluate(scene.problem(truth), truth.x0, None, found.controls)
    return {
        "scene": name,
        "plan": by,
        "solref": time,
        "status": jaxmpc.Status(int(found.status)).name,
        "iterations": int(found.iterations),
        "cost": float(found.cost),
        "cost_when_stiff": float(tried.cost),
        "miss_when_stiff": float(abs(tried.states[-1, scene.place] - scene.goal)),
    }


def main():
    """Both tables of both scenes."""
    jax.config.update("jax_enable_x64", True)
    rows = []
    local = jaxmpc.SQP(**_OPTIONS)
    sampler = jaxmpc.ICEM(samples=128, elites=16, iterations=10, noise=0.7)
    for name, scene in SCENES.items():
        for time in _TIMES:
            rows.append(derivatives(name, time))
            print(rows[-1], flush=True)
        for time in _TIMES:
            for by, solver, controls in (
                ("SQP from no push", local, None),
                ("SQP from a push", local, scene.pushes()),
                ("ICEM", sampler, None),
                ("ICEM, then SQP", jaxmpc.Chain(sampler, local), None),
            ):
                rows.append(plan(name, by, time, solver, controls))
                print(rows[-1], flush=True)
    print(machine.save_own("robots_stiff", machine.describe(), rows))


if __name__ == "__main__":
    main()
