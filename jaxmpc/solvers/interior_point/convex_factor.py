"""The factor of an LQ problem with the least proximal weight, of a few, that makes it convex."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxmpc.lq.problem import LQProblem
from jaxmpc.lq.riccati.choice import Recursion
from jaxmpc.lq.riccati.factorization import factor
from jaxmpc.lq.riccati.sequential import Factor
from jaxmpc.solvers.multiple_shooting.iterate import Setting
from jaxmpc.solvers.multiple_shooting.proximal import with_proximal

_RAISE, _TRIES = 8.0, 4


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def convex_factor(
    recursion: Recursion,
    model: LQProblem,
    setting: Setting,
    first: Float[Array, ""],
    smallest: Float[Array, ""],
) -> tuple[Factor, Float[Array, ""], Bool[Array, ""]]:
    """The factor, its weight, and whether it is convex; of the last attempt if none was.

    A proximal term of weight `first` on states and controls (in their units), then `smallest` and
    more. One attempt after the other: nearly always the first succeeds. Its derivative is that of
    the last attempt, as if the weight had been given.

    Source: Waechter and Biegler (2006), section 3.1, on the inertia correction.
    """

    def attempt(weight, tries) -> tuple:
        matrices = _proximal_factor(recursion, model, setting, weight)
        return matrices, weight, matrices.is_convex(), tries + 1

    def higher(carry) -> tuple:
        return attempt(jnp.maximum(smallest, _RAISE * carry[1]), carry[3])

    start = attempt(first, jnp.zeros_like(first, dtype=jnp.int32))
    found = jax.lax.while_loop(lambda carry: ~carry[2] & (carry[3] < _TRIES), higher, start)
    return found[:3]


def _forward(recursion, model, setting, first, smallest):
    found: Any = convex_factor(recursion, model, setting, first, smallest)
    return found, (model, setting, found[1])


def _backward(recursion, residuals, cotangents):
    model, setting, weight = residuals
    _, pull = jax.vjp(lambda model: _proximal_factor(recursion, model, setting, weight), model)
    return *pull(cotangents[0]), None, None, None


convex_factor.defvjp(_forward, _backward)


def _proximal_factor(recursion: Recursion, model: LQProblem, setting: Setting, weight) -> Factor:
    return factor(with_proximal(model, setting.units, weight), setting.free, recursion)
