"""MuJoCo itself, called back from JAX: exact contacts, its own Jacobians, nothing to compile."""

import math
import threading
from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxmpc.interop.mujoco.backends.differences import THETA, Jacobians, X
from jaxmpc.interop.mujoco.backends.native import Native
from jaxmpc.interop.mujoco.engine import MjModel, unreported
from jaxmpc.interop.mujoco.forward_only import forward_only
from jaxmpc.interop.mujoco.joints import state_space
from jaxmpc.interop.mujoco.parameters import Parameters

_EPSILON = 1e-4  # of differences of Jacobians, which are differences themselves


class C:
    """Steps by MuJoCo's C library: batches over threads, first derivatives by differences.

    `mjd_transitionFD` gives the Jacobians of a step in x and u. Second derivatives are differences
    of Jacobians, one for each number of x, u and the parameters that is asked for: right to some
    1e-5, for the derivative of a solution; too many for every iteration of a solver.
    """

    def __init__(self, model: MjModel, substeps: int, parameters: Parameters):
        self._native = Native(model, substeps, parameters)
        self._jacobians = Jacobians(model, substeps, parameters)
        self._parameters = parameters
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
            shape = self._jacobians.tangents, self._width(varying, x, u, theta)
            jacobians = partial(self._jacobians.step_jacobians, varying=varying)
            in_steps = self._called(jacobians, shape, x, u, theta)
            in_numbers = self._of_numbers(in_steps, x, varying)
            if self._space is None:
                return in_numbers
            x_next, none = self._step(x, u, theta), jnp.zeros(shape[0], x.dtype)
            return jax.jacfwd(self._space.retract, argnums=1)(x_next, none) @ in_numbers

        return forward_only(columns, partial(self._second, columns))

    def _sensor_columns(self, varying: Sequence[int]) -> Callable[..., Array]:
        def columns(x, u, theta):
            shape = self._native.model.nsensordata, self._width(varying, x, u, theta)
            jacobians = partial(self._jacobians.sensor_jacobians, varying=varying)
            return self._of_numbers(self._called(jacobians, shape, x, u, theta), x, varying)

        return forward_only(columns, partial(self._second, columns))

    def _second(self, function, varying: Sequence[int]) -> Callable[..., Array]:
        """The derivative of a Jacobian, by differences of it."""

        def columns(*arguments):
            found = [self._along(function, arguments, which) for which in varying]
            return jnp.concatenate(found, axis=-1)

        return forward_only(columns, self._third)

    def _third(self, varying: Sequence[int]):
        raise NotImplementedError(
            "dynamics: backend='c' has no third derivatives, which derivatives of a solution's "
            "derivative take; use backend='mjx'."
        )

    def _along(self, function, arguments, which: int) -> Array:
        """In the numbers of one argument."""
        start = arguments[which]
        if which == THETA:
            ahead, behind = self._parameters.steps(start, _EPSILON)
        else:
            ahead = _EPSILON * jnp.maximum(jnp.abs(start), 1.0)
            behind = -ahead

        def along(ahead, behind, direction):
            ends = []
            for size in (ahead, behind):
                moved = (*arguments[:which], start + size * direction, *arguments[which + 1 :])
                ends.append(function(*moved))
            return (ends[0] - ends[1]) / (ahead - behind)

        directions = jnp.eye(start.size, dtype=start.dtype)
        return jax.vmap(along, out_axes=-1)(ahead, behind, directions)

    def _of_numbers(self, in_steps, x, varying: Sequence[int]):
        """Columns in steps from x as columns in the numbers of x; others stay."""
        if self._space is None or X not in varying:
            return in_steps
        k = self._jacobians.tangents
        steps = jax.jacfwd(self._space.difference, argnums=1)(x, x)
        return jnp.concatenate([in_steps[:, :k] @ steps, in_steps[:, k:]], axis=1)

    def _width(self, varying: Sequence[int], x, u, theta) -> int:
        """How many columns: of x as many as directions."""
        sizes = self._jacobians.tangents, u.size, theta.size
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
