"""Jacobians of MuJoCo's steps and sensors by central differences, batched."""

import copy
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from jaxmpc.interop.mujoco.backends.native import Native
from jaxmpc.interop.mujoco.engine import MjModel, mujoco
from jaxmpc.interop.mujoco.parameters import Parameters

_EPSILON = 1e-6  # MuJoCo's own default, with errors of some 1e-9
_RK4 = int(mujoco.mjtIntegrator.mjINT_RK4)
X, U, THETA = range(3)  # the arguments of all functions here


class Jacobians(Native):
    """Derivatives of a model's steps, by a copy whose constraint forces are solved to the end.

    A solver that stops at its tolerance does not see how little a difference has moved: at rest,
    where it starts at the solution, it would say that nothing changes.
    """

    def __init__(self, model: MjModel, substeps: int, parameters: Parameters):
        own = copy.copy(model)
        own.opt.tolerance = 0
        own.opt.solver = mujoco.mjtSolver.mjSOL_NEWTON  # all of MuJoCo's solve the same problem
        own.opt.iterations = max(own.opt.iterations, 100)
        super().__init__(own, substeps, parameters)
        self.tangents = 2 * model.nv + model.na

    def step_jacobians(self, x, u, theta, varying: Sequence[int]) -> Float[np.ndarray, "b k c"]:
        """In steps on the space of states, to such steps; parameters by differences of steps."""
        model = self.model
        if model.opt.integrator == _RK4:  # unknown to mjd_transitionFD
            return self._differences(self.step, self._between, x, u, theta, varying)
        parts = []
        if X in varying or U in varying:
            sizes = [self.tangents if X in varying else 0, model.nu if U in varying else 0]
            parts.append(
                self.each(self._transition(x, u, *sizes), x, u, theta, (self.tangents, sum(sizes)))
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
            self.put(model, data, x[row], u[row])
            A, B = np.eye(k), np.zeros((k, m))
            A_now, B_now = np.empty((k, k)), np.empty((k, m))
            for substep in range(self.substeps):
                if substep:
                    mujoco.mj_step(model, data)
                mujoco.mjd_transitionFD(model, data, _EPSILON, True, A_now, B_now, None, None)
                A, B = A_now @ A, A_now @ B + B_now
            return np.concatenate([A[:, :of_x], B[:, :of_u]], axis=1)

        return one

    def _differences(self, function, between, x, u, theta, varying) -> np.ndarray:
        """Central differences of a batched function, all columns in one call."""
        ahead, places = self._beside(x, u, theta, varying, 1)
        behind, others = self._beside(x, u, theta, varying, -1)
        slopes = between(function(*ahead), function(*behind)) / (places - others)[:, None]
        return np.moveaxis(slopes.reshape(-1, len(x), slopes.shape[-1]), 0, -1)

    def _beside(self, x, u, theta, varying, sign: int) -> tuple[list, np.ndarray]:
        """All points moved along every direction, and how far each was; parameters relatively."""
        points, places = [], []
        for which in varying:
            size = (self.tangents, u.shape[1], theta.shape[1])[which]
            steps = np.full((len(x), size), sign * _EPSILON)
            if which == THETA:
                steps = self._parameters.steps(theta, _EPSILON)[0 if sign > 0 else 1]
            for number in range(size):
                step = np.zeros((len(x), size))
                step[:, number] = steps[:, number]
                moved = [x, u, theta]
                moved[which] = self._moved(x, step) if which == X else moved[which] + step
                points.append(moved)
                places.append(step[:, number])
        return [np.concatenate(part) for part in zip(*points, strict=True)], np.concatenate(places)

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
