"""Five tasks in closed loop: a model, and a plant that it is wrong about."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import jaxmpc
from jaxmpc import models
from jaxmpc.integrators import rk4

WRONG = 1.2  # the plant's masses (of the car its wheelbase), in those of the model


class Task(NamedTuple):
    """What is to be done, how it is disturbed, and when it is done.

    At the sample `pushed_at` the state jumps by `push` times a standard normal number for each
    entry; noise is added to the state after each sample, and to what the controller sees.
    """

    problem: jaxmpc.Problem
    params: Any
    plant: Callable[..., Float[Array, " n"]]
    x0: np.ndarray
    dt: float
    steps: int
    push: np.ndarray
    pushed_at: int
    noise: np.ndarray
    measurement: np.ndarray
    done: Callable[[Float[Array, "S1 n"]], Array]
    labels: tuple[str, ...]


def _quadratic(weights, last, effort, goal):
    """Stage and terminal costs of the distance to a goal."""
    weights, last, effort, goal = map(jnp.asarray, (weights, last, effort, goal))

    def stage(x, u, t, params):
        return 0.5 * (x - goal) @ (weights * (x - goal)) + 0.5 * u @ (effort * u)

    return stage, lambda x, params: 0.5 * (x - goal) @ (last * (x - goal))


def _heavier(params: dict[str, float], *names: str) -> dict[str, float]:
    return {**params, **{name: WRONG * params[name] for name in names}}


def _cartpole(x0: np.ndarray, horizon: int, push: float, steps: int) -> Task:
    dt, params = 0.05, models.CARTPOLE_ACADOS
    step = rk4(models.cartpole_acados, dt)
    real = _heavier(params, "mass_cart", "mass_pole")
    stage, terminal = _quadratic([1.0, 5.0, 0.1, 0.1], [50.0, 100.0, 5.0, 5.0], [0.01], np.zeros(4))
    return Task(
        problem=jaxmpc.Problem(
            step, stage, terminal, horizon=horizon, control_dim=1, control_bounds=(-20.0, 20.0)
        ),
        params=params,
        plant=lambda x, u, t: step(x, u, t, real),
        x0=x0,
        dt=dt,
        steps=steps,
        push=push * np.array([0.0, 0.0, 1.0, 1.0]),
        pushed_at=steps // 2,
        noise=np.array([0.0, 0.0, 0.01, 0.01]),
        measurement=np.array([0.002, 0.002, 0.01, 0.01]),
        done=lambda states: jnp.all(jnp.abs(states[-10:, :2]) < 0.3),
        labels=("position [m]", "angle [rad]", "velocity [m/s]", "rate [rad/s]", "force [N]"),
    )


def balance() -> Task:
    """A cart-pole that is held upright."""
    return _cartpole(np.array([0.0, 0.3, 0.0, 0.0]), 25, 1.0, 120)


def swing_up() -> Task:
    """The same one from hanging."""
    return _cartpole(np.array([0.0, np.pi, 0.0, 0.0]), 50, 0.5, 160)


def quadrotor() -> Task:
    """RobotZoo's quadrotor between two columns, which count as soft: noise may carry it inside."""
    dt, goal = 0.05, np.array([-0.1, 3.2, 1.0])
    columns, radius = jnp.array([[-0.45, 1.2], [0.4, 2.4]]), 0.42
    params, real = models.QUADROTOR, _heavier(models.QUADROTOR, "mass")
    step = rk4(models.quadrotor, dt)

    def unit(x):
        return x.at[3:7].divide(jnp.linalg.norm(x[3:7]))

    stage, terminal = _quadratic(
        np.repeat([1.0, 0.5, 0.2, 0.05], [3, 4, 3, 3]),
        np.repeat([100.0, 10.0, 10.0, 1.0], [3, 4, 3, 3]),
        [0.05] * 4,
        np.r_[goal, 1.0, np.zeros(9)],
    )
    return Task(
        problem=jaxmpc.Problem(
            step,
            lambda x, u, t, params: stage(x, u - 0.5 * 9.81 / 4, t, params),
            terminal,
            horizon=30,
            control_dim=4,
            control_bounds=(0.0, 5.0),
            stage_inequality=lambda x, u, t, params: (
                radius**2 - jnp.sum((x[None, :2] - columns) ** 2, axis=1)
            ),
            soft={"stage_inequality": jaxmpc.Soft(linear=100.0, quadratic=1000.0)},
        ),
        params=params,
        plant=lambda x, u, t: unit(step(x, u, t, real)),
        x0=np.r_[0.0, 0.0, 0.18, 1.0, np.zeros(9)],
        dt=dt,
        steps=120,
        push=np.repeat([0.0, 0.5, 0.0], [7, 3, 3]),
        pushed_at=30,
        noise=np.repeat([0.0, 0.01, 0.02], [7, 3, 3]),
        measurement=np.repeat([0.002, 0.0, 0.01, 0.01], [3, 4, 3, 3]),
        # Near the goal but for what a mass that nobody knows costs in height.
        done=lambda states: (
            jnp.all(jnp.linalg.norm(states[-5:, :2] - goal[:2], axis=1) < 0.2)
            & jnp.all(jnp.linalg.norm(states[:, None, :2] - columns, axis=2) > radius - 0.06)
        ),
        labels=tuple(
            f"{name}" for name in (*"xyz", "qw", "qx", "qy", "qz", "vx", "vy", "vz", "p", "q", "r")
        )
        + tuple(f"thrust {k} [N]" for k in range(4)),
    )


def car() -> Task:
    """Tassa's car, at 8 m/s, to another lane four metres away."""
    dt = 0.1
    params, real = {**models.CAR, "dt": dt}, {**_heavier(models.CAR, "wheelbase"), "dt": dt}
    stage, terminal = _quadratic(
        [0.0, 1.0, 5.0, 0.5], [0.0, 20.0, 50.0, 5.0], [5.0, 0.1], [0.0, 0.0, 0.0, 8.0]
    )
    return Task(
        problem=jaxmpc.Problem(
            lambda x, u, t, params: models.car(x, u, params),
            stage,
            terminal,
            horizon=25,
            control_dim=2,
            control_bounds=(jnp.array([-0.5, -3.0]), jnp.array([0.5, 3.0])),
        ),
        params=params,
        plant=lambda x, u, t: models.car(x, u, real),
        x0=np.array([0.0, 4.0, 0.0, 8.0]),
        dt=dt,
        steps=100,
        push=np.array([0.0, 0.5, 0.2, 1.0]),
        pushed_at=50,
        noise=np.array([0.0, 0.01, 0.003, 0.02]),
        measurement=np.array([0.05, 0.05, 0.01, 0.05]),
        done=lambda states: jnp.all(jnp.abs(states[-10:, 1]) < 0.5),
        labels=("x [m]", "y [m]", "heading [rad]", "speed [m/s]", "steering [rad]", "a [m/s2]"),
    )


def acrobot() -> Task:
    """Swung up from hanging and balanced, its one motor in the elbow."""
    dt, params = 0.05, models.ACROBOT
    step, real = rk4(models.acrobot, dt), _heavier(models.ACROBOT, "mass1", "mass2")
    stage, terminal = _quadratic(
        [10.0, 10.0, 0.1, 0.1], [1000.0, 1000.0, 100.0, 100.0], [0.01], [np.pi / 2, 0.0, 0.0, 0.0]
    )
    return Task(
        problem=jaxmpc.Problem(
            step, stage, terminal, horizon=50, control_dim=1, control_bounds=(-40.0, 40.0)
        ),
        params=params,
        plant=lambda x, u, t: step(x, u, t, real),
        x0=np.array([-np.pi / 2, 0.0, 0.0, 0.0]),
        dt=dt,
        steps=200,
        push=0.1 * np.array([0.0, 0.0, 1.0, 1.0]),
        pushed_at=140,
        noise=np.array([0.0, 0.0, 0.002, 0.002]),
        measurement=np.array([0.0005, 0.0005, 0.002, 0.002]),
        done=lambda states: jnp.all(
            jnp.abs(states[-10:, :2] - jnp.array([[np.pi / 2, 0.0]])) < 0.3
        ),
        labels=("shoulder [rad]", "elbow [rad]", "w1 [rad/s]", "w2 [rad/s]", "torque [N m]"),
    )


TASKS: dict[str, Callable[[], Task]] = {
    "cart-pole, balance": balance,
    "cart-pole, swing-up": swing_up,
    "quadrotor, obstacles": quadrotor,
    "car, lane change": car,
    "acrobot": acrobot,
}


def loop(task: Task, controller: Any, key: Array, predictions=False) -> jaxmpc.Simulation:
    """One disturbed loop, with all its plans or without."""
    key, of_push = jax.random.split(key)
    push = task.push * jax.random.normal(of_push, task.push.shape)

    def plant(x, u, t):
        return task.plant(x, u, t) + jnp.where(t == task.pushed_at, 1.0, 0.0) * push

    x0 = jnp.asarray(task.x0)
    sampled = isinstance(getattr(controller, "solver", None), jaxmpc.ICEM)
    plan = controller.init(x0, task.params, key=jax.random.fold_in(of_push, 1)) if sampled else None
    return jaxmpc.simulate(
        controller,
        plant,
        x0,
        task.steps,
        task.params,
        key=key,
        process_noise=task.noise,
        measurement_noise=task.measurement,
        plan=plan,
        predictions=predictions,
    )
