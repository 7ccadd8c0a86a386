"""From what an environment shows to the state of a model, and from its controls to actions."""

import dataclasses
import importlib
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from jaxtyping import Float

from jaxmpc.checks import check_type


@dataclasses.dataclass(frozen=True)
class Adapter:
    """How a controller reads an environment, and how it acts in it.

    Attributes:
        state: state(env, observation), the state of the controller's problem [n].
        action: action(env, u), what `env.step` takes; by default u within the bounds of the
            action space, in its dtype.
    """

    state: Callable[[gymnasium.Env, Any], Float[np.ndarray, " n"]]
    action: Callable[[gymnasium.Env, Float[np.ndarray, " m"]], Any]


def adapter_of(env: gymnasium.Env) -> Adapter:
    """The adapter of an environment that says what its state is.

    Pendulum-v1: [theta, theta_dot], from the observation. Everything that is simulated by MuJoCo
    (InvertedPendulum, InvertedDoublePendulum, Reacher, Hopper, Humanoid, ...): [qpos, qvel, act]
    from its data, as `jaxmpc.interop.mujoco.robot(env.unwrapped.model)` has it.

    Raises:
        TypeError: env is none of Gymnasium's, or its actions are not numbers in a box.
        ValueError: the observations of another environment do not say what its state is.
    """
    check_type("adapter_of", "env", env, gymnasium.Env)
    check_actions("adapter_of", env)
    inner: Any = env.unwrapped
    if hasattr(inner, "data") and hasattr(getattr(inner, "model", None), "opt"):
        return Adapter(_of_mujoco, clipped)
    if type(inner).__name__ == "PendulumEnv":
        return Adapter(_of_pendulum, clipped)
    raise ValueError(
        f"adapter_of: whether the observations of {name_of(env)} determine its state is not known; "
        "give Adapter(state=lambda env, observation: ..., action=clipped), with a state estimator "
        "in `state` if they do not."
    )


def check_actions(owner: str, env: gymnasium.Env):
    """Raise unless actions are vectors of numbers."""
    space = env.action_space
    if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
        raise TypeError(
            f"{owner}: the actions of {name_of(env)} are {space}; wanted a Box of one axis: "
            "a controller's numbers cannot be made choices."
        )


def clipped(env: gymnasium.Env, u: Float[np.ndarray, " m"]) -> np.ndarray:
    """The control within the bounds of the action space, in its dtype."""
    space: Any = env.action_space
    return np.clip(u, space.low, space.high).astype(space.dtype)


def name_of(env: gymnasium.Env) -> str:
    """What an error calls an environment."""
    return env.spec.id if env.spec is not None else type(env.unwrapped).__name__


def _of_pendulum(env, observation) -> np.ndarray:
    cosine, sine, speed = np.asarray(observation, float)
    return np.array([np.arctan2(sine, cosine), speed])


def _of_mujoco(env, observation) -> np.ndarray:
    mujoco: Any = importlib.import_module("mujoco")  # which such an environment has brought
    inner = env.unwrapped
    qpos = inner.data.qpos.copy()
    mujoco.mj_normalizeQuat(inner.model, qpos)  # as MuJoCo reads them; resets add noise to them
    return np.concatenate([qpos, inner.data.qvel, inner.data.act])
