"""Two systems that are not what their models say, and the data that they leave behind."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

import jaxmpc
from bench.networks.residual import dynamics
from jaxmpc.integrators import rk4, semi_implicit_euler
from jaxmpc.learning import Examples
from jaxmpc.models import CARTPOLE_ACADOS, PLANAR_QUADROTOR, cartpole_acados, planar_quadrotor

DT, HORIZON = 0.05, 20  # s, steps
# Short horizons and stable dynamics in large batches: what ILQR is quickest at.
SOLVER = jaxmpc.ILQR()


class System(NamedTuple):
    """What is true, what is believed, and what is wanted.

    Attributes:
        name: of the system.
        truth, prior: (x, u) -> x_next.
        features: of a state and a control, for the network.
        scale: [n], of a step's correction.
        cost: (x, u, t, params) -> scalar.
        bounds: on the controls.
        start: key -> [n], where tasks and rollouts begin.
        labels: what the states are, with units.
        hover: [m], the control that keeps the target.
        shake: [m, m], what random controls are: each column times a normal number.
    """

    name: str
    truth: Callable
    prior: Callable
    features: Callable
    scale: tuple[float, ...]
    cost: Callable
    bounds: tuple[float, float]
    start: Callable
    labels: tuple[str, ...]
    hover: tuple[float, ...]
    shake: tuple[tuple[float, ...], ...]

    @property
    def sizes(self) -> tuple[int, int]:
        """(n, m)."""
        return len(self.labels), len(self.hover)

    def problem(self, horizon: int = HORIZON) -> jaxmpc.Problem:
        """The task; its params are a model (x, u) -> x_next."""
        return jaxmpc.Problem(
            dynamics,
            self.cost,
            horizon=horizon,
            control_dim=self.sizes[1],
            control_bounds=self.bounds,
        )


# The true cart-pole: a heavier, longer pole, a cart with air drag and a joint with friction.
_TRUE_CARTPOLE = {**CARTPOLE_ACADOS, "mass_pole": 0.25, "length": 1.0}
_CART_DRAG, _JOINT_FRICTION = 0.4, 0.3  # N s^2/m^2 over kg, 1/s


def _true_cartpole(x, u, params):
    rate = cartpole_acados(x, u, _TRUE_CARTPOLE)
    drag = _CART_DRAG * x[2] * jnp.sqrt(x[2] ** 2 + 0.01)
    return rate - jnp.stack([0.0 * x[0], 0.0 * x[0], drag, _JOINT_FRICTION * x[3]])


def _cartpole_cost(x, u, t, params):
    return x[0] ** 2 + 5 * (1 - jnp.cos(x[1])) + 0.1 * (x[2] ** 2 + x[3] ** 2) + 0.01 * u[0] ** 2


def _cartpole_start(key):
    low, high = jnp.array([-0.5, -0.8, -1.0, -1.0]), jnp.array([0.5, 0.8, 1.0, 1.0])
    return jax.random.uniform(key, (4,), float, low, high)


def _cartpole_features(x, u):
    return jnp.stack([jnp.sin(x[1]), jnp.cos(x[1]), x[2] / 2, x[3] / 3, u[0] / 15])


# The true quadrotor: heavier, with more inertia, air drag and, near the ground, more lift.
_TRUE_QUADROTOR = {**PLANAR_QUADROTOR, "mass": 0.55, "inertia": 0.0055}
_AIR_DRAG, _GROUND = 0.5, 0.4  # 1/m, more lift at height zero as a share


def _true_quadrotor(x, u, params):
    lift = 1 + _GROUND * jnp.exp(-2 * jnp.clip(x[1], 0.0))
    rate = planar_quadrotor(x, lift * u, _TRUE_QUADROTOR)
    speed = jnp.sqrt(x[3] ** 2 + x[4] ** 2 + 0.01)
    drag = _AIR_DRAG * speed * x[3:5]
    return rate - jnp.concatenate([jnp.zeros_like(x[:3]), drag, jnp.zeros_like(x[:1])])


_HOVER = PLANAR_QUADROTOR["mass"] * PLANAR_QUADROTOR["gravity"] / 2  # N, each rotor
_HEIGHT = 0.3  # m, of the target


def _quadrotor_cost(x, u, t, params):
    place = x[0] ** 2 + (x[1] - _HEIGHT) ** 2
    rates = 0.1 * (x[3] ** 2 + x[4] ** 2) + 0.02 * x[5] ** 2
    return 2 * place + 0.5 * x[2] ** 2 + rates + 0.05 * jnp.sum((u - _HOVER) ** 2)


def _quadrotor_start(key):
    high = jnp.array([1.0, 0.5, 0.6, 1.0, 1.0, 2.0])
    return jnp.zeros(6).at[1].set(0.8) + jax.random.uniform(key, (6,), float, -high, high)


def _quadrotor_features(x, u):
    push, turn = (u[0] + u[1]) / (2 * _HOVER) - 1, (u[0] - u[1]) / _HOVER
    angle = jnp.stack([jnp.sin(x[2]), jnp.cos(x[2])])
    return jnp.concatenate([x[1:2], angle, x[3:5] / 2, x[5:6] / 5, jnp.stack([push, turn])])


def _accurate(ode) -> Callable:
    step = rk4(ode, DT)
    return lambda x, u: step(x, u)


def _coarse(ode) -> Callable:
    """Half the work of RK4 in every iteration; its error is the network's to correct."""
    step = semi_implicit_euler(ode, DT)
    return lambda x, u: step(x, u)


CARTPOLE = System(
    name="cart-pole",
    truth=_accurate(_true_cartpole),
    prior=_coarse(cartpole_acados),
    features=_cartpole_features,
    scale=(0.02, 0.02, 0.5, 0.5),
    cost=_cartpole_cost,
    bounds=(-15.0, 15.0),
    start=_cartpole_start,
    labels=("position [m]", "angle [rad]", "speed [m/s]", "rate [rad/s]"),
    hover=(0.0,),
    shake=((5.0,),),
)
QUADROTOR = System(
    name="planar quadrotor",
    truth=_accurate(_true_quadrotor),
    prior=_coarse(planar_quadrotor),
    features=_quadrotor_features,
    scale=(0.02, 0.02, 0.05, 0.5, 0.5, 2.0),
    cost=_quadrotor_cost,
    bounds=(0.0, 6.0),
    start=_quadrotor_start,
    labels=("y [m]", "z [m]", "tilt [rad]", "y speed [m/s]", "z speed [m/s]", "rate [rad/s]"),
    hover=(_HOVER, _HOVER),
    shake=((0.8, 0.06), (0.8, -0.06)),
)


def starts(system: System, key: Array, number: int) -> Float[Array, "N n"]:
    """Initial states of tasks."""
    return jax.vmap(system.start)(jax.random.split(key, number))


def experts(system: System, x0s: Float[Array, "N n"]) -> jaxmpc.Solution:
    """Optimal trajectories of who knows the truth."""
    problem = system.problem()
    solve = partial(jaxmpc.solve_batch, problem, params=system.truth, solver=SOLVER)
    return jax.jit(solve)(x0s)


def rollouts(
    system: System, key: Array, x0s: Float[Array, "N n"], plans: Float[Array, "N T m"], noise: float
) -> Examples:
    """What the true system does under plans and, every other rollout, around hovering; shaken.

    `noise` is that of the measured states, relative to the system's `scale`.
    """
    shakes, sensors = jax.random.split(key)
    white = jax.random.normal(shakes, plans.shape)
    smooth = (white + jnp.roll(white, 1, 1) + jnp.roll(white, 2, 1)) / 3**0.5
    planned = (jnp.arange(len(x0s)) % 2 == 0)[:, None, None]
    base = jnp.where(planned, plans, jnp.asarray(system.hover))
    controls = jnp.clip(base + smooth @ jnp.asarray(system.shake).T, *system.bounds)
    states = jax.jit(jax.vmap(partial(simulate, system)))(x0s, controls)
    error = noise * jnp.asarray(system.scale)[None, None] * jax.random.normal(sensors, states.shape)
    return Examples(states + error, controls)


def simulate(system: System, x0: Float[Array, " n"], controls: Float[Array, "T m"]) -> Array:
    """The true states [T+1, n]."""

    def step(x, u):
        x = system.truth(x, u)
        return x, x

    return jnp.concatenate([x0[None], jax.lax.scan(step, x0, controls)[1]])
