"""The actor-critic: its advantages, and that it trains."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("gymnasium")
actors, ppo, tasks = (
    pytest.importorskip(f"bench.rl.{name}") for name in ("actors", "ppo", "tasks")
)

TINY = ppo.Settings(envs=2, steps=4, epochs=1, batches=2, judged=2, every=1)


def test_advantages_are_discounted_sums_of_errors():
    """Up to the end of an episode, in which later errors have no part."""
    task = tasks.pendulum()
    rng = np.random.default_rng(0)
    reward, value, after = rng.normal(size=(3, 6, 1))
    ended = np.array([[False], [False], [True], [False], [False], [False]])
    nothing = jnp.zeros((6, 1))
    samples = ppo.Samples(nothing, nothing, nothing, reward, value, after, ended)
    found = ppo._advantages(task, TINY, samples)
    errors = reward + task.discount * after - value
    factor = task.discount * TINY.trace
    for start in range(6):
        end = 3 if start < 3 else 6
        wanted = sum(factor ** (k - start) * errors[k, 0] for k in range(start, end))
        np.testing.assert_allclose(found[start, 0], wanted, rtol=1e-12)


@pytest.mark.parametrize(
    "actor", [actors.Plain, pytest.param(actors.Planning, marks=pytest.mark.slow)]
)
def test_an_agent_trains(actor):
    """One program: what it returns are numbers, and the critic is another one than before."""
    task = tasks.pendulum()
    key = jax.random.key(0)
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        agent, returns = eqx.filter_jit(ppo.train)(task, actor, key, 1, TINY)
    before = actors.network(task, 1, jax.random.split(key, 6)[1], 1.0)
    assert np.isfinite(returns).all()
    assert np.abs(agent.critic.layers[0].weight - before.layers[0].weight).max() > 1e-5
