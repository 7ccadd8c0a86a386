"""A controller's step as a program that runs without this package."""

import dataclasses
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from jaxmpc.checks import check_state, check_type
from jaxmpc.compilation import compiler_options
from jaxmpc.control.receding_horizon import RecedingHorizon

PLATFORMS = ("cpu", "cuda", "tpu")


@dataclasses.dataclass(frozen=True, eq=False)
class ExportedController:
    """A control step, serialised, and the plan to begin with.

    Attributes:
        program: StableHLO, as `jax.export` serialises it: (x [n], plan) -> (u [m], plan), or
            (x, plan, params) -> (u, plan) where params may change.
        plan: the first plan, as a list of arrays.
        params: the params' leaves, as a list of arrays; empty where they are part of the program.

    A process that only has JAX runs it:

        saved = numpy.load("controller.npz")
        program = jax.export.deserialize(bytearray(saved["program"]))
        step = jax.jit(program.call, compiler_options=json.loads(str(saved["options"])))
        plan = [saved[f"plan_{i}"] for i in range(saved["sizes"][0])]
        u, plan = step(x, plan)

    with `jax_enable_x64` if it was exported so. The options are those of `compiler_options()`,
    which halve the time of compilation on a CPU; elsewhere leave them out.

    Example:
        >>> import io
        >>> exported = jaxmpc.export(controller, x0, params, platforms=["cpu"])
        >>> file = io.BytesIO()  # or a path
        >>> exported.save(file)
        >>> _ = file.seek(0)
        >>> int(np.load(file)["sizes"][0]) == len(exported.plan)
        True
    """

    program: bytes
    plan: list[np.ndarray]
    params: list[np.ndarray]

    def save(self, path: str | Path | io.IOBase):
        """Write one .npz: program, options, plan_0 .., params_0 .., and how many in sizes."""
        arrays: dict[str, Any] = {f"plan_{i}": leaf for i, leaf in enumerate(self.plan)}
        arrays |= {f"params_{i}": leaf for i, leaf in enumerate(self.params)}
        program = np.frombuffer(self.program, np.uint8)
        arrays |= {"program": program, "options": np.array(json.dumps(compiler_options()))}
        np.savez(path, sizes=np.array([len(self.plan), len(self.params)]), **arrays)


def export(
    controller: RecedingHorizon,
    x0: Float[Array, " n"],
    params: PyTree = None,
    *,
    key: Array | None = None,
    varying_params: bool = False,
    platforms: Sequence[str] = PLATFORMS,
) -> ExportedController:
    """Export `controller.step` with a fixed signature, for machines without this package.

    Args:
        controller: its problem, bounds, solver and params become constants of the program.
        x0: [n], where the plant starts: the first plan begins there. Its dtype is the program's.
        params: the controller's.
        key: for solvers that sample; in the first plan, and so in all that follow.
        varying_params: whether the leaves of params are a third argument of the program.
        platforms: those that the program is for; the machine that exports needs none of them.

    Returns:
        An `ExportedController`; its `save` keeps it.

    Raises:
        TypeError, ValueError: naming the argument, what came, what was wanted.

    Example:
        >>> exported = jaxmpc.export(controller, x0, params, platforms=["cpu"])
        >>> program = jax.export.deserialize(bytearray(exported.program))  # needs JAX alone
        >>> u, plan = program.call(x0, exported.plan)
        >>> round(float(u[0]), 2)
        -1.0
    """
    check_type("jaxmpc.export", "controller", controller, RecedingHorizon)
    x0 = check_state(x0)
    unknown = [name for name in platforms if name not in (*PLATFORMS, "rocm")]
    if unknown or not platforms or isinstance(platforms, str):
        raise ValueError(
            f"jaxmpc.export: platforms must be some of {(*PLATFORMS, 'rocm')}; got {platforms!r}."
        )
    plan = controller.init(x0, params, key=key)
    leaves, structure = jax.tree.flatten(plan)
    given = [jnp.asarray(leaf) for leaf in jax.tree.leaves(params)] if varying_params else []

    def step(x, plan_leaves, *params_leaves):
        known = params
        if params_leaves:
            known = jax.tree.unflatten(jax.tree.structure(params), *params_leaves)
        u, after = controller.step(x, jax.tree.unflatten(structure, plan_leaves), known)
        return u, jax.tree.leaves(after)

    arguments: tuple[Any, ...] = (x0, leaves, *([given] if varying_params else []))
    exported = jax.export.export(jax.jit(step), platforms=tuple(platforms))(*arguments)
    try:
        program = bytes(exported.serialize())
    except ImportError as error:
        raise ImportError(
            "jaxmpc.export needs flatbuffers: pip install 'jaxmpc[deploy]'"
        ) from error
    return ExportedController(
        program=program,
        plan=[np.asarray(leaf) for leaf in leaves],
        params=[np.asarray(leaf) for leaf in given],
    )
