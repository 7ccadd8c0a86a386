"""MJX's forward dynamics, with derivatives of its constraint forces that are those of the solution.

MJX's own are of the iterations that its solver takes: none where it starts at the solution, as at
rest, and then the derivative is that of the start.
"""

import importlib
from typing import Any

import jax
import jax.numpy as jnp


def forward(mjx: Any, model: Any, data: Any) -> Any:
    """Accelerations, forces and sensors at a state, as `mjx.forward` has them."""
    stages = mjx.fwd_position, mjx.sensor_pos, mjx.fwd_velocity, mjx.sensor_vel
    for stage in (*stages, mjx.fwd_actuation, mjx.fwd_acceleration):
        data = stage(model, data)
    if data._impl.efc_J.size == 0:
        return mjx.sensor_acc(model, data.replace(qacc=data.qacc_smooth))
    return mjx.sensor_acc(model, _constrained(mjx, model, data))


def _constrained(mjx, model, data):
    """The accelerations at which smooth and constraint forces balance; MJX finds them."""
    solver = importlib.import_module("mujoco.mjx._src.solver")

    def at(qacc):
        return solver.Context.create(model, data.replace(qacc=qacc), grad=False)

    def imbalance(qacc):
        context = at(qacc)
        return context.Ma - data.qfrc_smooth - context.qfrc_constraint

    def solved(linear, right):
        return jnp.linalg.solve(jax.jacfwd(linear)(jnp.zeros_like(right)), right)

    found = mjx.solve(*jax.tree.map(_held, (model, data))).qacc
    qacc = jax.lax.custom_root(imbalance, found, lambda _, guess: guess, solved)
    context = at(qacc)
    return data.tree_replace(
        {
            "qacc": qacc,
            "qfrc_constraint": context.qfrc_constraint,
            "_impl.efc_force": context.efc_force,
        }
    )


def _held(leaf):
    """Without derivatives, so that the solver's loop has none either."""
    return jax.lax.stop_gradient(leaf) if isinstance(leaf, jax.Array) else leaf
