"""A robot of MuJoCo's as what a problem is made of."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxmpc.checks import check_positive
from jaxmpc.interop.mujoco import backends, joints, kinematics
from jaxmpc.interop.mujoco.distances import distance_of, sizes
from jaxmpc.interop.mujoco.engine import MjModel, mujoco
from jaxmpc.interop.mujoco.loading import clamps_controls, for_stepping, load
from jaxmpc.interop.mujoco.parameters import Parameters
from jaxmpc.spaces import Space

Measure = Callable[..., Array]  # of (x, params=None)


@dataclasses.dataclass(frozen=True, eq=False)
class Robot:
    """What `robot` makes: x = [qpos, qvel, act] in MuJoCo's order and units.

    Attributes:
        model: MuJoCo's.
        dt: the time of one step of `dynamics` [s]: the model's time step times `substeps`.
        state_space: for `Problem`; None where x is plain numbers.
        control_bounds: of the actuators, or None.
        state_bounds: of hinges, slides and activations, or None.
        x0: the keyframe, or the reference pose at rest [n].
        params: the chosen parameters with the file's values.

    Example:
        >>> from jaxmpc.interop import mujoco
        >>> pendulum = '''
        ...     <mujoco><worldbody><body>
        ...       <joint name="hinge" axis="0 1 0"/><geom size="0.1" pos="0 0 -0.5"/>
        ...       <site name="tip" pos="0 0 -0.5"/>
        ...     </body></worldbody><actuator><motor joint="hinge"/></actuator></mujoco>'''
        >>> r = mujoco.robot(pendulum, backend="c")
        >>> r.control_dim, r.x0.shape, r.dt
        (1, (2,), 0.002)
        >>> print(r.site("tip")(r.x0))
        [ 0.   0.  -0.5]
    """

    model: MjModel
    dt: float
    state_space: Space | None
    control_bounds: tuple[Array, Array] | None
    state_bounds: tuple[Array, Array] | None
    x0: Float[Array, " n"]
    params: dict[str, Array]
    _backend: backends.Backend
    _parameters: Parameters

    @property
    def control_dim(self) -> int:
        """How many actuators there are."""
        return self.model.nu

    def dynamics(
        self, x: Float[Array, " n"], u: Float[Array, " m"], t: Any = None, params: PyTree = None
    ) -> Float[Array, " n"]:
        """The state after `dt` under the control u; differentiable in x, u and params."""
        x, u = _floating("dynamics", "x", x), _floating("dynamics", "u", u)
        self._check("dynamics", x)
        if jnp.shape(u) != (self.model.nu,):
            raise ValueError(
                f"dynamics: u must have shape ({self.model.nu},), a number for each actuator, got "
                f"{jnp.shape(u)}."
            )
        return self._backend.step(x, self._within(u), self._parameters.vector(params, x.dtype))

    def site(self, name: str) -> Measure:
        """position(x, params=None): of a site in the world [3]."""
        number = self._number(mujoco.mjtObj.mjOBJ_SITE, name)
        body, at = self.model.site_bodyid[number], self.model.site_pos[number]
        return self._of_pose(lambda *where: kinematics.fixed_on(self._pose(body, *where), at)[0])

    def body(self, name: str) -> Measure:
        """pose(x, params=None): of a body's frame, position and quaternion [7]."""
        number = self._number(mujoco.mjtObj.mjOBJ_BODY, name)
        return self._of_pose(lambda *where: jnp.concatenate(self._pose(number, *where)))

    def center_of_mass(self, body: str = "world") -> Measure:
        """position(x, params=None): of a body with all that hangs on it [3]."""
        root = self._number(mujoco.mjtObj.mjOBJ_BODY, body)
        return self._of_pose(
            lambda qpos, fields: kinematics.center_of_mass(self.model, root, qpos, fields)
        )

    def distance(self, geom: str, other: str) -> Measure:
        """gap(x, params=None): signed, between the surfaces of two geoms [m]."""
        model = self.model
        pair = [self._number(mujoco.mjtObj.mjOBJ_GEOM, name) for name in (geom, other)]
        formula, swapped = distance_of(*(int(model.geom_type[i]) for i in pair))
        pair = pair[::-1] if swapped else pair

        def gap(*where):
            shapes = []
            for i in pair:
                pose = self._pose(model.geom_bodyid[i], *where)
                pose = kinematics.fixed_on(pose, model.geom_pos[i], model.geom_quat[i])
                shapes.append((sizes(model, i), pose))
            return formula(*shapes)

        return self._of_pose(gap)

    def sensor(self, name: str) -> Callable[..., Array]:
        """reading(x, u, params=None): what a sensor of the model says, by the backend."""
        number = self._number(mujoco.mjtObj.mjOBJ_SENSOR, name)
        start = self.model.sensor_adr[number]
        end = start + self.model.sensor_dim[number]

        def reading(x, u, params=None):
            x, u = _floating(f"sensor {name!r}", "x", x), _floating(f"sensor {name!r}", "u", u)
            self._check(f"sensor {name!r}", x)
            theta = self._parameters.vector(params, x.dtype)
            return self._backend.sense(x, self._within(u), theta)[start:end]

        return reading

    def _pose(self, body, qpos, fields) -> kinematics.Pose:
        return kinematics.body_pose(self.model, int(body), qpos, fields)

    def _of_pose(self, function: Callable) -> Measure:
        def measure(x, params=None):
            x = _floating("a place", "x", x)
            self._check("x", x)
            fields = self._parameters.fields(self._parameters.vector(params, x.dtype))
            return function(x[: self.model.nq], fields)

        return measure

    def _within(self, u):
        """As MuJoCo clamps it, but with the whole derivative at a bound, where plans often are."""
        if self.control_bounds is None or not clamps_controls(self.model):
            return u
        low, high = (bound.astype(u.dtype) for bound in self.control_bounds)
        return jnp.where((u < low) | (u > high), jnp.clip(u, low, high), u)

    def _number(self, kind, name: str) -> int:
        number = mujoco.mj_name2id(self.model, kind, name)
        if number < 0:
            kind_name = kind.name.removeprefix("mjOBJ_").lower()
            known = getattr(self.model, f"n{kind_name}")
            names = [mujoco.mj_id2name(self.model, kind, i) for i in range(known)]
            named = [found for found in names if found]
            raise ValueError(f"robot: there is no {kind_name} {name!r}; the model names {named}.")
        return number

    def _check(self, owner: str, x):
        sizes = {"qpos": self.model.nq, "qvel": self.model.nv, "act": self.model.na}
        if jnp.shape(x) != (sum(sizes.values()),):
            parts = ", ".join(f"{name} ({size})" for name, size in sizes.items() if size)
            raise ValueError(
                f"{owner}: the state must have shape ({sum(sizes.values())},), [{parts}], got "
                f"{jnp.shape(x)}."
            )


def _floating(owner: str, name: str, value) -> Array:
    value = jnp.asarray(value)
    if not jnp.issubdtype(value.dtype, jnp.floating):
        raise TypeError(f"{owner}: {name} must be floating point, got {value.dtype}.")
    return value


def robot(
    source: str | os.PathLike | MjModel,
    backend: str = "mjx",
    substeps: int = 1,
    parameters: Sequence[str] = (),
    keyframe: str | None = None,
) -> Robot:
    """A robot from an MJCF file, an MJCF text or a `mujoco.MjModel`.

        r = jaxmpc.interop.mujoco.robot("arm.xml", substeps=2)
        problem = jaxmpc.Problem(
            r.dynamics, cost, horizon=50, control_dim=r.control_dim,
            control_bounds=r.control_bounds, state_space=r.state_space,
        )

    Args:
        source: the file's path, its text or the model, of which a copy is made.
        backend: "mjx", MuJoCo in JAX: compiles for a while, runs anywhere, has derivatives of any
            order. "c", MuJoCo itself on the CPU by a callback: exact, all of its contacts, nothing
            to compile. Its first derivatives are differences, right to some 1e-9, its second ones
            differences of these, right to some 1e-5 and slow: use `hessian="gauss_newton"` in the
            solver, a tolerance of 1e-5, and the exact adjoint. "warp" (`pip install
            'jaxmpc[warp]'`), MuJoCo Warp in float32, for thousands of states at once on a GPU; its
            Jacobians are those of "c".
        substeps: steps of the model in one of `dynamics`, under the same control.
        parameters: fields of the model, such as "body_mass", that `params` holds: a dict with
            these names, of arrays in the model's shapes. Constants that MuJoCo derives from them
            when it reads a file, such as those that scale how soft contacts are, stay the file's.
        keyframe: the name of the keyframe that becomes `x0`.

    Returns:
        A `Robot`.

    Raises:
        ValueError, TypeError, FileNotFoundError, NotImplementedError: with what is missing.

    Sources: Todorov, Erez and Tassa (2012), 'MuJoCo: a physics engine for model-based control';
    derivatives in steps as in `jaxmpc.spaces`.

    Example:
        >>> from jaxmpc.interop import mujoco
        >>> pendulum = '''
        ...     <mujoco><worldbody><body>
        ...       <joint name="hinge" axis="0 1 0"/><geom size="0.1" pos="0 0 -0.5"/>
        ...     </body></worldbody><actuator><motor joint="hinge"/></actuator></mujoco>'''
        >>> r = mujoco.robot(pendulum, backend="c", substeps=5)
        >>> x = r.dynamics(r.x0, jnp.array([1.0]))  # [qpos, qvel] after r.dt
        >>> r.dt, x.shape, bool(x[1] > 0)
        (0.01, (2,), True)
    """
    model = load(source)
    check_positive("robot", "substeps", substeps, whole=True)
    chosen = Parameters(model, parameters)
    return Robot(
        model=model,
        dt=float(model.opt.timestep * substeps),
        state_space=joints.state_space(model),
        control_bounds=joints.control_bounds(model),
        state_bounds=joints.state_bounds(model),
        x0=joints.initial_state(model, keyframe),
        params={name: jnp.asarray(value) for name, value in chosen.values.items()},
        _backend=backends.make(backend, for_stepping(model), substeps, chosen),
        _parameters=chosen,
    )
