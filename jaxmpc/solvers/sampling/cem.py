"""The cross-entropy method, plain and improved."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float, Int, PyTree

from jaxmpc.checks import check_not_negative, check_positive
from jaxmpc.problem import Problem
from jaxmpc.solution import Solution
from jaxmpc.solvers import keys
from jaxmpc.solvers.configuration import configuration, number
from jaxmpc.solvers.loop import Guess
from jaxmpc.solvers.sampling.controls import controls_of, drawn
from jaxmpc.solvers.sampling.costs import sampled_costs
from jaxmpc.solvers.sampling.state import (
    Sampler,
    SamplingState,
    begin,
    check_noise,
    ended,
    solution_of,
)


@configuration
class CEM(Sampler):
    """The cross-entropy method: sample controls, keep the best, fit a normal distribution to them.

    Asks for no derivatives: for costs that jump, contacts, and many local minima. Samples are
    clipped to the bounds of the controls. Needs `solve(..., key=jax.random.key(0))`; starts from
    the guessed controls, the best so far. The best sample of all is returned,
    with `Status.sampled` and a derivative of zero (for an adjoint it has not converged:
    `on_failure`); `Chain(CEM(), ILQR())` polishes it.

    Attributes:
        samples: in each iteration; so many times T m numbers are held at once.
        elites: how many of them the next distribution is fitted to.
        iterations: how often the distribution is fitted anew; samples are drawn once more.
        noise: the first standard deviation of each control in its units, a number or [m]; None: a
            quarter of the range between the bounds.
        momentum: the share of the old mean and deviation in the new ones, 0 .. 1.
        knots: controls are interpolated between so many values; None: each is sampled.
        color: of the noise over time, the exponent of its power spectrum 1 / f^color; 0 is white.
        keep: the share of the elites that are samples of the next iteration too.
        decay: by which the number of samples falls from one iteration to the next, down to twice
            the elites; 1: not at all.
        penalty: on the sum of the violations of hard constraints, in cost per their unit. What is
            violated is in `Solution.violations`.
        chunk_size: how many samples are rolled out at once; None: 256 on a CPU, elsewhere all.

    Sources: Rubinstein (1999); Pinneri, Sawant, Blaes, Achterhold, Stueckler, Rolinek and Martius
    (2020), 'Sample-efficient cross-entropy method for real-time planning', for colours, kept
    elites and the decay.

    Example:
        >>> solver = jaxmpc.CEM(samples=64, elites=8, iterations=5)
        >>> found = jaxmpc.solve(problem, x0, params, solver=solver, key=jax.random.key(0))
        >>> jaxmpc.Status(int(found.status)).name, bool(found.cost < 1.1 * solution.cost)
        ('sampled', True)
    """

    samples: int = 256
    elites: int = 32
    iterations: int = number(default=20)
    noise: Any = number(default=None)
    momentum: float = number(default=0.1)
    knots: int | None = None
    color: float = 0.0
    keep: float = 0.0
    decay: float = number(default=1.0)
    penalty: float = number(default=1000.0)
    chunk_size: int | None = None

    def __post_init__(self):
        name = type(self).__name__
        check_positive(name, "samples", self.samples, whole=True)
        check_positive(name, "elites", self.elites, whole=True)
        if self.elites > self.samples:
            raise ValueError(
                f"{name}: elites must be no more than samples = {self.samples}, got {self.elites}."
            )
        check_positive(name, "iterations", self.iterations, whole=True)
        check_positive(name, "knots", self.knots, whole=True, optional=True)
        check_positive(name, "decay", self.decay)
        check_positive(name, "chunk_size", self.chunk_size, whole=True, optional=True)
        for field in ("momentum", "color", "keep", "penalty"):
            check_not_negative(name, field, getattr(self, field))
        check_noise(name, self.noise)
        if int(self.keep * self.elites) >= self.samples:
            raise ValueError(f"{name}: keep leaves no room for new samples; got {self.keep}.")
        for field in ("keep", "momentum"):
            share = getattr(self, field)
            if not isinstance(share, Tracer) and share > 1:
                raise ValueError(f"{name}: {field} must be a share, 0 .. 1; got {share}.")

    @property
    def max_iterations(self) -> int:
        """The number of iterations."""
        return self.iterations

    def init(self, problem: Problem, x0: Float[Array, " n"], params: PyTree, guess: Guess):
        """A distribution around the guess."""
        kept = int(self.keep * self.elites)
        name, given = type(self).__name__, (problem, x0, params, guess)
        return begin(name, *given, self.noise, self.knots, kept, self.penalty)

    def step(self, problem: Problem, params: PyTree, state: SamplingState) -> SamplingState:
        """Sample, roll out, and fit the distribution to the elites."""
        dtype, (key, now) = state.mean.dtype, keys.split(state.key)
        values = drawn(keys.key_of(now), state.mean, state.deviation, self.samples, self.color)
        # The mean, and the best of before, are samples too.
        values = values.at[0].set(state.mean).at[1 : 1 + len(state.elites)].set(state.elites)
        controls = controls_of(problem, values)
        costs = self._costs(problem, params, state, controls)
        lost, order = jax.lax.top_k(-costs, self.elites)
        finite = jnp.isfinite(lost)[:, None, None]
        number_of = jnp.maximum(jnp.sum(finite), 1).astype(dtype)
        elites = values[order]
        mean = jnp.sum(jnp.where(finite, elites, 0.0), axis=0) / number_of
        away = jnp.where(finite, elites - mean[None], 0.0)
        deviation = jnp.sqrt(jnp.sum(away**2, axis=0) / number_of)
        kept = jnp.where(jnp.any(finite), jnp.asarray(self.momentum, dtype), 1.0)
        better = -lost[0] < state.cost
        return state._replace(
            mean=kept * state.mean + (1 - kept) * mean,
            deviation=kept * state.deviation + (1 - kept) * deviation,
            elites=elites[: len(state.elites)],
            best=jnp.where(better, controls[order[0]], state.best),
            cost=jnp.where(better, -lost[0], state.cost),
            key=key,
            steps=state.steps + 1,
        )

    def terminate(self, state: SamplingState) -> Int[Array, ""]:
        """`sampled` after the last iteration."""
        return ended(state.cost, state.steps, self.iterations)

    def postprocess(self, problem: Problem, params: PyTree, state: SamplingState) -> Solution:
        """The best sample of all."""
        status = self.terminate(state)
        return solution_of(problem, state.x0, params, state.best, status, state.steps)

    def _costs(self, problem: Problem, params: PyTree, state: SamplingState, controls):
        dtype = state.mean.dtype
        decay = jnp.asarray(self.decay, dtype) ** -state.steps.astype(dtype)
        count = jnp.ceil(self.samples * jnp.minimum(decay, 1.0)).astype(jnp.int32)
        count = jnp.clip(count, min(2 * self.elites, self.samples), self.samples)
        penalty = jnp.asarray(self.penalty, dtype)
        given = (problem, state.x0, params, controls, penalty)
        return sampled_costs(*given, count, self.chunk_size)


@configuration
class ICEM(CEM):
    """The improved cross-entropy method: coloured noise, elites that are kept, fewer samples later.

    `CEM` with other defaults; see there.

    Source: Pinneri et al. (2020).

    Example:
        >>> solver = jaxmpc.ICEM(samples=64, elites=8, iterations=5)
        >>> found = jaxmpc.solve(problem, x0, params, solver=solver, key=jax.random.key(0))
        >>> jaxmpc.Status(int(found.status)).name, bool(found.cost < 1.1 * solution.cost)
        ('sampled', True)
    """

    color: float = 2.0
    keep: float = 0.3
    decay: float = number(default=1.25)
