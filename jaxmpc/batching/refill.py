"""Many iterations side by side on few lanes: one that has finished makes room for the next.

A vectorised loop runs until its slowest element is done. Here the work follows the mean number
of iterations instead: `lanes` elements are stepped at once, and whenever enough of them have
finished their results are stored and waiting elements take their places.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PyTree

from jaxmpc import trees

# One in so many lanes may stand idle before they are refilled: refilling costs a start of all
# lanes, idling an iteration of the idle ones.
_IDLE = 8
# Elements of an inner loop that are worked on at once: what a core's cache holds, or a device.
_LANES, _LANES_ELSEWHERE = {"cpu": 16}, 4096

RUNNING = -1  # what `terminate` says until there is nothing left to do


class Iteration(NamedTuple):
    """What is iterated for an element: pure functions of its data and of a state pytree."""

    init: Callable  # element -> state
    step: Callable  # element, state -> state
    terminate: Callable  # state -> int, RUNNING (-1) until it has ended
    postprocess: Callable  # element, state -> result


class _Lanes(NamedTuple):
    """What each lane works on: the number of an element, or the number of elements for none."""

    owner: Int[Array, " lanes"]
    element: PyTree  # the data of the owner
    state: PyTree


class _Queue(NamedTuple):
    """The lanes, the first element that still waits, the results, and the work done."""

    lanes: _Lanes
    waiting: Int[Array, ""]
    results: dict[str, Array]  # packed
    steps: Int[Array, ""]


def refilled(alone: Iteration, together: Iteration) -> Callable[[PyTree], PyTree]:
    """The iteration as a function of one element that, under `vmap`, does not wait for others.

    Args:
        alone: the iteration of a single element.
        together: that of the elements of a batch, which `run_many` then runs.
    """

    @jax.custom_batching.custom_vmap
    def run(element):
        state = jax.lax.while_loop(
            lambda state: alone.terminate(state) == RUNNING,
            partial(alone.step, element),
            alone.init(element),
        )
        return alone.postprocess(element, state)

    @run.def_vmap
    def run_batch(size, batched, element):
        own, shared = eqx.partition(element, batched[0])
        iteration = Iteration(
            init=lambda own: together.init(eqx.combine(own, shared)),
            step=lambda own, state: together.step(eqx.combine(own, shared), state),
            terminate=together.terminate,
            postprocess=lambda own, state: together.postprocess(eqx.combine(own, shared), state),
        )
        lanes = _LANES.get(jax.default_backend(), _LANES_ELSEWHERE)
        results, _ = run_many(iteration, own, lanes)
        return results, jax.tree.map(lambda _: True, results)

    return run


def run_many(iteration: Iteration, elements: PyTree, lanes: int) -> tuple[PyTree, Int[Array, ""]]:
    """Iterate for each element until it has ended.

    Args:
        iteration: the four functions.
        elements: leaves [N, ...].
        lanes: how many elements are stepped at once.

    Returns:
        The results, leaves [N, ...], and how often the lanes were stepped: the useful part of
        lanes * steps is the sum of the elements' own.
    """
    size = jax.tree.leaves(elements)[0].shape[0]
    lanes = min(lanes, size)
    init, step, terminate, postprocess = iteration
    one = jax.tree.map(lambda leaf: leaf[0], elements)
    first_state = jax.eval_shape(init, one)
    result = jax.eval_shape(postprocess, one, first_state)
    waiting_room = trees.packed(elements)

    def taken(index):
        return trees.unpacked(jax.tree.map(lambda rows: rows[index], waiting_room), one)

    def running(state):
        return terminate(state) == RUNNING

    def advance(element, state):
        new = step(element, state)
        going = running(state)
        return trees.where(going, new, state)

    def idle(owner, state):
        return ~jax.vmap(running)(state) | (owner >= size)

    def refill(queue: _Queue) -> _Queue:
        owner, element, state = queue.lanes
        free = idle(owner, state)
        done = trees.packed(jax.vmap(postprocess)(element, state))
        place = jnp.where(free, owner, size)  # `size` is outside, and dropped
        results = jax.tree.map(
            lambda kept, new: kept.at[place].set(new, mode="drop"), queue.results, done
        )
        number = jnp.cumsum(free, dtype=owner.dtype)
        owner = jnp.where(free, jnp.minimum(queue.waiting + number - 1, size), owner)
        element = taken(jnp.minimum(owner, size - 1))
        state = trees.where(free, jax.vmap(init)(element), state)
        waiting = jnp.minimum(queue.waiting + number[-1], size)
        return queue._replace(lanes=_Lanes(owner, element, state), waiting=waiting, results=results)

    def work(queue: _Queue) -> _Queue:
        owner, element, _ = queue.lanes
        many = queue.waiting < size

        def going(carry):
            free = jnp.sum(idle(owner, carry[0]))
            return (free < lanes) & ~(many & (free >= -(-lanes // _IDLE)))

        def forward(carry):
            state, steps = carry
            return jax.vmap(advance)(element, state), steps + 1

        state, steps = jax.lax.while_loop(going, forward, (queue.lanes.state, queue.steps))
        return queue._replace(lanes=queue.lanes._replace(state=state), steps=steps)

    queue = jax.lax.while_loop(
        lambda queue: (queue.waiting < size) | jnp.any(queue.lanes.owner < size),
        lambda queue: refill(work(queue)),
        _empty(taken(jnp.zeros(lanes, jnp.int32)), first_state, result, size),
    )
    return trees.unpacked(queue.results, result), queue.steps


def _empty(element: PyTree, state: PyTree, result: PyTree, size: int) -> _Queue:
    """Lanes without owners, and room for the results; of the shapes of one state and result."""
    like = jax.tree.leaves(element)[0]
    lanes = like.shape[0]

    def blank(shape: jax.ShapeDtypeStruct, number: int):
        return jnp.zeros_like(like, shape=(number, *shape.shape), dtype=shape.dtype)

    count = jnp.zeros_like(like, shape=(), dtype=jnp.int32)
    nobody = jnp.full_like(like, size, shape=(lanes,), dtype=jnp.int32)
    return _Queue(
        lanes=_Lanes(nobody, element, jax.tree.map(lambda s: blank(s, lanes), state)),
        waiting=count,
        results=trees.packed(jax.tree.map(lambda s: blank(s, size), result)),
        steps=count,
    )
