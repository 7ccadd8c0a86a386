"""Twelve tasks of the field from random starts, each function written once for all modules.

Functions return a list of scalars where a family's return an array; they take no parameters.
"""

import dataclasses
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.robust.families import Draw, Functions, Size

_INF = np.inf


@dataclasses.dataclass(frozen=True)
class Task:
    """A size with its functions, its bounds, and where its starts come from."""

    size: Size
    functions: Functions
    limits: tuple[Any, Any]  # of the controls
    start: Callable[[Any], Any]  # of a random generator
    state_bounds: tuple[Any, Any] | None = None

    def draw(self, seed: int) -> Draw:
        """The task from the start of a seed."""
        rng = np.random.default_rng([zlib.crc32(self.size.name.encode()), seed])
        lower, upper = (np.broadcast_to(np.asarray(b, float), self.size.m) for b in self.limits)
        bounds = None
        if self.state_bounds is not None:
            low, high = self.state_bounds
            bounds = np.asarray(low, float), np.asarray(high, float)
        x0 = np.asarray(self.start(rng), float)
        return Draw(self.size, seed, x0, lower, upper, {}, bounds)


def _squares(x: Any, weights: tuple[float, ...], goal: tuple[float, ...]) -> Any:
    return sum(w * (x[i] - g) ** 2 for i, (w, g) in enumerate(zip(weights, goal, strict=True)) if w)


def _tracking(weights, goal, effort: tuple[float, ...], last: float):
    """Stage and terminal costs: squares of the distance to a goal, and of the controls."""

    def stage(x, u, p, xp):
        return _squares(x, weights, goal) + _squares(u, effort, (0.0,) * len(effort))

    return stage, lambda x, p, xp: last * _squares(x, weights, goal)


def _rk4(rate: Callable, dt: float) -> Callable:
    """One step of the classical Runge-Kutta method."""

    def step(x, u, p, xp):
        def moved(h, k):
            return [x[i] + h * k[i] for i in range(len(k))]

        k1 = rate(x, u, xp)
        k2 = rate(moved(dt / 2, k1), u, xp)
        k3 = rate(moved(dt / 2, k2), u, xp)
        k4 = rate(moved(dt, k3), u, xp)
        parts = zip(k1, k2, k3, k4, strict=True)
        return [x[i] + dt / 6 * (a + 2 * b + 2 * c + d) for i, (a, b, c, d) in enumerate(parts)]

    return step


def _uniform(low, high) -> Callable:
    return lambda rng: rng.uniform(low, high)


def _pendulum(x, u, p, xp):
    return [x[0] + 0.05 * x[1], x[1] + 0.05 * (9.81 * xp.sin(x[0]) + u[0])]


def _pendulum_cost(x, u, p, xp):
    return 1 - xp.cos(x[0]) + 0.05 * x[1] ** 2 + 0.001 * u[0] ** 2


def _cartpole_rate(x, u, xp):
    """acados' cart-pole, angle from upright: cart 1 kg, pole 0.1 kg, 0.8 m."""
    sin, cos = xp.sin(x[1]), xp.cos(x[1])
    total, swing = 1.1 - 0.1 * cos**2, 0.08 * sin * x[3] ** 2
    angular = (-swing * cos + u[0] * cos + 1.1 * 9.81 * sin) / (0.8 * total)
    return [x[2], x[3], (-swing + 0.981 * cos * sin + u[0]) / total, angular]


def _acrobot_rate(x, u, xp):
    """Spong's, angle from the horizontal, unit masses, lengths and inertias, friction 0.1."""
    cos2, sin2, cos12 = xp.cos(x[1]), xp.sin(x[1]), xp.cos(x[0] + x[1])
    m22, m12 = 2.0, 2.0 + cos2
    m11 = 2.0 + m12 + cos2
    gravity1 = 9.81 * (2 * xp.cos(x[0]) + cos12)
    torque1 = sin2 * (2 * x[2] * x[3] + x[3] ** 2) - gravity1 - 0.1 * x[2]
    torque2 = u[0] - sin2 * x[2] ** 2 - 9.81 * cos12 - 0.1 * x[3]
    determinant = m11 * m22 - m12**2
    return [
        x[2],
        x[3],
        (m22 * torque1 - m12 * torque2) / determinant,
        (m11 * torque2 - m12 * torque1) / determinant,
    ]


def _planar_quadrotor_rate(x, u, xp):
    """0.5 kg, 0.005 kg m^2, rotors at 0.15 m; position, angle and their rates."""
    lift = (u[0] + u[1]) / 0.5
    turn = 0.15 * (u[0] - u[1]) / 0.005
    return [x[3], x[4], x[5], -lift * xp.sin(x[2]), lift * xp.cos(x[2]) - 9.81, turn]


def _unicycle_rate(x, u, xp):
    return [u[0] * xp.cos(x[2]), u[0] * xp.sin(x[2]), u[1]]


def _car_rate(x, u, xp):
    """A kinematic bicycle: speed and steering are states, wheelbase 0.5 m."""
    return [x[3] * xp.cos(x[2]), x[3] * xp.sin(x[2]), x[3] * xp.tan(x[4]) / 0.5, u[0], u[1]]


def _van_der_pol_rate(x, u, xp):
    return [x[1], (1 - x[0] ** 2) * x[1] - x[0] + u[0]]


def _body_rate(x, u, xp):
    """A rigid body's attitude, quaternion (w, x, y, z) and rates, inertias 1, 2 and 3."""
    w, a, b, c, p, q, r = (x[i] for i in range(7))
    return [
        0.5 * (-a * p - b * q - c * r),
        0.5 * (w * p + b * r - c * q),
        0.5 * (w * q - a * r + c * p),
        0.5 * (w * r + a * q - b * p),
        u[0] - q * r,
        (u[1] + 2 * p * r) / 2,
        (u[2] - p * q) / 3,
    ]


def _attitude(rng) -> np.ndarray:
    """Any attitude, at rest, on the half of the quaternions that is nearer to the goal."""
    quaternion = rng.normal(size=4)
    quaternion *= np.sign(quaternion[0]) / np.linalg.norm(quaternion)
    return np.concatenate([quaternion, np.zeros(3)])


def _unstable(x, u, p, xp):
    return [1.5 * x[0] + 0.3 * xp.sin(x[1]) + u[0], 0.4 * x[0] + 1.2 * x[1] + 0.5 * u[0]]


def _past_a_disc(x, p, xp):
    return [0.35**2 - (x[0] - 0.9) ** 2 - (x[1] - 0.02) ** 2]


def _task(name, sizes, step, costs, limits, start, state_bounds=None, **constraints) -> Task:
    functions = Functions(step, *costs, **constraints)
    return Task(Size(name, *sizes), functions, limits, start, state_bounds)


def _at(*goal: float) -> Callable:
    return lambda x, p, xp: [x[i] - g for i, g in enumerate(goal)]


_UPRIGHT = (np.pi / 2, 0.0, 0.0, 0.0)
_SWING = _tracking((2.0, 50.0, 0.01, 0.01), (0.0,) * 4, (1e-3,), 10.0)
_HOVER = _tracking((1.0, 1.0, 0.1, 0.1, 0.1, 0.05), (0.0,) * 6, (0.02, 0.02), 20.0)
_EFFORT = (lambda x, u, p, xp: u[0] ** 2, lambda x, p, xp: 0.0 * x[0])

TASKS = {
    task.size.family: task
    for task in (
        _task(
            *("pendulum_100", (2, 1, 100), _pendulum),
            (_pendulum_cost, lambda x, p, xp: 0.0 * x[0]),
            (-8, 8),
            _uniform([-3, -2], [3, 2]),
        ),
        _task(
            *("cartpole_swing_up", (4, 1, 50), _rk4(_cartpole_rate, 0.05), _SWING, (-20, 20)),
            lambda rng: np.array([0, np.pi, 0, 0]) + 0.3 * rng.normal(size=4),
        ),
        _task(
            *("acrobot_swing_up", (4, 1, 80), _rk4(_acrobot_rate, 0.05)),
            _tracking((1.0, 1.0, 0.1, 0.1), _UPRIGHT, (0.01,), 100.0),
            (-15, 15),
            lambda rng: np.array([-np.pi / 2, 0, 0, 0]) + 0.3 * rng.normal(size=4),
        ),
        _task(
            *("planar_quadrotor", (6, 2, 40), _rk4(_planar_quadrotor_rate, 0.05), _HOVER),
            (0, 6),
            _uniform([-2, -2, -3, -2, -2, -3], [2, 2, 3, 2, 2, 3]),
        ),
        _task(
            *("unicycle", (3, 2, 50), _rk4(_unicycle_rate, 0.1)),
            _tracking((1.0, 1.0, 0.1), (0.0,) * 3, (0.1, 0.1), 50.0),
            ([-1, -2], [1, 2]),
            _uniform([-3, -3, -3], [3, 3, 3]),
        ),
        _task(
            *("car_parking", (5, 2, 60), _rk4(_car_rate, 0.1)),
            _tracking((0.1, 0.1, 0.1, 0.01, 0.01), (0.0,) * 5, (0.01, 0.01), 500.0),
            ([-2, -2], [2, 2]),
            lambda rng: np.concatenate([rng.uniform(-1.5, 1.5, 3), np.zeros(2)]),
        ),
        _task(
            *("van_der_pol", (2, 1, 60), _rk4(_van_der_pol_rate, 0.1)),
            _tracking((1.0, 1.0), (0.0,) * 2, (0.1,), 1.0),
            (-0.75, 1),
            _uniform([-3, -3], [3, 3]),
        ),
        _task(
            *("rigid_body_slew", (7, 3, 40), _rk4(_body_rate, 0.1)),
            _tracking((0.0, 1.0, 1.0, 1.0, 0.1, 0.1, 0.1), (0.0,) * 7, (0.1,) * 3, 20.0),
            (-1, 1),
            _attitude,
        ),
        _task(
            *("unstable_map", (2, 1, 50), _unstable),
            _tracking((1.0, 1.0), (0.0,) * 2, (0.1,), 1.0),
            (-20, 20),
            _uniform([-5, -5], [5, 5]),
        ),
        _task(
            *("pendulum_to_rest", (2, 1, 60, 2), _pendulum, _EFFORT, (-12, 12)),
            _uniform([-3, -2], [3, 2]),
            terminal_equality=_at(0.0, 0.0),
        ),
        _task(
            *("cart_in_a_corridor", (4, 1, 50), _rk4(_cartpole_rate, 0.05), _SWING, (-30, 30)),
            lambda rng: np.array([0, np.pi, 0, 0]) + 0.1 * rng.normal(size=4),
            ([-0.8, -_INF, -_INF, -_INF], [0.8, _INF, _INF, _INF]),
        ),
        _task(
            *("unicycle_past_a_disc", (3, 2, 40, 1), _rk4(_unicycle_rate, 0.1)),
            _tracking((0.1, 0.1, 0.1), (2.0, 0.0, 0.0), (0.1, 0.1), 1.0),
            ([-1, -2], [1, 2]),
            _uniform([-0.3, -0.3, -0.5], [0.3, 0.3, 0.5]),
            inequality=_past_a_disc,
            terminal_equality=_at(2.0, 0.0, 0.0),
        ),
    )
}
