"""Losses: what a parameter is worth, example by example."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from jaxmpc import trees
from jaxmpc.batch import solve_batch
from jaxmpc.derivatives.adjoint import ImplicitAdjoint, UnrolledAdjoint
from jaxmpc.learning.examples import Examples
from jaxmpc.problem import Problem
from jaxmpc.problem.explanations import explaining
from jaxmpc.solution import Solution, Status
from jaxmpc.solvers.evaluation import evaluate
from jaxmpc.solvers.loop import Solver
from jaxmpc.trajectory import open_loop
from jaxmpc.trajectory.tangent import steps_between


class Outcome(NamedTuple):
    """What a loss says of a batch of examples.

    Example:
        >>> loss = jaxmpc.learning.PerExample(lambda p, example: jnp.log(p - example))
        >>> outcome = loss(2.0, jnp.array([1.0, 3.0]))
        >>> print(outcome.solved)  # what is not finite teaches nothing
        [ True False]
    """

    losses: Float[Array, " B"]
    solved: Bool[Array, " B"]  # False: nothing is learned from this one
    plans: PyTree = None  # [B, ...], where the next visit to these examples starts


class Loss(Protocol):
    """A loss is two functions; `PerExample` makes one of a function of one example.

    Example:
        >>> loss = jaxmpc.learning.PerExample(lambda p, example: (p - example) ** 2)
        >>> print(loss(0.5, jnp.array([1.0, 3.0]), None).losses)
        [0.25 6.25]
        >>> loss.first_plans(0.5, jnp.array([1.0, 3.0])) is None  # it has no use for any
        True
    """

    def __call__(self, params: PyTree, examples: PyTree, plans: PyTree) -> Outcome:
        """The losses of a batch, from plans that an earlier call returned."""
        ...

    def first_plans(self, params: PyTree, examples: PyTree) -> PyTree:
        """Plans for the first visit; None if the loss has no use for any."""
        ...


class Imitation(eqx.Module):
    """Mean squared distance of the solver's trajectory to an example's, from its first state.

        on_controls . mean((u* - u)^2) + on_states . mean((x* - x)^2)

    Examples are `Examples`. Differentiable in params through the solver. A solve that did not
    converge is reported as not solved, and leaves the plan for its example as it was.

    Attributes:
        problem: what the solver solves.
        on_controls, on_states: weights; scalars, [m] and [n], or [T, m] and [T+1, n]. On a
            `state_space` x* - x is the step from one to the other, and n the number of directions.
        params_of: (params, inputs of one example) -> params of the problem, where an example has
            its own; None: all share `params`.
        params_axes: which of the params that `params_of` makes differ between examples, as for
            `solve_batch`.
        solver, adjoint: as for `solve_batch`.
        from_examples: the first plans are the examples' controls, and not zeros.
        warm: each visit starts from the last one's solution; False: always from the first plans.

    Source: Amos, Jimenez, Sacks, Boots and Kolter (2018), section 5.

    Example:
        >>> experts = jaxmpc.solve_batch(problem, jnp.array([[1.0, 0.0], [2.0, 0.0]]), params)
        >>> examples = jaxmpc.learning.Examples(experts.states, experts.controls)
        >>> loss = jaxmpc.learning.Imitation(problem)
        >>> outcome = loss({"mass": 2.0}, examples, loss.first_plans({"mass": 2.0}, examples))
        >>> outcome.losses.shape, bool((outcome.losses > 0).all()), bool(outcome.solved.all())
        ((2,), True, True)
    """

    problem: Problem
    on_controls: Any = 1.0
    on_states: Any = 0.0
    params_of: Callable | None = eqx.field(static=True, default=None)
    params_axes: PyTree = eqx.field(static=True, default=0)
    solver: Solver | None = None
    adjoint: ImplicitAdjoint | UnrolledAdjoint = ImplicitAdjoint()
    from_examples: bool = eqx.field(static=True, default=False)
    warm: bool = eqx.field(static=True, default=True)

    def __call__(self, params: PyTree, examples: Examples, plans: Solution) -> Outcome:
        """One solve an example."""
        solution = self.solve(params, examples, plans)
        losses = _mean_square(self.on_controls, solution.controls - examples.controls)
        away = _steps_between(self.problem, examples.states, solution.states)
        losses += _mean_square(self.on_states, away)
        if self.warm:
            plans = trees.where(solution.converged, solution, plans)
        return Outcome(losses, solution.converged, jax.lax.stop_gradient(plans))

    def solve(self, params: PyTree, examples: Examples, plans: Solution | None = None) -> Solution:
        """The solver's trajectories."""
        params, axes = self._params(params, examples)
        return solve_batch(
            self.problem,
            examples.states[:, 0],
            params,
            params_axes=axes,
            warm_start=plans,
            solver=self.solver,
            adjoint=self.adjoint,
        )

    def first_plans(self, params: PyTree, examples: Examples) -> Solution:
        """Trajectories that are marked as not solved: simulations of zeros, or the examples'."""
        shapes = jax.eval_shape(lambda given: self._evaluated(params, given), examples)
        blank = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        states, controls = jnp.asarray(examples.states), jnp.asarray(examples.controls)
        if not self.from_examples:
            controls = blank.controls
            states = self._simulations(params, examples, controls)
        unknown = jnp.full_like(blank.status, Status.non_finite)
        return dataclasses.replace(blank, states=states, controls=controls, status=unknown)

    def _evaluated(self, params: PyTree, examples: Examples) -> Solution:
        """A `Solution` of the structure that a solve has."""

        def one(x0, params, controls):
            worth = evaluate(self.problem, x0, params, controls)
            return worth.compact(self.problem).expanded(self.problem)

        return self._for_each(one, params, examples, jnp.asarray(examples.controls))

    def _simulations(self, params: PyTree, examples: Examples, controls) -> Float[Array, "B T1 n"]:
        def one(x0, params, controls):
            return open_loop(self.problem, x0, params, controls).states

        return self._for_each(one, params, examples, controls)

    def _for_each(self, function: Callable, params: PyTree, examples: Examples, controls):
        """function(x0, params, controls) of every example."""
        params, axes = self._params(params, examples)
        x0s = jnp.asarray(examples.states)[:, 0]
        # A network has leaves that are functions: what all share is not an argument of `vmap`.
        if axes is None:
            return jax.vmap(lambda x0, u: function(x0, params, u))(x0s, controls)
        return jax.vmap(function, (0, axes, 0))(x0s, params, controls)

    def _params(self, params: PyTree, examples: Examples) -> tuple[PyTree, PyTree]:
        """The params of the problem and their axes."""
        if self.params_of is None:
            return params, None
        axes = self.params_axes
        return jax.vmap(self.params_of, (None, 0), axes)(params, examples.inputs), axes


class Prediction(eqx.Module):
    """Mean squared error of predicted states, over all windows of `steps` steps: identification.

        mean over t, and over k = 1 .. steps, of (x_{t+k} - x^_{t+k})^2

    where x^ starts at the example's x_t and follows `dynamics` under the example's controls. With
    one step it is the usual next-state loss; with several, errors that grow count.

    Attributes:
        dynamics: (x, u, t, params) -> x_next.
        steps: the length of a window, at most T.
        weights: of the squared errors, a scalar or [n].
        params_of: as for `Imitation`.

    Example:
        >>> examples = jaxmpc.learning.Examples(solution.states[None], solution.controls[None])
        >>> loss = jaxmpc.learning.Prediction(dynamics, steps=2)
        >>> for mass in (1.0, 2.0):
        ...     print(round(float(loss({"mass": mass}, examples).losses[0]), 4))
        0.0
        0.0006
    """

    dynamics: Callable = eqx.field(static=True)
    steps: int = eqx.field(static=True, default=1)
    weights: Any = 1.0
    params_of: Callable | None = eqx.field(static=True, default=None)

    def __call__(self, params: PyTree, examples: Examples, plans: None = None) -> Outcome:
        """No solver in it."""
        losses = jax.vmap(partial(self._of_one, params))(examples)
        return Outcome(losses, jnp.isfinite(losses))

    def first_plans(self, params: PyTree, examples: Examples) -> None:
        """There is nothing to start from."""

    def _of_one(self, params, example: Examples) -> Float[Array, ""]:
        if self.params_of is not None:
            params = self.params_of(params, example.inputs)
        states, controls = example.states, example.controls
        windows = controls.shape[0] - self.steps + 1
        if windows < 1:
            raise ValueError(
                f"learning.Prediction: steps = {self.steps} is more than the examples' "
                f"{controls.shape[0]} controls."
            )
        first = jnp.arange(windows)

        dynamics = explaining("dynamics", self.dynamics)

        def forward(x, k):
            times = first + k
            x = jax.vmap(dynamics, (0, 0, 0, None))(x, controls[times], times, params)
            return x, _mean_square(self.weights, x - states[times + 1])

        _, errors = jax.lax.scan(forward, states[first], jnp.arange(self.steps))
        return jnp.mean(errors)


class PerExample(eqx.Module):
    """A loss of your own, from (params, example) -> scalar; one that is not finite is left out.

    Example:
        >>> loss = jaxmpc.learning.PerExample(lambda p, example: (p - example) ** 2)
        >>> print(loss(0.5, jnp.array([1.0, 3.0])).losses)
        [0.25 6.25]
    """

    function: Callable = eqx.field(static=True)

    def __call__(self, params: PyTree, examples: PyTree, plans: None = None) -> Outcome:
        """`vmap` over the examples."""
        losses = jax.vmap(self.function, (None, 0))(params, examples)
        return Outcome(losses, jnp.isfinite(losses))

    def first_plans(self, params: PyTree, examples: PyTree) -> None:
        """There is nothing to start from."""


def _steps_between(problem: Problem, examples, states) -> Float[Array, "B T1 k"]:
    return jax.vmap(lambda *pair: steps_between(problem.state_space, *pair))(examples, states)


def _mean_square(weights, errors: Float[Array, "B T k"]) -> Float[Array, " B"]:
    # Weights are scalars, or have the last axes of the errors.
    weights = jnp.broadcast_to(jnp.asarray(weights, errors.dtype), errors.shape)
    return jnp.mean(weights * errors**2, axis=(-2, -1))
