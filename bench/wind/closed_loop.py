"""Flights: a solve at every control step, each from the last one's controls."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

import jaxmpc
from bench.wind import field, references, vehicle
from bench.wind.controller import HORIZON, INFORMED, MODELLED, SOLVER, shifted
from bench.wind.disturbance import STEPS, History
from jaxmpc.models import quadrotor_state

FLIGHT = 80  # control steps, 4 s
_UNCOUNTED = 20  # the first second: histories fill
_NOISE = {"position": 0.001, "velocity": 0.002}  # standard deviations [m], [m/s]


class Task(NamedTuple):
    """Fields to fly through, references and measurement noise; leaves [N, ...]."""

    field: field.Field
    reference: Float[Array, "N S 6"]
    noise: Float[Array, "N S1 13"]


class Flight(NamedTuple):
    """What was recorded at each step; leaves [S, N, ...]."""

    truth: Float[Array, "S N 13"]  # nobody sees it
    states: Float[Array, "S N 13"]  # as measured
    residuals: Float[Array, "S N 3"]  # of the step that follows
    converged: Bool[Array, "S N"]


def draw(key: Array, number: int) -> Task:
    """Tasks: a field each."""
    keys = jax.random.split(key, 3)
    length = FLIGHT + HORIZON + 1
    reference = jax.vmap(partial(references.draw, length=length))
    scale = jnp.zeros(13).at[:3].set(_NOISE["position"]).at[7:10].set(_NOISE["velocity"])
    return Task(
        jax.vmap(field.draw)(jax.random.split(keys[0], number)),
        reference(jax.random.split(keys[1], number)),
        scale * jax.random.normal(keys[2], (number, FLIGHT + 1, 13)),
    )


@partial(jax.jit, static_argnums=0)
def fly(model: Any, params: Any, task: Task) -> Flight:
    """Closed loops with a model of `disturbance`; None knows the field and its own state."""

    def step(carry, now):
        x, measured, history, guess, t = carry
        window = jax.lax.dynamic_slice_in_dim(task.reference, t, HORIZON + 1, axis=1)
        if model is None:
            problem, known = INFORMED, {"reference": window, "field": task.field}
        else:
            told = jax.vmap(model, (None, 0))(params, history)
            problem, known = MODELLED, {"reference": window, **told}
        solution = jaxmpc.solve_batch(
            problem, measured, known, params_axes=0, controls=guess, solver=SOLVER
        )
        u = solution.controls[:, 0]
        after = jax.vmap(vehicle.fly)(x, u, task.field)
        seen = after + now
        residuals = jax.vmap(vehicle.residual)(measured, u, seen)
        history = _remembered(history, residuals, seen)
        log = Flight(x, measured, residuals, solution.converged)
        return (after, seen, history, jax.vmap(shifted)(solution.controls), t + 1), log

    x = jax.vmap(_start)(task.reference[:, 0])
    history = jax.vmap(_first)(x)
    hover = jnp.full((len(x), HORIZON, 4), vehicle.HOVER)
    carry = (x, x + task.noise[:, 0], history, hover, 0)
    return jax.lax.scan(step, carry, jnp.moveaxis(task.noise[:, 1:], 0, 1))[1]


def tracking_error(flight: Flight, task: Task) -> Float[Array, " N"]:
    """The RMS distance [m] to the reference after the first second, of each flight."""
    reference = jnp.moveaxis(task.reference, 0, 1)[_UNCOUNTED:FLIGHT, :, :3]
    distance = flight.truth[_UNCOUNTED:, :, :3] - reference
    return jnp.sqrt(jnp.mean(jnp.sum(distance**2, -1), 0))


def _remembered(history: History, residuals, measured) -> History:
    """With one more step; leaves [N, H, 3]."""
    new = History(residuals, measured[..., vehicle.VELOCITY])
    return jax.tree.map(
        lambda old, last: jnp.concatenate([old[..., 1:, :], last[..., None, :]], -2), history, new
    )


def _start(reference: Float[Array, "6"]) -> Float[Array, "13"]:
    return quadrotor_state(reference[:3]).at[vehicle.VELOCITY].set(reference[3:])


def _first(x: Float[Array, "13"]) -> History:
    return History(jnp.zeros((STEPS, 3)), jnp.tile(x[vehicle.VELOCITY], (STEPS, 1)))
