"""`simulate`: a controller in a closed loop with a plant that need not be its model."""

from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, PyTree

from jaxmpc.checks import check_bool, check_function, check_positive, check_state
from jaxmpc.compilation import at_top_level, compiled
from jaxmpc.control.closed_loop import Loop, Simulation, in_python, scanned, space_of
from jaxmpc.problem.functions import Split
from jaxmpc.solvers import keys
from jaxmpc.spaces.space import Space


class Controller(Protocol):
    """What `simulate` drives: a `RecedingHorizon`, or anything with these two pure functions.

    What a memory has of `status`, `iterations`, `failures` and `solution`, as a `Plan` has, is
    recorded.

    Example:
        >>> class Spring:
        ...     def init(self, x0, params):
        ...         return ()
        ...     def step(self, x, plan, params):
        ...         return -params * x[:1], plan
        >>> loop = jaxmpc.simulate(Spring(), plant, x0, 5, 2.0)
        >>> print(loop.controls[0])
        [-2.]
    """

    def init(self, x0: Float[Array, " n"], params: PyTree) -> Any:
        """The memory to begin with: a pytree of arrays of fixed structure."""
        ...

    def step(
        self, x: Float[Array, " n"], plan: Any, params: PyTree
    ) -> tuple[Float[Array, " m"], Any]:
        """The control for a measured state, and the memory after it."""
        ...


_OWNER = "jaxmpc.simulate"
_TAKES = ("x", "u", "t")
Noise = float | ArrayLike | Callable[..., Any] | None


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
            the next state and to what the controller sees; or functions (key, x, t) -> [n]. Where
            the controller's problem has a `state_space` they are steps along it, [k].
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

    Example:
        >>> loop = jaxmpc.simulate(controller, plant, x0, 5, params)
        >>> loop.states.shape, bool(loop.converged.all())
        ((6, 2), True)
        >>> round(float(loop.states[-1, 0]), 2)  # on its way to zero
        0.92
    """
    x0 = check_state(x0)
    _check(controller, plant, steps, delay, cost)
    for name, value in (("predictions", predictions), ("jit", jit)):
        check_bool(_OWNER, name, value)
    data, space = keys.data_of(_OWNER, key), space_of(controller, x0)
    loop = Loop(
        controller,
        plant,
        params,
        cost,
        _noise_of("process_noise", process_noise, x0, key, space),
        _noise_of("measurement_noise", measurement_noise, x0, key, space),
        predictions,
    )
    if not jit:
        return in_python(loop, x0, steps, data, delay, plan)
    split = Split.of(loop, _is_number)
    function = _compiled if at_top_level() else _scanned
    return function(split, x0, steps, data, delay, plan)


def _check(controller, plant, steps, delay, cost):
    """Raise for an argument that is not what the loop calls or counts."""
    check_positive(_OWNER, "steps", steps, whole=True)
    if isinstance(delay, bool) or not isinstance(delay, int) or delay < 0:
        raise ValueError(f"{_OWNER}: delay must be an int, 0 or more; got {delay!r}.")
    for name in ("init", "step"):
        if not hasattr(controller, name) or isinstance(controller, type):
            raise TypeError(
                f"{_OWNER}: controller must have init and step, as a RecedingHorizon has; got "
                f"{controller!r}."
            )
    check_function(_OWNER, "plant", plant, "(x, u, t) -> x", _TAKES)
    if cost is not None:
        check_function(_OWNER, "cost", cost, "(x, u, t) -> scalar", _TAKES)


def _is_number(leaf) -> bool:
    """Whether a leaf is traced: another number compiles nothing anew."""
    number = isinstance(leaf, int | float | jax.Array | np.ndarray)
    return number and not isinstance(leaf, bool)


def _noise_of(name: str, noise: Noise, x0, key, space: Space | None) -> Callable | Array | None:
    """A deviation as an array, a function as it is."""
    if noise is None:
        return None
    if key is None:
        raise ValueError(f"{_OWNER}: {name} needs key=jax.random.key(...); got none.")
    if callable(noise):
        return noise
    try:
        deviation = jnp.asarray(noise, x0.dtype)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{_OWNER}: {name} must be numbers or a function, got {noise!r}."
        ) from error
    shape, size = (x0.shape, "[n]") if space is None else ((space.tangent_dim,), "[k]")
    if deviation.shape not in ((), shape):
        raise ValueError(
            f"{_OWNER}: {name} must be a number, {size} = {shape} or a function (key, x, t) "
            f"-> {size}; got shape {deviation.shape}."
        )
    return deviation


def _scanned(split: Split, *given) -> Simulation:
    return scanned(split.whole(), *given)


_compiled = compiled(_scanned, lambda *_: "a closed loop", static_argnums=(2, 4))
