"""jaxmpc itself, through its public face alone."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxmpc
import jaxmpc.models
from bench.task import Task


class Contender:
    """`jaxmpc.solve` under `jit`, a batch by `vmap`."""

    def __init__(self, task: Task, tolerance: float):
        jax.config.update("jax_enable_x64", True)
        self._task = task
        self._solver = jaxmpc.ILQR(tolerance=tolerance)
        dynamics, stage_cost = (getattr(jaxmpc.models, name) for name in task.models)
        self._problem = jaxmpc.Problem(
            lambda x, u, t, params: dynamics(x, u, params),
            stage_cost,
            horizon=task.horizon,
            control_dim=task.control_dim,
            control_bounds=(task.lower, task.upper),
        )

    def describe(self) -> dict[str, Any]:
        """Versions, device, configuration."""
        return {
            "versions": {"jax": jax.__version__},
            "device": jax.devices()[0].device_kind,
            "configuration": {"solver": repr(self._solver)},
        }

    def prepare(self, x0s: np.ndarray, gradient: bool):
        """Lower and compile."""
        self._gradient, self._single = gradient, len(x0s) == 1
        solve = functools.partial(jaxmpc.solve, solver=self._solver)
        if not self._single:
            solve = jax.vmap(solve, in_axes=(None, 0, None))

        def loss(params, problem, x0s):
            solution = solve(problem, x0s, params)
            return jnp.sum(solution.controls**2), solution.controls

        start = jnp.asarray(x0s[0] if self._single else x0s)
        params = {name: jnp.asarray(value) for name, value in self._task.params.items()}
        if gradient:
            function = jax.value_and_grad(loss, has_aux=True)
            self._arguments = (params, self._problem, start)
        else:
            function, self._arguments = solve, (self._problem, start, params)
        self._compiled = jax.jit(function).lower(*self._arguments).compile()

    def run(self) -> Any:
        """Solve the batch and wait."""
        return jax.block_until_ready(self._compiled(*self._arguments))

    def result(self, output: Any) -> dict[str, Any]:
        """Controls, and iterations or the gradient of the summed loss."""
        if self._gradient:
            (_, controls), slope = output
            gradient = [float(slope[name]) for name in self._task.params]
            return {"controls": self._batch(controls), "gradient": gradient}
        return {
            "controls": self._batch(output.controls),
            "iterations": self._batch(output.iterations),
            "converged": self._batch(output.converged),
        }

    def _batch(self, leaf: jax.Array) -> list[Any]:
        return np.asarray(leaf)[None].tolist() if self._single else np.asarray(leaf).tolist()
