"""From what an environment shows to the state of a model, and from its controls to actions."""

import dataclasses
import importlib
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.classic_control import PendulumEnv
from gymnasium.wrappers import ClipAction, RescaleAction
from jaxtyping import Float

from jaxmpc.checks import check_type


@dataclasses.dataclass(frozen=True)
class Adapter:
    """How a controller reads an environment, and how it acts in it.

    Attributes:
        state: state(env, observation), the state of the controller's problem [n].
        action: action(env, u), what `env.step` takes; `clipped` is u within the bounds of the
            action space, in its dtype.

    Example:
        >>> from jaxmpc.interop import gymnasium as gym
        >>> env = gym.as_env(problem, x0, params)
        >>> adapter = gym.Adapter(state=lambda env, observation: observation, action=gym.clipped)
        >>> observation, _ = env.reset(seed=0)
        >>> print(adapter.state(env, observation), adapter.action(env, np.array([3.0])))
        [1. 0.] [1.]
    """

    state: Callable[[gymnasium.Env, Any], Float[np.ndarray, " n"]]
    action: Callable[[gymnasium.Env, Float[np.ndarray, " m"]], Any]


def adapter_of(env: gymnasium.Env) -> Adapter:
    """The adapter of an environment that says what its state is.

    Pendulum-v1: [theta, theta_dot], with theta in (-pi, pi]. Everything that is simulated by MuJoCo
    (InvertedPendulum, InvertedDoublePendulum, Reacher, Hopper, Humanoid, ...): [qpos, qvel, act]
    from its data, as `jaxmpc.interop.mujoco.robot(env.unwrapped.model)` has it.

    States and controls are those of `env.unwrapped`, in its own units, whatever wrappers do to
    observations. Of those that change actions, ClipAction and RescaleAction are known.

    Returns:
        An `Adapter`.

    Raises:
        TypeError: env is none of Gymnasium's, or its actions are not numbers in a box.
        ValueError: what the state of another environment is, or what a wrapper does to actions, is
            not known.

    Example:
        >>> import gymnasium
        >>> from jaxmpc.interop.gymnasium import adapter_of
        >>> env = gymnasium.make("Pendulum-v1")
        >>> observation, _ = env.reset(seed=0)
        >>> adapter_of(env).state(env, observation).shape  # angle and rate
        (2,)
    """
    check_type("adapter_of", "env", env, gymnasium.Env)
    check_actions("adapter_of", env)
    read = reader_of(env)
    if read is None:
        raise ValueError(
            f"adapter_of: whether the observations of {name_of(env)} determine its state is not "
            "known; give Adapter(state=lambda env, observation: ..., action=clipped), with a state "
            "estimator in `state` if they do not."
        )
    _check_wrappers(env)
    return Adapter(lambda env, observation: read(env.unwrapped), _through_wrappers)


def check_actions(owner: str, env: gymnasium.Env):
    """Raise unless actions are vectors of numbers."""
    space = env.action_space
    if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
        raise TypeError(
            f"{owner}: the actions of {name_of(env)} are {space}; wanted a Box of one axis: "
            "a controller's numbers cannot be made choices."
        )


def clipped(env: gymnasium.Env, u: Float[np.ndarray, " m"]) -> np.ndarray:
    """The control within the bounds of the action space, in its dtype.

    Raises:
        ValueError: a u of another shape than the actions.

    Example:
        >>> from jaxmpc.interop import gymnasium as gym
        >>> print(gym.clipped(gym.as_env(problem, x0, params), np.array([3.0])))
        [1.]
    """
    space: Any = env.action_space
    if np.shape(u) != space.shape:
        raise ValueError(
            f"clipped: u must have shape {space.shape}, as the actions of {name_of(env)} have; got "
            f"{np.shape(u)}."
        )
    return np.clip(u, space.low, space.high).astype(space.dtype)


def name_of(env: gymnasium.Env) -> str:
    """What an error calls an environment."""
    return env.spec.id if env.spec is not None else type(env.unwrapped).__name__


def wrappers_of(env: gymnasium.Env) -> Iterator[gymnasium.Wrapper]:
    """What is around `env.unwrapped`, from the outside in."""
    while isinstance(env, gymnasium.Wrapper):
        yield env
        env = env.env


def reader_of(env: gymnasium.Env) -> Callable[[Any], Float[np.ndarray, " n"]] | None:
    """read(env.unwrapped), its state; None where it is not known how."""
    inner: Any = env.unwrapped
    if hasattr(inner, "data") and hasattr(getattr(inner, "model", None), "opt"):
        return _of_mujoco
    return _of_pendulum if isinstance(inner, PendulumEnv) else None


def _of_pendulum(inner) -> np.ndarray:
    angle, speed = inner.state
    return np.array([np.arctan2(np.sin(angle), np.cos(angle)), speed])


def _of_mujoco(inner) -> np.ndarray:
    mujoco: Any = importlib.import_module("mujoco")  # which such an environment has brought
    qpos = inner.data.qpos.copy()
    mujoco.mj_normalizeQuat(inner.model, qpos)  # as MuJoCo reads them; resets add noise to them
    return np.concatenate([qpos, inner.data.qvel, inner.data.act])


def _check_wrappers(env):
    """Raise if a wrapper may change actions in a way that is not known."""
    for wrapper in wrappers_of(env):
        changes = isinstance(wrapper, gymnasium.ActionWrapper)
        changes = changes or wrapper.action_space != wrapper.env.action_space
        if changes and type(wrapper) not in (ClipAction, RescaleAction):
            raise ValueError(
                f"adapter_of: what {type(wrapper).__name__} does to the actions of {name_of(env)} "
                "is not known; give an Adapter of your own, whose `action` reckons with it, or the "
                "environment without it."
            )


def _through_wrappers(env, u) -> np.ndarray:
    """The action for which u, within the bounds of `env.unwrapped`, is what arrives there."""
    action = clipped(env.unwrapped, u)
    for wrapper in reversed(list(wrappers_of(env))):
        if type(wrapper) is RescaleAction:  # affine: two of its values say all
            shift = wrapper.action(np.zeros(action.shape))
            action = (action - shift) / (wrapper.action(np.ones(action.shape)) - shift)
    return clipped(env, action)
