"""MuJoCo's own modules, which type checkers cannot look into."""

import contextlib
import importlib
import io
from collections.abc import Iterator
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
    with contextlib.redirect_stdout(io.StringIO()):  # it says what other backends are not there
        return importlib.import_module("mujoco.mjx")


@contextlib.contextmanager
def unreported() -> Iterator[None]:
    """MuJoCo's warnings are not printed, nor written to its log file.

    A search tries steps that diverge by the thousand; what came of them is told by NaN.
    """
    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(lambda message: None)
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(before)
