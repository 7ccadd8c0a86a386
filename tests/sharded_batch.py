"""Run by test_batch.py in processes of their own: `solve_batch` over a mesh against `vmap(solve)`.

python sharded_batch.py PROCESS PROCESSES COORDINATOR
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np

process, processes, coordinator = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
jax.config.update("jax_enable_x64", True)
if processes > 1:
    jax.distributed.initialize(coordinator, processes, process)

import jaxmpc  # noqa: E402

NUMBER = 8  # a multiple of the devices: global arrays are made of equal shares


def dynamics(x, u, t, params):
    return x + 0.1 * jnp.stack([x[1], params["gravity"] * jnp.sin(x[0]) + u[0]])


problem = jaxmpc.Problem(
    dynamics,
    lambda x, u, t, params: params["weight"] * x @ x + 0.1 * u @ u,
    horizon=8,
    control_dim=1,
    control_bounds=(-1.0, 1.0),
)
rng = np.random.default_rng(0)
x0s = rng.standard_normal((NUMBER, 2))
params = {"gravity": np.array(5.0), "weight": 1 + rng.random(NUMBER)}
axes = {"gravity": None, "weight": 0}


def loss(x0s, params, solver):
    solution = solver(x0s, params)
    return jnp.sum(solution.controls**2 + solution.cost[:, None, None]), solution


def vmapped(x0s, params):
    return jax.vmap(jaxmpc.solve, (None, 0, axes))(problem, x0s, params)


def sharded(kind):
    mesh = jax.make_mesh((len(jax.devices()),), ("batch",), axis_types=(kind,))
    spread = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("batch"))

    def across(array):  # a global array, of which each process has its own part
        return jax.make_array_from_callback(array.shape, spread, lambda index: array[index])

    def solver(x0s, params):
        return jaxmpc.solve_batch(problem, x0s, params, params_axes=axes, mesh=mesh, chunk_size=3)

    return solver, across


gradient = jax.value_and_grad(loss, (0, 1), has_aux=True)
expected = jax.jit(gradient, static_argnums=2)(x0s, params, vmapped)
for kind in (jax.sharding.AxisType.Auto, jax.sharding.AxisType.Explicit):
    solver, across = sharded(kind)
    spread = {"gravity": params["gravity"], "weight": across(params["weight"])}
    found = jax.jit(gradient, static_argnums=2)(across(x0s), spread, solver)
    leaves = zip(jax.tree.leaves(expected), jax.tree.leaves(found), strict=True)
    compared = 0
    for wanted, came in leaves:
        for shard in came.addressable_shards:
            np.testing.assert_allclose(
                shard.data, np.asarray(wanted)[shard.index], rtol=1e-12, atol=1e-14
            )
            compared += 1
    assert compared
    assert np.all(expected[0][1].converged)
if processes == 1:  # as many elements as do not divide by the devices; Auto axes
    mesh = jax.make_mesh((4,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))
    five = {**params, "weight": params["weight"][:5]}
    ragged = jaxmpc.solve_batch(problem, x0s[:5], five, params_axes=axes, mesh=mesh)
    np.testing.assert_allclose(ragged.controls, expected[0][1].controls[:5], rtol=1e-12)
    solver, across = sharded(jax.sharding.AxisType.Auto)
    spread = {"gravity": params["gravity"], "weight": across(params["weight"])}
    program = jax.jit(solver).lower(across(x0s), spread).compile().as_text()
    assert "while" in program
    assert not any(word in program for word in ("all-reduce", "all-gather", "collective", "all-to"))
print(f"process {process}: {len(jax.devices())} devices agree")
