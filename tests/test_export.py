"""A solve and its gradient as programs for machines without Python: no custom calls in them."""

import jax
import jax.numpy as jnp
import pytest
from jax import export

import jaxmpc

PLATFORMS = ("cpu", "cuda", "tpu")


def problem(solver):
    walls = (None, jnp.array([jnp.inf, 0.8])) if solver == "InteriorPoint" else None
    return jaxmpc.Problem(
        lambda x, u, t, p: x + 0.1 * jnp.stack([x[1], u[0] - p * jnp.sin(x[0])]),
        lambda x, u, t, p: x @ x + 0.1 * u @ u,
        horizon=5,
        control_dim=1,
        control_bounds=(-1.0, 1.0),
        state_bounds=walls,
    )


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize(
    "solver, what",
    [
        ("ILQR", "solve"),
        ("ILQR", "gradient"),
        ("InteriorPoint", "solve"),
        ("InteriorPoint", "gradient"),
        ("SQP", "gradient"),
        ("SQP", "batch"),
    ],
)
def test_programs_for_other_platforms(solver, what, dtype):
    given = problem(solver)

    def cost(x0, p):
        if what == "batch":
            return jaxmpc.solve_batch(given, x0, p, solver=getattr(jaxmpc, solver)()).cost
        return jaxmpc.solve(given, x0, p, solver=getattr(jaxmpc, solver)()).cost

    function = jax.grad(cost, (0, 1)) if what == "gradient" else cost
    x0 = jax.ShapeDtypeStruct((3, 2) if what == "batch" else (2,), dtype)
    exported = export.export(jax.jit(function), platforms=PLATFORMS)(
        x0, jax.ShapeDtypeStruct((), dtype)
    )
    assert exported.platforms == PLATFORMS
    assert "custom_call" not in exported.mlir_module()
