"""`solve_batch`: the semantics of `vmap(solve)`, whatever the chunks and devices are."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmpc
from jaxmpc import ILQR, ImplicitAdjoint, InteriorPoint, Status, UnrolledAdjoint
from jaxmpc.batch import iteration_of
from jaxmpc.batching.refill import run_many
from jaxmpc.solvers.loop import Guess

T, B = 12, 13


def dynamics(x, u, t, params):
    gravity = params["gravity"] * jnp.sin(x[0])
    return x + 0.1 * jnp.stack([x[1], gravity + 2.0 * jnp.tanh(u[0])])


PROBLEM = jaxmpc.Problem(
    dynamics,
    lambda x, u, t, params: params["weight"] * x @ x + 0.1 * u @ u,
    horizon=T,
    control_dim=1,
    control_bounds=(-1.0, 1.0),
)
WALL = jaxmpc.Problem(
    dynamics,
    lambda x, u, t, params: params["weight"] * x @ x + 0.1 * u @ u,
    horizon=T,
    control_dim=1,
    state_bounds=(None, jnp.array([jnp.inf, 0.6])),
)


def inputs(batch=B):
    rng = np.random.default_rng(0)
    params = {"gravity": jnp.array(4.0), "weight": jnp.array(1.0)}
    return jnp.asarray(rng.standard_normal((batch, 2))), params


def vmapped(problem, x0s, params, **options):
    return jax.vmap(lambda x0: jaxmpc.solve(problem, x0, params, **options))(x0s)


def assert_same(came, wanted, tolerance=1e-12):
    for a, b in zip(jax.tree.leaves(came), jax.tree.leaves(wanted), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("chunk_size", [None, 1, 4, 100])
def test_the_solutions_are_those_of_vmap(chunk_size):
    x0s, params = inputs()
    wanted = vmapped(PROBLEM, x0s, params)
    came = jaxmpc.solve_batch(PROBLEM, x0s, params, chunk_size=chunk_size)
    assert_same(came, wanted)
    assert np.all(came.converged)
    assert len(set(np.asarray(came.iterations))) > 1  # so that elements did leave early


def test_the_gradients_are_those_of_vmap():
    x0s, params = inputs()

    def loss(solver, x0s, params, bound):
        problem = jaxmpc.Problem(
            dynamics, PROBLEM.stage_cost, horizon=T, control_dim=1, control_bounds=(-bound, bound)
        )
        solution = solver(problem, x0s, params)
        return jnp.sum(solution.controls**2) + jnp.sum(solution.states[:, -1] * x0s)

    gradient = jax.jit(jax.grad(loss, (1, 2, 3)), static_argnums=0)
    wanted = gradient(vmapped, x0s, params, 1.0)
    came = gradient(lambda *args: jaxmpc.solve_batch(*args, chunk_size=4), x0s, params, 1.0)
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(wanted))
    assert_same(came, wanted, 1e-10)


@pytest.mark.slow
def test_second_derivatives_are_those_of_vmap():
    x0s, params = inputs(5)

    def loss(solver, weight):
        return jnp.sum(solver(PROBLEM, x0s, {**params, "weight": weight}).controls ** 2)

    second = jax.jit(jax.grad(jax.grad(loss, 1), 1), static_argnums=0)
    came = second(lambda *args: jaxmpc.solve_batch(*args, chunk_size=2), 1.0)
    np.testing.assert_allclose(came, second(vmapped, 1.0), rtol=1e-8)


def test_a_closed_over_value_has_its_derivative():
    x0s, params = inputs(5)

    def loss(solver, drag):
        problem = jaxmpc.Problem(
            lambda x, u, t, params: dynamics(x, u, t, params) - 0.1 * drag * x,
            PROBLEM.stage_cost,
            horizon=T,
            control_dim=1,
        )
        return jnp.sum(solver(problem, x0s, params).cost)

    gradient = jax.jit(jax.grad(loss, 1), static_argnums=0)
    came = gradient(lambda *args: jaxmpc.solve_batch(*args, chunk_size=2), 0.3)
    np.testing.assert_allclose(came, gradient(vmapped, 0.3), rtol=1e-10)


def test_each_element_may_have_params_and_guesses_of_its_own():
    x0s, params = inputs()
    own = {**params, "weight": 1 + jnp.arange(B) / B}
    guesses = jnp.full((B, T, 1), 0.5)
    axes = {"gravity": None, "weight": 0}

    def one(x0, params, guess):
        return jaxmpc.solve(PROBLEM, x0, params, controls=guess)

    wanted = jax.vmap(one, (0, axes, 0))(x0s, own, guesses)
    came = jaxmpc.solve_batch(PROBLEM, x0s, own, params_axes=axes, controls=guesses, chunk_size=4)
    assert_same(came, wanted)


@pytest.mark.slow
def test_with_constraints_and_a_warm_start():
    x0s, params = inputs(6)
    x0s = 0.2 * x0s  # feasible
    cold = jaxmpc.solve_batch(WALL, x0s, params, chunk_size=2)
    assert_same(cold, vmapped(WALL, x0s, params), 1e-9)
    warm = jaxmpc.solve_batch(WALL, x0s + 1e-3, params, warm_start=cold, chunk_size=4)
    assert np.all(warm.converged)
    assert np.sum(warm.iterations) < np.sum(cold.iterations)


@pytest.mark.slow
@pytest.mark.parametrize("adjoint", [UnrolledAdjoint(12), ImplicitAdjoint(smoothing=1e-3)])
def test_other_adjoints(adjoint):
    x0s, params = inputs(5)

    def loss(solver, weight):
        solution = solver(PROBLEM, x0s, {**params, "weight": weight}, adjoint=adjoint)
        return jnp.sum(solution.controls**2)

    gradient = jax.jit(jax.grad(loss, 1), static_argnums=0)
    came = gradient(lambda *a, **k: jaxmpc.solve_batch(*a, **k, chunk_size=2), 1.0)
    np.testing.assert_allclose(came, gradient(vmapped, 1.0), rtol=1e-8)


def test_a_bad_element_leaves_the_others_alone():
    x0s, params = inputs()
    clean = jaxmpc.solve_batch(PROBLEM, x0s, params, chunk_size=4)

    def loss(x0s):
        solution = jaxmpc.solve_batch(PROBLEM, x0s, params, chunk_size=4)
        return jnp.sum(jnp.where(solution.converged, solution.cost, 0.0)), solution

    gradient, broken = jax.grad(loss, has_aux=True)(x0s.at[3, 0].set(jnp.nan))
    others = np.arange(B) != 3
    assert broken.status[3] == Status.non_finite
    assert_same(jax.tree.map(lambda a: a[others], broken), jax.tree.map(lambda a: a[others], clean))
    assert np.all(np.isfinite(gradient[others]))


def test_the_work_follows_the_mean_number_of_iterations():
    x0s, params = inputs(256)
    solver = ILQR()

    def whole(x0):
        return PROBLEM, x0, params, Guess(jnp.zeros((T, 1)), None, None)

    points, steps = jax.jit(lambda x0s: run_many(iteration_of(solver, whole), x0s, 16))(x0s)
    useful = int(jnp.sum(points.iterations + 1))  # the last one judges
    slowest = int(jnp.max(points.iterations) + 1)
    assert useful <= 16 * int(steps)
    assert useful / (16 * int(steps)) > 0.8  # under vmap: the mean over the slowest
    assert useful / (256 * slowest) < 0.6


def test_searches_that_are_refilled_find_what_each_finds_alone():
    x0s, params = inputs(40)  # more than the lanes of an iteration's search for active bounds
    alone = jax.jit(lambda x0: jaxmpc.solve(PROBLEM, x0, params))
    wanted = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[alone(x0) for x0 in x0s])
    assert np.mean(np.abs(wanted.controls) == 1.0) > 0.1
    assert_same(vmapped(PROBLEM, x0s, params), wanted, 1e-9)


def test_new_values_do_not_retrace():
    traces = []

    def counted(x, u, t, params):
        traces.append(1)
        return dynamics(x, u, t, params)

    x0s, params = inputs(5)
    problem = jaxmpc.Problem(counted, PROBLEM.stage_cost, horizon=T, control_dim=1)
    solve = jax.jit(lambda x0s, params: jaxmpc.solve_batch(problem, x0s, params))
    solve(x0s, params)
    before = len(traces)
    solve(2 * x0s, {**params, "weight": jnp.array(2.0)})
    assert len(traces) == before


def test_float32_stays_float32():
    x0s, params = inputs(5)
    x0s, params = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), (x0s, params))
    solution = jaxmpc.solve_batch(PROBLEM, x0s, params)
    assert np.all(solution.converged)
    assert solution.controls.dtype == jnp.float32


@pytest.mark.parametrize(
    "change, error, words",
    [
        ({"x0s": jnp.zeros(2)}, ValueError, r"x0s must have shape \[B, n\].*got \(2,\)"),
        ({"x0s": jnp.zeros((0, 2))}, ValueError, r"at least one element; got \(0, 2\)"),
        ({"x0s": jnp.zeros((3, 2), int)}, TypeError, "x0 must be floating point"),
        ({"controls": jnp.zeros((T, 1))}, ValueError, "controls must have a leading axis of"),
        ({"controls": jnp.zeros((B, T, 2))}, ValueError, r"controls must have shape \[T, m\]"),
        ({"params_axes": 1}, ValueError, "params_axes must be None or 0, got 1"),
        ({"params_axes": {"mass": 0}}, ValueError, "params_axes must be None, 0 or a prefix"),
        ({"params_axes": 0}, ValueError, r"params must have a leading axis of length 13"),
        ({"chunk_size": 0}, ValueError, "chunk_size must be positive"),
        ({"chunk_size": 2.5}, TypeError, "chunk_size must be an int"),
        ({"mesh": 4}, TypeError, "mesh must be a jax.sharding.Mesh"),
        ({"solver": InteriorPoint}, TypeError, "solver must be a"),
    ],
)
def test_bad_arguments(change, error, words):
    x0s, params = inputs()
    arguments = {"x0s": x0s, "params": params, **change}
    with pytest.raises(error, match=words):
        jaxmpc.solve_batch(PROBLEM, **arguments)


def run_on_devices(number: int, *arguments: str) -> subprocess.Popen:
    script = Path(__file__).with_name("sharded_batch.py")
    flags = f"--xla_force_host_platform_device_count={number}"
    root = str(script.parents[1])
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "PYTHONPATH": root}
    return subprocess.Popen(
        [sys.executable, str(script), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
def test_four_devices():
    process = run_on_devices(4, "0", "1", "none")
    output, _ = process.communicate(timeout=600)
    assert "4 devices agree" in output, output


@pytest.mark.slow
def test_two_processes():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        coordinator = f"127.0.0.1:{free.getsockname()[1]}"
    processes = [run_on_devices(2, str(rank), "2", coordinator) for rank in range(2)]
    try:
        outputs = [process.communicate(timeout=600)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert all("4 devices agree" in output for output in outputs), outputs
