"""MuJoCo in JAX: every derivative by forward mode, on any device, in either precision."""

import copy
import functools
import warnings
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxmpc.interop.mujoco.backends.mjx_forward import forward
from jaxmpc.interop.mujoco.backends.mjx_gaps import refuse_missing_parts, refuse_wrong_slopes
from jaxmpc.interop.mujoco.engine import MjModel, mjx, mujoco
from jaxmpc.interop.mujoco.forward_only import forward_only
from jaxmpc.interop.mujoco.joints import attitudes
from jaxmpc.interop.mujoco.parameters import Parameters
from jaxmpc.spaces import UnitQuaternion

# From this condition of the mass matrix on, float32 keeps less than two digits of an acceleration.
_FLOAT32_CONDITION = 1e5
_LEAST_FRICTION = 1e-9  # N m or N: a row of none at all holds its joint


def _as_mjx_is_written(function: Callable) -> Callable:
    """It broadcasts and casts where it is not said, which a user's flags may forbid."""

    @functools.wraps(function)
    def freely(*arguments):
        with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
            return function(*arguments)

    return freely


class MJX:
    """Steps by `mujoco.mjx`, in the precision that was in force when the robot was made.

    Reverse mode fails inside MJX as soon as there is a constraint row, since its solver iterates
    until convergence; so nothing here is differentiated but forwards (`forward_only`).
    """

    def __init__(self, model: MjModel, substeps: int, parameters: Parameters):
        self._mjx = mjx()
        refuse_missing_parts(model)
        model = copy.copy(model)
        if "dof_frictionloss" in parameters.values:  # MJX has no rows where it was zero at first
            model.dof_frictionloss[:] = np.maximum(model.dof_frictionloss, _LEAST_FRICTION)
        try:
            with jax.ensure_compile_time_eval():
                self._model = self._mjx.put_model(model)
                self._data = self._mjx.make_data(model)
        except NotImplementedError as error:
            raise NotImplementedError(
                f"robot: backend 'mjx' does not have a part of this model: {error} "
                "backend='c' has all of MuJoCo."
            ) from error
        self._sizes = model.nq, model.nv
        self._attitudes = attitudes(model)
        rows = self._data._impl.efc_J.size
        refuse_wrong_slopes(model, parameters, constrained=rows > 0)
        integrator = mujoco.mjtIntegrator(model.opt.integrator).name.removeprefix("mjINT_")
        self._integrate = {
            "EULER": self._mjx.euler,
            "IMPLICITFAST": self._mjx.implicit,
            "RK4": self._mjx.rungekutta4,
        }[integrator]
        self._substeps = substeps
        self._parameters = parameters
        self.step = forward_only(self._advance)
        self.sense = forward_only(self._sensors)
        if self._model.qpos0.dtype == jnp.float32:
            _warn_of_float32(model)

    @_as_mjx_is_written
    def _advance(self, x, u, theta):
        model = self._with(theta)

        def one(x, _):
            before = self._at(x, u)
            data = self._integrate(model, forward(self._mjx, model, before))
            qpos = self._turned(before.qpos, data)
            return jnp.concatenate([qpos, data.qvel, data.act]).astype(x.dtype), None

        if self._substeps == 1:
            return one(x, None)[0]
        return jax.lax.scan(one, x, length=self._substeps)[0]

    def _turned(self, before, data):
        """The positions after a step, with attitudes by an exponential that has slopes at rest.

        MJX's own has a derivative of zero where the angular velocity is zero.
        """
        qpos = data.qpos
        for q, v in self._attitudes:
            turn = self._model.opt.timestep * data.qvel[v : v + 3]
            qpos = qpos.at[q : q + 4].set(UnitQuaternion().retract(before[q : q + 4], turn))
        return qpos

    @_as_mjx_is_written
    def _sensors(self, x, u, theta):
        data = forward(self._mjx, self._with(theta), self._at(x, u))
        return data.sensordata.astype(x.dtype)

    def _at(self, x, u):
        own = self._model.qpos0.dtype
        if x.dtype == jnp.float64 and own == jnp.float32:
            raise ValueError(
                "dynamics: the robot was made in float32 and the state is of float64; set "
                "jax_enable_x64 before `robot` is called."
            )
        nq, nv = self._sizes
        parts = jnp.split(x.astype(own), [nq, nq + nv])
        names = "qpos", "qvel", "act"
        return self._data.replace(**dict(zip(names, parts, strict=True)), ctrl=u.astype(own))

    def _with(self, theta):
        as_own = partial(jnp.asarray, dtype=self._model.qpos0.dtype)
        fields = self._parameters.fields(theta)
        if "dof_frictionloss" in fields:
            fields["dof_frictionloss"] = jnp.maximum(fields["dof_frictionloss"], _LEAST_FRICTION)
        return self._model.tree_replace({name: as_own(value) for name, value in fields.items()})


def _warn_of_float32(model: MjModel):
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    mass = np.zeros((model.nv, model.nv))
    mujoco.mj_fullM(model, data, mass)
    condition = np.linalg.cond(mass)
    if condition > _FLOAT32_CONDITION:
        warnings.warn(
            f"robot: the model's mass matrix has a condition of {condition:.0e}, so that float32 "
            f"leaves accelerations some {max(0.0, 7 - np.log10(condition)):.0f} digits; set "
            "jax_enable_x64, or add armature to its light joints.",
            stacklevel=4,
        )
