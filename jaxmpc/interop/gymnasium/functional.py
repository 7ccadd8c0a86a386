"""A problem as a pure environment, for training loops under `jit`, `vmap` and `scan`."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from gymnasium.experimental.functional import FuncEnv
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxmpc.checks import check_function, check_type
from jaxmpc.problem import Problem, terminal_cost


class EnvState(NamedTuple):
    """Where an episode is.

    Attributes:
        x: the problem's state [n].
        stage: how many steps were made.
    """

    x: Float[Array, " n"]
    stage: Int[Array, ""]


class FunctionalEnv(FuncEnv):
    """A problem as an environment of Gymnasium's functional kind; `as_functional_env` makes it.

    All methods are pure functions in JAX, differentiable wherever the problem is. An action is a
    control and is kept within the problem's bounds; the reward is minus the stage's cost, in the
    last stage with the terminal cost of where it leads. Constraints other than the bounds of
    controls are not part of it.
    """

    def __init__(self, problem: Problem, initial_state: Callable, observe: Callable):
        super().__init__()
        self.problem = problem
        self._initial_state = initial_state
        self._observe = observe

    def initial(self, rng: Array, params: PyTree = None) -> EnvState:
        """The start of an episode, of a key."""
        return EnvState(jnp.asarray(self._initial_state(rng)), jnp.asarray(0))

    def transition(
        self, state: EnvState, action: Float[Array, " m"], rng: Any = None, params: PyTree = None
    ) -> EnvState:
        """A step of the dynamics."""
        u = self._within(action)
        time = self.problem.times[self._stage(state)]
        x = self.problem.dynamics(state.x, u, time, params)
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
        stage = self._stage(state)
        cost = self.problem.stage_cost(
            state.x, self._within(action), self.problem.times[stage], params
        )
        end = terminal_cost(self.problem, next_state.x, params)
        return -(cost + jnp.where(stage == self.problem.horizon - 1, end, 0.0))

    def terminal(self, state: EnvState, rng: Any = None, params: PyTree = None) -> Bool[Array, ""]:
        """Whether the state is no number any more."""
        return ~jnp.all(jnp.isfinite(state.x))

    def truncated(self, state: EnvState) -> Bool[Array, ""]:
        """Whether the horizon is over."""
        return state.stage >= self.problem.horizon

    def _within(self, action):
        bounds = self.problem.control_bounds
        return action if bounds is None else jnp.clip(action, *bounds)

    def _stage(self, state: EnvState):
        return jnp.minimum(state.stage, self.problem.horizon - 1)


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
    """
    check_type("as_functional_env", "problem", problem, Problem)
    check_function("as_functional_env", "initial_state", initial_state, "initial_state(key) -> x")
    if observe is not None:
        check_function("as_functional_env", "observe", observe, "observe(x) -> observation")
    return FunctionalEnv(problem, initial_state, observe or (lambda x: x))
