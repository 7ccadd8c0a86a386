"""MuJoCo's own modules, which type checkers cannot look into."""

import contextlib
import importlib
import io
import threading
from typing import Any, TypeAlias

MjModel: TypeAlias = Any

try:
    mujoco: Any = importlib.import_module("mujoco")
except ImportError as error:
    raise ImportError(
        "jaxmpc.interop.mujoco needs MuJoCo: pip install 'jaxmpc[mujoco]'."
    ) from error


def mjx() -> Any:
    """MuJoCo in JAX, imported where it is asked for: it takes seconds."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it says what other backends are not there
            return importlib.import_module("mujoco.mjx")
    except ImportError as error:
        raise ImportError(
            "robot: backend 'mjx' needs mujoco-mjx: pip install 'jaxmpc[mujoco]'."
        ) from error


def warp() -> tuple[Any, Any]:
    """Warp and MuJoCo Warp, an extra of their own: they bring a compiler of kernels."""
    try:
        found = importlib.import_module("warp")
        found.config.log_level = 30  # of logging: else a line for each of a hundred kernels
        return found, importlib.import_module("mujoco_warp")
    except ImportError as error:
        raise ImportError(
            "robot: backend 'warp' needs MuJoCo Warp: pip install 'jaxmpc[warp]'."
        ) from error


class _Unreported:
    """MuJoCo's warnings are not printed, nor written to its log file.

    A search tries steps that diverge by the thousand; what came of them is told by NaN. The handler
    is one for the process: the first of several threads puts it aside, the last one puts it back.
    """

    def __init__(self):
        self._lock, self._inside, self._before = threading.Lock(), 0, None

    def __enter__(self):
        with self._lock:
            if not self._inside:
                self._before = mujoco.get_mju_user_warning()
                mujoco.set_mju_user_warning(lambda message: None)
            self._inside += 1

    def __exit__(self, *error):
        with self._lock:
            self._inside -= 1
            if not self._inside:
                mujoco.set_mju_user_warning(self._before)


unreported = _Unreported()
