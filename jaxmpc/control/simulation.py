"""`simulate`: a controller in a closed loop with a plant that need not be its model."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, Int, PyTree

from jaxmpc import keys
from jaxmpc.checks import check_bool, check_function, check_positive, check_state
from jaxmpc.compilation import at_top_level, compiled
from jaxmpc.problem.functions import Split
from jaxmpc.solution import Status


class Controller(Protocol):
    """What `simulate` drives: a `RecedingHorizon`, or anything with these two pure functions.

    What a memory has of `status`, `iterations`, `failures` and `solution`, as a `Plan` has, is
    recorded.
    """

    def init(self, x0: Float[Array, " n"], params: PyTree) -> Any:
        """The memory to begin with: a pytree of arrays of fixed structure."""
        ...

    def step(
        self, x: Float[Array, " n"], plan: Any, params: PyTree
    ) -> tuple[Float[Array, " m"], Any]:
        """The control for a measured state, and the memory after it."""
        ...


class Prediction(NamedTuple):
    """What was planned at each sample: `solution.states` and `controls` of the plan."""

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


Noise = float | ArrayLike | Callable[..., Any] | None


class _Loop(NamedTuple):
    """What closes the loop, and what of it is recorded."""

    controller: Any
    plant: Callable
    params: Any
    cost: Callable | None
    process_noise: Any
    measurement_noise: Any
    predictions: bool

    def params_at(self, t: Int[Array, ""]) -> PyTree:
        return self.params(t) if _is_function(self.params) else self.params

    def cost_of(self, x, u, t, params) -> Float[Array, ""]:
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


def simulate(
    controller: Controller,
    plant: Callable[..., Float[Array, " n"]],
    x0: Float[Array, " n"],
    steps: int,
    params: PyTree | Callable[[Int[Array, ""]], PyTree] = None,
    *,
    key: Array | None = None,
    process_noise: Noise = None,
    measurement_noise: Noise = None,
    delay: int = 0,
    cost: Callable | None = None,
    plan: Any = None,
    predictions: bool = True,
    jit: bool = True,
) -> Simulation:
    """Close the loop: x_{t+1} = plant(x_t, u_t, t) + noise, with u_t from what was measured.

        controller = jaxmpc.RecedingHorizon(problem)
        loop = jaxmpc.simulate(controller, lambda x, u, t: real(x, u), x0, 200, params)

    One `scan`: under `vmap` a batch of loops is one program. Compiles itself when called outside
    of `jit`, once for each plant (the function, not what it returns), controller and `steps`,
    whatever the numbers in them.

    Args:
        controller: a `RecedingHorizon`, or any `control.Controller`.
        plant: (x [n], u [m], t) -> x_next [n], the t of the loop, 0 .. steps-1. It knows its own
            parameters; what it closes over may be differentiated. It need not be JAX if `jit` is
            False.
        x0: [n], where the plant starts.
        steps: the number S of samples.
        params: the controller's; or a function of t that returns them, for references that move
            (see `control.window`). A pytree that can be called, such as a network, is params.
        key: a `jax.random.key`, where there is noise.
        process_noise, measurement_noise: standard deviations, a number or [n], of what is added to
            the next state and to what the controller sees; or functions (key, x, t) -> [n].
        delay: samples until a control acts on the plant; until then those do that the plan has
            pending, or zeros if it has not as many. (What a controller does about a delay is its
            own `delay`.)
        cost: (x, u, t) -> scalar, to be recorded; by default the controller's stage cost, as of
            stage 0.
        plan: the memory of an earlier loop to go on from (t begins at 0 again); None calls `init`.
        predictions: whether to keep all plans: S (T+1) (n+m) numbers.
        jit: False runs the loop in Python: for a plant that is not JAX, or to stop in a debugger.

    Returns:
        A `Simulation`.

    Differentiable (reverse mode, under `jit`) with respect to x0, params, what the plant closes
    over, and all that a solution is differentiable in: the loop's own derivative, through every
    plan.

    Raises:
        TypeError, ValueError: when tracing, naming the argument, what came, what was wanted.
    """
    owner = "jaxmpc.simulate"
    x0 = check_state(x0)
    check_positive(owner, "steps", steps, whole=True)
    for name, value in (("predictions", predictions), ("jit", jit)):
        check_bool(owner, name, value)
    if isinstance(delay, bool) or not isinstance(delay, int) or delay < 0:
        raise ValueError(f"{owner}: delay must be an int, 0 or more; got {delay!r}.")
    for name in ("init", "step"):
        if not hasattr(controller, name) or isinstance(controller, type):
            raise TypeError(
                f"{owner}: controller must have init and step, as a RecedingHorizon has; got "
                f"{controller!r}."
            )
    check_function(owner, "plant", plant, "(x, u, t) -> x")
    if cost is not None:
        check_function(owner, "cost", cost, "(x, u, t) -> scalar")
    data = keys.data_of(owner, key)
    loop = _Loop(
        controller,
        plant,
        params,
        cost,
        _noise_of("process_noise", process_noise, x0, key),
        _noise_of("measurement_noise", measurement_noise, x0, key),
        predictions,
    )
    if not jit:
        return _in_python(loop, x0, steps, data, delay, plan)
    split = Split.of(loop, _is_number)
    function = _compiled if at_top_level() else _simulated
    return function(split, x0, steps, data, delay, plan)


def _is_number(leaf) -> bool:
    """Whether a leaf is traced: another number compiles nothing anew."""
    number = isinstance(leaf, int | float | jax.Array | np.ndarray)
    return number and not isinstance(leaf, bool)


def _is_function(params) -> bool:
    """A function of time, and not params that can be called, such as a network."""
    return callable(params) and jax.tree_util.all_leaves([params])


def _noise_of(name: str, noise: Noise, x0, key) -> Callable | Array | None:
    """A deviation as an array, a function as it is."""
    if noise is None:
        return None
    owner = "jaxmpc.simulate"
    if key is None:
        raise ValueError(f"{owner}: {name} needs key=jax.random.key(...); got none.")
    if callable(noise):
        return noise
    try:
        deviation = jnp.asarray(noise, x0.dtype)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{owner}: {name} must be numbers or a function, got {noise!r}.") from error
    if deviation.shape not in ((), x0.shape):
        raise ValueError(
            f"{owner}: {name} must be a number, [n] = {x0.shape} or a function (key, x, t) "
            f"-> [n]; got shape {deviation.shape}."
        )
    return deviation


def _disturbed(noise, key, x, t):
    if noise is None:
        return x
    key = keys.key_of(key)
    if callable(noise):
        return x + _shaped("noise", noise(key, x, t), x)
    return x + noise * jax.random.normal(key, x.shape, x.dtype)


def _shaped(name: str, value, x: Float[Array, " n"]) -> Float[Array, " n"]:
    """What a function of the caller's returned, as a state; an error if it is none."""
    shape = None if value is None else jnp.shape(value)
    if shape != x.shape:
        raise ValueError(
            f"jaxmpc.simulate: {name} must return a state, of shape {x.shape}; got "
            f"{'None' if shape is None else shape}."
        )
    return jnp.asarray(value, x.dtype)


def _start(loop: _Loop, x0, steps: int, key, delay: int, plan):
    params = loop.params_at(jnp.arange(1)[0])
    plan = loop.controller.init(x0, params) if plan is None else plan
    queue = None
    if delay:  # else nobody needs to know the size of a control before there is one
        queue = getattr(plan, "pending", None)
        if queue is None or len(queue) != delay:
            u = jax.eval_shape(lambda: loop.controller.step(x0, plan, params)[0])
            queue = jnp.zeros_like(x0, shape=(delay, *u.shape))
    return (x0, plan, queue), None if key is None else keys.split(key, (steps, 2))


def _sample(loop: _Loop, carry, inputs):
    """One sample of the loop, and the record of it."""
    x, plan, queue = carry
    t, pair = inputs
    of_process, of_measurement = (None, None) if pair is None else pair
    params = loop.params_at(t)
    seen = _disturbed(loop.measurement_noise, of_measurement, x, t)
    u, plan = loop.controller.step(seen, plan, params)
    acting = u
    if queue is not None:
        acting, queue = queue[0], jnp.concatenate([queue[1:], u[None]])
    after = _shaped("plant", loop.plant(x, acting, t), x)
    after = _disturbed(loop.process_noise, of_process, after, t)
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


def _simulated(split: Split, x0, steps: int, key, delay: int, plan) -> Simulation:
    loop: _Loop = split.whole()
    start, all_keys = _start(loop, x0, steps, key, delay, plan)
    times = jnp.arange(steps)
    (last, plan, _), record = jax.lax.scan(partial(_sample, loop), start, (times, all_keys))
    return _recorded(record, last, plan)


_compiled = compiled(_simulated, lambda *_: "a closed loop", static_argnums=(2, 4))


def _in_python(loop: _Loop, x0, steps: int, key, delay: int, plan) -> Simulation:
    carry, all_keys = _start(loop, x0, steps, key, delay, plan)
    records = []
    for t in range(steps):
        inputs = (jnp.asarray(t), None if all_keys is None else all_keys[t])
        carry, record = _sample(loop, carry, inputs)
        records.append(record)
    record = jax.tree.map(lambda *parts: jnp.stack(parts), *records)
    return _recorded(record, *carry[:2])
