"""An episode: a controller in an environment that it did not make."""

import time
from typing import Any, NamedTuple

import gymnasium
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from jaxmpc.checks import check_positive, check_type
from jaxmpc.control.simulation import Controller
from jaxmpc.interop.gymnasium.adapters import Adapter, adapter_of, check_actions, name_of


class Episode(NamedTuple):
    """What happened in k steps.

    Attributes:
        states: as the adapter read them [k+1, n].
        controls: as the controller gave them [k, m].
        rewards: as the environment gave them [k].
        statuses: of the plan at every step, a `Status` as a number; -1 where the controller's
            memory has none [k].
        seconds: what the controller took for each control [k]; the first one compiles.
        terminated, truncated: how the environment ended it, if it did.
    """

    states: Float[np.ndarray, "k1 n"]
    controls: Float[np.ndarray, "k m"]
    rewards: Float[np.ndarray, " k"]
    statuses: Int[np.ndarray, " k"]
    seconds: Float[np.ndarray, " k"]
    terminated: bool
    truncated: bool

    @property
    def total(self) -> float:
        """The return: the sum of the rewards."""
        return float(self.rewards.sum())


def run_episode(
    env: gymnasium.Env,
    controller: Controller,
    params: PyTree = None,
    *,
    adapter: Adapter | None = None,
    seed: int | None = None,
    options: dict[str, Any] | None = None,
    steps: int = 1000,
    key: Array | None = None,
) -> Episode:
    """Reset the environment and let the controller act until it ends, or for `steps` steps.

        env = gymnasium.make("InvertedPendulum-v5")
        r = jaxmpc.interop.mujoco.robot(env.unwrapped.model, substeps=env.unwrapped.frame_skip)
        episode = run_episode(env, jaxmpc.RecedingHorizon(problem_of(r)), seed=0)

    Args:
        env: with actions in a box; it is reset here, and left open.
        controller: a `RecedingHorizon`, or anything with its `init` and `step`, which are called as
            they are: what does not compile itself should come jitted.
        params: the controller's.
        adapter: how states are read and controls given; None: `adapter_of(env)`.
        seed: of the reset.
        options: of the reset.
        steps: after how many to stop at the latest.
        key: a `jax.random.key`, for a controller whose solver samples.

    Raises:
        TypeError, ValueError: an argument does not fit, or the adapter's states do not fit the
            controller.
        RuntimeError: somebody else stepped or reset the environment meanwhile.
    """
    check_type("run_episode", "env", env, gymnasium.Env)
    check_actions("run_episode", env)
    check_positive("run_episode", "steps", steps, whole=True)
    reads = adapter_of(env) if adapter is None else adapter
    check_type("run_episode", "adapter", reads, Adapter)
    observation, _ = env.reset(seed=seed, options=options)
    x = reads.state(env, observation)
    keyed: dict[str, Any] = {} if key is None else {"key": key}  # only those that sample take one
    plan = controller.init(jnp.asarray(x), params, **keyed)
    states, controls, rewards, statuses, seconds = [x], [], [], [], []
    terminated = truncated = False
    while not (terminated or truncated) and len(controls) < steps:
        start = time.perf_counter()
        u, plan = controller.step(jnp.asarray(x), plan, params)
        u = np.asarray(u)
        seconds.append(time.perf_counter() - start)
        _check_untouched(env, len(controls))
        observation, reward, terminated, truncated, _ = env.step(reads.action(env, u))
        x = reads.state(env, observation)
        states.append(x)
        controls.append(u)
        rewards.append(float(reward))
        statuses.append(int(getattr(plan, "status", -1)))
    return Episode(
        np.asarray(states),
        np.asarray(controls),
        np.asarray(rewards),
        np.asarray(statuses),
        np.asarray(seconds),
        bool(terminated),
        bool(truncated),
    )


def _check_untouched(env: gymnasium.Env, wanted: int):
    """Raise if somebody else has reset or stepped the environment, as far as it counts its steps.

    `gymnasium.make` puts the wrapper that counts around every environment with a time limit.
    """
    layer: Any = env
    while layer is not None and not hasattr(layer, "_elapsed_steps"):
        layer = getattr(layer, "env", None)
    taken = wanted if layer is None else layer._elapsed_steps
    if taken != wanted:
        raise RuntimeError(
            f"run_episode: somebody else has reset or stepped {name_of(env)}: it has taken {taken} "
            f"steps since its reset, this episode {wanted}. Give each episode its own environment."
        )
