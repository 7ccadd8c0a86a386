"""A family of bounded problems of any size, for how time grows with horizon, states and batch.

x+ = A x + B u + 0.05 sin(x), a stable random A (spectral radius 0.95) and a random B, cost
1/2 (x'x + 0.1 u'u) on all stages and 10 times the state's at the end, |u| <= 0.5, which some
controls of the first stages reach.
"""

import numpy as np

from bench.task import Task

_LIMIT, _STARTS = 0.5, 4096


def task(horizon: str, state_dim: str, control_dim: str) -> Task:
    """A member, by its sizes."""
    n, m = int(state_dim), int(control_dim)
    random = np.random.default_rng(0)
    a = random.normal(size=(n, n))
    a *= 0.95 / np.abs(np.linalg.eigvals(a)).max()
    b = random.normal(size=(n, m)) / np.sqrt(m)
    x0s = random.normal(size=(_STARTS, n))

    def stage_cost(x, u, params, xp):
        return 0.5 * sum(x[i] * x[i] for i in range(n)) + 0.05 * sum(u[i] * u[i] for i in range(m))

    return Task(
        name=f"scaling:{n}",
        horizon=int(horizon),
        state_dim=n,
        control_dim=m,
        lower=-_LIMIT,
        upper=_LIMIT,
        params={"bend": 0.05},
        step=lambda x, u, params, xp: a @ x + b @ u + params["bend"] * xp.sin(x),
        stage_cost=stage_cost,
        terminal_cost=lambda x, params, xp: 5.0 * sum(x[i] * x[i] for i in range(n)),
        jaxmpc_problem=lambda: _jaxmpc_problem(a, b, int(horizon)),
        initial_states=lambda: x0s,
    )


def _jaxmpc_problem(a: np.ndarray, b: np.ndarray, horizon: int):
    import jax.numpy as jnp

    import jaxmpc

    return jaxmpc.Problem(
        lambda x, u, t, params: a @ x + b @ u + params["bend"] * jnp.sin(x),
        lambda x, u, t, params: 0.5 * x @ x + 0.05 * u @ u,
        lambda x, params: 5.0 * x @ x,
        horizon=horizon,
        control_dim=b.shape[1],
        control_bounds=(-_LIMIT, _LIMIT),
    )
