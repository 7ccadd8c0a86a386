"""The samples of a closed loop, one after the other, and the record of them."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxmpc.solution import Status
from jaxmpc.solvers import keys
from jaxmpc.spaces.space import Space


class Prediction(NamedTuple):
    """What was planned at each sample: `solution.states` and `controls` of the plan.

    Example:
        >>> loop = jaxmpc.simulate(controller, plant, x0, 5, params)
        >>> loop.predictions.states.shape, loop.predictions.controls.shape
        ((5, 11, 2), (5, 10, 1))
    """

    states: Float[Array, "S T1 n"]
    controls: Float[Array, "S T m"]


class Simulation(NamedTuple):
    """A closed loop over S samples.

    Attributes:
        states: [S+1, n], the plant's own.
        controls: [S, m], as computed at each sample.
        costs: [S], of each sample; zeros where nobody knows a cost.
        statuses: [S] int32, of the solve at each sample, a `Status`.
        iterations: [S] int32, of each solve.
        failures: [S] int32, how many plans in a row could not be relied on; zero where the
            control is that of a new plan.
        measured: [S, n], what the controller saw.
        predictions: the plans, or None where they were not asked for.
        plan: the controller's memory at the end; a further `simulate` goes on from it.

    Example:
        >>> loop = jaxmpc.simulate(controller, plant, x0, 5, params)
        >>> loop.states.shape, loop.controls.shape, int(loop.failures.sum())
        ((6, 2), (5, 1), 0)
        >>> bool(loop.converged.all())
        True
    """

    states: Float[Array, "S1 n"]
    controls: Float[Array, "S m"]
    costs: Float[Array, " S"]
    statuses: Int[Array, " S"]
    iterations: Int[Array, " S"]
    failures: Int[Array, " S"]
    measured: Float[Array, "S n"]
    predictions: Prediction | None
    plan: Any

    @property
    def converged(self) -> Bool[Array, " S"]:
        """Which solves converged."""
        return self.statuses == Status.converged


class Loop(NamedTuple):
    """What closes the loop, and what of it is recorded."""

    controller: Any
    plant: Callable
    params: Any
    cost: Callable | None
    process_noise: Any
    measurement_noise: Any
    predictions: bool

    def params_at(self, t: Int[Array, ""]) -> PyTree:
        """The controller's params at a sample."""
        return self.params(t) if _is_function(self.params) else self.params

    def cost_of(self, x, u, t, params) -> Float[Array, ""]:
        """What a sample costs."""
        if self.cost is not None:
            cost = jnp.asarray(self.cost(x, u, t), x.dtype)
            if cost.shape != ():
                raise ValueError(
                    f"jaxmpc.simulate: cost must return a scalar, got shape {cost.shape}."
                )
            return cost
        problem = getattr(self.controller, "problem", None)
        if problem is None:
            return jnp.zeros_like(x[0])
        return problem.stage_cost(x, u, jnp.zeros_like(t), params)


def _is_function(params) -> bool:
    """A function of time, and not params that can be called, such as a network."""
    return callable(params) and jax.tree_util.all_leaves([params])


def space_of(controller, x0: Float[Array, " n"]) -> Space | None:
    """That of the controller's states, if the plant has as many."""
    space = getattr(getattr(controller, "problem", None), "state_space", None)
    return space if space is not None and space.dim == x0.shape[0] else None


def _disturbed(space: Space | None, noise, key, x, t):
    if noise is None:
        return x
    key, k = keys.key_of(key), x.shape[0] if space is None else space.tangent_dim
    if callable(noise):
        what = "a state" if space is None else "a step"
        step = _shaped("noise", what, noise(key, x, t), (k,), x.dtype)
    else:
        step = noise * jax.random.normal(key, (k,), x.dtype)
    return x + step if space is None else space.retract(x, step)


def _shaped(name: str, what: str, value, wanted: tuple, dtype) -> Float[Array, " n"]:
    """What a function of the caller's returned, as an array; an error if it is none."""
    shape = None if value is None else jnp.shape(value)
    if shape != wanted:
        raise ValueError(
            f"jaxmpc.simulate: {name} must return {what}, of shape {wanted}; got "
            f"{'None' if shape is None else shape}."
        )
    return jnp.asarray(value, dtype)


def _start(loop: Loop, x0, steps: int, key, delay: int, plan):
    params = loop.params_at(jnp.arange(1)[0])
    plan = loop.controller.init(x0, params) if plan is None else plan
    queue = None
    if delay:  # else nobody needs to know the size of a control before there is one
        queue = getattr(plan, "pending", None)
        if queue is None or len(queue) != delay:
            u = jax.eval_shape(lambda: loop.controller.step(x0, plan, params)[0])
            queue = jnp.zeros_like(x0, shape=(delay, *u.shape))
    return (x0, plan, queue), None if key is None else keys.split(key, (steps, 2))


def _sample(loop: Loop, carry, inputs):
    """One sample of the loop, and the record of it."""
    x, plan, queue = carry
    t, pair = inputs
    of_process, of_measurement = (None, None) if pair is None else pair
    params = loop.params_at(t)
    space = space_of(loop.controller, x)
    seen = _disturbed(space, loop.measurement_noise, of_measurement, x, t)
    u, plan = loop.controller.step(seen, plan, params)
    acting = u
    if queue is not None:
        acting, queue = queue[0], jnp.concatenate([queue[1:], u[None]])
    after = _shaped("plant", "a state", loop.plant(x, acting, t), x.shape, x.dtype)
    after = _disturbed(space, loop.process_noise, of_process, after, t)
    none = jnp.zeros_like(t, dtype=jnp.int32)
    kept = None
    if loop.predictions and hasattr(plan, "solution"):
        kept = Prediction(plan.solution.states, plan.solution.controls)
    record = Simulation(
        states=x,
        controls=u,
        costs=loop.cost_of(x, u, t, params),
        statuses=getattr(plan, "status", none),
        iterations=getattr(plan, "iterations", none),
        failures=getattr(plan, "failures", none),
        measured=seen,
        predictions=kept,
        plan=None,
    )
    return (after, plan, queue), record


def _recorded(record: Simulation, last, plan) -> Simulation:
    states = jnp.concatenate([record.states, last[None]])
    return record._replace(states=states, plan=plan)


def scanned(loop: Loop, x0, steps: int, key, delay: int, plan) -> Simulation:
    """The samples as one `scan`."""
    start, all_keys = _start(loop, x0, steps, key, delay, plan)
    times = jnp.arange(steps)
    (last, plan, _), record = jax.lax.scan(partial(_sample, loop), start, (times, all_keys))
    return _recorded(record, last, plan)


def in_python(loop: Loop, x0, steps: int, key, delay: int, plan) -> Simulation:
    """The samples one by one: nothing but the controller is traced."""
    carry, all_keys = _start(loop, x0, steps, key, delay, plan)
    records = []
    for t in range(steps):
        inputs = (jnp.asarray(t), None if all_keys is None else all_keys[t])
        carry, record = _sample(loop, carry, inputs)
        records.append(record)
    record = jax.tree.map(lambda *parts: jnp.stack(parts), *records)
    return _recorded(record, *carry[:2])
