"""What all sampling solvers share: their state, how it begins, and what they return."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int, PyTree, UInt32

from jaxmpc.problem import Problem
from jaxmpc.solution import (
    Gains,
    Residuals,
    Solution,
    Status,
    multipliers_of_bounds,
)
from jaxmpc.solvers.configuration import Configuration
from jaxmpc.solvers.evaluation import row_costs
from jaxmpc.solvers.loop import RUNNING, Guess
from jaxmpc.solvers.options import default_tolerance
from jaxmpc.solvers.sampling.controls import interpolation
from jaxmpc.solvers.sampling.costs import penalized_cost
from jaxmpc.trajectory import no_scales, open_loop
from jaxmpc.trajectory.constraints import violations, without_control_bounds
from jaxmpc.trajectory.scales import scales_of_rows

_SHARE = 0.25  # of the range between bounds: the deviation where nobody gave one


def needs_key(name: str, guess: Guess) -> UInt32[Array, "2"]:
    """The key's data; an error that says how to give one where there is none."""
    if guess.key is None:
        raise ValueError(f"{name}: solve needs key=jax.random.key(...) for a solver that samples.")
    return guess.key


class SamplingState(NamedTuple):
    """A normal distribution of values at knots, each for itself, and the best sample so far."""

    x0: Float[Array, " n"]
    mean: Float[Array, "K m"]
    deviation: Float[Array, "K m"]
    elites: Float[Array, "E K m"]
    best: Float[Array, "T m"]
    cost: Float[Array, ""]  # of the best, with penalties
    key: UInt32[Array, "2"]
    steps: Int[Array, ""]


class Sampler(Configuration):
    """A solver whose point is the best of samples: no function of anything, its derivative zero."""


def check_noise(name: str, noise):
    """Raise for a deviation that is known and not positive."""
    if noise is None or isinstance(noise, Tracer):
        return
    try:
        values = np.asarray(noise, float)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name}: noise must be a number or [m], got {noise!r}.") from error
    if isinstance(noise, bool) or not np.all(values > 0):
        raise ValueError(f"{name}: noise must be positive, got {noise!r}.")


def begin(
    name: str,
    problem: Problem,
    x0: Float[Array, " n"],
    params: PyTree,
    guess: Guess,
    noise,
    knots: int | None,
    elites: int,
    penalty,
) -> SamplingState:
    """The distribution around a guess, which is the best so far.

    A deviation that is not finite, as that of infinite bounds, makes the cost NaN: that is the end.

    Raises:
        ValueError: without a key, or without a deviation where the controls have no bounds.
    """
    key = needs_key(name, guess)
    weights = interpolation(problem.horizon, knots)
    lower, upper = problem.limits(x0.dtype)
    controls = jnp.clip(guess.controls, lower, upper)
    mean = jnp.asarray(np.linalg.pinv(weights), x0.dtype) @ controls
    if noise is None:
        bounds = problem.control_bounds or (None, None)
        if any(bound is None for bound in bounds):
            raise ValueError(
                f"{name}: noise must be given, the standard deviation of the controls in their "
                "units (a number or [m]), where control_bounds do not bound them on both sides."
            )
        share = jnp.asarray(np.abs(weights).T / np.abs(weights).sum(0)[:, None], x0.dtype)
        deviation = share @ (_SHARE * (upper - lower))
    else:
        deviation = jnp.asarray(noise, x0.dtype)
        if deviation.shape not in ((), (problem.control_dim,)):
            raise ValueError(
                f"{name}: noise must be a number or [m] = {(problem.control_dim,)}; got shape "
                f"{deviation.shape}."
            )
        deviation = jnp.zeros_like(mean) + jnp.broadcast_to(deviation, mean.shape)
    given = open_loop(problem, x0, params, controls)
    cost = penalized_cost(problem, params, given, jnp.asarray(penalty, x0.dtype))
    return SamplingState(
        x0=x0,
        mean=mean,
        deviation=deviation,
        elites=jnp.broadcast_to(mean[None], (elites, *mean.shape)),
        best=controls,
        cost=jnp.where(jnp.all(jnp.isfinite(deviation)), cost, jnp.nan),
        key=key,
        steps=jnp.zeros_like(x0, shape=(), dtype=jnp.int32),
    )


def ended(cost: Float[Array, ""], steps: Int[Array, ""], iterations) -> Int[Array, ""]:
    """`sampled` after one step more than that, or `non_finite` if no sample was finite by then."""
    status = jnp.where(jnp.isfinite(cost), Status.sampled, Status.non_finite)
    return jnp.where(steps > jnp.asarray(iterations, steps.dtype), status, RUNNING).astype(
        jnp.int32
    )


def solution_of(
    problem: Problem,
    x0: Float[Array, " n"],
    params: PyTree,
    controls: Float[Array, "T m"],
    status: Int[Array, ""],
    steps: Int[Array, ""],
) -> Solution:
    """Controls as a solution: what they cost and violate; gains and multipliers are unknown: zero.

    Its stationarity is infinite: nobody has asked for a derivative.
    """
    trajectory = open_loop(problem, x0, params, controls)
    cost, outside = trajectory.cost, jnp.zeros_like(trajectory.cost)
    scales = jax.tree.map(jnp.ones_like, no_scales(problem, x0, params))
    if problem.has_general_constraints:
        rows = row_costs(problem, x0, params, trajectory)
        cost = cost + rows.price
        units = scales_of_rows(without_control_bounds(problem), x0, scales).flat()
        outside = jnp.max(rows.excess / units, initial=0.0)
    zeros = jnp.zeros_like(controls)
    k = problem.tangent_dim(x0.shape[0])
    costates = jnp.zeros_like(trajectory.states, shape=(problem.horizon + 1, k))
    return Solution(
        states=trajectory.states,
        controls=controls,
        cost=cost,
        gains=Gains(zeros, zeros[:, :, None] * costates[:1, None]),
        costates=costates,
        multipliers=multipliers_of_bounds(zeros, zeros, costates),
        violations=violations(problem, trajectory.states, controls, params),
        status=status,
        iterations=steps,
        residuals=Residuals(cost * 0 + jnp.inf, outside, cost * 0),
        tolerance=cost * 0 + default_tolerance(None, x0.dtype),
        scales=scales,
    )
