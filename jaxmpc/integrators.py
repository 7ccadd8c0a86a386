"""Discrete dynamics for `Problem` from an ordinary differential equation.

The control is held over the step. The steps are fixed and few: a trajectory optimiser wants
cheap, smooth dynamics. For adaptive steps, stiff or implicit methods, write the dynamics as a
call of `diffrax.diffeqsolve`.
"""

from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from jaxmpc.presentation.names import present
from jaxmpc.problem.pytree_function import PytreeFunction, pytree_function, static

Ode = Callable[..., Any]  # (x [n], u [m], params) -> x_dot [n]


@pytree_function
class _Dynamics(PytreeFunction):
    """(x, u, t, params) -> x_next: `substeps` steps of length dt / substeps."""

    ode: Ode  # may hold arrays, as a neural network does
    dt: float = static()
    substeps: int = static()

    def __call__(
        self, x: Float[Array, " n"], u: Float[Array, " m"], t=None, params: PyTree = None
    ) -> Float[Array, " n"]:
        x = jnp.asarray(x)
        x = x.astype(jnp.result_type(x, float))
        h = self.dt / self.substeps
        if self.substeps == 1:
            return self._step(x, u, params, h)
        # Not a Python loop: XLA fuses its steps and computes the early ones over and over (eight
        # of RK4, vmapped Jacobians: 10 times slower, and a minute to compile). A loop of fixed
        # length is a scan, which reverse mode can differentiate.
        return jax.lax.fori_loop(0, self.substeps, lambda _, x: self._step(x, u, params, h), x)

    def _step(self, x, u, params, h):
        raise NotImplementedError

    def _rate(self, x, u, params):
        rate = self.ode(x, u, params)
        if jnp.shape(rate) != x.shape:
            raise ValueError(
                f"integrators: ode returned the shape {jnp.shape(rate)}; wanted that of the state,"
                f" {x.shape}."
            )
        return jnp.asarray(rate, x.dtype)


@pytree_function
class _Euler(_Dynamics):
    def _step(self, x, u, params, h):
        return x + h * self._rate(x, u, params)


@pytree_function
class _SemiImplicitEuler(_Dynamics):
    positions: tuple[int, ...] | None = static()

    def _step(self, x, u, params, h):
        is_position = self._is_position(x.shape[0])
        x = jnp.where(is_position, x, x + h * self._rate(x, u, params))
        return jnp.where(is_position, x + h * self._rate(x, u, params), x)

    def _is_position(self, n: int) -> np.ndarray:
        mask = np.zeros(n, bool)
        if self.positions is None:
            if n % 2:
                raise ValueError(
                    f"semi_implicit_euler: the state has {n} entries, which have no first half; "
                    "give positions, the indices of the positions."
                )
            mask[: n // 2] = True
        elif all(0 <= i < n for i in self.positions):
            mask[list(self.positions)] = True
        else:
            raise ValueError(
                f"semi_implicit_euler: positions is {self.positions}; wanted indices of the "
                f"state, 0 .. {n - 1}."
            )
        return mask


@pytree_function
class _RungeKutta4(_Dynamics):
    def _step(self, x, u, params, h):
        k1 = self._rate(x, u, params)
        k2 = self._rate(x + h / 2 * k1, u, params)
        k3 = self._rate(x + h / 2 * k2, u, params)
        k4 = self._rate(x + h * k3, u, params)
        return x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


@pytree_function
class _Discrete(PytreeFunction):
    step: Callable

    def __call__(self, x, u, t=None, params=None):
        return self.step(x, u, params)


def euler(ode: Ode, dt: float, substeps: int = 1) -> Callable:
    """Discrete dynamics by the explicit Euler method, of order 1.

        x' = x + h ode(x, u, params),      h = dt / substeps, repeated substeps times

    Args:
        ode: (x [n], u [m], params) -> x_dot [n].
        dt: the step of the control, a positive number in the ode's unit of time (s). To optimise
            or to learn a duration, multiply the ode by it instead: x_dot = duration * f(x, u).
        substeps: integration steps in one step of the control.

    Returns:
        (x, u, t, params) -> x_next, differentiable as often as `ode` is, in the dtype of x.

    Raises:
        TypeError, ValueError: a bad ode, dt or substeps; when called, an ode of the wrong shape.

    Source: Hairer, Norsett, Wanner (1993), ch. I.7. Adaptive steps: `diffrax`.

    Example:
        >>> fall = jaxmpc.integrators.euler(lambda x, u, params: jnp.array([x[1], -10.0]), 0.1)
        >>> print(fall(jnp.array([0.0, 0.0]), jnp.zeros(1), 0, None))
        [ 0. -1.]
    """
    return _Euler(_function("euler", ode), *_steps("euler", dt, substeps))


def semi_implicit_euler(
    ode: Ode, dt: float, positions: Iterable[int] | None = None, substeps: int = 1
) -> Callable:
    """Discrete dynamics by the semi-implicit (symplectic) Euler method, of order 1.

        v' = v + h v_dot(q, v, u, params),   q' = q + h q_dot(q, v', u, params),   h = dt / substeps

    Positions move with the velocity at the end of the step, so that the energy of a mechanical
    system stays bounded over long horizons, where `euler` gains it. It calls `ode` twice a step.

    Args:
        positions: the indices of the positions q in the state; None is its first half.
        ode, dt, substeps: as in `euler`, which also says what is returned and raised.

    Source: Hairer, Lubich, Wanner (2006), ch. I.1. Adaptive steps: `diffrax`.

    Example:
        >>> ode = lambda x, u, params: jnp.array([x[1], -10.0])
        >>> fall = jaxmpc.integrators.semi_implicit_euler(ode, 0.1)
        >>> print(fall(jnp.array([0.0, 0.0]), jnp.zeros(1), 0, None))
        [-0.1 -1. ]
    """
    ode = _function("semi_implicit_euler", ode)
    steps = _steps("semi_implicit_euler", dt, substeps)
    if positions is not None:
        positions = tuple(int(i) for i in positions)
    return _SemiImplicitEuler(ode, *steps, positions)


def rk4(ode: Ode, dt: float, substeps: int = 1) -> Callable:
    """Discrete dynamics by the classical Runge-Kutta method, of order 4.

        x' = x + h/6 (k1 + 2 k2 + 2 k3 + k4),      h = dt / substeps, repeated substeps times
        k1 = f(x), k2 = f(x + h/2 k1), k3 = f(x + h/2 k2), k4 = f(x + h k3),  f = ode(., u, params)

    Args:
        ode, dt, substeps: as in `euler`, which also says what is returned and raised.

    Source: Hairer, Norsett, Wanner (1993), ch. II.1. Adaptive steps: `diffrax`.

    Example:
        >>> ode = lambda x, u, params: jnp.array([x[1], -10.0])
        >>> fall = jaxmpc.integrators.rk4(ode, 0.1)
        >>> print(fall(jnp.array([0.0, 0.0]), jnp.zeros(1), 0, None))  # exact: -g t^2 / 2
        [-0.05 -1.  ]
    """
    return _RungeKutta4(_function("rk4", ode), *_steps("rk4", dt, substeps))


def discrete(step: Callable) -> Callable:
    """Discrete dynamics (x, u, t, params) from a model (x, u, params) that is a step already.

    x' = step(x, u, params), as `models.pendulum`, `models.cartpole` and `models.car` are.

    Differentiable as often as `step` is.

    Raises:
        TypeError: a step that is no function.

    Example:
        >>> step = jaxmpc.integrators.discrete(jaxmpc.models.pendulum)
        >>> step(jaxmpc.models.pendulum_state(3.0), jnp.zeros(1), 0, None).shape
        (3,)
    """
    return _Discrete(_function("discrete", step))


def _function(caller: str, function: Callable) -> Callable:
    if not callable(function):
        name = "step" if caller == "discrete" else "ode"
        raise TypeError(f"{caller}: {name} must be a function (x, u, params), got {function!r}.")
    return function


def _steps(caller: str, dt: float, substeps: int) -> tuple[float, int]:
    if isinstance(dt, jax.core.Tracer):
        raise TypeError(
            f"{caller}: dt must be a number that is known when tracing, got {dt}. To optimise or "
            "learn a duration, multiply the ode by it."
        )
    number = isinstance(dt, int | float | np.number | np.ndarray | jax.Array) and np.ndim(dt) == 0
    if not (number and np.isfinite(dt) and dt > 0):
        raise ValueError(f"{caller}: dt must be a positive number, got {dt!r}.")
    if isinstance(substeps, bool) or not isinstance(substeps, int | np.integer) or substeps < 1:
        raise ValueError(f"{caller}: substeps must be an int of at least 1, got {substeps!r}.")
    return float(dt), int(substeps)


present(__name__)
