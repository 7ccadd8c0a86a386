"""diffilqrax: iLQR in JAX with implicit gradients, and without any constraint."""

# pyright: reportMissingImports=false
from typing import Any

import diffilqrax
import jax
import jax.numpy as jnp
import numpy as np
from diffilqrax.batch import batched_dilqr, batched_ilqr_solver
from diffilqrax.diff_ilqr import dilqr
from diffilqrax.ilqr import ilqr_solver
from diffilqrax.typs import ModelDims, System, iLQRParams

from bench.task import Task


class Contender:
    """diffilqrax's sequential iLQR, a batch mapped by its own `strategy`.

    alpha_init=2 makes the first step tried a full one: the default tries half steps only, and
    takes twice the iterations. On a CPU its "map" (one start after another, in one compiled
    loop) is its fastest strategy, as its documentation says, and "vmap" on a GPU.
    """

    def __init__(self, task: Task, tolerance: float, strategy: str = "map"):
        self._task, self._strategy = task, strategy
        self._options: dict[str, Any] = {"kkt_tol": tolerance, "max_iter": 500, "alpha_init": 2.0}

        def step(t, x, u, params):
            return jnp.stack(task.step(x, u, task.split(params), jnp))

        def stage_cost(t, x, u, params):
            return task.stage_cost(x, u, task.split(params), jnp)

        def terminal_cost(x, params):
            if task.terminal_cost is None:
                return 0.0 * x[0]
            return task.terminal_cost(x, task.split(params), jnp)

        dims = ModelDims(task.state_dim, task.control_dim, task.horizon, 1.0)
        self._model = System(stage_cost, terminal_cost, step, dims)

    def describe(self) -> dict[str, Any]:
        """Versions, device, configuration, what it lacks."""
        return {
            "versions": {"diffilqrax": diffilqrax.__version__, "jax": jax.__version__},
            "device": jax.devices()[0].device_kind,
            "configuration": {"strategy": self._strategy, **self._options},
            "lacks": "control bounds: comparable only where no bound is active",
        }

    def prepare(self, x0s: np.ndarray, gradient: bool):
        """Lower and compile."""
        single, self._gradient = len(x0s) == 1, gradient
        controls = jnp.zeros((self._task.horizon, self._task.control_dim))
        axes = (iLQRParams(0, None), None)
        batch = {"in_axes": axes, "strategy": self._strategy}

        def solve(x0s, params):
            if single:
                problem = iLQRParams(x0s[0], params)
                output = ilqr_solver(
                    self._model, problem, controls, return_info=True, **self._options
                )
                return jax.tree.map(lambda leaf: leaf[None], output)
            problem = iLQRParams(x0s, params)
            return batched_ilqr_solver(
                self._model, problem, controls, return_info=True, **batch, **self._options
            )

        def loss(params, x0s):
            if single:
                problem = iLQRParams(x0s[0], params)
                trajectory = dilqr(self._model, problem, controls, **self._options)[None]
            else:
                problem = iLQRParams(x0s, params)
                trajectory = batched_dilqr(self._model, problem, controls, **batch, **self._options)
            optimal = trajectory[:, :-1, self._task.state_dim :]
            return self._task.loss_of(optimal), optimal

        starts, params = jnp.asarray(x0s), jnp.asarray(self._task.values)
        function = jax.value_and_grad(loss, has_aux=True) if gradient else solve
        self._arguments = (params, starts) if gradient else (starts, params)
        self._compiled = jax.jit(function).lower(*self._arguments).compile()

    def run(self) -> Any:
        """Solve the batch and wait."""
        return jax.block_until_ready(self._compiled(*self._arguments))

    def result(self, output: Any) -> dict[str, Any]:
        """Controls, and iterations or the gradient of the summed loss."""
        if self._gradient:
            (_, controls), gradient = output
            return {"controls": controls.tolist(), "gradient": gradient.tolist()}
        (_, controls, _), _, _, converged, iterations = output
        return {
            "controls": controls.tolist(),
            "iterations": iterations.tolist(),
            "converged": converged.tolist(),
        }
