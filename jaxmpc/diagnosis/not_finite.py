"""Which of a problem's functions is not finite, at which stage, and for which arguments."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmpc.compilation import compiled
from jaxmpc.diagnosis.case import Case, vector, zero_rollout
from jaxmpc.diagnosis.primitives import culprit
from jaxmpc.problem import Problem
from jaxmpc.problem.kinds import END_FUNCTIONS, STAGE_FUNCTIONS

_RUNAWAY = 1e6  # times the size of x0
_REMEDIES = (
    "Keep the arguments inside the function's domain (jnp.maximum or jnp.where on the argument, "
    "or a bound), or start elsewhere with controls= or states=.",
    "Smooth the function there (jnp.sqrt(y + 1e-12) for jnp.sqrt(y), say), or start elsewhere "
    "with controls= or states=.",
)


class _Found(NamedTuple):
    name: str
    order: int  # of the derivative that is not finite
    stage: int


def not_finite(case: Case) -> list[str]:
    """A sentence that names the first function which is not finite.

    Looks along the rollout of zero controls and then along the returned trajectory: at the values,
    then at first and second derivatives.
    """
    rollout = zero_rollout(case)
    along = {
        "the rollout of zero controls": (rollout.states, rollout.controls),
        "the returned trajectory": (case.solution.states, case.solution.controls),
    }
    for order in range(3):
        for name, (states, controls) in along.items():
            found = _first(case, states, controls, order)
            if found is not None:
                line = _sentence(case, found, name, states, controls)
                return [line, _remedy(case, found, states)]
    return [
        "All functions and their derivatives are finite along the rollout of zero controls and "
        "along the returned trajectory: the guess must have led elsewhere. Try another one."
    ]


def _remedy(case: Case, found: _Found, states) -> str:
    far = _RUNAWAY * max(1.0, float(jnp.max(jnp.abs(case.x0))))
    if jnp.max(jnp.abs(states[found.stage])) > far:
        return "The states have run away by then, and the function overflows: start elsewhere."
    return _REMEDIES[min(found.order, 1)]


def _differentiated(function: Callable, order: int) -> Callable:
    """A function of (z, ...) or its derivative in z, by the modes that the solvers use."""
    if order == 0:
        return function
    if order == 2:
        return jax.hessian(lambda *args: jnp.sum(function(*args)))

    def first(*args):
        scalar = jnp.ndim(jax.eval_shape(function, *args)) == 0
        return (jax.grad if scalar else jax.jacfwd)(function)(*args)

    return first


def _flags(order: int, problem: Problem, states, controls, params) -> dict[str, jax.Array]:
    """Of each function: at which stages its arguments are finite, and it is not."""
    n = states.shape[1]

    def finite(value):
        return jnp.all(jnp.isfinite(value))

    def at_stage(function):
        derivative = _differentiated(lambda z, t: function(z[:n], z[n:], t, params), order)
        return lambda z, t: finite(z) & ~finite(derivative(z, t))

    z, times = jnp.concatenate([states[:-1], controls], axis=1), problem.times
    flags = {}
    for name, function in problem.functions(STAGE_FUNCTIONS).items():
        flags[name] = jax.vmap(at_stage(function))(z, times)
    for name, function in problem.functions(END_FUNCTIONS).items():
        derivative = _differentiated(lambda x, f=function: f(x, params), order)
        flags[name] = (finite(states[-1]) & ~finite(derivative(states[-1])))[None]
    return flags


_compiled_flags = compiled(_flags, static_argnums=0)


def _first(case: Case, states, controls, order: int) -> _Found | None:
    flags = _compiled_flags(order, case.problem, states, controls, case.params)
    found = []
    for name, flag in flags.items():
        if bool(np.any(flag)):
            stage = int(np.argmax(flag)) if name in STAGE_FUNCTIONS else case.problem.horizon
            found.append(_Found(name, order, stage))
    # What is not finite in a cost or a constraint says more than the state that follows.
    return min(found, key=lambda one: (one.stage, one.name == "dynamics"), default=None)


def _sentence(case: Case, found: _Found, along: str, states, controls) -> str:
    function, t = getattr(case.problem, found.name), found.stage
    x = states[t]
    if found.name in STAGE_FUNCTIONS:
        u = controls[t]
        args, varying = (x, u, jnp.asarray(t), case.params), 2
        where = f"x = {vector(x)}, u = {vector(u)}"
    else:
        args, varying = (x, case.params), 1
        where = f"x = {vector(x)}"
    what, line = culprit(lambda *args: function(*args), args, varying, found.order)
    what = what or ("its value", "its derivative", "its second derivative")[found.order]
    line = f" ({line})" if line else ""
    return f"{found.name}: {what} is not finite at stage {t}, for {where}, along {along}{line}."
