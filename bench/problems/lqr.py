"""128 bounded LQRs: Table 1 of arXiv 2505.01353 (acados' differentiable solver), its definition.

x+ = A x + B u + b, cost sum of [x; u]' H [x; u] (no 1/2) with H = I, terminal x'x, 20 stages,
|u| <= umax; umax = 1e4 leaves every bound inactive, umax = 1 most of them active. The gradient of
the sum of all first controls is with respect to A, B, b and H: 248 parameters.
"""

import functools

import numpy as np

from bench.task import Task

_N, _M, _HORIZON, _STARTS = 8, 4, 20, 128


def task(limit: str) -> Task:
    """Figure 2; `limit` is umax."""
    params, x0s = _data()
    return Task(
        name=f"lqr:{limit}",
        horizon=_HORIZON,
        state_dim=_N,
        control_dim=_M,
        lower=-float(limit),
        upper=float(limit),
        params=params,
        step=lambda x, u, params, xp: params["A"] @ x + params["B"] @ u + params["b"],
        stage_cost=_stage_cost,
        terminal_cost=lambda x, params, xp: sum(x[i] * x[i] for i in range(_N)),
        jaxmpc_problem=lambda: _jaxmpc_problem(float(limit)),
        initial_states=lambda: x0s,
        loss="first",
        linear=True,
    )


@functools.cache
def _data() -> tuple[dict[str, np.ndarray], np.ndarray]:
    random = np.random.RandomState(42)
    params = {
        "A": np.eye(_N) + 0.2 * random.randn(_N, _N),
        "B": random.randn(_N, _M),
        "b": random.randn(_N),
        "H": np.eye(_N + _M),
    }
    return params, random.randn(_STARTS, _N)


def _stage_cost(x, u, params, xp):
    h = params["H"]
    of_x = h[:_N, :_N] @ x + h[:_N, _N:] @ u
    of_u = h[_N:, :_N] @ x + h[_N:, _N:] @ u
    return sum(x[i] * of_x[i] for i in range(_N)) + sum(u[i] * of_u[i] for i in range(_M))


def _jaxmpc_problem(limit: float):
    import jax.numpy as jnp

    import jaxmpc

    def stage_cost(x, u, t, params):
        z = jnp.concatenate([x, u])
        return z @ params["H"] @ z

    return jaxmpc.Problem(
        lambda x, u, t, params: params["A"] @ x + params["B"] @ u + params["b"],
        stage_cost,
        lambda x, params: x @ x,
        horizon=_HORIZON,
        control_dim=_M,
        control_bounds=(-limit, limit),
    )
