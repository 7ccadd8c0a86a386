"""Model-predictive path integral control."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from jaxmpc.checks import check_bool, check_not_negative, check_positive
from jaxmpc.problem import Problem
from jaxmpc.solution import Solution
from jaxmpc.solvers import keys
from jaxmpc.solvers.configuration import configuration, number
from jaxmpc.solvers.loop import Guess
from jaxmpc.solvers.sampling.controls import controls_of, drawn
from jaxmpc.solvers.sampling.costs import penalized_cost, sampled_costs
from jaxmpc.solvers.sampling.state import (
    Sampler,
    SamplingState,
    begin,
    check_noise,
    ended,
    solution_of,
)
from jaxmpc.trajectory import open_loop


@configuration
class MPPI(Sampler):
    """Model-predictive path integral control: the mean of samples, weighted by their costs.

        w_i ~ exp(-(c_i - min c) / (temperature (mean c - min c)))

    Asks for no derivatives. Samples are clipped to the bounds of the controls. Needs
    `solve(..., key=jax.random.key(0))`. The mean is returned, or the best sample if that costs
    less, with `Status.sampled` and a derivative of zero; `Chain(MPPI(), ILQR())` polishes it.

    Attributes:
        samples: in each iteration; so many times T m numbers are held at once.
        iterations: how often the mean moves; samples are drawn once more.
        temperature: in units of the mean excess of the samples' costs over the least, so that it
            does not depend on the unit of the cost; towards 0 the best sample wins alone.
        noise: the standard deviation of each control in its units, a number or [m]; None: a
            quarter of the range between the bounds.
        adapt: whether the deviations follow those of the weighted samples.
        knots, color, penalty, chunk_size: as for `CEM`.

    Source: Williams, Wagener, Goldfain, Drews, Rehg, Boots and Theodorou (2017), 'Information
    theoretic MPC for model-based reinforcement learning'.

    Example:
        >>> solver = jaxmpc.MPPI(samples=64, iterations=5)
        >>> found = jaxmpc.solve(problem, x0, params, solver=solver, key=jax.random.key(0))
        >>> jaxmpc.Status(int(found.status)).name, bool(found.cost < 1.1 * solution.cost)
        ('sampled', True)
    """

    samples: int = 256
    iterations: int = number(default=20)
    temperature: float = number(default=0.1)
    noise: Any = number(default=None)
    adapt: bool = True
    knots: int | None = None
    color: float = 0.0
    penalty: float = number(default=1000.0)
    chunk_size: int | None = None

    def __post_init__(self):
        check_positive("MPPI", "samples", self.samples, whole=True)
        check_positive("MPPI", "iterations", self.iterations, whole=True)
        check_positive("MPPI", "temperature", self.temperature)
        check_bool("MPPI", "adapt", self.adapt)
        check_noise("MPPI", self.noise)
        check_positive("MPPI", "knots", self.knots, whole=True, optional=True)
        check_positive("MPPI", "chunk_size", self.chunk_size, whole=True, optional=True)
        for field in ("color", "penalty"):
            check_not_negative("MPPI", field, getattr(self, field))

    @property
    def max_iterations(self) -> int:
        """The number of iterations."""
        return self.iterations

    def init(self, problem: Problem, x0: Float[Array, " n"], params: PyTree, guess: Guess):
        """A distribution around the guess."""
        given = (problem, x0, params, guess)
        return begin("MPPI", *given, self.noise, self.knots, 0, self.penalty)

    def step(self, problem: Problem, params: PyTree, state: SamplingState) -> SamplingState:
        """Sample, roll out, and move the mean towards what costs less."""
        dtype, (key, now) = state.mean.dtype, keys.split(state.key)
        values = drawn(keys.key_of(now), state.mean, state.deviation, self.samples, self.color)
        values = values.at[0].set(state.mean)  # the mean is a sample too
        controls = controls_of(problem, values)
        count, penalty = jnp.asarray(self.samples, jnp.int32), jnp.asarray(self.penalty, dtype)
        given = (problem, state.x0, params, controls, penalty)
        costs = sampled_costs(*given, count, self.chunk_size)
        finite = jnp.isfinite(costs)
        least = jnp.min(costs)
        excess = jnp.where(finite, costs - jnp.where(jnp.isfinite(least), least, 0.0), 0.0)
        unit = jnp.sum(excess) / jnp.maximum(jnp.sum(finite), 1).astype(dtype)
        unit = jnp.asarray(self.temperature, dtype) * jnp.where(unit > 0, unit, 1.0)
        weights = jnp.where(finite, jnp.exp(-excess / unit), 0.0)
        weights = (weights / jnp.maximum(jnp.sum(weights), jnp.finfo(dtype).tiny))[:, None, None]
        mean = jnp.sum(weights * values, axis=0)
        deviation = jnp.sqrt(jnp.sum(weights * (values - mean[None]) ** 2, axis=0))
        any_finite, best = jnp.any(finite), jnp.argmin(costs)
        better = least < state.cost
        return state._replace(
            mean=jnp.where(any_finite, mean, state.mean),
            deviation=jnp.where(any_finite & self.adapt, deviation, state.deviation),
            best=jnp.where(better, controls[best], state.best),
            cost=jnp.where(better, least, state.cost),
            key=key,
            steps=state.steps + 1,
        )

    def terminate(self, state: SamplingState) -> Int[Array, ""]:
        """`sampled` after the last iteration."""
        return ended(state.cost, state.steps, self.iterations)

    def postprocess(self, problem: Problem, params: PyTree, state: SamplingState) -> Solution:
        """The mean, or the best sample of all."""
        mean = controls_of(problem, state.mean[None])[0]
        penalty = jnp.asarray(self.penalty, state.mean.dtype)
        cost = penalized_cost(problem, params, open_loop(problem, state.x0, params, mean), penalty)
        controls = jnp.where(cost <= state.cost, mean, state.best)
        status = self.terminate(state)
        return solution_of(problem, state.x0, params, controls, status, state.steps)
