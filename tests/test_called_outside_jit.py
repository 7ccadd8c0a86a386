"""What is called outside of `jit` compiles itself: once, and for all values."""

from functools import partial

import jax
import jax.numpy as jnp
import pytest

import jaxmpc
from jaxmpc import lq
from jaxmpc.lq import LQProblem

T, N, M = 3, 2, 1
PROBLEM = jaxmpc.Problem(
    lambda x, u, t, params: params * x + 0.1 * u,
    lambda x, u, t, params: x @ x + u @ u,
    horizon=T,
    control_dim=M,
)
ALONG = (jnp.ones(N), jnp.array(1.0))


def matrices(params) -> LQProblem:
    return LQProblem(
        Q=jnp.broadcast_to(jnp.eye(N), (T + 1, N, N)),
        S=jnp.zeros((T, M, N)),
        R=jnp.broadcast_to(jnp.eye(M), (T, M, M)),
        q=jnp.zeros((T + 1, N)),
        r=jnp.zeros((T, M)),
        A=params * jnp.broadcast_to(jnp.eye(N), (T, N, N)),
        B=jnp.ones((T, N, M)),
        c=jnp.zeros((T, N)),
        x0=jnp.ones(N),
    )


def gradient_of_lq(problem: LQProblem):
    return jax.grad(lambda r: jnp.sum(lq.solve(problem._replace(r=r)).states))(problem.r)


def at_a_solution(function, params):
    x0 = jnp.ones(N)
    return partial(function, PROBLEM, x0, params, jaxmpc.solve(PROBLEM, x0, params))


CALLS = {
    "solve": lambda params: partial(jaxmpc.solve, PROBLEM, jnp.ones(N), params),
    "solve_batch": lambda params: partial(jaxmpc.solve_batch, PROBLEM, jnp.ones((3, N)), params),
    "solution_jvp": lambda params: partial(at_a_solution(jaxmpc.solution_jvp, params), ALONG),
    "gradient_diagnostics": partial(at_a_solution, jaxmpc.gradient_diagnostics),
    "lq.factor": lambda params: partial(lq.factor, matrices(params)),
    "lq.solve": lambda params: partial(lq.solve, matrices(params)),
    "lq.solve bounded": lambda params: partial(lq.solve, matrices(params), -0.1, jnp.ones(M)),
    "lq.solve differentiated": lambda params: partial(gradient_of_lq, matrices(params)),
}


@pytest.fixture
def compiled():
    """The names of what JAX has compiled so far, or taken from its cache on the disk."""
    names = []

    def listen(event, seconds, fun_name="", **_):
        if event == "/jax/core/compile/backend_compile_duration":
            names.append(fun_name)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield names
    jax.monitoring.unregister_event_duration_listener(listen)


@pytest.mark.parametrize("name", CALLS)
def test_compiled_once(name, compiled):
    first, second = (CALLS[name](jnp.array(value)) for value in (0.9, 0.8))
    del compiled[:]
    jax.block_until_ready(first())
    assert compiled
    assert len(compiled) < 25  # and not each operation alone: these are hundreds
    del compiled[:]
    jax.block_until_ready(second())
    assert not compiled
