"""Proximal policy optimisation (Schulman et al., 2017), the whole training one program."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from bench.rl.actors import network
from bench.rl.tasks import Task


class Settings(NamedTuple):
    """How an actor is trained."""

    envs: int = 64
    steps: int = 32
    epochs: int = 4
    batches: int = 4
    rate: float = 1e-3  # at first: it falls to zero
    clip: float = 0.2
    trace: float = 0.95  # lambda of the advantages
    judged: int = 16  # starts of an evaluation
    every: int = 5  # iterations between evaluations


class Agent(NamedTuple):
    """What is trained."""

    actor: Any
    critic: eqx.nn.MLP


class Samples(NamedTuple):
    """Of one collection [steps, envs, ...]."""

    x: Array
    u: Array
    log_probability: Array
    reward: Array
    value: Array
    next_value: Array  # of where the step led, also where the episode ended there
    ended: Array


def _log_probability(task: Task, actor, mean, u):
    width = task.reach * jnp.exp(actor.log_width)
    return jnp.sum(-0.5 * ((u - mean) / width) ** 2 - jnp.log(width))


def _value(task: Task, critic, x):
    return critic(task.features(x))[0]


def _collect(task: Task, settings: Settings, agent: Agent, states, key):
    """Steps of all environments; one whose time is over starts anew."""
    env = task.env

    def one(state, key):
        noise, again = jax.random.split(key)
        mean = agent.actor(task, state.x)
        width = task.reach * jnp.exp(agent.actor.log_width)
        u = mean + width * jax.random.normal(noise, mean.shape)
        after = env.transition(state, u)
        reward = task.reward_scale * env.reward(state, u, after)
        ended = env.truncated(after)
        sample = Samples(
            state.x,
            u,
            _log_probability(task, agent.actor, mean, u),
            reward,
            _value(task, agent.critic, state.x),
            _value(task, agent.critic, after.x),
            ended,
        )
        fresh = env.initial(again)
        return jax.tree.map(lambda a, b: jnp.where(ended, a, b), fresh, after), sample

    def all_of_them(states, key):
        return jax.vmap(one)(states, jax.random.split(key, settings.envs))

    return jax.lax.scan(all_of_them, states, jax.random.split(key, settings.steps))


def _advantages(task: Task, settings: Settings, samples: Samples):
    """Generalised advantage estimates (Schulman et al., 2016)."""
    errors = samples.reward + task.discount * samples.next_value - samples.value

    def back(later, sample):
        error, ended = sample
        now = error + task.discount * settings.trace * jnp.where(ended, 0.0, later)
        return now, now

    start = jnp.zeros_like(errors[0])
    return jax.lax.scan(back, start, (errors, samples.ended), reverse=True)[1]


def _loss(arrays, joined, task: Task, settings: Settings, batch):
    agent = joined(arrays)
    samples, advantages, targets = batch

    def one(x, u, before, advantage, target):
        now = _log_probability(task, agent.actor, agent.actor(task, x), u)
        ratio = jnp.exp(now - before)
        clipped = jnp.clip(ratio, 1 - settings.clip, 1 + settings.clip)
        gain = jnp.minimum(ratio * advantage, clipped * advantage)
        return -gain + 0.5 * (_value(task, agent.critic, x) - target) ** 2

    normal = (advantages - advantages.mean()) / (advantages.std() + 1e-6)
    return jnp.mean(jax.vmap(one)(samples.x, samples.u, samples.log_probability, normal, targets))


def _learn(task: Task, settings: Settings, optimizer, joined, arrays, memory, samples, key):
    advantages = _advantages(task, settings, samples)
    data = (samples, advantages, advantages + samples.value)
    data = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), data)
    count = settings.envs * settings.steps

    def batch(carry, rows):
        arrays, memory = carry
        own = jax.tree.map(lambda d: d[rows], data)
        slopes = jax.grad(_loss)(arrays, joined, task, settings, own)
        updates, memory = optimizer.update(slopes, memory)
        return (optax.apply_updates(arrays, updates), memory), None

    def epoch(carry, key):
        rows = jax.random.permutation(key, count).reshape(settings.batches, -1)
        return jax.lax.scan(batch, carry, rows)[0], None

    keys = jax.random.split(key, settings.epochs)
    return jax.lax.scan(epoch, (arrays, memory), keys)[0]


def _returns(task: Task, agent: Agent, keys) -> Float[Array, " k"]:
    """Of whole episodes by the mean control, undiscounted."""

    def episode(key):
        def step(state, _):
            u = agent.actor(task, state.x)
            after = task.env.transition(state, u)
            return after, task.env.reward(state, u, after)

        start = task.env.initial(key)
        return jnp.sum(jax.lax.scan(step, start, length=task.env.problem.horizon)[1])

    return jax.vmap(episode)(keys)


def train(
    task: Task, make_actor, key: Array, evaluations: int, settings: Settings = Settings()
) -> tuple[Agent, Float[Array, " evaluations"]]:
    """An agent, and its mean return before each block of iterations and at the end; pure."""
    actor_key, critic_key, start_key, stage_key, judge_key, key = jax.random.split(key, 6)
    agent = Agent(make_actor(task, actor_key), network(task, 1, critic_key, 1.0))
    arrays, rest = eqx.partition(agent, eqx.is_inexact_array)
    updates = evaluations * settings.every * settings.epochs * settings.batches
    rate = optax.linear_schedule(settings.rate, 0.0, updates)
    optimizer = optax.chain(optax.clip_by_global_norm(0.5), optax.adam(rate))
    states = jax.vmap(task.env.initial)(jax.random.split(start_key, settings.envs))
    # Episodes are not to end all at once.
    stages = jax.random.randint(stage_key, (settings.envs,), 0, task.env.problem.horizon)
    states = states._replace(stage=stages.astype(states.stage.dtype))
    judges = jax.random.split(judge_key, settings.judged)

    def joined(arrays):
        return eqx.combine(arrays, rest)

    def iteration(carry, key):
        arrays, memory, states = carry
        agent = joined(arrays)
        collect_key, learn_key = jax.random.split(key)
        states, samples = _collect(task, settings, agent, states, collect_key)
        arrays, memory = _learn(
            task, settings, optimizer, joined, arrays, memory, samples, learn_key
        )
        return (arrays, memory, states), None

    def block(carry, key):
        judged = jnp.mean(_returns(task, joined(carry[0]), judges))
        keys = jax.random.split(key, settings.every)
        return jax.lax.scan(iteration, carry, keys)[0], judged

    carry = (arrays, optimizer.init(arrays), states)
    carry, returns = jax.lax.scan(block, carry, jax.random.split(key, evaluations))
    last = jnp.mean(_returns(task, joined(carry[0]), judges))
    return joined(carry[0]), jnp.append(returns, last)
