"""What rolls on the ground, seen from above: car, bicycle, unicycle."""

import numpy as np

from jaxmpc import models
from jaxmpc.plot.animation.actor import Actor, Look, rotated, unwrapped
from jaxmpc.plot.animation.drawing import flat, trace
from jaxmpc.plot.axes import QUIET


def _pose(states, p) -> np.ndarray:
    return unwrapped(states, 2)


def _view_of(length):
    """Limits for a vehicle that reaches that far from its place, a function of the params."""

    def view(axis, pose, p):
        flat(axis, pose[..., 0], pose[..., 1], length(p))
        axis.set(xlabel="x [m]", ylabel="y [m]")

    return view


def _body_of(parts):
    """A vehicle; parts: (pose [q], control [m], params) -> outlines [k, 2] at heading 0.

    The first outline is that of the body and is filled, the others are wheels.
    """

    def body(axis, pose, controls, p, look: Look):
        from matplotlib.patches import Polygon

        inputs = np.zeros((len(pose), 2)) if controls is None else controls
        shapes = []
        for place, _ in enumerate(parts(pose[0], inputs[0], p)):
            face, edge = (QUIET, "black") if place == 0 else ("black", "black")
            paint = {"fc": face, "ec": edge, "lw": 0.8, "alpha": look.alpha, "zorder": 3 + place}
            shapes.append(axis.add_patch(Polygon(np.zeros((3, 2)), closed=True, **paint)))
        path = trace(axis, pose[:, :2], look)

        def draw(frame: int) -> tuple:
            here = pose[frame]
            outlines = parts(here, inputs[frame], p)
            for shape, outline in zip(shapes, outlines, strict=True):
                shape.set_xy(here[:2] + rotated(outline, here[2]))
            return (*shapes, *path(frame))

        return draw

    return body


def _box(x0: float, x1: float, half: float) -> np.ndarray:
    return np.array([[x0, -half], [x1, -half], [x1, half], [x0, half]])


def _wheel(x: float, y: float, length: float, angle: float = 0.0) -> np.ndarray:
    return np.array([x, y]) + rotated(_box(-length / 2, length / 2, length / 6), angle)


def _car(pose, control, p) -> list[np.ndarray]:
    d, steering = float(p["wheelbase"]), control[0]
    places = [(0.0, -0.34, 0.0), (0.0, 0.34, 0.0), (d, -0.34, steering), (d, 0.34, steering)]
    hood = np.array([[-0.22, -0.3], [1.1, -0.3], [1.28, -0.15], [1.28, 0.15], [1.1, 0.3]])
    outline = d * np.concatenate([hood, [[-0.22, 0.3]]])
    return [outline, *(_wheel(x, y * d, 0.3 * d, angle) for x, y, angle in places)]


def _bicycle(pose, control, p) -> list[np.ndarray]:
    length, rear = float(p["wheelbase"]), float(p["rear_length"])
    front = length - rear
    frame = _box(-rear, front, 0.03 * length)
    wheels = [(-rear, 0.0), (front, pose[3])]
    return [frame, *(_wheel(x, 0.0, 0.4 * length, angle) for x, angle in wheels)]


def _unicycle(pose, control, p) -> list[np.ndarray]:
    angles = np.linspace(0, 2 * np.pi, 33)
    disc = 0.16 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    nose = np.array([[0.15, -0.06], [0.3, 0.0], [0.15, 0.06]])
    return [disc, nose, *(_wheel(0.0, y, 0.16) for y in (-0.17, 0.17))]


def _actor(size: int, defaults, length, parts) -> Actor:
    return Actor(size, defaults, _pose, _view_of(length), _body_of(parts))


CAR = _actor(4, models.CAR, lambda p: 1.4 * float(p["wheelbase"]), _car)
BICYCLE = _actor(4, models.BICYCLE, lambda p: 0.9 * float(p["wheelbase"]), _bicycle)
UNICYCLE = _actor(3, models.UNICYCLE, lambda p: 0.4, _unicycle)
