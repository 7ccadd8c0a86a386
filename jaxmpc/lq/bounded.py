"""LQ problems with bounded controls, solved exactly: an interior point finds the active set."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxmpc.lq.differentiable import control_gradient, solve_with_factor
from jaxmpc.lq.pivoting import pivot, preferred_sides
from jaxmpc.lq.problem import LQProblem
from jaxmpc.lq.riccati import LQSolution, factor, substitute

_ITERATIONS = 40
_TO_BOUNDARY = 0.995
_PIVOTS = 40


class _Iterate(NamedTuple):
    u: Float[Array, "T m"]
    z_lower: Float[Array, "T m"]
    z_upper: Float[Array, "T m"]
    count: Int[Array, ""]
    done: Bool[Array, ""]


def bounded_solution(
    problem: LQProblem, lower: Float[Array, "T m"], upper: Float[Array, "T m"]
) -> LQSolution:
    """The minimiser over  lower <= u <= upper,  differentiable in the problem and the bounds.

    The active set is found by a primal-dual interior point (Mehrotra, 1992) and, to be exact,
    finished by pivoting; each iteration is one Riccati recursion. Bounds may be infinite, or
    equal. The problem must be convex.
    """
    plain = jax.lax.stop_gradient((problem, lower, upper))
    side = active_sides(*plain)
    free = side == 0
    fixed = jnp.where(side < 0, lower, 0.0) + jnp.where(side > 0, upper, 0.0)
    return solve_with_factor(problem, jax.lax.stop_gradient(factor(problem, free)), fixed)


def active_sides(problem: LQProblem, lower, upper) -> Int[Array, "T m"]:
    """-1 where the lower bound is active at the solution, 1 where the upper one is, 0 elsewhere."""
    iterate = _interior_point(problem, lower, upper)
    near_lower = iterate.u - lower < iterate.z_lower
    near_upper = upper - iterate.u < iterate.z_upper
    side = jnp.where(near_lower | (lower >= upper), -1, jnp.where(near_upper, 1, 0))
    eps = jnp.finfo(lower.dtype).eps

    def preference(side):
        free = side == 0
        fixed = jnp.where(side < 0, lower, 0.0) + jnp.where(side > 0, upper, 0.0)
        solution = substitute(problem, factor(problem, free), fixed)
        gradient = control_gradient(problem, solution)
        force = jnp.einsum("tij,ti->tj", jnp.abs(problem.B), jnp.abs(solution.costates[1:]))
        noise = 64 * eps * (force + jnp.abs(problem.r) + jnp.abs(gradient))
        # A free control is outside only if by more than its own rounding.
        slack = 64 * eps * jnp.abs(solution.controls)
        return preferred_sides(
            side, solution.controls, gradient, noise, lower - slack, upper + slack
        )

    return pivot(preference, side, _PIVOTS)


def _interior_point(problem: LQProblem, lower, upper) -> _Iterate:
    has_lower, has_upper = jnp.isfinite(lower), jnp.isfinite(upper)
    pinned = lower >= upper
    free = ~pinned
    low, high = jnp.where(has_lower, lower, -1.0), jnp.where(has_upper, upper, 1.0)
    one_sided = jnp.where(has_lower, low + 1.0, jnp.where(has_upper, high - 1.0, 0.0))
    start = jnp.where(has_lower & has_upper, 0.5 * (low + high), one_sided)
    has_lower, has_upper = has_lower & free, has_upper & free
    number = jnp.maximum(jnp.sum(has_lower) + jnp.sum(has_upper), 1)
    dtype = lower.dtype
    eps = jnp.finfo(dtype).eps
    room = eps * (1.0 + jnp.abs(low) + jnp.abs(high))  # a slack lost to rounding is not zero

    def slacks(u):
        return (
            jnp.where(has_lower, jnp.maximum(u - low, room), 1.0),
            jnp.where(has_upper, jnp.maximum(high - u, room), 1.0),
        )

    def reach(value, change, mask):
        """The longest step that keeps the values positive."""
        ratio = jnp.where(
            mask & (change < 0), -value / jnp.where(change < 0, change, -1.0), jnp.inf
        )
        return jnp.minimum(1.0, _TO_BOUNDARY * jnp.min(ratio))

    def step(it: _Iterate) -> _Iterate:
        s_l, s_u = slacks(it.u)
        z_l, z_u = it.z_lower, it.z_upper
        w_l, w_u = z_l / s_l, z_u / s_u
        barrier = jax.vmap(jnp.diag)(w_l + w_u)
        weighted = problem._replace(R=problem.R + barrier)
        matrices = factor(weighted, free)

        def newton(target_l, target_u):
            r = problem.r - target_l / s_l + target_u / s_u - (w_l + w_u) * it.u
            u = substitute(weighted._replace(r=r), matrices, start).controls
            du = u - it.u
            dz_l = jnp.where(has_lower, target_l / s_l - w_l * du - z_l, 0.0)
            dz_u = jnp.where(has_upper, target_u / s_u + w_u * du - z_u, 0.0)
            step = jnp.minimum(reach(s_l, du, has_lower), reach(s_u, -du, has_upper))
            step_z = jnp.minimum(reach(z_l, dz_l, has_lower), reach(z_u, dz_u, has_upper))
            return du, dz_l, dz_u, jnp.minimum(step, step_z)

        mu = (jnp.sum(z_l * s_l * has_lower) + jnp.sum(z_u * s_u * has_upper)) / number
        zero = jnp.zeros_like(it.u)
        du, dz_l, dz_u, size = newton(zero, zero)
        ahead = jnp.sum((z_l + size * dz_l) * (s_l + size * du) * has_lower)
        ahead += jnp.sum((z_u + size * dz_u) * (s_u - size * du) * has_upper)
        center = (ahead / number / mu) ** 3 * mu
        target_l = jnp.where(has_lower, center - du * dz_l, 0.0)
        target_u = jnp.where(has_upper, center + du * dz_u, 0.0)
        du, dz_l, dz_u, size = newton(target_l, target_u)
        new = (it.u + size * du, z_l + size * dz_l, z_u + size * dz_u)
        # Past this accuracy the barrier's weights overflow; pivoting does the rest.
        sound = jnp.all(jnp.isfinite(jnp.stack(new)))
        done = (mu <= accuracy) | ~sound | (it.count >= _ITERATIONS)
        u, z_l, z_u = (jnp.where(sound, a, b) for a, b in zip(new, it[:3], strict=True))
        return _Iterate(u, z_l, z_u, it.count + 1, done)

    # Multipliers of the size of what they have to balance.
    size = 1.0 + jnp.max(jnp.abs(problem.r)) + jnp.max(jnp.abs(problem.q))
    accuracy = 1e3 * eps * size * jnp.max(jnp.where(has_lower & has_upper, high - low, 1.0))
    z = jnp.zeros_like(start)
    count = jnp.sum(pinned) * 0
    first = _Iterate(
        start, jnp.where(has_lower, size, z), jnp.where(has_upper, size, z), count, count > 0
    )
    return jax.lax.while_loop(lambda it: ~it.done, step, first)
