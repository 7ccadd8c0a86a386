"""How the quadratic model is kept convex: a proximal term, and which curvature it has."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxmpc.solution import Scales

SMALLEST, LARGEST = 1e-6, 1e10
_UP, _DOWN = 10.0, 5.0
_WRITTEN_OUT = 10  # largest Hessian that is made convex without a loop
_SMALL_STEP = 0.05  # a second-order step below this size makes room for a Gauss-Newton one


class Regularization(NamedTuple):
    """The proximal weight mu, and the weight (0 or 1) of the dynamics' curvature.

    `retreated`: second-order information failed in the last iteration.
    """

    mu: Float[Array, ""]
    curvature: Float[Array, ""]
    retreated: Bool[Array, ""]


def start(hessian: str, x0: Float[Array, " n"]) -> Regularization:
    """No proximal term; Gauss-Newton first, unless the exact Hessian is asked for."""
    zero = jnp.zeros_like(x0, shape=())
    return Regularization(zero, zero + float(hessian == "exact"), zero > 0)


def update(
    regularization: Regularization,
    hessian: str,
    accepted: Bool[Array, ""],
    good: Bool[Array, ""],
    step_size: Float[Array, ""],
) -> Regularization:
    """After a step: `accepted`, and whether it was a good one, such as a full one.

    "auto" turns to second-order information as soon as good Gauss-Newton steps succeed, which
    makes the tail quadratic, and back for a step where that fails or gets nowhere. Otherwise a
    failure raises mu, and good steps lower it again.
    """
    mu, curvature, _ = regularization
    second_order = curvature > 0
    lower = jnp.where(mu > SMALLEST, mu / _DOWN, 0.0)
    raised = jnp.maximum(mu * _UP, SMALLEST)
    failed_mu = jnp.where(second_order, mu, raised) if hessian == "auto" else raised
    mu = jnp.where(accepted, jnp.where(good, lower, mu), failed_mu)
    if hessian != "auto":
        return Regularization(mu, curvature, regularization.retreated)
    onward = good | (second_order & (step_size > _SMALL_STEP))
    curvature = (accepted & onward).astype(curvature.dtype)
    return Regularization(mu, curvature, second_order & ~accepted)


def convexify_expansion(
    stages: Float[Array, "T z z"], terminal: Float[Array, "n n"], scales: Scales
) -> tuple[Float[Array, "T z z"], Float[Array, "n n"]]:
    """`convexify` on the Hessians of all stages and of the end, as one batch of one size."""
    n = terminal.shape[0]
    padded = jnp.pad(terminal, (0, stages.shape[1] - n))[None]  # a zero row changes nothing
    every = jnp.concatenate([stages, padded])
    # Which pivots are small is asked in units of the mean curvature along each variable, so that
    # units do not matter; of the scales where there is none.
    mean = jnp.mean(jnp.abs(jnp.diagonal(stages, axis1=1, axis2=2)), axis=0)
    by_scales = scales.cost / jnp.concatenate([scales.states, scales.controls]) ** 2
    root = jnp.sqrt(jnp.where(mean > 0, mean, by_scales))
    unit = (root[:, None] * root[None])[None]
    convex = every + unit * jax.vmap(convexity_lacking)(every / unit)
    return convex[:-1], convex[-1, :n, :n]


def convexity_lacking(H: Float[Array, "z z"]) -> Float[Array, "z z"]:
    """A diagonal that makes H positive semidefinite, zero up to rounding where it is already.

    The modified Cholesky factorisation: a pivot is raised to what keeps its column within the
    largest diagonal, which for a positive semidefinite matrix is no change.

    Source: Gill, Murray and Wright (1981), Practical Optimization, section 4.4.2.2.
    """
    size = H.shape[0]
    diagonal = jnp.max(jnp.diagonal(H))
    bound = jnp.where(diagonal > 0, diagonal, jnp.max(jnp.abs(H)))
    bound = jnp.where(bound > 0, bound, 1.0)
    noise = size * jnp.finfo(H.dtype).eps * bound

    def raised(pivot, largest):
        """1 / pivot once raised (zero where that is rounding alone), and by how much it was."""
        new = jnp.maximum(pivot, largest**2 / bound)
        used = new > noise
        return jnp.where(used, 1 / jnp.where(used, new, 1.0), 0.0), jnp.maximum(new, 0) - pivot

    if size <= _WRITTEN_OUT:
        schur, change = H, []
        for _ in range(size - 1):
            below = schur[1:, 0]
            inverse, extra = raised(schur[0, 0], jnp.max(jnp.abs(below)))
            schur = schur[1:, 1:] - inverse * below[:, None] * below[None, :]
            change.append(extra)
        change.append(raised(schur[0, 0], jnp.zeros_like(bound))[1])
        return jnp.diag(jnp.stack(change))

    def eliminate(j, carry):
        schur, change = carry
        below = jnp.where(jnp.arange(size) > j, schur[:, j], 0.0)
        inverse, extra = raised(schur[j, j], jnp.max(jnp.abs(below)))
        return schur - inverse * below[:, None] * below[None, :], change.at[j].set(extra)

    _, change = jax.lax.fori_loop(0, size, eliminate, (H, jnp.zeros_like(H[0])))
    return jnp.diag(change)
