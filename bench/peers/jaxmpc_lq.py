"""jaxmpc's `lq.solve`, for problems that are linear-quadratic: matrices in, no expansion."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bench.peers import jaxmpc_solve
from jaxmpc import lq


class _Trajectory(NamedTuple):
    states: jax.Array
    controls: jax.Array


class Contender(jaxmpc_solve.Contender):
    """`jaxmpc.lq.solve` under `jit`, a batch by `vmap`; of the tasks of `bench.problems.lqr`."""

    def describe(self) -> dict[str, Any]:
        """Versions, device, configuration."""
        return {**super().describe(), "configuration": {"function": "lq.solve"}}

    def _solution(self, params, problem, starts, guesses):
        horizon = problem.horizon
        lower, upper = problem.limits(starts.dtype)

        def one(x0):
            # The task's cost has no 1/2, and its H need not be symmetric to be differentiated.
            n, H = x0.shape[0], params["H"] + params["H"].T

            def along(matrix):
                return jnp.broadcast_to(matrix, (horizon, *matrix.shape))

            last = 2 * jnp.eye(n, dtype=x0.dtype)
            matrices = lq.LQProblem(
                Q=jnp.concatenate([along(H[:n, :n]), last[None]]),
                S=along(H[n:, :n]),
                R=along(H[n:, n:]),
                q=jnp.zeros((horizon + 1, n)),
                r=jnp.zeros((horizon, H.shape[0] - n)),
                A=along(params["A"]),
                B=along(params["B"]),
                c=along(params["b"]),
                x0=x0,
            )
            found = lq.solve(matrices, lower, upper)
            return _Trajectory(found.states, found.controls)

        return one(starts) if self._single else jax.vmap(one)(starts)

    def _counts(self, output: Any) -> dict[str, Any]:
        return {}
