"""MuJoCo itself, called back from JAX: exact contacts, its own Jacobians, nothing to compile."""

import math
import threading
from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxmpc.interop.mujoco.backends.native import THETA, Native, X
from jaxmpc.interop.mujoco.engine import MjModel, unreported
from jaxmpc.interop.mujoco.forward_only import forward_only
from jaxmpc.interop.mujoco.joints import state_space
from jaxmpc.interop.mujoco.parameters import Parameters

_EPSILON = 1e-4  # of differences of Jacobians that are differences themselves


class C:
    """Steps by MuJoCo's C library: batches over threads, first derivatives by differences.

    `mjd_transitionFD` gives the Jacobians of a step in x and u. There are no second derivatives but
    those of Jacobians in parameters, by differences: what the derivative of a solution needs.
    """

    def __init__(self, model: MjModel, substeps: int, parameters: Parameters):
        self._native = Native(model, substeps, parameters)
        self._space = state_space(model)
        self._lock = threading.Lock()  # one call at a time has the threads' data
        self.step = forward_only(self._step, self._step_columns)
        self.sense = forward_only(self._sense, self._sensor_columns)

    def _step(self, x, u, theta):
        return self._called(self._native.step, x.shape, x, u, theta)

    def _sense(self, x, u, theta):
        return self._called(self._native.sense, (self._native.model.nsensordata,), x, u, theta)

    def _step_columns(self, varying: Sequence[int]) -> Callable[..., Array]:
        def columns(x, u, theta):
            shape = self._native.tangents, self._width(varying, x, u, theta)
            jacobians = partial(self._native.step_jacobians, varying=varying)
            in_steps = self._called(jacobians, shape, x, u, theta)
            in_numbers = self._of_numbers(in_steps, x, varying)
            if self._space is None:
                return in_numbers
            x_next, none = self._step(x, u, theta), jnp.zeros(shape[0], x.dtype)
            return jax.jacfwd(self._space.retract, argnums=1)(x_next, none) @ in_numbers

        return forward_only(columns, partial(self._in_parameters, columns))

    def _sensor_columns(self, varying: Sequence[int]) -> Callable[..., Array]:
        def columns(x, u, theta):
            shape = self._native.model.nsensordata, self._width(varying, x, u, theta)
            jacobians = partial(self._native.sensor_jacobians, varying=varying)
            return self._of_numbers(self._called(jacobians, shape, x, u, theta), x, varying)

        return forward_only(columns, partial(self._in_parameters, columns))

    def _in_parameters(self, function, varying: Sequence[int]) -> Callable[..., Array]:
        """The derivative of a Jacobian in the parameters; there is none in x and u."""
        if list(varying) != [THETA]:
            raise NotImplementedError(
                "dynamics: backend='c' has no second derivatives; use hessian='gauss_newton' in "
                "the solver and in ImplicitAdjoint, or backend='mjx'."
            )

        def columns(x, u, theta):
            def along(size, direction):
                step = size * direction
                return (function(x, u, theta + step) - function(x, u, theta - step)) / (2 * size)

            sizes = _EPSILON * jnp.maximum(jnp.abs(theta), 1e-2)
            return jax.vmap(along, out_axes=-1)(sizes, jnp.eye(theta.size, dtype=x.dtype))

        return columns

    def _of_numbers(self, in_steps, x, varying: Sequence[int]):
        """Columns in steps from x as columns in the numbers of x; others stay."""
        if self._space is None or X not in varying:
            return in_steps
        k = self._native.tangents
        steps = jax.jacfwd(self._space.difference, argnums=1)(x, x)
        return jnp.concatenate([in_steps[:, :k] @ steps, in_steps[:, k:]], axis=1)

    def _width(self, varying: Sequence[int], x, u, theta) -> int:
        """How many columns: of x as many as directions."""
        sizes = self._native.tangents, u.size, theta.size
        return sum(sizes[which] for which in varying)

    def _called(self, function, shape: tuple[int, ...], x, u, theta) -> Array:
        def host(*arguments):
            lead = np.broadcast_shapes(*(np.shape(a)[:-1] for a in arguments))
            rows = []
            for argument in arguments:
                size = np.shape(argument)[-1]
                given = np.broadcast_to(np.asarray(argument, float), (*lead, size))
                rows.append(given.reshape(math.prod(lead), size))
            with self._lock, unreported:
                found = function(*rows)
            return found.reshape(*lead, *shape).astype(x.dtype)

        result = jax.ShapeDtypeStruct(shape, x.dtype)
        return jax.pure_callback(host, result, x, u, theta, vmap_method="expand_dims")
