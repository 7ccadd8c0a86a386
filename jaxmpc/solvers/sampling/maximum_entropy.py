"""Sampling from the problem's own quadratic model: noise where it costs little."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree, UInt32

from jaxmpc import trees
from jaxmpc.checks import check_not_negative, check_positive
from jaxmpc.lq.riccati.sequential import factor, substitute
from jaxmpc.lq.small_linalg import solve
from jaxmpc.problem import Problem
from jaxmpc.solution import Solution
from jaxmpc.solvers import keys
from jaxmpc.solvers.configuration import configuration, number
from jaxmpc.solvers.ilqr.regularization import convexify_expansion
from jaxmpc.solvers.loop import Guess
from jaxmpc.solvers.sampling.costs import penalized_cost
from jaxmpc.solvers.sampling.state import Sampler, ended, needs_key, solution_of
from jaxmpc.trajectory import (
    Trajectory,
    derivatives,
    lq_model,
    open_loop,
    rollout,
    scales_of,
)
from jaxmpc.trajectory.constraints import without_control_bounds
from jaxmpc.trajectory.tangent import step_between

_STEP_SIZES = (1.0, 0.5, 0.25, 0.0625)  # of the samples, in turn; the first are without noise
_COOLEST = 1e-3  # the lowest temperature, in the highest
_PROXIMAL = 1e-4  # in Quu, in units of cost and controls: what costs nothing has limits too


class _State(NamedTuple):
    nominal: Trajectory
    cost: Float[Array, ""]  # of it, with penalties
    key: UInt32[Array, "2"]
    steps: Int[Array, ""]


@configuration
class MaximumEntropy(Sampler):
    """Samples around the Newton step, with the inverse of Quu as covariance and the gains K.

        u = u* + s k + K (x - x*) + sqrt(2 temperature c* / (T m)) Quu^-1/2 e,    e normal

    The policy that has the most entropy among those of the same expected cost in the quadratic
    model: noise is large in directions that cost little, and feedback keeps rollouts together
    where the dynamics would drive them apart. Step sizes s are 1, 1/2, 1/4 and 1/16 in turn, and
    temperatures spread, from a thousandth up to the highest one; the first four samples have no
    noise. The best rollout is the next nominal trajectory. Takes first derivatives of the dynamics
    and two of the cost, made convex; other constraints than control bounds count by penalty, in
    the samples alone. Needs `solve(..., key=)`; returns the best of all with `Status.sampled`, to
    be polished: `Chain(MaximumEntropy(), ILQR())`. Where the rollout of the guess is not finite
    there is no model to sample from: `non_finite`.

    Attributes:
        samples: in each iteration.
        iterations: how many expansions; samples are drawn once more.
        temperature: the highest one, as the share of the nominal cost that the noise is expected
            to add by the model.
        penalty: as for `CEM`.

    Sources: So, Wang and Theodorou (2022), 'Maximum entropy differential dynamic programming';
    Levine and Koltun (2013) for the policy.

    Example:
        >>> solver = jaxmpc.MaximumEntropy(samples=8, iterations=5)
        >>> found = jaxmpc.solve(problem, x0, params, solver=solver, key=jax.random.key(0))
        >>> jaxmpc.Status(int(found.status)).name, bool(found.cost < 1.1 * solution.cost)
        ('sampled', True)
    """

    samples: int = 32
    iterations: int = number(default=20)
    temperature: float = number(default=1.0)
    penalty: float = number(default=1000.0)

    def __post_init__(self):
        check_positive("MaximumEntropy", "samples", self.samples, whole=True)
        check_positive("MaximumEntropy", "iterations", self.iterations, whole=True)
        for field in ("temperature", "penalty"):
            check_not_negative("MaximumEntropy", field, getattr(self, field))

    @property
    def max_iterations(self) -> int:
        """The number of iterations."""
        return self.iterations

    def init(
        self, problem: Problem, x0: Float[Array, " n"], params: PyTree, guess: Guess
    ) -> _State:
        """The rollout of the guessed controls."""
        key = needs_key("MaximumEntropy", guess)
        controls = jnp.clip(guess.controls, *problem.limits(x0.dtype))
        nominal = open_loop(problem, x0, params, controls)
        cost = penalized_cost(problem, params, nominal, jnp.asarray(self.penalty, x0.dtype))
        return _State(nominal, cost, key, jnp.zeros_like(x0, shape=(), dtype=jnp.int32))

    def step(self, problem: Problem, params: PyTree, state: _State) -> _State:
        """Expand along the nominal trajectory, sample around it, and keep the best."""
        nominal, (key, now) = state.nominal, keys.split(state.key)
        states, controls = nominal.states, nominal.controls
        (horizon, m), dtype = controls.shape, controls.dtype
        inner = without_control_bounds(problem)
        along = derivatives(inner, states, controls, params)
        scales = scales_of(inner, params, states, controls, nominal.magnitude, along)
        stages, terminal = convexify_expansion(*along.cost, scales)
        on_path = jnp.zeros_like(along.linearization.q[1:])
        model = lq_model(along.linearization, stages, terminal, on_path)
        proximal = _PROXIMAL * scales.cost / scales.controls**2
        found = factor(model._replace(R=model.R + jnp.diag(proximal)[None]))
        k = substitute(model, found).feedforward
        sizes, heats = self._spread(dtype)
        unit = jnp.sqrt(2 * heats * nominal.magnitude / (horizon * m))
        noise = jax.random.normal(keys.key_of(now), (self.samples, horizon, m), dtype)

        def coloured(ldl, e):  # of covariance Quu^-1: Quu^-1 L D^1/2 e
            return solve(ldl, (ldl.L @ (jnp.sqrt(jnp.maximum(ldl.pivots, 0.0)) * e))[:, None])[:, 0]

        lower, upper = problem.limits(dtype)

        def law(x, stage):
            x_star, u, K, low, high = stage
            return jnp.clip(u + K @ step_between(problem.state_space, x_star, x), low, high)

        def sample(size, unit, e):
            u = controls + size * k + unit * jax.vmap(coloured)(found.Quu, e)
            inputs = (states[:-1], u, found.K, lower, upper)
            return rollout(problem, states[0], params, law, inputs)

        trials = jax.vmap(sample)(sizes, unit, noise)
        penalty = jnp.asarray(self.penalty, dtype)
        costs = jax.vmap(lambda trial: penalized_cost(problem, params, trial, penalty))(trials)
        best = jnp.argmin(costs)
        better = costs[best] < state.cost
        chosen = jax.tree.map(lambda leaf: leaf[best], trials)
        return _State(
            nominal=trees.where(better, chosen, nominal),
            cost=jnp.where(better, costs[best], state.cost),
            key=key,
            steps=state.steps + 1,
        )

    def terminate(self, state: _State) -> Int[Array, ""]:
        """`sampled` after the last iteration."""
        return ended(state.cost, state.steps, self.iterations)

    def postprocess(self, problem: Problem, params: PyTree, state: _State) -> Solution:
        """The best rollout of all."""
        states, controls = state.nominal[:2]
        return solution_of(problem, states[0], params, controls, self.terminate(state), state.steps)

    def _spread(self, dtype):
        """The step size and the temperature of each sample."""
        plain = min(len(_STEP_SIZES), self.samples)
        others = self.samples - plain
        # Where the whole step leads nowhere, noise around it does not either.
        sizes = jnp.resize(jnp.asarray(_STEP_SIZES, dtype), (self.samples,))
        heats = jnp.geomspace(1.0, _COOLEST, others, dtype=dtype) if others else jnp.ones(0, dtype)
        heats = jnp.asarray(self.temperature, dtype) * heats
        return sizes, jnp.concatenate([jnp.zeros(plain, dtype), heats])
