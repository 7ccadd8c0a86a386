"""What is learned from: moments of recorded flights."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

import jaxmpc
from bench.wind import vehicle
from bench.wind.closed_loop import FLIGHT, Flight, Task
from bench.wind.controller import HORIZON, MODELLED, SOLVER
from bench.wind.disturbance import STEPS, History
from jaxmpc import learning


class Situation(NamedTuple):
    """A moment, what led to it and what came of it; leaves [N, ...]."""

    history: History
    state: Float[Array, "N 13"]
    reference: Float[Array, "N T1 6"]
    residuals: Float[Array, "N T 3"]  # of the steps to come
    velocities: Float[Array, "N T 3"]  # at their beginnings


def situations(flight: Flight, task: Task) -> Situation:
    """All moments of the flights with a full history behind and a full horizon ahead."""
    residuals, states = (jnp.moveaxis(a, 0, 1) for a in (flight.residuals, flight.states))
    velocities = states[..., vehicle.VELOCITY]

    def at(t):
        def part(array, start, length):
            return jax.lax.dynamic_slice_in_dim(array, start, length, axis=1)

        past = part(residuals, t - STEPS, STEPS), part(velocities, t - STEPS + 1, STEPS)
        return Situation(
            History(*past),
            states[:, t],
            part(task.reference, t, HORIZON + 1),
            part(residuals, t, HORIZON),
            part(velocities, t, HORIZON),
        )

    times = jnp.arange(STEPS, FLIGHT - HORIZON)
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), jax.vmap(at)(times))


@jax.jit
def hindsight(moments: Situation) -> learning.Examples:
    """The plans of an expert who knew the residuals that were going to be recorded.

    It needs nothing but the records: the true field stays unknown.
    """
    number = len(moments.state)
    plans = jaxmpc.solve_batch(
        MODELLED,
        moments.state,
        {
            "reference": moments.reference,
            "push": moments.residuals,
            "drag": jnp.zeros(number),  # is in the residuals
        },
        params_axes=0,
        controls=jnp.full((number, HORIZON, 4), vehicle.HOVER),
        solver=SOLVER,
    )
    known = {"history": moments.history, "reference": moments.reference}
    return learning.Examples(plans.states, plans.controls, known)


def prediction_error(model, params, moment: Situation) -> Float[Array, ""]:
    """Mean squared error [m^2/s^4] of the accelerations over the horizon."""
    told = model(params, moment.history)
    predicted = told["push"] - told["drag"] * moment.velocities
    return jnp.mean((predicted - moment.residuals) ** 2)
