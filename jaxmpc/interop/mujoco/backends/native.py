"""Batches of steps, sensors and Jacobians by MuJoCo's C library, in NumPy and float64."""

import copy
import importlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Float

from jaxmpc.interop.mujoco.engine import MjModel, mujoco
from jaxmpc.interop.mujoco.parameters import Parameters

_STATE = mujoco.mjtState.mjSTATE_FULLPHYSICS
_EPSILON = 1e-6  # of central differences: MuJoCo's own default, with errors of some 1e-9
X, U, THETA = range(3)  # the arguments of all functions here


class Native:
    """Functions of many states [b, n], controls [b, m] and parameters [b, p] at once.

    The constraint solver starts every step from zero, and rows that are no numbers, or too large
    for MuJoCo, lead to NaN.
    """

    def __init__(self, model: MjModel, substeps: int, parameters: Parameters):
        if "body_ipos" in parameters.values:
            model = _with_centers_of_mass(model)
        self.model = model
        self.tangents = 2 * model.nv + model.na
        self._substeps = substeps
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
            held = np.repeat(u[good][:, None], self._substeps, axis=1)
            models = self._models(theta[good])
            states, _ = self._rollout.rollout(models, self._data, start, held, nstep=self._substeps)
            found[good] = states[:, -1, 1:]
        return found

    def sense(
        self, x: Float[np.ndarray, "b n"], u: Float[np.ndarray, "b m"], theta
    ) -> Float[np.ndarray, "b s"]:
        """What the sensors say at these states, under these controls."""

        def one(model, data, row):
            self._put(model, data, x[row], u[row])
            mujoco.mj_forward(model, data)
            return data.sensordata.copy()

        return self._each(one, x, u, theta, (self.model.nsensordata,))

    def step_jacobians(self, x, u, theta, varying: Sequence[int]) -> Float[np.ndarray, "b k c"]:
        """In steps on the space of states, to such steps; parameters by differences of steps."""
        model = self.model
        if model.opt.integrator == int(
            mujoco.mjtIntegrator.mjINT_RK4
        ):  # unknown to mjd_transitionFD
            return self._differences(self.step, self._between, x, u, theta, varying)
        parts = []
        if X in varying or U in varying:
            sizes = [self.tangents if X in varying else 0, model.nu if U in varying else 0]
            parts.append(
                self._each(self._transition(x, u, *sizes), x, u, theta, (self.tangents, sum(sizes)))
            )
        if THETA in varying:
            parts.append(self._differences(self.step, self._between, x, u, theta, [THETA]))
        return np.concatenate(parts, axis=-1)

    def sensor_jacobians(self, x, u, theta, varying: Sequence[int]) -> Float[np.ndarray, "b s c"]:
        """In steps on the space of states, by differences."""
        return self._differences(self.sense, np.subtract, x, u, theta, varying)

    def _transition(self, x, u, of_x: int, of_u: int) -> Callable:
        def one(model, data, row):
            k, m = self.tangents, model.nu
            self._put(model, data, x[row], u[row])
            A, B = np.eye(k), np.zeros((k, m))
            A_now, B_now = np.empty((k, k)), np.empty((k, m))
            for substep in range(self._substeps):
                if substep:
                    mujoco.mj_step(model, data)
                mujoco.mjd_transitionFD(model, data, _EPSILON, True, A_now, B_now, None, None)
                A, B = A_now @ A, A_now @ B + B_now
            return np.concatenate([A[:, :of_x], B[:, :of_u]], axis=1)

        return one

    def _differences(self, function, between, x, u, theta, varying) -> np.ndarray:
        """Central differences of a batched function, all columns in one call."""
        ahead, widths = self._beside(x, u, theta, varying, _EPSILON)
        behind, _ = self._beside(x, u, theta, varying, -_EPSILON)
        slopes = between(function(*ahead), function(*behind)) / (2 * widths[:, None])
        return np.moveaxis(slopes.reshape(-1, len(x), slopes.shape[-1]), 0, -1)

    def _beside(self, x, u, theta, varying, epsilon: float) -> tuple[list, np.ndarray]:
        """All points moved along every direction, and how far each was; parameters relatively."""
        points, widths = [], []
        for which in varying:
            size = (self.tangents, u.shape[1], theta.shape[1])[which]
            for number in range(size):
                step = np.zeros((len(x), size))
                step[:, number] = epsilon
                if which == THETA:
                    step *= np.maximum(np.abs(theta), 1e-2)
                moved = [x, u, theta]
                moved[which] = self._moved(x, step) if which == X else moved[which] + step
                points.append(moved)
                widths.append(step[:, number])
        return [np.concatenate(part) for part in zip(*points, strict=True)], np.concatenate(widths)

    def _between(self, ahead, behind) -> np.ndarray:
        model, nq = self.model, self.model.nq
        found = np.empty((len(ahead), self.tangents))
        for row, (end, start) in enumerate(zip(ahead, behind, strict=True)):
            step = np.empty(model.nv)
            mujoco.mj_differentiatePos(model, step, 1.0, start[:nq], end[:nq])
            found[row] = np.concatenate([step, end[nq:] - start[nq:]])
        return found

    def _moved(self, x, steps) -> np.ndarray:
        model, nq = self.model, self.model.nq
        found = np.empty_like(x)
        for row, (start, step) in enumerate(zip(x, steps, strict=True)):
            qpos = start[:nq].copy()
            mujoco.mj_integratePos(model, qpos, step[: model.nv], 1.0)
            found[row] = np.concatenate([qpos, start[nq:] + step[model.nv :]])
        return found

    def _put(self, model, data, x, u):
        mujoco.mj_setState(model, data, np.concatenate([[0.0], x]), _STATE)
        data.ctrl[:] = u
        data.qacc_warmstart[:] = 0

    def _each(self, function, x, u, theta, shape) -> np.ndarray:
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
