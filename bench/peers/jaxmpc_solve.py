"""jaxmpc itself, through its public face alone."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType

import jaxmpc
from bench.task import Task


class Contender:
    """`jaxmpc.solve` under `jit`, a batch by `solve_batch`."""

    def __init__(self, task: Task, tolerance: float, solver: str = "", devices: int = 1):
        jax.config.update("jax_enable_x64", True)
        self._mesh = None
        if devices > 1:
            jax.config.update("jax_num_cpu_devices", devices)
            self._mesh = jax.make_mesh((devices,), ("starts",), axis_types=(AxisType.Auto,))
        self._task, self._problem = task, task.jaxmpc_problem()
        constrained = self._problem.has_general_constraints
        name = solver or ("InteriorPoint" if constrained else "SQP")  # as jaxmpc picks it
        self._solver = getattr(jaxmpc, name)(tolerance=tolerance)

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
        guesses = {}
        if (found := self._task.guesses(x0s)) is not None:
            guesses = dict(zip(("states", "controls"), map(jnp.asarray, found), strict=True))
        starts = jnp.asarray(x0s)
        if self._single:
            starts, guesses = jax.tree.map(lambda leaf: leaf[0], (starts, guesses))
        params = {name: jnp.asarray(value, float) for name, value in self._task.params.items()}

        def loss(*arguments):
            solution = self._solution(*arguments)
            return self._task.loss_of(solution.controls), solution

        function = jax.value_and_grad(loss, has_aux=True) if gradient else self._solution
        self._arguments = (params, self._problem, starts, guesses)
        function = jax.jit(function, compiler_options=jaxmpc.compiler_options())
        self._compiled = function.lower(*self._arguments).compile()

    def _solution(self, params, problem, starts, guesses) -> Any:
        options = {**guesses, "solver": self._solver}
        if self._single:
            return jaxmpc.solve(problem, starts, params, **options)
        return jaxmpc.solve_batch(problem, starts, params, mesh=self._mesh, **options)

    def run(self) -> Any:
        """Solve the batch and wait."""
        return jax.block_until_ready(self._compiled(*self._arguments))

    def result(self, output: Any) -> dict[str, Any]:
        """The trajectories, and iterations or the gradient of the summed loss."""
        if self._gradient:
            (_, solution), slope = output
            gradient = [np.ravel(slope[name]) for name in self._task.params]
            return {**self._trajectories(solution), "gradient": np.concatenate(gradient).tolist()}
        return {**self._trajectories(output), **self._counts(output)}

    def _counts(self, output: Any) -> dict[str, Any]:
        return {name: self._batch(getattr(output, name)) for name in ("iterations", "converged")}

    def _trajectories(self, solution: Any) -> dict[str, Any]:
        return {name: self._batch(getattr(solution, name)) for name in ("states", "controls")}

    def _batch(self, leaf: jax.Array) -> list[Any]:
        return np.asarray(leaf)[None].tolist() if self._single else np.asarray(leaf).tolist()
