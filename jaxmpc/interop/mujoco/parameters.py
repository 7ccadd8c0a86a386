"""Numbers of a model that a solution can be differentiated in: masses, dampings, gains."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxmpc.interop.mujoco.engine import MjModel

# Fields that both MuJoCo and MJX read at every step. What MuJoCo derives from them when it compiles
# a model, such as the inverse weights that scale contact softness, stays the file's.
KNOWN = (
    "body_mass",
    "body_inertia",
    "body_ipos",
    "body_pos",
    "dof_armature",
    "dof_damping",
    "dof_frictionloss",
    "jnt_stiffness",
    "qpos_spring",
    "geom_friction",
    "actuator_gear",
    "actuator_gainprm",
    "actuator_biasprm",
)
_OF_EITHER_SIGN = {
    "body_ipos",
    "body_pos",
    "qpos_spring",
    "actuator_gear",
    "actuator_gainprm",
    "actuator_biasprm",
}


class Parameters:
    """The chosen fields of a model: as a dict of arrays, and as one vector."""

    def __init__(self, model: MjModel, names: Sequence[str]):
        if isinstance(names, str):
            raise TypeError(f"robot: parameters must be a tuple of names, got the str {names!r}.")
        unknown = sorted(set(names) - set(KNOWN))
        if unknown:
            raise ValueError(f"robot: parameters {unknown} are none of {list(KNOWN)}.")
        self.values = {name: np.array(getattr(model, name), dtype=float) for name in names}
        self._below = _bodies_below(model)
        signs = [np.full(own.size, name in _OF_EITHER_SIGN) for name, own in self.values.items()]
        self._signed = np.concatenate([np.zeros(0, bool), *signs])

    def vector(self, params: Any, dtype: Any) -> Float[Array, " p"]:
        """All chosen fields, one behind the other; the file's own where params is None."""
        if not self.values:
            return jnp.zeros(0, dtype)
        given = self.values if params is None else params
        if not isinstance(given, Mapping) or not set(self.values) <= set(given):
            kind = sorted(given) if isinstance(given, Mapping) else type(given).__name__
            raise ValueError(
                f"dynamics: params must be None or a dict with the robot's parameters "
                f"{sorted(self.values)}, got {kind}."
            )
        parts = []
        for name, own in self.values.items():
            part = jnp.asarray(given[name], dtype)
            if part.shape != own.shape:
                raise ValueError(
                    f"dynamics: params[{name!r}] must have shape {own.shape}, got {part.shape}."
                )
            parts.append(part.ravel())
        return jnp.concatenate(parts)

    def steps(self, vector: Any, epsilon: float) -> tuple[Any, Any]:
        """Ahead and behind for differences, relatively: none to where a parameter has no meaning.

        MuJoCo takes steps of another kind where a damping, say, is negative.
        """
        numpy = np if isinstance(vector, np.ndarray) else jnp
        size = epsilon * numpy.maximum(abs(vector), 1e-2)
        held = ~self._signed & (vector >= 0) & (vector < size)
        return numpy.where(held, 2 * size, size), numpy.where(held, 0 * size, -size)

    def fields(self, vector: Any) -> dict[str, Any]:
        """The vector as the fields of a model again, with the subtrees' masses that follow."""
        fields, start = {}, 0
        for name, own in self.values.items():
            fields[name] = vector[start : start + own.size].reshape(own.shape)
            start += own.size
        if "body_mass" in fields:
            fields["body_subtreemass"] = self._below @ fields["body_mass"]
        return fields


def _bodies_below(model: MjModel) -> np.ndarray:
    """Whether a body (column) is another one (row), or hangs on it."""
    below = np.eye(model.nbody)
    for body in range(model.nbody - 1, 0, -1):
        below[model.body_parentid[body]] += below[body]
    return below
