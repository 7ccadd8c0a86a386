"""Who steps the model: MJX (JAX, derivatives by forward mode), MuJoCo's C library, or Warp."""

from typing import Protocol

from jaxtyping import Array, Float

from jaxmpc.checks import check_choice
from jaxmpc.interop.mujoco.engine import MjModel
from jaxmpc.interop.mujoco.parameters import Parameters


class Backend(Protocol):
    """Functions of vectors: the state, the control and the chosen parameters."""

    def step(
        self, x: Float[Array, " n"], u: Float[Array, " m"], theta: Float[Array, " p"]
    ) -> Float[Array, " n"]:
        """The state after all substeps."""
        ...

    def sense(
        self, x: Float[Array, " n"], u: Float[Array, " m"], theta: Float[Array, " p"]
    ) -> Float[Array, " k"]:
        """All sensors' numbers, in the model's order."""
        ...


def make(name: str, model: MjModel, substeps: int, parameters: Parameters) -> Backend:
    """The backend of a name; each is imported only where it is asked for."""
    check_choice("robot", "backend", name, ("mjx", "c", "warp"))
    if name == "mjx":
        from jaxmpc.interop.mujoco.backends.mjx import MJX

        return MJX(model, substeps, parameters)
    if name == "warp":
        from jaxmpc.interop.mujoco.backends.warp import Warp

        return Warp(model, substeps, parameters)
    from jaxmpc.interop.mujoco.backends.c import C

    return C(model, substeps, parameters)
