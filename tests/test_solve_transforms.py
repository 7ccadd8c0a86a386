"""`solve` under jit and vmap, in float32, with NaN beside it: what one element may not change."""

import itertools
import os
import subprocess
import sys
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmpc
from jaxmpc import ILQR, SQP, Status

T, BATCH = 15, 5


def dynamics(x, u, t, params):
    gravity = params["gravity"] * jnp.sin(x[0])
    return x + 0.1 * jnp.stack([x[1], gravity + 2.0 * jnp.tanh(u[0]) + u[1]])


def cost(x, u, t, params):
    return params["weight"] * jnp.sum(x**2) + 0.1 * jnp.sum(u**2)


def terminal_cost(x, params):
    return 10.0 * jnp.sum(x**2)


def problem_with(bounds):
    return jaxmpc.Problem(
        dynamics, cost, terminal_cost, horizon=T, control_dim=2, control_bounds=bounds
    )


def one(x0, params, lower, guess):
    return jaxmpc.solve(problem_with((lower, 1.0)), x0, params, controls=guess)


def inputs(batch=BATCH, dtype=np.float64):
    """Batched (x0, params, lower bounds, guesses)."""
    rng = np.random.default_rng(0)
    x0 = rng.standard_normal((batch, 2))
    params = {"gravity": 4 + rng.random(batch), "weight": 1 + rng.random(batch)}
    lower = -1 - 0.5 * rng.random((batch, T, 2))
    guesses = 0.3 * rng.standard_normal((batch, T, 2))
    return jax.tree.map(lambda a: jnp.asarray(a, dtype), (x0, params, lower, guesses))


@pytest.fixture(scope="module")
def alone():
    return jax.jit(one)


@pytest.fixture(scope="module")
def together():
    return jax.jit(jax.vmap(one))


@pytest.fixture(scope="module")
def batch(together):
    solution = together(*inputs())
    assert np.all(solution.converged)
    assert len(set(solution.iterations.tolist())) > 1  # elements that end at different times
    return solution


def row(tree, i):
    return jax.tree.map(lambda leaf: leaf[i], tree)


def assert_same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def assert_close(a, b, atol):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=0, atol=atol), a, b)


# --- vmap ---


def test_vmapped_equals_alone(alone, batch):
    """Two programs: XLA contracts and orders sums differently, so rounding remains.

    Rounding is not amplified: at a tolerance of 1e-8 the last Newton step has left far less.
    """
    for i in range(BATCH):
        single = alone(*row(inputs(), i))
        assert single.iterations == batch.iterations[i]
        assert single.status == batch.status[i]
        assert_close(single.controls, batch.controls[i], 1e-12)
        assert_close(single.states, batch.states[i], 1e-12)
        assert_close(single.cost, batch.cost[i], 1e-12)
        assert_close(single.multipliers, row(batch.multipliers, i), 1e-11)
        assert_close(single.gains.feedback, batch.gains.feedback[i], 1e-10)


def test_an_element_does_not_depend_on_its_neighbours(together, batch):
    """The same program on other neighbours: bit-equal, in every field."""
    others = jax.tree.map(lambda leaf: leaf[np.array([3, 0, 0, 3, 0])], inputs())
    solution = together(*others)
    for i, source in enumerate([3, 0, 0, 3, 0]):
        assert_same(row(solution, i), row(batch, source))


def test_a_map_over_small_batches(batch):
    """`jax.lax.map` cannot batch arrays of no entries."""
    mapped = jax.jit(lambda given: jax.lax.map(lambda g: one(*g), given, batch_size=2))(inputs())
    assert all(leaf.shape[0] == BATCH and leaf.size for leaf in jax.tree.leaves(mapped))
    assert_close(mapped.controls, batch.controls, 1e-12)


MIXES = [mix for mix in itertools.product((0, None), repeat=4) if mix != (None,) * 4]
FEW = [(0, None, None, None), (None, 0, None, 0), (0, None, 0, None)]


@pytest.mark.parametrize(
    "mix", [pytest.param(m, marks=() if m in FEW else pytest.mark.slow) for m in MIXES]
)
def test_any_mix_of_batched_arguments(alone, mix):
    values = inputs()
    args = [value if axis == 0 else row(value, 0) for value, axis in zip(values, mix, strict=True)]
    solution = jax.jit(jax.vmap(one, mix))(*args)
    for i in (1, 4):
        picked = [row(v, i if axis == 0 else 0) for v, axis in zip(values, mix, strict=True)]
        assert_close(solution.controls[i], alone(*picked).controls, 1e-12)


def test_a_problem_may_be_batched_over_its_bounds(batch):
    x0, params, lower, guesses = inputs()
    problems = jax.vmap(lambda lower: problem_with((lower, 1.0)))(lower)
    solve = jax.vmap(lambda p, x0, params, u: jaxmpc.solve(p, x0, params, controls=u))
    solution = jax.jit(solve)(problems, x0, params, guesses)
    assert_close(solution.controls, batch.controls, 1e-12)


# --- NaN ---


@pytest.mark.parametrize("what", ["x0", "gravity", "lower"])
def test_nan_in_one_lane(together, batch, what):
    x0, params, lower, guesses = inputs()
    if what == "x0":
        x0 = x0.at[2, 0].set(jnp.nan)
    elif what == "gravity":
        params = {**params, "gravity": params["gravity"].at[2].set(jnp.nan)}
    else:
        lower = lower.at[2, 3, 0].set(jnp.nan)
    solution = together(x0, params, lower, guesses)
    wanted = Status.infeasible if what == "lower" else Status.non_finite
    assert solution.status[2] == wanted
    assert not solution.converged[2]
    for i in (0, 1, 3, 4):
        assert_same(row(solution, i), row(batch, i))

    # What failed is not fed back: the next call, warm-started by it, works.
    def warm_started(x0, params, lower, warm):
        return jaxmpc.solve(problem_with((lower, 1.0)), x0, params, warm_start=warm)

    again = jax.jit(jax.vmap(warm_started))(*inputs()[:3], solution)
    assert np.all(again.converged)
    assert_close(again.cost, batch.cost, 1e-9)


# --- jit ---


def test_jit_of_solve_as_it_stands(batch):
    values = row(inputs(), 0)
    problem = problem_with((values[2], 1.0))
    solve = jax.jit(jaxmpc.solve)
    solution = solve(problem, values[0], values[1], controls=values[3], solver=ILQR(tolerance=1e-9))
    assert_close(solution.controls, batch.controls[0], 1e-8)
    programs = solve._cache_size()  # of all that this session has asked of jit(solve)
    # An equal solver, other values, another object of the same problem: one program.
    other = row(inputs(), 1)
    equal = problem_with((other[2], 1.0))
    solve(equal, other[0], other[1], controls=other[3], solver=ILQR(tolerance=1e-9))
    assert solve._cache_size() == programs
    solve(problem, values[0], values[1], controls=values[3], solver=ILQR(tolerance=1e-7))
    assert solve._cache_size() == programs
    words = ILQR(tolerance=1e-9, hessian="exact")
    solve(problem, values[0], values[1], controls=values[3], solver=words)
    assert solve._cache_size() == programs + 1


def test_nothing_is_traced_again_for_other_values():
    """Called as it is, without jit: the user's functions run in Python only at the first call."""
    count = []

    def counted(x, u, t, params):
        count.append(1)
        return dynamics(x, u, t, params)

    def build(lower):
        bounds = (lower, 1.0)
        return jaxmpc.Problem(
            counted, cost, terminal_cost, horizon=T, control_dim=2, control_bounds=bounds
        )

    x0, params, lower, guesses = row(inputs(), 0)
    first = jaxmpc.solve(build(lower), x0, params, controls=guesses)
    traced = len(count)
    heavier = jax.tree.map(lambda p: p + 1, params)
    jaxmpc.solve(build(lower + 0.1), 2 * x0, heavier, controls=x0[0] * guesses)
    jaxmpc.solve(build(lower), x0, params, controls=guesses, solver=SQP())
    assert len(count) == traced
    second = jaxmpc.solve(build(lower), x0, params, warm_start=first)
    traced = len(count)
    jaxmpc.solve(build(lower), 1.1 * x0, params, warm_start=second)
    assert len(count) == traced


# --- float32 ---


def test_float32_in_float32_out(together, batch):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = inputs(dtype=np.float32)
        solution = jax.jit(jax.vmap(one))(*values)
    for leaf in jax.tree.leaves(solution):
        assert leaf.dtype in (np.float32, np.int32, np.bool_)
    assert solution.status.dtype == np.int32
    assert np.all(solution.status == Status.converged)
    assert np.max(solution.residuals.largest()) <= 1e-4  # the default tolerance, reached
    # Residual 1e-4 over a reduced Hessian above 0.2, the control's weight.
    assert_close(solution.controls, batch.controls, 1e-3)
    np.testing.assert_allclose(solution.cost, batch.cost, rtol=1e-5)


SCRIPT = """
import warnings; warnings.simplefilter("error")
import jax
before = {name: value for name, value in jax.config.values.items()}
import jaxmpc
assert {name: value for name, value in jax.config.values.items()} == before
import logging
logging.getLogger("jaxmpc").setLevel("ERROR")  # on a busy machine compilation may take long
import jax.numpy as jnp
problem = jaxmpc.Problem(
    lambda x, u, t, p: x + u, lambda x, u, t, p: jnp.sum(x**2) + jnp.sum(u**2),
    horizon=3, control_dim=1, control_bounds=(-1, 1),
)
solution = jaxmpc.solve(problem, jnp.ones(1))
assert solution.cost.dtype == jnp.float32 and solution.converged
"""


def test_import_changes_no_flag_and_prints_nothing():
    """In a process of its own, where x64 is off, as users have it."""
    environment = {k: v for k, v in os.environ.items() if k != "JAX_ENABLE_X64"}
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert done.stderr == ""
