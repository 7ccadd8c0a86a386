"""What a loop plans with in an environment that MuJoCo simulates."""

import copy
from typing import Any

import jaxmpc
from jaxmpc.interop.mujoco import Robot, robot
from jaxmpc.interop.mujoco.engine import mujoco


def planner(env: Any, timestep: float | None = None) -> Robot:
    """The environment's model for the C backend, its integrator `implicitfast`.

    That evaluates forces once a step where Runge and Kutta's does so four times, and MuJoCo has
    its Jacobians. timestep: of this model [s]; None: the environment's. A sample stays as long.
    """
    inner = env.unwrapped
    model = copy.copy(inner.model)
    sample = inner.frame_skip * model.opt.timestep
    model.opt.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    model.opt.timestep = timestep or model.opt.timestep
    return robot(model, backend="c", substeps=round(sample / model.opt.timestep))


def ways(sampler: jaxmpc.Solver) -> dict[str, jaxmpc.Solver]:
    """To plan with: by samples, by derivatives of MuJoCo's steps, by one after the other."""
    local = jaxmpc.ILQR(hessian="gauss_newton", tolerance=1e-3, max_iterations=3)
    return {"samples": sampler, "derivatives": local, "both": jaxmpc.Chain(sampler, local)}
