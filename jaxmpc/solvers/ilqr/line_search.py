"""Trying a policy at several step sizes at once, and what makes a step acceptable."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from jaxmpc.lq.bounds.control_limited import Policy
from jaxmpc.lq.small_linalg import matvec
from jaxmpc.problem import Problem
from jaxmpc.trajectory import Trajectory, rollout
from jaxmpc.trajectory.tangent import step_between

_STEP_SIZES = tuple(0.5**i for i in range(8))
_SUFFICIENT_DECREASE = 1e-4
_ROUNDING = 10.0  # changes of the cost below this many eps times the sum of its terms say nothing


class Search(NamedTuple):
    """The chosen trial, its step size, and whether it may be taken."""

    trial: Trajectory
    step_size: Float[Array, ""]
    accepted: Bool[Array, ""]
    within_rounding: Bool[Array, ""]


def closed_loop(
    problem: Problem,
    params: PyTree,
    nominal: Trajectory,
    policy: Policy,
    limits: tuple[Float[Array, "T m"], Float[Array, "T m"]],
    step_size: Float[Array, ""],
) -> Trajectory:
    """Roll out  u = clip(u_nominal + s k + K (x - x_nominal))."""

    def law(x, given):
        x_nominal, u_nominal, k, K, side, low, high = given
        u = u_nominal + step_size * k + matvec(K, step_between(problem.state_space, x_nominal, x))
        u = jnp.clip(u, low, high)
        # A control that the full step puts on a bound is put there to the last bit, so that
        # being at a bound is an exact statement.
        at_bound = jnp.where(side < 0, low, high)
        return jnp.where((side != 0) & (step_size == 1) & jnp.isfinite(at_bound), at_bound, u)

    around = (nominal.states[:-1], nominal.controls, policy.k, policy.K, policy.side)
    return rollout(problem, nominal.states[0], params, law, (*around, *limits))


def line_search(
    problem: Problem,
    params: PyTree,
    nominal: Trajectory,
    policy: Policy,
    limits: tuple[Float[Array, "T m"], Float[Array, "T m"]],
) -> Search:
    """The best of several step sizes whose decrease is a fair part of the expected one.

    All step sizes are rolled out in one vectorised scan: no loop whose length depends on data.
    """
    sizes = jnp.asarray(_STEP_SIZES, nominal.cost.dtype)
    given = (problem, params, nominal, policy, limits)
    trials = jax.vmap(lambda size: closed_loop(*given, size))(sizes)
    expected = policy.expected_decrease(sizes)
    rounding = _ROUNDING * jnp.finfo(sizes.dtype).eps * nominal.magnitude
    decrease = jnp.where(jnp.isfinite(trials.cost), nominal.cost - trials.cost, -jnp.inf)
    acceptable = decrease + rounding >= _SUFFICIENT_DECREASE * expected
    acceptable &= policy.definite & (expected >= -rounding) & jnp.isfinite(expected)
    best = jnp.argmax(jnp.where(acceptable, decrease, -jnp.inf))
    # Where the cost cannot tell steps apart any more, Newton's full step is the one to take.
    within_rounding = expected[0] <= 10 * rounding
    best = jnp.where(within_rounding & acceptable[0], 0, best)
    chosen = jax.tree.map(lambda leaf: leaf[best], trials)
    return Search(chosen, sizes[best], acceptable[best], within_rounding)
