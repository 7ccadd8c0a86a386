"""Checks of `solve`'s arguments that need no tracing, and what is added to errors of others."""

import contextlib
import dataclasses
import weakref
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxmpc.checks import check_array, check_positive, check_state, check_type
from jaxmpc.derivatives.adjoint import UnrolledAdjoint
from jaxmpc.problem import Problem
from jaxmpc.solution import Solution, Status
from jaxmpc.solvers.chain import Chain
from jaxmpc.solvers.ilqr import ILQR
from jaxmpc.solvers.loop import Solver, WarmStart, split_solver
from jaxmpc.solvers.sampling.state import Sampler
from jaxmpc.spaces.entries import OFF_SPACE, distance
from jaxmpc.trajectory.constraints import piece_sizes

# Where arguments belong that `solve` does not have.
ELSEWHERE = {field.name: "it belongs to the Problem" for field in dataclasses.fields(Problem)} | {
    field.name: f"it is an option of solvers, as in solver=jaxmpc.ILQR({field.name}=...)"
    for field in dataclasses.fields(ILQR)
}
_SEEN: weakref.WeakSet[Problem] = weakref.WeakSet()  # problems whose dynamics stay on their space


def check_arguments(owner: str, problem, x0, controls, states, warm_start, solver) -> jax.Array:
    """Raise for an argument of the wrong type or shape; return x0 as an array."""
    check_type(owner, "problem", problem, Problem)
    x0 = check_state(x0)
    if solver is not None:
        check_solver(owner, solver)
    if warm_start is not None:
        check_type(owner, "warm_start", warm_start, Solution)
    horizon, m, n = problem.horizon, problem.control_dim, x0.shape[0]
    _check_state_bounds(problem, n)
    _check_state_space(problem, n)
    check_array(owner, "controls", controls, (horizon, m), "[T, m]")
    check_array(owner, "states", states, (horizon + 1, n), "[T+1, n]")
    if warm_start is not None:
        check_array(owner, "warm_start.controls", warm_start.controls, (horizon, m), "[T, m]")
    return x0


def check_solver(owner: str, solver):
    """Raise unless `solver` has what the driver calls."""
    if isinstance(solver, type):
        raise TypeError(
            f"{owner}: solver must be a Solver, such as ILQR(); got the class {solver.__name__}."
        )
    wanted = ("init", "step", "terminate", "postprocess", "max_iterations")
    missing = [name for name in wanted if not hasattr(solver, name)]
    if missing:
        raise TypeError(
            f"{owner}: solver must be a jaxmpc.Solver, such as ILQR(); {type(solver).__name__} has "
            f"no {', '.join(missing)}."
        )
    check_positive(owner, "solver.max_iterations", solver.max_iterations, whole=True)
    try:
        hash(split_solver(solver).static)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{owner}: solver must be hashable, as a frozen dataclass of numbers is, or a pytree, "
            f"as an Equinox module is; {type(solver).__name__} is neither, so that what was "
            "compiled for it could be used for another one."
        ) from error


def _check_state_bounds(problem: Problem, n: int):
    for name, bound in zip(("lower", "upper"), problem.state_bounds or (), strict=False):
        shape = np.shape(bound)  # () for None
        if shape and shape[-1] != n:
            raise ValueError(
                f"Problem: state_bounds ({name}) has shape {shape}; wanted a scalar, [n] = {(n,)} "
                f"or [T, n] = {(problem.horizon, n)}, as x0 has n = {n} entries."
            )


def _check_state_space(problem: Problem, n: int):
    space = problem.state_space
    if space is not None and space.dim != n:
        raise ValueError(
            f"Problem: state_space has dim {space.dim}, {space!r}; wanted {n}, as x0 has entries."
        )


@partial(jax.jit, static_argnums=0)
def _distances(space, points):
    return jax.vmap(partial(distance, space))(points)


def check_on_space(owner: str, problem: Problem, x0, states=None):
    """Raise if states that are given, [..., n], are no points of the state space; not for tracers.

    What is within a thousandth counts as rounding, and is projected.
    """
    space = problem.state_space
    for name, given in (("x0", x0), ("states", states)):
        if space is None or given is None or isinstance(given, Tracer):
            continue
        if isinstance(given, jax.Array) and not given.is_fully_addressable:
            continue  # of other processes
        with jax.ensure_compile_time_eval():  # numbers stay numbers inside of a transformation
            points = jnp.asarray(np.asarray(given)).reshape(-1, space.dim)
            far = np.asarray(_distances(space, points))
        known = np.isfinite(np.asarray(points)).all(axis=1)  # what is not finite has a status
        far = np.where(known, np.where(np.isnan(far), np.inf, far), 0.0)
        worst = int(np.argmax(far))
        if far[worst] > OFF_SPACE:
            off = f"is {far[worst]:.3g} off" if np.isfinite(far[worst]) else "is no point of it"
            point = np.array2string(np.asarray(points)[worst], precision=4, max_line_width=10**6)
            raise ValueError(
                f"{owner}: {name} must be on the state_space {space!r} (quaternions have length "
                f"one); {point} {off}."
            )


def refuse_off_space(owner: str, problem: Problem, solution: Solution):
    """Raise where the dynamics of a problem were found to leave its state space; not for tracers.

    Looked at once a problem: to look is to wait for the numbers.
    """
    status = solution.status
    if problem.state_space is None or isinstance(status, Tracer) or problem in _SEEN:
        return
    if not status.is_fully_addressable:
        return
    if np.any(np.asarray(status) == Status.off_space):
        raise ValueError(
            f"{owner}: {Status.off_space.message} state_space is {problem.state_space!r}."
        )
    _SEEN.add(problem)


def check_warm_start(
    owner: str, problem: Problem, x0, params, warm_start: Solution | WarmStart | None
):
    """Raise unless an earlier solution has as many rows of each constraint as the problem has."""
    if warm_start is None:
        return
    for sizes in piece_sizes(problem, x0, params):
        for name, size in sizes.items():
            came = getattr(warm_start.multipliers, name).shape
            if came[-1] != size:
                raise ValueError(
                    f"{owner}: warm_start.multipliers.{name} must have {size} rows, as the problem "
                    f"has; got shape {came}."
                )


@contextlib.contextmanager
def forward_mode_explained():
    """Adds to JAX's words on `custom_vjp` what to do instead."""
    try:
        yield
    except TypeError as error:
        if "custom_vjp" in str(error):
            error.add_note(
                "jaxmpc: a solution has reverse-mode derivatives, of any order (jax.grad, vjp, "
                "jacrev; a Hessian is jacrev of jacrev). For jax.jvp, jacfwd, linearize and "
                "jax.hessian there is jaxmpc.solution_jvp."
            )
        raise


def refuse_to_unroll(owner: str, adjoint: Any, solver: Solver | None):
    """Raise where the iterations of a solver that samples were to be differentiated."""
    last = solver.solvers[-1] if isinstance(solver, Chain) else solver
    if isinstance(adjoint, UnrolledAdjoint) and isinstance(last, Sampler):
        raise ValueError(
            f"{owner}: adjoint is an UnrolledAdjoint, but {type(last).__name__} samples: its point "
            "has a derivative of zero. Let a solver with derivatives polish it (jaxmpc.Chain)."
        )


def check_batch(x0s, controls, states, warm_start) -> int:
    """The number of elements of a batch, or an error that says what came."""
    shape = np.shape(x0s)
    if len(shape) != 2 or 0 in shape:
        raise ValueError(
            f"jaxmpc.solve_batch: x0s must have shape [B, n], with at least one element; got "
            f"{shape}.{' For one problem use jaxmpc.solve.' if len(shape) == 1 else ''}"
        )
    guesses = {"controls": controls, "states": states, "warm_start": warm_start}
    for name, value in guesses.items():
        _check_leading(name, value, shape[0])
    return shape[0]


def check_params_axes(axes, params, size: int):
    """Raise unless `axes` is a prefix of params made of None and 0, with arrays to match."""

    def below(path, axis, part):
        name = "params" + jax.tree_util.keystr(path)
        if axis is None:
            return
        if isinstance(axis, bool) or axis != 0:
            raise ValueError(
                f"jaxmpc.solve_batch: params_axes must be None or 0, got {axis!r} for {name}."
            )
        _check_leading(name, part, size)

    try:
        jax.tree_util.tree_map_with_path(below, axes, params, is_leaf=lambda axis: axis is None)
    except ValueError as error:
        if str(error).startswith("jaxmpc."):
            raise
        raise ValueError(
            f"jaxmpc.solve_batch: params_axes must be None, 0 or a prefix of params, got {axes!r} "
            f"for params of structure {jax.tree.structure(params)}."
        ) from error


@contextlib.contextmanager
def shared_params_explained(params, size: int):
    """Adds what to do where the elements were meant to have params of their own."""
    try:
        yield
    except (TypeError, ValueError) as error:
        if any(np.shape(leaf)[:1] == (size,) for leaf in jax.tree.leaves(params)):
            error.add_note(
                "jaxmpc.solve_batch: all elements share params, of which some have a leading axis "
                f"of length {size}, as x0s has: params_axes=0 gives each element its own."
            )
        raise


def check_mesh(mesh):
    """Raise unless `mesh` is None or a mesh of devices."""
    if not isinstance(mesh, jax.sharding.Mesh | None):
        raise TypeError(
            f"jaxmpc.solve_batch: mesh must be a jax.sharding.Mesh (see jax.make_mesh), got "
            f"{type(mesh).__name__}."
        )


def _check_leading(name: str, tree, size: int):
    for leaf in jax.tree.leaves(tree):
        if np.shape(leaf)[:1] != (size,):
            raise ValueError(
                f"jaxmpc.solve_batch: {name} must have a leading axis of length {size}, as x0s "
                f"has; got an array of shape {np.shape(leaf)}."
            )
