"""One program for all numbers and guesses, compiled with the package's options, and told."""

import logging
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmpc
from jaxmpc import ILQR, SQP, ImplicitAdjoint, InteriorPoint, compilation

PROBLEM = jaxmpc.Problem(
    lambda x, u, t, w: x + 0.1 * jnp.stack([x[1], jnp.sin(u[0])]),
    lambda x, u, t, w: x @ x + w * u @ u,
    horizon=6,
    control_dim=1,
    control_bounds=(-1.0, 1.0),
)
LIMITED = jaxmpc.Problem(
    PROBLEM.dynamics,
    PROBLEM.stage_cost,
    horizon=6,
    control_dim=1,
    control_bounds=(-1.0, 1.0),
    state_bounds=(None, jnp.array([jnp.inf, 0.2])),
)
X0, WEIGHT = jnp.array([1.0, 0.0]), jnp.array(0.1)
# A solver, and another of the same words and other numbers.
NUMBERS = {
    "ILQR": (PROBLEM, ILQR(tolerance=1e-6, trust_region=0.5), ILQR(30, 1e-9, trust_region=0.7)),
    "SQP": (PROBLEM, SQP(tolerance=1e-6), SQP(max_iterations=7, tolerance=1e-9)),
    "InteriorPoint": (
        LIMITED,
        InteriorPoint(tolerance=1e-6),
        InteriorPoint(max_iterations=40, tolerance=1e-9, barrier=1e-3),
    ),
}


@pytest.fixture
def traces(monkeypatch):
    """What was traced at top level, in words."""
    found = []
    monkeypatch.setattr(compilation, "_announce", found.append)
    jax.clear_caches()
    return found


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_compile_nothing_anew(name, traces):
    problem, first, second = NUMBERS[name]
    jaxmpc.solve(problem, X0, WEIGHT, solver=first)
    solution = jaxmpc.solve(problem, X0, WEIGHT, solver=second)
    assert traces == ["a solve of n=2, m=1, T=6"]
    # And they count: the same as in a program where they are constants.
    alone = jax.jit(lambda x0: jaxmpc.solve(problem, x0, WEIGHT, solver=second))(X0)
    np.testing.assert_allclose(solution.controls, alone.controls, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(solution.tolerance, second.tolerance)
    assert solution.iterations == alone.iterations
    assert solution.converged


def test_a_guess_of_controls_compiles_nothing_anew(traces):
    jaxmpc.solve(PROBLEM, X0, WEIGHT)
    jaxmpc.solve(PROBLEM, X0, WEIGHT, controls=jnp.ones((6, 1)))
    jaxmpc.solve(PROBLEM, X0, WEIGHT, controls=np.ones((6, 1), np.float32))
    assert traces == ["a solve of n=2, m=1, T=6"]
    batch = jnp.stack([X0, -X0])
    jaxmpc.solve_batch(PROBLEM, batch, WEIGHT)
    jaxmpc.solve_batch(PROBLEM, batch, WEIGHT, controls=jnp.ones((2, 6, 1)))
    assert traces[1:] == ["a batch of solves of n=2, m=1, T=6"]


def test_a_limit_may_be_traced():
    def iterations(limit):
        return jaxmpc.solve(PROBLEM, X0, WEIGHT, solver=ILQR(max_iterations=limit)).iterations

    limits = jnp.array([1, 2, 500])
    found = jax.jit(jax.vmap(iterations))(limits)
    assert list(found[:2]) == [1, 2] and 2 < found[2] < 50


def test_tolerances_of_a_batch_of_solvers():
    def residual(tolerance):
        solution = jaxmpc.solve(LIMITED, X0, WEIGHT, solver=InteriorPoint(tolerance=tolerance))
        return solution.residuals.largest(), solution.converged

    wanted = jnp.array([1e-3, 1e-6, 1e-9])
    residuals, converged = jax.vmap(residual)(wanted)
    assert jnp.all(converged) and jnp.all(residuals <= wanted)
    assert residuals[0] > 1e-8


@pytest.mark.parametrize("problem", [PROBLEM, LIMITED])
def test_damping_is_a_leaf(problem):
    @jax.jit
    def gradient(weight, damping):
        def loss(weight):
            adjoint = ImplicitAdjoint(damping=damping)
            solution = jaxmpc.solve(problem, X0, weight, adjoint=adjoint)
            return jnp.sum(solution.controls**2) + jnp.sum(solution.gains.feedback)

        return jax.grad(loss)(weight)

    exact, damped = gradient(WEIGHT, 0.0), gradient(WEIGHT, 1.0)
    assert abs(damped) < abs(exact)


def test_configurations_are_values():
    assert ILQR(tolerance=1e-6) == ILQR(tolerance=1e-6) != ILQR(tolerance=1e-7)
    assert hash(SQP()) == hash(SQP())
    leaves, structure = jax.tree.flatten(InteriorPoint(max_iterations=9, barrier=0.5))
    assert leaves == [9, 0.5]
    assert structure.unflatten(["x", None]).barrier is None  # JAX puts there what it likes
    assert structure == jax.tree.structure(InteriorPoint())


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: ILQR(max_iterations=2.5), "an int, got float"),
        (lambda: ILQR(max_iterations=jnp.array(2.5)), "an int, got an array of shape .* float"),
        (lambda: SQP(tolerance=jnp.ones(2)), r"a number, got an array of shape \(2,\)"),
        (lambda: jax.jit(lambda t: SQP(tolerance=t))(jnp.ones(2)), "a number, got an array"),
        (lambda: InteriorPoint(barrier=jnp.array(-1.0)), "must not be negative"),
    ],
)
def test_bad_numbers(make, words):
    with pytest.raises((TypeError, ValueError), match=words):
        make()


def test_what_takes_long_is_told(monkeypatch, caplog):
    monkeypatch.setattr(compilation, "_PATIENCE", 0.0)
    jax.clear_caches()
    with caplog.at_level(logging.WARNING, logger="jaxmpc"):
        jaxmpc.solve(PROBLEM, X0, WEIGHT)
        assert ["compiling a solve of n=2, m=1, T=6" in text for text in caplog.messages] == [True]
        jaxmpc.solve(PROBLEM, X0, WEIGHT)
        assert len(caplog.messages) == 1
    jax.clear_caches()
    with caplog.at_level(logging.ERROR, logger="jaxmpc"):
        jaxmpc.solve(PROBLEM, X0, WEIGHT)
    assert len(caplog.messages) == 1


def test_nothing_is_told_of_what_is_quick(caplog):
    jaxmpc.solve(PROBLEM, X0, WEIGHT)
    jaxmpc.solve(PROBLEM, X0, WEIGHT)
    assert not caplog.messages


def test_own_calls_have_the_options_and_inner_ones_none():
    options = jaxmpc.compiler_options()
    assert options if jax.default_backend() == "cpu" else not options
    options.clear()  # a copy
    assert jaxmpc.compiler_options() or jax.default_backend() != "cpu"
    solve = partial(jaxmpc.solve, PROBLEM)
    alone = solve(X0, WEIGHT).controls
    # JAX refuses the options of a `jit` inside of another transformation.
    inner = jax.jit(solve)(X0, WEIGHT).controls
    many = jax.vmap(solve, (0, None))(X0[None], WEIGHT).controls[0]
    own = jax.jit(solve, compiler_options=jaxmpc.compiler_options())(X0, WEIGHT).controls
    for other in (inner, many, own):
        np.testing.assert_allclose(other, alone, rtol=0, atol=1e-10)


def test_options_that_this_jaxlib_does_not_have(monkeypatch):
    compilation._known.cache_clear()
    monkeypatch.setattr(compilation, "_CPU_OPTIONS", {"xla_cpu_no_such_option": True})
    assert jaxmpc.compiler_options() == {}
    compilation._known.cache_clear()
