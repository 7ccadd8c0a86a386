"""Batches of steps and sensors by MuJoCo's C library, in NumPy and float64."""

import copy
import importlib
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Float

from jaxmpc.interop.mujoco.engine import MjModel, mujoco
from jaxmpc.interop.mujoco.parameters import Parameters

_STATE = mujoco.mjtState.mjSTATE_FULLPHYSICS


class Native:
    """Functions of many states [b, n], controls [b, m] and parameters [b, p] at once.

    The constraint solver starts every step from zero, and rows that are no numbers, or too large
    for MuJoCo, lead to NaN.
    """

    def __init__(self, model: MjModel, substeps: int, parameters: Parameters):
        if "body_ipos" in parameters.values:
            model = _with_centers_of_mass(model)
        self.model = model
        self.substeps = substeps
        self._parameters = parameters
        self._copies: list[MjModel] = []
        self._scratch = copy.copy(model)
        affinity = getattr(os, "sched_getaffinity", None)
        threads = len(affinity(0)) if affinity else os.cpu_count() or 1
        self._data = [mujoco.MjData(self.model) for _ in range(threads)]
        self._rollout = importlib.import_module("mujoco.rollout").Rollout(
            nthread=threads if threads > 1 else 0
        )
        self._pool = ThreadPoolExecutor(threads)

    def step(
        self, x: Float[np.ndarray, "b n"], u: Float[np.ndarray, "b m"], theta
    ) -> Float[np.ndarray, "b n"]:
        """The states after all substeps."""
        found = np.full_like(x, np.nan)
        good = numbers(x, u, theta)
        if good.any():
            start = np.concatenate([np.zeros((good.sum(), 1)), x[good]], axis=1)
            held = np.repeat(u[good][:, None], self.substeps, axis=1)
            models = self._models(theta[good])
            states, _ = self._rollout.rollout(models, self._data, start, held, nstep=self.substeps)
            found[good] = states[:, -1, 1:]
        return found

    def sense(
        self, x: Float[np.ndarray, "b n"], u: Float[np.ndarray, "b m"], theta
    ) -> Float[np.ndarray, "b s"]:
        """What the sensors say at these states, under these controls."""

        def one(model, data, row):
            self.put(model, data, x[row], u[row])
            mujoco.mj_forward(model, data)
            return data.sensordata.copy()

        return self.each(one, x, u, theta, (self.model.nsensordata,))

    def put(self, model, data, x, u):
        """A state and a control, without anything of the last step."""
        mujoco.mj_setState(model, data, np.concatenate([[0.0], x]), _STATE)
        data.ctrl[:] = u
        data.qacc_warmstart[:] = 0

    def each(self, function, x, u, theta, shape) -> np.ndarray:
        """A function of (model, data, row) for every row that is numbers, over the threads."""
        found = np.full((len(x), *shape), np.nan)
        rows = np.flatnonzero(numbers(x, u, theta))
        models = self._models(theta[rows])

        def share(thread):
            data = self._data[thread]
            for place in range(thread, len(rows), len(self._data)):
                found[rows[place]] = function(models[place], data, rows[place])

        if len(rows) < 2 or len(self._data) == 1:
            for thread in range(len(self._data)):
                share(thread)
        else:
            list(self._pool.map(share, range(len(self._data))))
        return found

    def _models(self, theta) -> list[MjModel]:
        """A model for every row; rows with equal parameters share one."""
        if not self._parameters.values:
            return [self.model] * len(theta)
        different, which = np.unique(theta, axis=0, return_inverse=True)
        while len(self._copies) < len(different):
            self._copies.append(copy.copy(self.model))
        for own, values in zip(self._copies, different, strict=False):
            self._set(own, values)
        return [self._copies[i] for i in which.reshape(-1)]

    def _set(self, own: MjModel, values: np.ndarray):
        """Give a model other parameters.

        The inertia of a body that moves along its own axes is read from a constant of the model.
        """
        for model in (own, self._scratch):
            for name, value in self._parameters.fields(values).items():
                getattr(model, name)[...] = value
        mujoco.mj_setConst(self._scratch, self._data[0])
        own.dof_M0[...] = self._scratch.dof_M0


def _with_centers_of_mass(model: MjModel) -> MjModel:
    """A copy that reads where centres of mass are, though they were at the origins of bodies."""
    simple = [model.body(i).name or str(i) for i in np.flatnonzero(model.body_simple[1:]) + 1]
    if simple:
        raise NotImplementedError(
            "robot: parameters=('body_ipos',) does not reach the constant inertia that backend='c' "
            f"has for bodies that move along their own axes, {simple}; use backend='mjx'."
        )
    own = copy.copy(model)
    for frames in (own.body_sameframe, own.geom_sameframe, own.site_sameframe):
        frames[:] = 0
    return own


def numbers(*parts) -> np.ndarray:
    """Which rows are numbers in all parts, and not too large for MuJoCo."""
    small = [(np.abs(part) < mujoco.mjMAXVAL).all(axis=1) for part in parts]
    return np.logical_and.reduce(small)
