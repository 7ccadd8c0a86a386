"""Steps of thousands of states at once by MuJoCo Warp: float32, on a GPU where there is one."""

import copy
import threading
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxmpc.interop.mujoco.backends.c import C
from jaxmpc.interop.mujoco.backends.native import numbers
from jaxmpc.interop.mujoco.engine import MjModel, mujoco, warp
from jaxmpc.interop.mujoco.parameters import Parameters


class Warp(C):
    """Steps by MuJoCo Warp; Jacobians and sensors by MuJoCo's C library, in float64.

    They are the same physics, and differences of steps in float32 would have two digits. So its use
    is what takes steps alone: sampling solvers and simulations.
    """

    def __init__(self, model: MjModel, substeps: int, parameters: Parameters):
        super().__init__(model, substeps, parameters)
        self._worlds = Worlds(self._native.model, substeps, parameters)

    def _step(self, x, u, theta):
        return self._called(self._worlds.step, x.shape, x, u, theta)


class Worlds:
    """Functions of many states [b, n], controls [b, m] and parameters [b, p] at once.

    The worlds of a call are the next power of two, so that few sizes are ever made.
    """

    def __init__(self, model: MjModel, substeps: int, parameters: Parameters):
        self._warp, self._engine = warp()
        self._host = copy.copy(model)  # Warp never resets worlds, and knows no flag against it
        self._host.opt.disableflags &= ~int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
        self._substeps = substeps
        self._parameters = parameters
        try:
            self._model = self._engine.put_model(self._host)
        except NotImplementedError as error:
            raise NotImplementedError(
                f"robot: backend 'warp' does not have a part of this model: {error} "
                "backend='c' has all of MuJoCo."
            ) from error
        # A step is a function of what it is given: nothing of the last one is taken up.
        self._model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_WARMSTART)
        overflow = self._engine.OverflowType
        self._lost = int(overflow.NEFC | overflow.NJMAX_NNZ | overflow.BROADPHASE)
        self._lost |= int(overflow.NARROWPHASE | overflow.CCD)
        self._model.opt.warn_overflow = 0  # told below by more room
        self._made: dict[int, Any] = {}
        self._room: dict[str, int] = {}
        self._lock = threading.Lock()

    def step(
        self, x: Float[np.ndarray, "b n"], u: Float[np.ndarray, "b m"], theta
    ) -> Float[np.ndarray, "b n"]:
        """The states after all substeps; NaN for rows that are no numbers."""
        good = numbers(x, u, theta)
        rest = np.concatenate([self._host.qpos0, np.zeros(x.shape[1] - self._host.nq)])
        count = 1 << (len(x) - 1).bit_length()
        start = np.tile(rest, (count, 1))
        held = np.zeros((count, u.shape[1]))
        start[: len(x)][good], held[: len(x)][good] = x[good], u[good]
        with self._lock:
            if theta.shape[1]:
                self._set(np.concatenate([theta, np.repeat(theta[-1:], count - len(x), axis=0)]))
            end = self._stepped(start, held)[: len(x)]
        end[~good] = np.nan
        return end

    def _stepped(self, start, held) -> np.ndarray:
        """From there; once more with twice the room where contacts found none."""
        count = len(start)
        if count not in self._made:
            self._made[count] = self._engine.make_data(self._host, nworld=count, **self._room)
        data = self._made[count]
        nq, nv = self._host.nq, self._host.nv
        parts = dict(zip(("qpos", "qvel", "act"), np.split(start, [nq, nq + nv], 1), strict=True))
        for name, part in (parts | {"ctrl": held}).items():
            getattr(data, name).assign(part.astype(np.float32))
        data.overflow.zero_()
        for _ in range(self._substeps):
            self._engine.step(self._model, data)
        if (data.overflow.numpy() & self._lost).any():
            self._room = {"nconmax": 2 * data.naconmax // count, "njmax": 2 * data.njmax}
            self._made.clear()
            return self._stepped(start, held)
        return np.concatenate([getattr(data, name).numpy() for name in parts], axis=1).astype(float)

    def _set(self, theta: np.ndarray):
        """Give every world its own parameters."""
        rows = [self._parameters.fields(row) for row in theta]
        for name in rows[0]:
            own = getattr(self._model, name)
            values = np.stack([row[name] for row in rows]).astype(np.float32)
            setattr(self._model, name, self._warp.array(values, dtype=own.dtype))
