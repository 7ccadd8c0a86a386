"""Memory of a solve with its gradient: linear in the horizon and in the batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmpc

N, M = 4, 2


def temporary_bytes(horizon: int, batch: int, solver) -> int:
    problem = jaxmpc.Problem(
        lambda x, u, t, params: params["A"] @ x + params["B"] @ u + 0.05 * jnp.sin(x),
        lambda x, u, t, params: x @ x + u @ u,
        horizon=horizon,
        control_dim=M,
        control_bounds=(-1.0, 1.0),
    )
    params = {"A": 0.5 * np.eye(N), "B": np.ones((N, M))}

    def loss(params, x0s):
        return jnp.sum(solver(problem, x0s, params).controls ** 2)

    compiled = jax.jit(jax.grad(loss)).lower(params, jnp.ones((batch, N))).compile()
    return compiled.memory_analysis().temp_size_in_bytes


def vmapped(problem, x0s, params):
    return jax.vmap(jaxmpc.solve, (None, 0, None))(problem, x0s, params)


@pytest.mark.parametrize(
    "solver", [pytest.param(vmapped, marks=pytest.mark.slow), jaxmpc.solve_batch]
)
def test_memory_is_linear(solver):
    # With 64 stages a twentieth fits into what others have left: 122 KB a stage, then 130 and 129.
    base = temporary_bytes(128, 64, solver)
    assert base > 0
    assert temporary_bytes(512, 64, solver) < 4.2 * base
    assert temporary_bytes(128, 256, solver) < 4.2 * base
