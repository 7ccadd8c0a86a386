"""`solve_batch`: many problems as one call."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float, PyTree

from jaxmpc.arguments import (
    ELSEWHERE,
    check_arguments,
    check_batch,
    check_mesh,
    check_on_space,
    check_params_axes,
    check_warm_start,
    forward_mode_explained,
    refuse_off_space,
    refuse_to_unroll,
    shared_params_explained,
)
from jaxmpc.batching.chunks import in_chunks, padded, shortened
from jaxmpc.batching.refill import Iteration, run_many
from jaxmpc.checks import check_positive, check_type
from jaxmpc.compilation import at_top_level, compiled
from jaxmpc.derivatives.adjoint import ImplicitAdjoint, UnrolledAdjoint
from jaxmpc.lq.riccati.choice import SEQUENTIAL, choose
from jaxmpc.presentation.keywords import names_its_arguments
from jaxmpc.problem import Problem
from jaxmpc.problem.closures import announced, check_and_hoist, close_over_static
from jaxmpc.problem.functions import Split
from jaxmpc.solution import Solution
from jaxmpc.solvers import keys
from jaxmpc.solvers.guesses import full_guess, guess_of
from jaxmpc.solvers.loop import Driver, Guess, Solver, split_solver, unroll
from jaxmpc.solving import (
    attached,
    default_solver,
)

_CPU_MEMORY = 2**26  # bytes of matrices that a CPU works on at once
_CPU_CHUNKS = (8, 64)
_ACCELERATOR_CHUNK = 4096


class _Element(NamedTuple):
    """What differs between the elements of a batch; leaves [B, ...]."""

    x0: Float[Array, "B n"]
    params: PyTree
    guess: Guess


class _Plan(NamedTuple):
    """How to solve: static."""

    adjoint: ImplicitAdjoint | UnrolledAdjoint
    chunk_size: int
    mesh: Mesh | None


@names_its_arguments("jaxmpc.solve_batch", ELSEWHERE)
def solve_batch(
    problem: Problem,
    x0s: Float[Array, "B n"],
    params: PyTree = None,
    *,
    params_axes: PyTree = None,
    controls: Float[Array, "B T m"] | None = None,
    states: Float[Array, "B T1 n"] | None = None,
    warm_start: Solution | None = None,
    solver: Solver | None = None,
    adjoint: ImplicitAdjoint | UnrolledAdjoint = ImplicitAdjoint(),
    mesh: Mesh | None = None,
    chunk_size: int | None = None,
    key: Array | None = None,
) -> Solution:
    """Solve a problem from many initial states: `vmap` of `solve`, but faster.

    The results and the derivatives are those of `jax.vmap(solve, (None, 0, params_axes))`, to
    rounding. A vectorised loop runs until its slowest element has finished; here only
    `chunk_size` elements are worked on at once, and one that has finished makes room for the
    next, so that the time follows the mean number of iterations.

    Args:
        problem: what to solve; shared by all elements.
        x0s: [B, n], the initial states.
        params: any pytree, passed to the problem's functions.
        params_axes: None if all elements share the params; 0 if their leaves have a leading axis
            of length B; or a pytree of these two, a prefix of params as for `jax.vmap`.
        controls, states, warm_start: guesses as for `solve`, with a leading axis of length B.
        solver, adjoint: as for `solve`.
        mesh: the devices to spread the elements over, all axes of it: each device solves its
            share on its own, without communication until the end. Devices of several processes
            are all right; x0s (and whatever else has a leading axis of B) are then global
            arrays. None: the default device.
        chunk_size: how many elements are worked on at once, on each device. None: on a CPU half
            of all, but from 8 to 64, and fewer where their matrices have over 64 MiB together;
            4096 elsewhere.
        key: as for `solve`; one, of which each element gets its own part.

    Returns:
        A `Solution` with a leading axis of length B on every leaf.

    Differentiable as `solve` is.

    Raises:
        TypeError, ValueError: when tracing, naming the argument, what came, what was wanted.

    Example:
        >>> starts = jnp.array([[1.0, 0.0], [2.0, 0.0]])
        >>> batch = jaxmpc.solve_batch(problem, starts, params)
        >>> batch.controls.shape, bool(batch.converged.all())
        ((2, 10, 1), True)
    """
    size = check_batch(x0s, controls, states, warm_start)
    refuse_to_unroll("jaxmpc.solve_batch", adjoint, solver)
    check_params_axes(params_axes, params, size)
    check_mesh(mesh)
    check_positive("jaxmpc.solve_batch", "chunk_size", chunk_size, whole=True, optional=True)
    blank = [_blank_element(given) for given in (x0s, controls, states, warm_start)]
    x0 = check_arguments("jaxmpc.solve_batch", problem, *blank, solver=solver)
    check_on_space("jaxmpc.solve_batch", problem, x0s, states)
    check_type("jaxmpc.solve_batch", "adjoint", adjoint, ImplicitAdjoint | UnrolledAdjoint)
    solver = solver or default_solver(problem)
    problem, params = close_over_static(problem, params)
    own, shared = _partition(params, params_axes)
    element = eqx.combine(_blank_element(own), shared)
    hoisted = problem
    if not at_top_level():
        with shared_params_explained(shared, size):
            hoisted = check_and_hoist(problem, x0, element)
        check_warm_start("jaxmpc.solve_batch", hoisted, x0, element, blank[3])
    platform = _platform(mesh)
    chunk_size = chunk_size or default_chunk(problem, x0, size, platform)
    sizes = (problem.horizon, x0.shape[0], problem.control_dim, chunk_size)
    decided = partial(_decided, sizes=sizes, platform=platform)
    plan = _Plan(decided(adjoint), chunk_size, mesh)
    shape = (size, problem.horizon, problem.control_dim)
    # Zeros for the devices of several processes would have to be made by all of them.
    data = keys.data_of("jaxmpc.solve_batch", key)
    data = None if data is None else keys.split(data, size)
    guess = guess_of(None if mesh else shape, x0.dtype, controls, states, warm_start, data)
    elements = _Element(jnp.asarray(x0s), own, guess)
    function = _compiled if hoisted is problem else _solve_batch
    with forward_mode_explained():
        solution = function(plan, split_solver(decided(solver)), hoisted, shared, elements)
    refuse_off_space("jaxmpc.solve_batch", problem, solution)
    return solution


def _decided(configuration: Any, sizes: tuple[int, int, int, int], platform: str) -> Any:
    """`riccati="auto"` decided for as many elements as are worked on at once, and where."""
    if getattr(configuration, "riccati", None) != "auto":
        return configuration
    sequential = choose("auto", *sizes, platform=platform) == SEQUENTIAL
    riccati = "sequential" if sequential else "parallel"
    return dataclasses.replace(configuration, riccati=riccati)


def _blank_element(batched: PyTree) -> PyTree:
    """An element of the right shapes. (To take the first would move data between devices.)"""
    return jax.tree.map(lambda leaf: jnp.zeros(jnp.shape(leaf)[1:], jnp.result_type(leaf)), batched)


def _partition(params: PyTree, axes: PyTree) -> tuple[PyTree, PyTree]:
    """The params that each element has for itself, and those that all share."""

    def below(axis, part):
        return jax.tree.map(lambda _: axis is not None, part)

    mask = jax.tree.map(below, axes, params, is_leaf=lambda axis: axis is None)
    return eqx.partition(params, mask)


def _platform(mesh: Mesh | None) -> str:
    return jax.default_backend() if mesh is None else mesh.devices.flat[0].platform


def default_chunk(problem: Problem, x0, batch: int, platform: str) -> int:
    """Many enough to share the searches of an iteration, few enough to be refilled."""
    if platform != "cpu":
        return _ACCELERATOR_CHUNK
    size = x0.shape[0] + problem.control_dim
    matrices = 2 * problem.horizon * size**2 * x0.dtype.itemsize
    smallest, largest = _CPU_CHUNKS
    return max(smallest, min(largest, batch // 2, _CPU_MEMORY // matrices))


def _solve_batch(
    plan: _Plan, split: Split, problem: Problem, shared, elements: _Element
) -> Solution:
    if plan.mesh is None:
        return _on_a_device(plan, split, problem, shared, elements)
    mesh, axes, size = plan.mesh, plan.mesh.axis_names, elements.x0.shape[0]
    spread, everywhere = PartitionSpec(axes), PartitionSpec()
    even = padded(elements, -size % mesh.size)  # all devices have as many

    def share(all_share, elements):
        # Each device has a derivative of its own in what all of them share; they are added up
        # at the very end.
        split, problem, shared = jax.tree.map(
            lambda leaf: jax.lax.pcast(leaf, axes, to="varying"), all_share
        )
        return _on_a_device(plan, split, problem, shared, elements)

    solve = jax.shard_map(share, mesh=mesh, in_specs=(everywhere, spread), out_specs=spread)
    solution = solve(jax.tree.map(jnp.asarray, (split, problem, shared)), even)
    return shortened(solution, size)


def _announced(_, split: Split, problem: Problem, shared, elements: _Element) -> str:
    element = _blank_element(elements)
    params = eqx.combine(element.params, shared)
    with shared_params_explained(shared, elements.x0.shape[0]):
        words = announced("a batch of solves", problem, element.x0, params)
    owner = "jaxmpc.solve_batch"
    check_warm_start(owner, problem, element.x0, params, element.guess.warm)
    return words


_compiled = compiled(_solve_batch, _announced, static_argnums=0)


def _on_a_device(
    plan: _Plan, split: Split, problem: Problem, shared, elements: _Element
) -> Solution:
    solver = jax.lax.stop_gradient(split).whole()

    def instance(problem, shared, element: _Element) -> tuple:
        params = eqx.combine(element.params, shared)
        return problem, element.x0, params, full_guess(problem, element.x0, element.guess)

    adjoint = plan.adjoint
    if isinstance(adjoint, UnrolledAdjoint):
        length = adjoint.iterations

        def unrolled(element):
            problem_, x0, params, guess = instance(problem, shared, element)
            return unroll(solver, problem_, x0, params, guess, length)

        return in_chunks(unrolled, elements, plan.chunk_size)
    given = partial(instance, *jax.lax.stop_gradient((problem, shared)))
    # What stands for constraints that there are none of is not carried along.
    iteration = iteration_of(solver, given)
    solutions, _ = run_many(iteration, jax.lax.stop_gradient(elements), plan.chunk_size)

    def differentiated(element_and_solution):
        element, solution = element_and_solution
        solution = solution.expanded(problem)
        whole = attached(adjoint, instance(problem, shared, element)[:3], solution)
        return whole.compact(problem)

    solutions = in_chunks(differentiated, (elements, solutions), plan.chunk_size)
    return jax.vmap(lambda solution: solution.expanded(problem))(solutions)


def iteration_of(solver: Solver, instance: Callable) -> Iteration:
    """A driven solver for elements, of which `instance` makes (problem, x0, params, guess)."""
    driver = Driver(solver, solver.max_iterations)

    def step(element, progress):
        problem, _, params, _ = instance(element)
        return driver.step(problem, params, progress)

    def postprocess(element, progress):
        problem, _, params, _ = instance(element)
        return driver.postprocess(problem, params, progress)

    return Iteration(
        init=lambda element: driver.init(*instance(element)),
        step=step,
        terminate=driver.terminate,
        postprocess=postprocess,
    )
