"""The names, with units, of what the models' states and controls are."""

from collections.abc import Callable

from jaxmpc import models

_PENDULUM = ["cos angle", "sin angle", "rate [rad/s]", "torque [N m]"]
_PLANE = ["x [m]", "y [m]", "heading [rad]"]
_XYZ = ("x", "y", "z")


def _each(name: str, unit: str, axes=_XYZ) -> list[str]:
    return [f"{name} {axis} [{unit}]" for axis in axes]


_LABELS: dict[Callable, list[str]] = {
    models.pendulum: _PENDULUM,
    models.pendulum_complex: _PENDULUM,
    models.cartpole: [
        "position [m]",
        "velocity [m/s]",
        "cos angle",
        "sin angle",
        "rate [rad/s]",
        "force [N]",
    ],
    models.cartpole_acados: [
        "position [m]",
        "angle [rad]",
        "velocity [m/s]",
        "rate [rad/s]",
        "force [N]",
    ],
    models.acrobot: [
        "angle 1 [rad]",
        "angle 2 [rad]",
        "rate 1 [rad/s]",
        "rate 2 [rad/s]",
        "torque [N m]",
    ],
    models.car: [*_PLANE, "speed [m/s]", "steering [rad]", "acceleration [m/s²]"],
    models.bicycle: [*_PLANE, "steering [rad]", "speed [m/s]", "steering rate [rad/s]"],
    models.unicycle: [*_PLANE, "speed [m/s]", "turn rate [rad/s]"],
    models.planar_quadrotor: [
        "y [m]",
        "z [m]",
        "tilt [rad]",
        *_each("velocity", "m/s", ("y", "z")),
        "tilt rate [rad/s]",
        "thrust 1 [N]",
        "thrust 2 [N]",
    ],
    models.quadrotor: [
        *_each("position", "m"),
        *(f"quaternion {entry}" for entry in "wxyz"),
        *_each("velocity", "m/s"),
        *_each("body rate", "rad/s"),
        *(f"thrust {rotor} [N]" for rotor in (1, 2, 3, 4)),
    ],
}


def labels(model: Callable, n: int | None = None) -> list[str]:
    """The names of the states of a model, then of its controls, with units.

    Args:
        model: a function of `jaxmpc.models`.
        n: the number of states, of `models.chain` alone: it may have any number of masses.

    Returns:
        n + m names. Where a state space draws a quaternion as three angles, the plots put their
        names in the place of its four.

    Raises:
        ValueError: for another function, with the names of those that are known; for a chain
            without n.

    Example:
        >>> jaxmpc.plot.labels(jaxmpc.models.pendulum)[2:]
        ['rate [rad/s]', 'torque [N m]']
    """
    if model is models.chain:
        return _of_chain(n)
    if model not in _LABELS:
        name = getattr(model, "__name__", repr(model))
        known = ", ".join([*(known.__name__ for known in _LABELS), "chain"])
        raise ValueError(f"plot.labels: model must be one of jaxmpc.models: {known}; got {name}.")
    return list(_LABELS[model])


def _of_chain(n: int | None) -> list[str]:
    masses, remainder = (0, 1) if n is None else divmod(n - 3, 6)
    if remainder or masses < 1:
        raise ValueError(
            f"plot.labels: a chain has n = 6 M + 3 states, M >= 1 free masses; give n, got {n}."
        )
    joints = [f"{axis}{i} [m]" for i in range(1, masses + 2) for axis in _XYZ]
    rates = [f"v{axis}{i} [m/s]" for i in range(1, masses + 1) for axis in _XYZ]
    return [*joints, *rates, *_each("end velocity", "m/s")]
