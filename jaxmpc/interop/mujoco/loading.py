"""From a file, a text or a model of MuJoCo's to a model that a problem can be made of."""

import copy
import os
from pathlib import Path

from jaxmpc.interop.mujoco.engine import MjModel, mujoco


def load(source: str | os.PathLike | MjModel) -> MjModel:
    """The model of an MJCF file, of an MJCF text, or a copy of a model."""
    if isinstance(source, mujoco.MjModel):
        return _checked(copy.copy(source))
    if not isinstance(source, str | os.PathLike):
        raise TypeError(
            "robot: source must be the path of an MJCF file, its text or a mujoco.MjModel, got "
            f"{type(source).__name__}."
        )
    if isinstance(source, str) and source.lstrip().startswith("<"):
        return _checked(_read(mujoco.MjModel.from_xml_string, source, "the text"))
    path = Path(source).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"robot: there is no file {str(path)!r}.")
    return _checked(_read(mujoco.MjModel.from_xml_path, str(path), str(path)))


def clamps_controls(model: MjModel) -> bool:
    """Whether MuJoCo keeps controls within their ranges."""
    return not model.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_CLAMPCTRL


def for_stepping(model: MjModel) -> MjModel:
    """A copy for a backend, whose steps are functions: nothing is reset or clamped behind them.

    At a bound of a control that MuJoCo clamps half of a derivative is lost; `Robot` keeps controls
    within their ranges instead.
    """
    own = copy.copy(model)
    flags = mujoco.mjtDisableBit
    own.opt.disableflags |= flags.mjDSBL_CLAMPCTRL | flags.mjDSBL_AUTORESET
    return own


def _read(reader, source: str, name: str) -> MjModel:
    try:
        return reader(source)
    except ValueError as error:
        raise ValueError(f"robot: MuJoCo cannot read {name}: {error}") from error


def _checked(model: MjModel) -> MjModel:
    if model.nu == 0:
        raise ValueError(
            "robot: the model has no actuators, so there is nothing to control; its <actuator> "
            "section needs at least one, such as <motor joint='...'/>."
        )
    if model.nv == 0:
        raise ValueError("robot: the model has no joints, so nothing in it can move.")
    full = mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_FULLPHYSICS)
    if full != 1 + model.nq + model.nv + model.na:
        raise NotImplementedError(
            "robot: the model's state is more than positions, velocities and activations (plugins "
            f"or delays: {full - 1} numbers, of which {model.nq + model.nv + model.na} are these)."
        )
    return model
