"""A problem as an ordinary environment of Gymnasium's."""

from collections.abc import Callable
from typing import Any

import gymnasium
import jax
import numpy as np
from jaxtyping import Array, Float, PyTree

from jaxmpc.checks import check_state
from jaxmpc.interop.gymnasium.functional import FunctionalEnv, as_functional_env
from jaxmpc.problem import Problem


class ProblemEnv(gymnasium.Env):
    """What `as_env` makes: steps of the problem's dynamics, rewards of minus its cost.

    An episode is truncated after the problem's horizon, and terminated where the state is no
    number any more: then the observation is the last one that was, and info["diverged"] is True.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 (Gymnasium's own way)

    def __init__(self, functional: FunctionalEnv, params: PyTree, like: Array):
        problem = functional.problem
        shape = (problem.control_dim,)
        lower, upper = problem.control_bounds or (-np.inf, np.inf)
        dtype: Any = np.dtype(like.dtype)
        low, high = (np.broadcast_to(np.asarray(bound, dtype), shape) for bound in (lower, upper))
        self.action_space = gymnasium.spaces.Box(low, high, shape, dtype)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, like.shape, dtype)
        self.render_mode = None
        self._functional = functional
        self._params = params
        self._initial = jax.jit(functional.initial)
        self._after = jax.jit(self._transition)
        self._state = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict]:
        """A new episode, of a seed of its own where none is given."""
        super().reset(seed=seed)
        key = jax.random.key(int(self.np_random.integers(2**31)))
        self._state = self._initial(key)
        self._seen = np.array(self._functional.observation(self._state))
        return self._seen, {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        """One stage of the problem."""
        if self._state is None:
            raise RuntimeError("step: call reset first.")
        given = np.asarray(action, self.action_space.dtype)
        if given.shape != self.action_space.shape:
            raise ValueError(
                f"step: action must have shape {self.action_space.shape}, got {given.shape}."
            )
        self._state, seen, reward, diverged, over = self._after(self._state, given, self._params)
        if not diverged:
            self._seen = np.array(seen)
        info = {"diverged": bool(diverged)}
        return self._seen, float(reward), bool(diverged), bool(over), info

    def _transition(self, state, action, params):
        env = self._functional
        after = env.transition(state, action, None, params)
        reward = env.reward(state, action, after, None, params)
        seen = env.observation(after)
        return after, seen, reward, env.terminal(after), env.truncated(after)


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
        initial_state: initial_state(key) -> x, or the state that every episode starts from.
        params: the problem's.
        observe: observe(x), what the agent sees; None: the state.
    """
    if callable(initial_state):
        starts: Any = initial_state
    else:
        x0 = check_state(initial_state)
        starts = lambda key: x0  # noqa: E731
    functional = as_functional_env(problem, starts, observe)
    seen = jax.eval_shape(lambda: functional.observation(functional.initial(jax.random.key(0))))
    return ProblemEnv(functional, params, seen)
