"""An episode: a controller in an environment that it did not make."""

import pickle
import time
from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree
from tqdm import tqdm

from jaxmpc.checks import check_positive, check_type
from jaxmpc.control.simulation import Controller
from jaxmpc.interop.gymnasium.adapters import (
    Adapter,
    adapter_of,
    check_actions,
    name_of,
    reader_of,
    wrappers_of,
)
from jaxmpc.problem import Problem

# A progress bar for what takes longer than three seconds, where somebody looks.
_WATCHED: dict[str, Any] = {"disable": None, "delay": 3.0, "leave": False, "ncols": 79}


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

    Example:
        >>> from jaxmpc.interop import gymnasium as gym
        >>> adapter = gym.Adapter(state=lambda env, observation: observation, action=gym.clipped)
        >>> env = gym.as_env(problem, x0, params)
        >>> episode = gym.run_episode(env, controller, params, adapter=adapter, seed=0)
        >>> episode.states.shape, episode.controls.shape, round(episode.total, 1)
        ((11, 2), (10, 1), -9.5)
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

    Returns:
        An `Episode`.

    Raises:
        TypeError, ValueError: an argument does not fit, the adapter's states do not fit the
            controller's problem, or its controls do not fit the environment.
        RuntimeError: somebody else stepped or reset the environment meanwhile, as the steps that it
            counts, its random numbers or, where it says what that is, its state show.

    Example:
        >>> from jaxmpc.interop import gymnasium as gym
        >>> adapter = gym.Adapter(state=lambda env, observation: observation, action=gym.clipped)
        >>> env = gym.as_env(problem, x0, params)
        >>> episode = gym.run_episode(env, controller, params, adapter=adapter, seed=0)
        >>> episode.truncated, bool((episode.statuses == 0).all())
        (True, True)
    """
    check_type("run_episode", "env", env, gymnasium.Env)
    check_actions("run_episode", env)
    check_positive("run_episode", "steps", steps, whole=True)
    reads = adapter_of(env) if adapter is None else adapter
    check_type("run_episode", "adapter", reads, Adapter)
    observation, _ = env.reset(seed=seed, options=options)
    footprint = _footprint(env)
    x = reads.state(env, observation)
    _check_fits(env, controller, x, params)
    keyed: dict[str, Any] = {} if key is None else {"key": key}  # only those that sample take one
    plan = controller.init(jnp.asarray(x), params, **keyed)
    states, controls, rewards, statuses, seconds = [x], [], [], [], []
    terminated = truncated = False
    bar = tqdm(total=steps, desc="episode", unit=" steps", **_WATCHED)
    while not (terminated or truncated) and len(controls) < steps:
        start = time.perf_counter()
        u, plan = controller.step(jnp.asarray(x), plan, params)
        u = np.asarray(u)
        seconds.append(time.perf_counter() - start)
        if _footprint(env) != footprint:
            raise RuntimeError(
                f"run_episode: somebody else has reset or stepped {name_of(env)} before step "
                f"{len(controls)} of this episode. Give each episode its own environment."
            )
        observation, reward, terminated, truncated, _ = env.step(reads.action(env, u))
        footprint = _footprint(env)
        x = reads.state(env, observation)
        states.append(x)
        controls.append(u)
        rewards.append(float(reward))
        statuses.append(int(getattr(plan, "status", -1)))
        bar.update()
    bar.close()
    return Episode(
        np.asarray(states),
        np.asarray(controls),
        np.asarray(rewards),
        np.asarray(statuses),
        np.asarray(seconds),
        bool(terminated),
        bool(truncated),
    )


def _check_fits(env: gymnasium.Env, controller, x, params):
    """Raise unless the problem of a controller that has one is about such states."""
    problem = getattr(controller, "problem", None)
    if not isinstance(problem, Problem):
        return
    x, t = jnp.asarray(x), problem.times[0]
    u = jnp.zeros(problem.control_dim, x.dtype)
    message = (
        f"run_episode: the adapter reads {x.size} numbers from {name_of(env)}, which are no state "
        "of the controller's problem: its dynamics "
    )
    try:
        after = jax.eval_shape(lambda: jnp.asarray(problem.dynamics(x, u, t, params)))
    except Exception as error:
        raise ValueError(f"{message}do not take them.") from error
    if after.shape != x.shape:
        raise ValueError(f"{message}return shape {after.shape}.")


def _footprint(env: gymnasium.Env) -> tuple:
    """What steps and resets change: steps that wrappers count, random numbers, a known state."""
    counts = [getattr(wrapper, "_elapsed_steps", None) for wrapper in wrappers_of(env)]
    read = reader_of(env)
    state = b"" if read is None else read(env.unwrapped).tobytes()
    return counts, pickle.dumps(env.np_random), state
