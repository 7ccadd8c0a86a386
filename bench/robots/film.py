"""A robot's motion as an animated picture, rendered without a screen."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image

from bench.kept import FOLDER
from jaxmpc.interop.mujoco.engine import mujoco

_COLORS, _SIZE = 64, (240, 320)  # a file of a hundred kilobytes to a megabyte and a half


def following(body: int, distance: float, elevation: float = -10.0) -> Any:
    """A camera that a body takes along, from the side, or from as far above as told."""
    camera = mujoco.MjvCamera()
    camera.type, camera.trackbodyid = mujoco.mjtCamera.mjCAMERA_TRACKING, body
    camera.distance, camera.azimuth, camera.elevation = distance, 120.0, elevation
    return camera


def film(
    name: str,
    model: Any,
    states: Float[np.ndarray, "k n"],
    dt: float,
    camera: Any,
) -> Path:
    """Written to bench/results: the states in real time, at most 25 pictures a second.

    camera: the name of one of the model's, or one that is `following`.
    `MUJOCO_GL=egl` or `MUJOCO_GL=osmesa` renders where there is no screen.
    """
    data, every = mujoco.MjData(model), max(1, round(0.04 / dt))
    pictures = []
    with mujoco.Renderer(model, *_SIZE) as renderer:
        for state in states[::every]:
            data.qpos[:] = state[: model.nq]
            mujoco.mj_forward(model, data)
            renderer.update_scene(data, camera)
            pictures.append(Image.fromarray(renderer.render()).quantize(_COLORS))
    file = FOLDER / f"robots-{name}.gif"
    pictures[0].save(
        file, save_all=True, append_images=pictures[1:], duration=1000 * dt * every, loop=0
    )
    return file
