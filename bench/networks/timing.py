"""Solve and gradient with a network of two layers of 128 as the dynamics, batch 64.

    python -m bench.networks.timing             # prints JSON: planar quadrotor, both precisions
    python -m bench.networks.timing --whole     # without the parts of it and the alternatives

A process of its own, for XLA reads how many threads it may use when it starts.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

import jaxmpc
from bench.networks.residual import residual_dynamics
from bench.networks.stages import prediction
from bench.networks.systems import HORIZON, QUADROTOR, SOLVER, rollouts, starts
from jaxmpc import learning
from jaxmpc.trajectory import costates, derivatives, dynamics_curvature, open_loop

_BATCH, _WIDTH, _RUNS = 64, 128, 5
_STEP = 1e-4  # of the central difference, along a direction of length one


def trained():
    """The network after one-step prediction, as its first users have it."""
    system = QUADROTOR
    x0s = starts(system, jax.random.key(0), _BATCH)
    hover = jnp.broadcast_to(jnp.asarray(system.hover), (_BATCH, HORIZON, 2))
    examples = rollouts(system, jax.random.key(1), x0s, hover, noise=0.02)
    model = residual_dynamics(
        system.prior, system.features, system.scale, 2, key=jax.random.key(2), width=_WIDTH
    )
    optimizer, loss = optax.adam(2e-3), prediction(system, 1)
    return learning.fit(
        loss, model, examples, optimizer=optimizer, epochs=100, batch_size=16, progress=False
    ).last


def _timed(function: Callable, *arguments) -> tuple[dict[str, float], Any, Callable]:
    start = time.perf_counter()
    compiled = jax.jit(function).lower(*arguments).compile()
    seconds = time.perf_counter() - start
    output, times = jax.block_until_ready(compiled(*arguments)), []
    for _ in range(_RUNS):
        start = time.perf_counter()
        jax.block_until_ready(compiled(*arguments))
        times.append(1e3 * (time.perf_counter() - start))
    return {"ms": statistics.median(times), "compile_s": seconds}, output, compiled


def _effort(model, x0s, solver: jaxmpc.ILQR, chunk_size: int | None = None):
    """The mean squared control of the plans, and the plans."""
    plan = jaxmpc.solve_batch(QUADROTOR.problem(), x0s, model, solver=solver, chunk_size=chunk_size)
    return jnp.mean(plan.controls**2), plan


def whole(model, x0s) -> tuple[dict[str, Any], Any, Callable]:
    """Solve, and solve with the gradient of the effort in the weights."""
    solver = SOLVER

    def solve(model, x0s):
        return _effort(model, x0s, solver)

    solved, (_, plan), _ = _timed(solve, model, x0s)
    gradient = jax.value_and_grad(solve, has_aux=True)
    differentiated, (_, slope), compiled = _timed(gradient, model, x0s)
    row = {
        "dtype": x0s.dtype.name,
        "solve": solved,
        "solve_and_gradient": differentiated,
        "unsolved": int(jnp.sum(~plan.converged)),
        "iterations": float(jnp.mean(plan.iterations)),
        "most_iterations": int(jnp.max(plan.iterations)),
        "residual": float(jnp.max(plan.residuals.largest())),
    }
    return row, slope, compiled


def difference_error(model, x0s, slope, compiled: Callable) -> float:
    """Of the gradient along a random direction, relative, against a central difference."""
    flat, back = ravel_pytree(model)
    direction = np.random.default_rng(0).standard_normal(flat.size)
    direction = jnp.asarray(direction / np.linalg.norm(direction))
    ahead, behind = (
        compiled(back(flat + sign * _STEP * direction), x0s)[0][0] for sign in (1.0, -1.0)
    )
    expected = (ahead - behind) / (2 * _STEP)
    return float(jnp.abs(ravel_pytree(slope)[0] @ direction / expected - 1))


def parts(model, x0s) -> dict[str, float]:
    """Milliseconds that the batch takes in the parts of an iteration that call the network."""
    problem = QUADROTOR.problem()
    hover = jnp.broadcast_to(jnp.asarray(QUADROTOR.hover, x0s.dtype), (_BATCH, HORIZON, 2))

    def roll(x0, u):
        return open_loop(problem, x0, model, u).states

    def first(x, u):
        return derivatives(problem, x, u, model).linearization

    def second(x, u, costate):
        return dynamics_curvature(problem, x, u, costate, model)

    def timed(function, *arguments):
        measured, output, _ = _timed(jax.vmap(function), *arguments)
        return measured["ms"], output

    rollout_ms, states = timed(roll, x0s, hover)
    linearize_ms, linear = timed(first, states, hover)
    hessian_ms, _ = timed(second, states, hover, jax.vmap(costates)(linear))
    return {"rollout_ms": rollout_ms, "jacobians_ms": linearize_ms, "hessians_ms": hessian_ms}


def alternatives(model, x0s) -> dict[str, Any]:
    """What options change: the steps' Hessian, and how many elements run at once."""
    rows = {}
    for name, solver, chunk in (
        ("gauss_newton", jaxmpc.ILQR(hessian="gauss_newton"), None),
        ("chunk_size=64", SOLVER, 64),
    ):

        def solve(model, x0s, solver=solver, chunk=chunk):
            return _effort(model, x0s, solver, chunk)

        row, (_, plan), _ = _timed(solve, model, x0s)
        rows[name] = {
            **row,
            "iterations": float(jnp.mean(plan.iterations)),
            "unsolved": int(jnp.sum(~plan.converged)),
        }
    return rows


def main():
    """Measure in both precisions, and print one line of JSON."""
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_enable_compilation_cache", False)  # compile times are measured
    model, x0s = trained(), starts(QUADROTOR, jax.random.key(3), _BATCH)
    exact, slope, compiled = whole(model, x0s)
    exact["gradient_error"] = difference_error(model, x0s, slope, compiled)
    if "--whole" not in sys.argv:
        exact["parts"] = parts(model, x0s)
        exact["alternatives"] = alternatives(model, x0s)
    single = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), (model, x0s))
    rough, rough_slope, _ = whole(*single)
    reference, found = (np.asarray(ravel_pytree(s)[0], float) for s in (slope, rough_slope))
    error = np.linalg.norm(found - reference) / np.linalg.norm(reference)
    rough["gradient_error"] = float(error)
    print(json.dumps([exact, rough]))


if __name__ == "__main__":
    main()
