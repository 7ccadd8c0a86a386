"""Five tasks on which derivatives alone do badly, or have nothing to say."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxmpc
from jaxmpc import model_draws, models
from jaxmpc.integrators import rk4

CENTRES = np.random.default_rng(3).uniform([0.6, -1.2], [4.4, 1.2], (14, 2))  # of the bumps


class Task(NamedTuple):
    """What to solve, with what noise, and when a plan is a success."""

    problem: jaxmpc.Problem
    x0: jax.Array
    params: Any
    noise: float  # the samplers' first deviation, and that of random guesses
    success: Callable[[jaxmpc.Solution], jax.Array]
    polish: bool = True  # whether derivatives are of use


def acrobot() -> Task:
    """From hanging to upright in five seconds, the torque bounded by 15 N m."""
    goal = jnp.array([np.pi / 2, 0.0, 0.0, 0.0])
    problem = jaxmpc.Problem(
        rk4(models.acrobot, 0.05),
        lambda x, u, t, p: 0.05 * (jnp.sum((x - goal) ** 2) + 0.01 * u @ u),
        lambda x, p: 100.0 * jnp.sum((x - goal) ** 2),
        horizon=100,
        control_dim=1,
        control_bounds=(-15.0, 15.0),
    )
    return Task(
        problem,
        jnp.array([-np.pi / 2, 0.0, 0.0, 0.0]),
        models.ACROBOT,
        5.0,
        lambda s: jnp.max(jnp.abs(s.states[-1] - goal)) < 0.3,
    )


def cartpole_with_a_wall() -> Task:
    """Swung up beside a wall 0.3 m away, which counts as soft."""
    problem = jaxmpc.Problem(
        rk4(models.cartpole_acados, 0.05),
        lambda x, u, t, p: 0.05 * (x[0] ** 2 + 5 * (1 - jnp.cos(x[1])) + 0.001 * u @ u),
        lambda x, p: 10 * x[0] ** 2 + 100 * (1 - jnp.cos(x[1])) + x[2] ** 2 + x[3] ** 2,
        horizon=50,
        control_dim=1,
        control_bounds=(-20.0, 20.0),
        stage_inequality=lambda x, u, t, p: jnp.stack([x[0] - 0.3]),
        soft={"stage_inequality": jaxmpc.Soft(100.0)},
    )
    return Task(
        problem,
        jnp.array([0.0, np.pi, 0.0, 0.0]),
        models.CARTPOLE_ACADOS,
        8.0,
        lambda s: (jnp.cos(s.states[-1, 1]) > 0.95) & (jnp.max(s.states[:, 0]) < 0.31),
    )


def obstacles() -> Task:
    """A point mass through a field of 14 bumps: many ways around, one of them good."""

    def stage(x, u, t, p):
        away = jnp.sum((x[None, :2] - jnp.asarray(CENTRES)) ** 2, axis=1)
        return 0.1 * jnp.sum(20.0 * jnp.exp(-away / 0.05)) + 0.02 * u @ u

    goal = jnp.array([5.0, 0.0, 0.0, 0.0])
    problem = jaxmpc.Problem(
        lambda x, u, t, p: x + 0.1 * jnp.concatenate([x[2:] + 0.05 * u, u]),
        stage,
        lambda x, p: 50.0 * jnp.sum((x - goal) ** 2),
        horizon=40,
        control_dim=2,
        control_bounds=(-4.0, 4.0),
    )
    # The best of 300 polished random guesses costs 2.657, the way straight ahead 5.264.
    return Task(problem, jnp.zeros(4), None, 1.5, lambda s: s.cost < 3.0)


def jump() -> Task:
    """A block that only moves once it is pushed hard enough, to where a step of the cost is."""

    def dynamics(x, u, t, p):
        force = jnp.where(jnp.abs(u[0]) > 1.0, u[0] - jnp.sign(u[0]), 0.0)  # dry friction
        return x + 0.1 * jnp.stack([x[1], force - 0.5 * x[1]])

    problem = jaxmpc.Problem(
        dynamics,
        lambda x, u, t, p: 0.05 * jnp.where(jnp.abs(x[0] - 1.0) < 0.1, 0.0, 1.0) + 0.001 * u @ u,
        lambda x, p: jnp.where(jnp.abs(x[0] - 1.0) < 0.1, 0.0, 5.0) + x[1] ** 2,
        horizon=40,
        control_dim=1,
        control_bounds=(-4.0, 4.0),
    )
    inside = lambda s: jnp.abs(s.states[-1, 0] - 1.0) < 0.1  # noqa: E731
    return Task(problem, jnp.zeros(2), None, 2.0, inside, polish=False)


def ensemble() -> Task:
    """A pendulum known by five networks that saw 300 transitions; the mean of their costs."""
    draws, dt = 5, 0.05

    def truth(x, u):
        return x + dt * jnp.stack([x[1], 9.81 * jnp.sin(x[0]) + u[0]])

    keys = jax.random.split(jax.random.key(0), draws + 2)
    x = jax.random.uniform(keys[0], (300, 2), minval=-1.0) * jnp.array([3.5, 6.0])
    u = jax.random.uniform(keys[1], (300, 1), minval=-8.0, maxval=8.0)
    target = (jax.vmap(truth)(x, u) - x)[:, 1] / dt

    def features(x, u):
        return jnp.concatenate([jnp.sin(x[:1]), jnp.cos(x[:1]), x[1:] / 6, u / 8])

    def made(key):
        return eqx.nn.MLP(4, "scalar", 24, 2, jax.nn.tanh, key=key)

    def fitted(key):
        network, chosen = made(key), jax.random.randint(key, (300,), 0, 300)
        arrays, rest = eqx.partition(network, eqx.is_array)
        optimizer = optax.adam(3e-3)

        def loss(arrays):
            known = eqx.combine(arrays, rest)
            guess = jax.vmap(lambda x, u: 10.0 * known(features(x, u)))(x[chosen], u[chosen])
            return jnp.mean((guess - target[chosen]) ** 2)

        def update(carry, _):
            arrays, moments = carry
            change, moments = optimizer.update(jax.grad(loss)(arrays), moments)
            return (optax.apply_updates(arrays, change), moments), None

        (arrays, _), _ = jax.lax.scan(update, (arrays, optimizer.init(arrays)), None, length=1500)
        return arrays

    arrays = jax.jit(jax.vmap(fitted))(keys[2:])
    rest = eqx.partition(made(keys[2]), eqx.is_array)[1]

    def dynamics(x, u, t, arrays):
        acceleration = 10.0 * eqx.combine(arrays, rest)(features(x, u))
        return x + dt * jnp.stack([x[1], acceleration])

    single = jaxmpc.Problem(
        dynamics,
        lambda x, u, t, p: dt * (1 - jnp.cos(x[0]) + 0.05 * x[1] ** 2 + 0.001 * u @ u),
        lambda x, p: 10.0 * (1 - jnp.cos(x[0])) + x[1] ** 2,
        horizon=50,
        control_dim=1,
        control_bounds=(-8.0, 8.0),
    )
    x0 = jnp.array([3.0, 0.0])

    def upright(solution):
        def follow(x, u):
            return truth(x, u), None

        last, _ = jax.lax.scan(follow, x0, solution.controls)
        return jnp.cos(last[0]) > 0.9  # open loop, on the true pendulum

    return Task(
        model_draws.over_draws(single, draws),
        model_draws.augment_state(x0, draws),
        arrays,
        4.0,
        upright,
    )


TASKS: dict[str, Callable[[], Task]] = {
    "acrobot": acrobot,
    "cart-pole with a wall": cartpole_with_a_wall,
    "obstacle field": obstacles,
    "friction and a step": jump,
    "learned ensemble": ensemble,
}
