"""Pendulum-v1, and a quadrotor that hovers in wind, as environments in JAX and as short plans."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

import jaxmpc
from bench.robots import grid
from bench.wind.vehicle import HOVER, STEP, THRUST, pushed
from jaxmpc.integrators import euler, rk4
from jaxmpc.interop.gymnasium import FunctionalEnv, as_functional_env


class Task(NamedTuple):
    """What is to be learned, and what an actor that plans is given.

    Attributes:
        env: the environment; its problem's horizon is the length of an episode.
        features: features(x) -> what networks see, of the size of one.
        center, reach: of the controls [m]; exploration and networks are in these units.
        plan: the problem of the planning actor, from `seen(x)`; its params are the weights.
        seen: seen(x) -> the part of the state that the plan is about.
        solver: what makes the plan.
        weights: "q" and "p" of the plan's cost before anything is learned.
        discount: per step.
        reward_scale: brings rewards to the size of one.
        goal: the mean return that counts as learned.
    """

    env: FunctionalEnv
    features: Callable[[Array], Array]
    center: Float[Array, " m"]
    reach: Float[Array, " m"]
    plan: jaxmpc.Problem
    seen: Callable[[Array], Array]
    solver: jaxmpc.Solver
    weights: dict[str, Array]
    discount: float
    reward_scale: float
    goal: float


def _planning(dynamics, outputs, horizon: int, control_bounds, control_dim: int):
    """Minimise 1/2 z' diag(q) z + p' z of z = outputs(x, u), the same at every stage."""

    def cost(x, u, t, params):
        z = outputs(x, u)
        return 0.5 * jnp.sum(params["q"] * z**2) + params["p"] @ z

    return jaxmpc.Problem(
        dynamics,
        cost,
        lambda x, params: cost(x, jnp.zeros(control_dim, x.dtype), horizon, params),
        horizon=horizon,
        control_dim=control_dim,
        control_bounds=control_bounds,
    )


def pendulum() -> Task:
    """Gymnasium's Pendulum-v1, step for step. The plan looks 0.75 s ahead."""

    def step(x, u, t, params):
        return grid.step(x, u[0])

    problem = jaxmpc.Problem(
        step,
        lambda x, u, t, params: grid.price(x, u[0]),
        horizon=200,
        control_dim=1,
        control_bounds=(-2.0, 2.0),
    )

    def start(key):
        high = jnp.array([jnp.pi, 1.0])
        return jax.random.uniform(key, (2,), minval=-high, maxval=high)

    def outputs(x, u):
        return jnp.array([jnp.cos(x[0]) - 1, jnp.sin(x[0]), x[1] / 4, u[0]])

    return Task(
        env=as_functional_env(problem, start),
        features=lambda x: jnp.array([jnp.cos(x[0]), jnp.sin(x[0]), x[1] / 4]),
        center=jnp.zeros(1),
        reach=jnp.full(1, 2.0),
        plan=_planning(step, outputs, 15, (-2.0, 2.0), control_dim=1),
        seen=lambda x: x,
        solver=jaxmpc.ILQR(max_iterations=10),
        weights={"q": jnp.array([1.0, 1.0, 1.0, 0.01]), "p": jnp.zeros(4)},
        discount=0.95,
        reward_scale=0.25,
        goal=-200.0,
    )


def hover() -> Task:
    """At the origin, level, from a metre away and tilted, in a wind that the plan ignores.

    The state is that of the vehicle and the wind's acceleration, steady in an episode, up to
    3 m/s^2 along each axis. Networks see all of it.
    """
    flight = rk4(pushed, STEP)
    nominal = euler(lambda x, u, params: pushed(x, u, jnp.zeros(3, x.dtype)), STEP)

    def step(x, u, t, params):
        after = flight(x[:13], u, t, x[13:])
        after = after.at[3:7].divide(jnp.linalg.norm(after[3:7]))
        return jnp.concatenate([after, x[13:]])

    def cost(x, u, t, params):
        off = x[:3] @ x[:3] + 0.1 * (x[7:10] @ x[7:10]) + 0.01 * (x[10:13] @ x[10:13])
        return 1.0 - jnp.exp(-off) + 0.01 * jnp.sum((u - HOVER) ** 2)

    problem = jaxmpc.Problem(step, cost, horizon=100, control_dim=4, control_bounds=THRUST)

    def start(key):
        place, turn, speed, wind = jax.random.split(key, 4)
        attitude = jnp.concatenate(
            [jnp.ones(1), jax.random.uniform(turn, (3,), minval=-0.2, maxval=0.2)]
        )
        return jnp.concatenate(
            [
                jax.random.uniform(place, (3,), minval=-1.0, maxval=1.0),
                attitude / jnp.linalg.norm(attitude),
                0.5 * jax.random.normal(speed, (6,)),
                jax.random.uniform(wind, (3,), minval=-3.0, maxval=3.0),
            ]
        )

    def outputs(x, u):
        return jnp.concatenate([x[:3], x[4:7], x[7:13], u - HOVER])

    # The weights of a tracking controller for this vehicle, per unit of what they weigh.
    q = [20.0] * 3 + [2.0] * 3 + [1.0] * 3 + [0.03] * 3 + [0.1] * 4
    scale = jnp.array([1.0] * 3 + [0.0] + [0.5] * 3 + [2.0] * 3 + [5.0] * 3 + [3.0] * 3)
    return Task(
        env=as_functional_env(problem, start),
        features=lambda x: jnp.clip(jnp.delete(x, 3) / jnp.delete(scale, 3), -5.0, 5.0),
        center=jnp.full(4, HOVER),
        reach=jnp.full(4, 1.0),
        plan=_planning(nominal, outputs, 10, THRUST, control_dim=4),
        seen=lambda x: x[:13],
        solver=jaxmpc.SQP(max_iterations=6),
        weights={"q": jnp.array(q), "p": jnp.zeros(16)},
        discount=0.97,
        reward_scale=1.0,
        goal=-15.0,
    )


TASKS = {"pendulum": pendulum, "hover": hover}
