"""A problem as an ordinary environment of Gymnasium's."""

from collections.abc import Callable
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from jaxmpc.arguments import check_arguments, check_on_space
from jaxmpc.checks import check_type
from jaxmpc.interop.gymnasium.functional import FunctionalEnv, as_functional_env
from jaxmpc.problem import Problem
from jaxmpc.problem.closures import close_over_static


class ProblemEnv(gymnasium.Env):
    """What `as_env` makes: steps of the problem's dynamics, rewards of minus its cost.

    An episode is truncated after the problem's horizon, and terminated where the state is no
    number any more: then the observation is the last one that was, the reward is without a
    terminal cost, and 0 if it is no number either, and info["diverged"] is True.

    Example:
        >>> from jaxmpc.interop import gymnasium as gym
        >>> env = gym.as_env(problem, x0, params)
        >>> observation, _ = env.reset(seed=0)
        >>> observation, reward, terminated, truncated, _ = env.step(np.array([-1.0]))
        >>> print(observation, round(reward, 2), terminated, truncated)
        [ 1.  -0.1] -1.1 False False
    """

    metadata = {"render_modes": []}  # noqa: RUF012 (Gymnasium's own way)

    def __init__(self, functional: FunctionalEnv, params: PyTree):
        self.action_space = functional.action_space
        self.observation_space = functional.observation_space
        self.render_mode = None
        self._functional = functional
        self._params = params
        self._initial = jax.jit(functional.initial)
        self._after = jax.jit(self._transition)
        self._state = None
        self._over = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict]:
        """A new episode, of a seed of its own where none is given."""
        super().reset(seed=seed)
        key = jax.random.key(int(self.np_random.integers(2**31)))
        self._state = self._initial(key)
        self._over = False
        self._seen = np.array(self._functional.observation(self._state))
        return self._seen.copy(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        """One stage of the problem."""
        if self._state is None:
            raise RuntimeError("step: call reset first.")
        if self._over:
            raise RuntimeError("step: the episode is over; call reset first.")
        given = np.asarray(action, self.action_space.dtype)
        self._state, seen, reward, *ends = self._after(self._state, given, self._params)
        terminated, truncated = map(bool, ends)
        self._over = terminated or truncated
        if not terminated:
            self._seen = np.array(seen)
        return self._seen.copy(), float(reward), terminated, truncated, {"diverged": terminated}

    def _transition(self, state, action, params):
        env = self._functional
        after = env.transition(state, action, None, params)
        reward = env.reward(state, action, after, None, params)
        diverged = env.terminal(after)
        reward = jnp.where(diverged & ~jnp.isfinite(reward), 0.0, reward)
        return after, env.observation(after), reward, diverged, env.truncated(after) & ~diverged


def as_env(
    problem: Problem,
    initial_state: Callable[[Array], Float[Array, " n"]] | Any,
    params: PyTree = None,
    observe: Callable[[Float[Array, " n"]], Array] | None = None,
) -> ProblemEnv:
    """A problem as an environment of Gymnasium's, which passes its `check_env`.

        env = as_env(problem, lambda key: jax.random.normal(key, (4,)))

    Args:
        problem: what a policy is to solve, one control at a time. Its bounds of controls are those
            of the action space; other constraints are not part of the environment.
        initial_state: initial_state(key) -> x, or the state that every episode starts from. What a
            function returns is put onto the problem's `state_space`; a state must be on it.
        params: the problem's, as for `solve`.
        observe: observe(x), what the agent sees; None: the state.

    Raises:
        TypeError, ValueError: naming the argument, what came, what was wanted.

    Example:
        >>> from jaxmpc.interop import gymnasium as gym
        >>> env = gym.as_env(problem, lambda key: jax.random.normal(key, (2,)), params)
        >>> env.reset(seed=0)[0].shape, env.action_space.shape
        ((2,), (1,))
    """
    check_type("as_env", "problem", problem, Problem)
    starts: Any = initial_state
    if not callable(initial_state):
        x0 = check_arguments("as_env", problem, initial_state, None, None, None, None)
        check_on_space("as_env", problem, x0)
        starts = lambda key: x0  # noqa: E731
    problem, params = close_over_static(problem, params)
    return ProblemEnv(as_functional_env(problem, starts, observe), params)
