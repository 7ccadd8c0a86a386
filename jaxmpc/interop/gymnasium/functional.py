"""A problem as a pure environment, for training loops under `jit`, `vmap` and `scan`."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium.experimental.functional import FuncEnv
from gymnasium.spaces import Box
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxmpc.arguments import check_arguments
from jaxmpc.checks import check_function, check_type
from jaxmpc.problem import Problem, terminal_cost


class EnvState(NamedTuple):
    """Where an episode is.

    Attributes:
        x: the problem's state [n].
        stage: how many steps were made.

    Example:
        >>> from jaxmpc.interop import gymnasium as gym
        >>> env = gym.as_functional_env(problem, lambda key: jnp.array([1.0, 0.0]))
        >>> state = env.initial(jax.random.key(0))
        >>> print(state.x, state.stage)
        [1. 0.] 0
    """

    x: Float[Array, " n"]
    stage: Int[Array, ""]


class FunctionalEnv(FuncEnv):
    """A problem as an environment of Gymnasium's functional kind; `as_functional_env` makes it.

    All methods are pure functions in JAX, differentiable wherever the problem is. An action is a
    control and is kept within the problem's bounds; the reward is minus the stage's cost, in the
    last stage with the terminal cost of where it leads, if that is a state. Constraints other than
    the bounds of controls are not part of it.

    Example:
        >>> from jaxmpc.interop import gymnasium as gym
        >>> env = gym.as_functional_env(problem, lambda key: jnp.array([1.0, 0.0]))
        >>> state = env.initial(jax.random.key(0))
        >>> after = env.transition(state, jnp.array([-1.0]), params=params)
        >>> reward = env.reward(state, jnp.array([-1.0]), after, params=params)
        >>> print(after.x, after.stage, round(float(reward), 2))
        [ 1.  -0.1] 1 -1.1
    """

    def __init__(self, problem: Problem, initial_state: Callable, observe: Callable):
        super().__init__()
        self.problem = problem
        self._initial_state = initial_state
        self._observe = observe

    @cached_property
    def action_space(self) -> Box:
        """The bounds of controls; where these depend on the stage, what any stage allows."""
        lower, upper = map(np.asarray, self.problem.limits(self._start.x.dtype))
        return Box(lower.min(axis=0), upper.max(axis=0), dtype=lower.dtype.type)

    @cached_property
    def observation_space(self) -> Box:
        """All that has the shape of an observation."""
        seen = jax.eval_shape(self._observe, self._start.x)
        return Box(-np.inf, np.inf, seen.shape, np.dtype(seen.dtype).type)

    @cached_property
    def _start(self) -> EnvState:
        """The shapes of a state."""
        return jax.eval_shape(lambda: self.initial(jax.random.key(0)))

    def initial(self, rng: Array, params: PyTree = None) -> EnvState:
        """The start of an episode, of a key; on the problem's state space, if it has one."""
        x = jnp.asarray(self._initial_state(rng))
        if x.ndim != 1:
            raise ValueError(f"initial: initial_state must return shape [n], got {x.shape}.")
        x = x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(float)
        x = check_arguments("initial", self.problem, x, None, None, None, None)
        return EnvState(self.problem.projected(x), jnp.asarray(0))

    def transition(
        self, state: EnvState, action: Float[Array, " m"], rng: Any = None, params: PyTree = None
    ) -> EnvState:
        """A step of the dynamics."""
        x = self.problem.dynamics(state.x, *self._control(state, action), params)
        return EnvState(self.problem.projected(x), state.stage + 1)

    def observation(self, state: EnvState, rng: Any = None, params: PyTree = None) -> Array:
        """What the agent sees."""
        return self._observe(state.x)

    def reward(
        self,
        state: EnvState,
        action: Float[Array, " m"],
        next_state: EnvState,
        rng: Any = None,
        params: PyTree = None,
    ) -> Float[Array, ""]:
        """Minus the cost of the step."""
        cost = self.problem.stage_cost(state.x, *self._control(state, action), params)
        ends = (state.stage == self.problem.horizon - 1) & ~_is_lost(next_state.x)
        end = terminal_cost(self.problem, *_differentiable_if(ends, (next_state.x, params)))
        return -(cost + jnp.where(ends, end, 0.0))

    def terminal(self, state: EnvState, rng: Any = None, params: PyTree = None) -> Bool[Array, ""]:
        """Whether the state is no number any more."""
        return _is_lost(state.x)

    def truncated(self, state: EnvState) -> Bool[Array, ""]:
        """Whether the horizon is over."""
        return state.stage >= self.problem.horizon

    def _control(self, state: EnvState, action) -> tuple[Array, Array]:
        """The action within the bounds of its stage, and the stage."""
        u = jnp.asarray(action, state.x.dtype)
        if u.shape != (self.problem.control_dim,):
            raise ValueError(
                f"FunctionalEnv: action must have shape {(self.problem.control_dim,)}, got "
                f"{u.shape}."
            )
        stage = jnp.minimum(state.stage, self.problem.horizon - 1)
        low, high = (bounds[stage] for bounds in self.problem.limits(u.dtype))
        # Not clipped alone: at a bound, where plans often are, that has half the derivative.
        u = jnp.where((u < low) | (u > high), jnp.clip(u, low, high), u)
        return u, self.problem.times[stage]


def _is_lost(x) -> Bool[Array, ""]:
    return ~jnp.all(jnp.isfinite(x))


def _differentiable_if(condition, tree):
    """The tree as it is; without the condition derivatives are zero, even where they would be NaN.

    A `where` around the result alone would multiply an infinite derivative by zero.
    """

    def gate(leaf):
        if not eqx.is_inexact_array(leaf):
            return leaf
        return jnp.where(condition, leaf, jax.lax.stop_gradient(leaf))

    return jax.tree.map(gate, tree)


def as_functional_env(
    problem: Problem,
    initial_state: Callable[[Array], Float[Array, " n"]],
    observe: Callable[[Float[Array, " n"]], Array] | None = None,
) -> FunctionalEnv:
    """A problem as an environment whose `initial`, `transition` and `reward` are pure functions.

        env = as_functional_env(problem, lambda key: jax.random.normal(key, (4,)))
        states = jax.vmap(env.initial)(jax.random.split(key, 1000))

    Args:
        problem: what a policy is to solve, one control at a time.
        initial_state: initial_state(key) -> x.
        observe: observe(x), what the agent sees; None: the state.

    Returns:
        A `FunctionalEnv`, differentiable wherever the problem is.

    Raises:
        TypeError: naming the argument, what came, what was wanted.

    Example:
        >>> from jaxmpc.interop import gymnasium as gym
        >>> env = gym.as_functional_env(problem, lambda key: jax.random.normal(key, (2,)))
        >>> jax.vmap(env.initial)(jax.random.split(jax.random.key(0), 100)).x.shape
        (100, 2)
    """
    check_type("as_functional_env", "problem", problem, Problem)
    check_function("as_functional_env", "initial_state", initial_state, "initial_state(key) -> x")
    if observe is not None:
        check_function("as_functional_env", "observe", observe, "observe(x) -> observation")
    return FunctionalEnv(problem, initial_state, observe or (lambda x: x))
