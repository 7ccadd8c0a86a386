"""mpc.pytorch: the 2018 paper's own box-iLQR, batched in torch on the CPU."""

# pyright: reportMissingImports=false
import importlib.metadata
from typing import Any

import numpy as np
import torch
from mpc import mpc

from bench.task import Task


class Contender:
    """The cost as its `QuadCost`; dynamics as its `LinDx` or with Jacobians by torch.func.

    Those are its fastest ways. `eps` is a length of steps, its only test; the rest is set so that
    it goes on to that: its own settings stop at a hundredth of the accuracy.
    """

    def __init__(self, task: Task, tolerance: float, iterations: int = 100):
        torch.set_num_threads(1)
        torch.set_default_dtype(torch.float64)
        self._task = task
        self._settings: dict[str, Any] = {
            "lqr_iter": iterations,
            "eps": tolerance,
            "best_cost_eps": 0.0,
            "not_improved_lim": 5,
            "exit_unconverged": False,
            "detach_unconverged": False,
            "backprop": True,
            "verbose": -1,
            "grad_method": mpc.GradMethods.ANALYTIC,
        }
        # where there is a terminal cost, a stage more whose control costs and does nothing
        self._stages = task.horizon + (task.terminal_cost is not None)

    def describe(self) -> dict[str, Any]:
        """Versions, device, configuration."""
        return {
            "versions": {name: importlib.metadata.version(name) for name in ("mpc", "torch")},
            "device": "cpu, 1 thread",
            "configuration": {name: str(value) for name, value in self._settings.items()},
            "lacks": "statuses: whether it converged is asked of the KKT check alone",
        }

    def prepare(self, x0s: np.ndarray, gradient: bool):
        """Nothing is compiled."""
        task, self._gradient = self._task, gradient
        self._x0s = torch.as_tensor(x0s)
        shape = (self._stages, len(x0s), task.control_dim)
        self._controller = _Counting(
            task.state_dim,
            task.control_dim,
            self._stages,
            u_lower=torch.full(shape, task.lower),
            u_upper=torch.full(shape, task.upper),
            n_batch=len(x0s),
            **self._settings,
        )

    def run(self) -> Any:
        """Solve the batch."""
        self._controller.calls = 0
        values = torch.as_tensor(self._task.values).requires_grad_(self._gradient)
        params = self._task.split(values)
        cost, dynamics = self._cost(params), self._dynamics(params)
        _, controls, _ = self._controller(self._x0s, cost, dynamics)
        controls = controls.transpose(0, 1)[:, : self._task.horizon]
        if not self._gradient:
            return controls, None
        return controls, torch.autograd.grad(self._task.loss_of(controls), values)[0]

    def result(self, output: Any) -> dict[str, Any]:
        """Controls, and iterations or the gradient of the summed loss."""
        controls, gradient = output
        if gradient is not None:
            return {"controls": controls.tolist(), "gradient": gradient.tolist()}
        batch, iterations = len(self._x0s), self._controller.calls - 1
        return {"controls": controls.detach().tolist(), "iterations": batch * [iterations]}

    def _cost(self, params: dict[str, Any]) -> Any:
        """The cost's Hessian and slope at zero, since it is quadratic."""
        task, n = self._task, self._task.state_dim

        def stage(z):
            return task.stage_cost(z[:n], z[n:], params, torch)

        zero = torch.zeros(n + task.control_dim)
        hessian, slope = torch.func.hessian(stage)(zero), torch.func.grad(stage)(zero)
        hessians, slopes = task.horizon * [hessian], task.horizon * [slope]
        if (function := task.terminal_cost) is not None:
            last, weight = torch.eye(n + task.control_dim), torch.zeros(n)
            last[:n, :n] = torch.func.hessian(lambda x: function(x, params, torch))(weight)
            hessians, slopes = [*hessians, last], [*slopes, torch.zeros_like(slope)]
        batch = (len(self._x0s), 1, 1)
        return mpc.QuadCost(
            torch.stack([h.repeat(batch) for h in hessians]),
            torch.stack([s.repeat(batch[:2]) for s in slopes]),
        )

    def _dynamics(self, params: dict[str, Any]) -> Any:
        task, n = self._task, self._task.state_dim
        if not task.linear:
            return _Dynamics(task, params)
        x, u = torch.zeros(n), torch.zeros(task.control_dim)

        def step(x, u):
            return torch.stack(tuple(task.step(x, u, params, torch)))

        jacobian = torch.cat(torch.func.jacfwd(step, (0, 1))(x, u), dim=1)
        shape = (self._stages - 1, len(self._x0s), 1, 1)
        return mpc.LinDx(jacobian.repeat(shape), step(x, u).repeat(shape[:3]))


class _Counting(mpc.MPC):
    """Counts the subproblems."""

    calls = 0

    def solve_lqr_subproblem(self, *arguments, **options):
        self.calls += 1
        return super().solve_lqr_subproblem(*arguments, **options)


class _Dynamics(torch.nn.Module):
    """The task's step of batches, with Jacobians."""

    def __init__(self, task: Task, params: dict[str, Any]):
        super().__init__()
        self._task, self._params = task, params

    def forward(self, x, u):
        return torch.stack(tuple(self._task.step(x.T, u.T, self._params, torch)), dim=1)

    def grad_input(self, x, u):
        def step(x, u):
            return torch.stack(tuple(self._task.step(x, u, self._params, torch)))

        return torch.func.vmap(torch.func.jacfwd(step, (0, 1)))(x, u)
