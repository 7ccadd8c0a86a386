"""Derivatives of dynamics and costs along a trajectory, all stages in one vmap."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxmpc.lq.problem import LQProblem
from jaxmpc.lq.rows import Jacobian, Rows
from jaxmpc.problem import Problem, terminal_cost
from jaxmpc.spaces.entries import arrived, short_step
from jaxmpc.spaces.space import Space
from jaxmpc.trajectory.chart import chart
from jaxmpc.trajectory.constraints import stage_rows, terminal_rows


class Linearization(NamedTuple):
    """First derivatives: x_{t+1} ~ A x + B u, cost ~ q'x + r'u; q[T] is the terminal one."""

    A: Float[Array, "T n n"]
    B: Float[Array, "T n m"]
    q: Float[Array, "T1 n"]
    r: Float[Array, "T m"]


class Hessians(NamedTuple):
    """In z = [x; u] at every stage, and in x_T."""

    stages: Float[Array, "T z z"]
    terminal: Float[Array, "n n"]


class Derivatives(NamedTuple):
    """All derivatives of a problem's functions along a trajectory, of each for itself."""

    linearization: Linearization
    cost: Hessians
    rows: Jacobian
    curvature: Hessians | None  # of costates . dynamics + multipliers . rows


def derivatives(
    problem: Problem,
    states: Float[Array, "T1 n"],
    controls: Float[Array, "T m"],
    params: PyTree,
    duals: tuple[Float[Array, "T1 k"], Rows] | None = None,
) -> Derivatives:
    """Everything at once, so that each function is in the program a single time.

    One pass of forward mode (its columns are x and u: n + m of them cost less than n rows of
    reverse mode unless m is much larger than n) over the values of dynamics and rows, and over
    the gradients of the cost and, for the second-order terms, of costates . dynamics and
    multipliers . rows. Without duals those are not even traced: Gauss-Newton. On a space of states
    all are derivatives in steps from the trajectory.
    """
    space, k = problem.state_space, problem.tangent_dim(states.shape[1])
    costates, multipliers = duals or (None, None)
    later = None if costates is None else costates[1:]
    of_stages, of_end = (None, None) if multipliers is None else multipliers
    y = states if space is None else jnp.zeros_like(states, shape=(len(states), k))
    z = jnp.concatenate([y[:-1], controls], axis=1)
    along = (z, problem.times, states[:-1], states[1:], later, of_stages)
    at_stage = partial(_stage_derivatives, problem, params)
    (Q, F, C, J, rows), q = jax.vmap(at_stage)(*along)
    at_end = _end_derivatives(problem, params, y[-1], states[-1], of_end)
    (Q_end, C_end, rows_end), q_end = at_end
    gradient = jnp.concatenate([q[:, :k], q_end[None]])
    curvature = None if F is None else Hessians(F + C, C_end)
    return Derivatives(
        Linearization(J[:, :, :k], J[:, :, k:], gradient, q[:, k:]),
        Hessians(Q, Q_end),
        Jacobian(rows, rows_end),
        curvature,
    )


def _stage_derivatives(problem: Problem, params, z, t, x, x_next, costate_next, multipliers):
    """Of cost, dynamics and rows in z = [x; u], on a space in [step from x; u]; cost gradient."""
    n = len(x)
    dynamics = _following(problem, params, z, t, x, x_next)

    def cost(w):
        return problem.stage_cost(w[:n], w[n:], t, params)

    def rows(w):
        return stage_rows(problem, t, w[:n], w[n:], params)

    def columns(z):
        w, pull = _entries(problem.state_space, x, z)
        of_cost = jax.grad(cost)(w)
        follow, of_dynamics = _with_gradient(dynamics, w, costate_next)
        values, of_rows = _with_gradient(rows, w, multipliers)
        of_cost, of_dynamics, of_rows = pull((of_cost, of_dynamics, of_rows))
        return (of_cost, of_dynamics, of_rows, follow, values), of_cost

    return jax.jacfwd(columns, has_aux=True)(z)


def _end_derivatives(problem: Problem, params, y, x, multipliers):
    """The same of the terminal cost and rows in x_T, on a space in the step from it."""

    def columns(y):
        w, pull = _entries(problem.state_space, x, y)
        of_cost = jax.grad(partial(terminal_cost, problem, params=params))(w)
        rows = partial(terminal_rows, problem, params=params)
        values, of_rows = _with_gradient(rows, w, multipliers)
        of_cost, of_rows = pull((of_cost, of_rows))
        return (of_cost, of_rows, values), of_cost

    return jax.jacfwd(columns, has_aux=True)(y)


def _following(problem: Problem, params, z, t, x, x_next):
    """The dynamics as a function of [x; u]; on a space as steps from x_next, to first order there.

    The difference's own curvature is next to nothing where the states follow the dynamics.
    """
    n, space = len(x), problem.state_space

    def following(w):
        after = problem.dynamics(w[:n], w[n:], t, params)
        return after if space is None else arrived(space, after)

    if space is None:
        return following
    there = following(jnp.concatenate([x, z[space.tangent_dim :]]))
    _, in_steps = jax.linearize(partial(space.difference, x_next), there)
    return lambda w: in_steps(following(w))


def _entries(space: Space | None, x, z):
    """The entries [x; u] after a step [dx; u], and how gradients in them become those in the step.

    Several gradients at once: the step's own curvature is in the program a single time.
    """
    if space is None:
        return z, lambda gradients: gradients
    k = space.tangent_dim
    w, pull = jax.vjp(lambda z: jnp.concatenate([short_step(space, x, z[:k]), z[k:]]), z)

    def together(gradients):
        leaves, structure = jax.tree.flatten(gradients)
        pulled = jax.vmap(pull)(jnp.stack(leaves))[0]
        return jax.tree.unflatten(structure, list(pulled))

    return w, together


def _with_gradient(function, z, weights):
    """The function's value, and the gradient of weights . function; None without weights."""
    if weights is None:
        return function(z), None
    value, pull = jax.vjp(function, z)
    return value, pull(weights)[0]


def costates(linearization: Linearization) -> Float[Array, "T1 n"]:
    """The adjoint recursion: lambda_T = q_T, lambda_t = q_t + A_t' lambda_{t+1}."""

    def step(costate, stage):
        A, q = stage
        costate = q + A.T @ costate
        return costate, costate

    last = linearization.q[-1]
    _, earlier = jax.lax.scan(step, last, (linearization.A, linearization.q[:-1]), reverse=True)
    return jnp.concatenate([earlier, last[None]])


def dynamics_curvature(
    problem: Problem,
    states: Float[Array, "T1 n"],
    controls: Float[Array, "T m"],
    costates: Float[Array, "T1 k"],
    params: PyTree,
) -> Float[Array, "T z z"]:
    """The Hessians of costates . dynamics, for who only knows the costates from the derivatives."""
    if problem.state_space is not None:
        steps = jnp.zeros_like(costates)
        return dynamics_curvature(chart(problem, states), steps, controls, costates, params)
    n = states.shape[1]

    def at_stage(z, t, costate_next):
        def dynamics(z):
            return problem.dynamics(z[:n], z[n:], t, params)

        return jax.jacfwd(lambda z: jax.vjp(dynamics, z)[1](costate_next)[0])(z)

    z = jnp.concatenate([states[:-1], controls], axis=1)
    return jax.vmap(at_stage)(z, problem.times, costates[1:])


def lq_model(
    linearization: Linearization,
    stages: Float[Array, "T z z"],
    terminal: Float[Array, "n n"],
    defects: Float[Array, "T n"],
) -> LQProblem:
    """The LQ problem in changes of states and controls, from Hessians in z = [x; u] and in x_T."""
    A, B, q, r = linearization
    n = A.shape[-1]
    return LQProblem(
        Q=jnp.concatenate([stages[:, :n, :n], terminal[None]]),
        S=stages[:, n:, :n],
        R=stages[:, n:, n:],
        q=q,
        r=r,
        A=A,
        B=B,
        c=defects,
        x0=jnp.zeros_like(q[0]),
    )
