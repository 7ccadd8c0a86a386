"""Solvers that sample: what they find, what they never do, and what polishing makes of it."""

import dataclasses
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmpc
from jaxmpc import CEM, ICEM, MPPI, Chain, MaximumEntropy, Status

KEY = jax.random.key(0)
SOLVERS = [CEM(iterations=15), ICEM(iterations=15), MPPI(iterations=15)]
SOLVERS += [MaximumEntropy(iterations=15, samples=64)]
named = pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: type(solver).__name__)


def swing(horizon=15, **constraints):
    given = {"control_bounds": (-1.5, 1.5), **constraints}
    return jaxmpc.Problem(
        lambda x, u, t, p: x + 0.1 * jnp.stack([x[1], p * jnp.sin(x[0]) + u[0]]),
        lambda x, u, t, p: x[0] ** 2 + 0.1 * x[1] ** 2 + 0.1 * u[0] ** 2,
        horizon=horizon,
        control_dim=1,
        **given,
    )


X0, P = jnp.array([0.8, 0.0]), jnp.array(1.0)


@named
def test_it_comes_near_the_minimum_and_says_what_it_is(solver):
    problem = swing()
    best = jaxmpc.solve(problem, X0, P)
    found = jaxmpc.solve(problem, X0, P, solver=solver, key=KEY)
    assert best.converged and found.status == Status.sampled and not found.converged
    assert best.cost - 1e-9 <= found.cost < 1.02 * best.cost
    assert (np.abs(found.controls) <= 1.5).all()
    assert found.iterations == 15
    x = X0
    for t, u in enumerate(found.controls):  # its states are those of its controls
        x = problem.dynamics(x, u, t, P)
        np.testing.assert_allclose(found.states[t + 1], x, atol=1e-12)
    again = jaxmpc.solve(problem, X0, P, solver=solver, key=KEY)
    np.testing.assert_array_equal(found.controls, again.controls)
    other = jaxmpc.solve(problem, X0, P, solver=solver, key=jax.random.key(1))
    # (Its line search alone, without noise, may be what is best.)
    alike = np.abs(other.controls - found.controls).max() <= 1e-6
    assert not alike or isinstance(solver, MaximumEntropy)


@pytest.mark.parametrize("solver", SOLVERS[:3], ids=lambda solver: type(solver).__name__)
def test_a_cost_that_jumps_and_rollouts_that_are_not_finite(solver):
    """A step of the cost at 0.5, which no derivative sees; a control of more than 1.5 is NaN."""
    problem = jaxmpc.Problem(
        lambda x, u, t, p: jnp.where(u[0] > 1.5, jnp.nan, x + 0.2 * u),
        lambda x, u, t, p: jnp.where(x[0] < 0.5, 1.0, 0.0) + 0.001 * u[0] ** 2,
        horizon=10,
        control_dim=1,
        control_bounds=(-2.0, 2.0),
    )
    found = jaxmpc.solve(problem, jnp.zeros(1), solver=solver, key=KEY)
    assert found.status == Status.sampled and np.isfinite(found.cost)
    assert found.cost < 7.0 and (found.controls <= 1.5).all()
    nowhere = jaxmpc.Problem(
        lambda x, u, t, p: x * jnp.nan,
        lambda x, u, t, p: x[0] ** 2,
        horizon=5,
        control_dim=1,
        control_bounds=(-1, 1),
    )
    lost = jaxmpc.solve(nowhere, jnp.ones(1), solver=solver, key=KEY)
    assert lost.status == Status.non_finite
    assert np.isfinite(lost.controls).all() and (np.abs(lost.controls) <= 1).all()


@named
def test_other_constraints_by_penalty(solver):
    problem = swing(stage_inequality=lambda x, u, t, p: jnp.stack([-0.4 - x[1]]))
    found = jaxmpc.solve(problem, X0, P, solver=solver, key=KEY)
    exact = jaxmpc.solve(problem, X0, P)
    free = jaxmpc.solve(swing(), X0, P)
    assert free.states[1:-1, 1].min() < -0.41
    assert found.violations.stage_inequality.max() < 0.01
    np.testing.assert_allclose(
        found.residuals.feasibility, found.violations.stage_inequality[1:].max(), atol=1e-9
    )
    assert exact.cost - 0.05 < found.cost < 1.05 * exact.cost


def test_its_derivative_is_zero_and_that_of_a_chain_is_right():
    problem = swing()

    def first(p, solver):
        solution = jaxmpc.solve(problem, X0, p, solver=solver, key=KEY)
        return jnp.sum(solution.controls**2), solution

    (_, found), slope = jax.value_and_grad(first, has_aux=True)(P, CEM(iterations=2))
    assert slope == 0 and found.status == Status.sampled
    polished = Chain(CEM(iterations=2, samples=64, elites=8), jaxmpc.ILQR(tolerance=1e-11))
    (value, found), slope = jax.value_and_grad(first, has_aux=True)(P, polished)
    assert found.converged
    exact, _ = first(P, jaxmpc.SQP(tolerance=1e-11))
    np.testing.assert_allclose(value, exact, rtol=1e-8)
    h = 1e-5
    expected = (first(P + h, polished)[0] - first(P - h, polished)[0]) / (2 * h)
    np.testing.assert_allclose(slope, expected, rtol=1e-6)


@dataclasses.dataclass(frozen=True)
class Ends:
    """A solver that ends at controls of its own, and says how."""

    control: float
    status: Status
    max_iterations: int = 3

    def init(self, problem, x0, params, guess):
        return x0

    def step(self, problem, params, state):
        return state

    def terminate(self, state):
        return jnp.asarray(self.status, jnp.int32)

    def postprocess(self, problem, params, state):
        controls = jnp.full((problem.horizon, 1), self.control)
        return jaxmpc.evaluate(problem, state, params, controls)


@pytest.mark.parametrize(
    "control, status, kept",
    [
        (1.5, Status.line_search_failed, True),
        (jnp.nan, Status.line_search_failed, True),
        (-0.5, Status.line_search_failed, False),  # better than what it was given: zeros
        (-0.5, Status.max_iterations, False),
    ],
)
def test_a_chain_keeps_the_better_point_where_its_last_solver_fails(control, status, kept):
    chain = Chain(Ends(0.0, Status.sampled), Ends(control, status))
    found = jaxmpc.solve(swing(), X0, P, solver=chain)
    np.testing.assert_allclose(found.controls, 0.0 if kept else control)
    assert found.status == status


def test_a_chain_finds_the_better_of_two_valleys():
    """Derivatives from rest stay on the saddle between them; samples see both."""
    problem = jaxmpc.Problem(
        lambda x, u, t, p: x + 0.2 * u,
        lambda x, u, t, p: (x[0] ** 2 - 1) ** 2 + 0.3 * x[0] + 0.01 * u[0] ** 2,
        horizon=20,
        control_dim=1,
        control_bounds=(-2, 2),
    )
    x0 = jnp.array([0.9])
    alone = jaxmpc.solve(problem, x0)
    chain = Chain(ICEM(), jaxmpc.SQP())
    together = jaxmpc.solve(problem, x0, solver=chain, key=KEY)
    assert alone.converged and together.converged
    assert together.cost < alone.cost - 1 and together.states[-1, 0] < 0 < alone.states[-1, 0]


def test_batches():
    """`solve_batch` gives each element a part of the key; `vmap` those that it is given."""
    problem, solver = swing(), CEM(iterations=4, samples=32, elites=8)
    x0s = jnp.stack([X0, X0, -X0])
    batch = jaxmpc.solve_batch(problem, x0s, P, solver=solver, key=KEY)
    keys = jax.random.split(KEY, 3)
    single = jax.vmap(lambda x0, key: jaxmpc.solve(problem, x0, P, solver=solver, key=key))
    np.testing.assert_allclose(batch.controls, single(x0s, keys).controls, atol=1e-9)
    assert np.abs(batch.controls[0] - batch.controls[1]).max() > 1e-6
    chain = Chain(solver, jaxmpc.SQP())
    polished = jaxmpc.solve_batch(problem, x0s, P, solver=chain, key=KEY)
    assert polished.converged.all()
    np.testing.assert_allclose(polished.controls[0], polished.controls[1], atol=1e-6)


def test_chunks_splines_and_fewer_samples_later_change_what_they_say():
    problem = swing(control_bounds=(-9.0, 9.0))

    def solve(**options):
        given = {"iterations": 3, "samples": 50, "elites": 10, **options}
        return jaxmpc.solve(problem, X0, P, solver=CEM(**given), key=KEY)

    whole = solve()
    np.testing.assert_allclose(solve(chunk_size=7).controls, whole.controls, atol=1e-12)
    smooth = solve(knots=4, momentum=0.0)
    bends = np.abs(np.diff(smooth.controls[:, 0], 2)) > 1e-9
    assert bends.sum() <= 2 * 2  # linear but for two inner knots, each seen by two differences
    assert np.abs(solve(decay=4.0).controls - whole.controls).max() > 1e-9
    single = jaxmpc.solve(
        problem, X0.astype(jnp.float32), P.astype(jnp.float32), solver=ICEM(iterations=3), key=KEY
    )
    assert single.controls.dtype == jnp.float32 and single.status == Status.sampled


def test_the_colour_of_noise():
    from jaxmpc.solvers.sampling.controls import colouring

    white = np.random.default_rng(0).normal(size=(40, 4000))
    for exponent in (0.0, 1.0, 3.0):
        noise = colouring(40, exponent) @ white
        np.testing.assert_allclose(np.mean(noise**2), 1.0, rtol=0.1)
        steps = np.mean(np.diff(noise, axis=0) ** 2)
        assert steps > 1.7 if exponent == 0 else steps < (1.3 if exponent == 1 else 0.1)


def test_other_generators():
    """The default one may be another; keys of any kind are numbers to start from."""
    problem, solver = swing(), CEM(iterations=2, samples=16, elites=4)
    for key in (jax.random.PRNGKey(0), jax.random.key(0, impl="rbg")):
        found = jaxmpc.solve(problem, X0, P, solver=solver, key=key)
        assert found.status == Status.sampled
    program = """
import jax, jax.numpy as jnp, jaxmpc
problem = jaxmpc.Problem(lambda x, u, t, p: x + u, lambda x, u, t, p: x @ x + u @ u,
                         horizon=3, control_dim=1, control_bounds=(-1, 1))
x0s, key = jnp.ones((2, 1)), jax.random.key(0)
solver = jaxmpc.CEM(samples=8, elites=2, iterations=1)
found = jaxmpc.solve_batch(problem, x0s, solver=solver, key=key)
loop = jaxmpc.simulate(jaxmpc.RecedingHorizon(problem), lambda x, u, t: x + u, x0s[0], 2,
                       process_noise=0.1, key=key)
print(found.status, loop.states.shape)
"""
    environment = {**os.environ, "JAX_DEFAULT_PRNG_IMPL": "rbg"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "[7 7] (3, 1)" in done.stdout


@pytest.mark.parametrize("solver", SOLVERS[:3], ids=lambda solver: type(solver).__name__)
def test_the_guess_is_never_lost(solver):
    """Not with knots either, between which it is no spline."""
    wanted = jnp.where(jnp.arange(15) % 2 == 0, 1.5, -1.5)[:, None]
    problem = jaxmpc.Problem(
        lambda x, u, t, p: x,
        lambda x, u, t, p: jnp.sum((u - p[t]) ** 2),
        horizon=15,
        control_dim=1,
        control_bounds=(-1.5, 1.5),
    )
    knots = dataclasses.replace(solver, knots=3)
    found = jaxmpc.solve(problem, X0[:1], wanted, controls=wanted, solver=knots, key=KEY)
    assert found.cost == 0


def test_a_deviation_that_is_not_finite_ends_the_solve():
    for bounds, noise in (((jnp.array([-jnp.inf]), jnp.inf), None), ((-1.0, 1.0), jnp.inf)):
        problem = swing(control_bounds=bounds)
        found = jaxmpc.solve(problem, X0, P, solver=CEM(noise=noise), key=KEY)
        assert found.status == Status.non_finite and np.isfinite(found.controls).all()


def test_no_derivative_of_samples_in_a_loop_either():
    for solver, iterations in ((MPPI(iterations=4, samples=16), 4), (CEM(samples=64), 2)):
        controller = jaxmpc.RecedingHorizon(swing(), solver, iterations=iterations)

        def first(x, controller=controller):
            return controller.step(x, controller.init(x, P, key=KEY), P)[0][0]

        np.testing.assert_array_equal(jax.grad(first)(X0), 0)


def test_in_a_receding_horizon():
    controller = jaxmpc.RecedingHorizon(swing(), ICEM(iterations=2, samples=64, elites=8))
    plan = controller.init(X0, P, key=KEY)
    loop = jaxmpc.simulate(
        controller,
        lambda x, u, t: x + 0.1 * jnp.stack([x[1], 1.1 * jnp.sin(x[0]) + u[0]]),
        X0,
        40,
        P,
        plan=plan,
    )
    assert set(np.asarray(loop.statuses)) == {Status.sampled} and loop.plan.failures == 0
    assert np.abs(loop.states[-5:]).max() < 0.3


def test_against_a_clock_and_in_an_advanced_step():
    """What was sampled counts there too: nobody calls it a failure."""
    controller = jaxmpc.RecedingHorizon(swing(), ICEM(iterations=1, samples=32, elites=8))
    loop = jaxmpc.control.RealTime(controller, 100.0)
    plan = loop.init(X0, P, key=KEY)
    assert plan.begun and plan.failures == 0
    _, plan = loop.step(X0, plan, P)
    assert plan.status == Status.sampled and plan.failures == 0
    advanced = jaxmpc.control.AdvancedStep(controller)
    u, plan = advanced.step(X0, advanced.init(X0, P, key=KEY), P)
    assert plan.status == Status.sampled and plan.failures == 0 and np.isfinite(u).all()


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: CEM(samples=0), "samples must be positive, got 0"),
        (lambda: CEM(samples=8, elites=9), "elites must be no more than samples = 8, got 9"),
        (lambda: ICEM(keep=1.5), "keep must be a share"),
        (lambda: CEM(samples=8, elites=8, keep=1.0), "keep leaves no room for new samples"),
        (lambda: CEM(momentum=1.5), "momentum must be a share"),
        (lambda: CEM(noise=-1.0), "noise must be positive, got -1.0"),
        (lambda: MPPI(noise="a"), "noise must be a number or"),
        (
            lambda: jaxmpc.solve(
                swing(), X0, P, solver=CEM(), key=KEY, adjoint=jaxmpc.UnrolledAdjoint(3)
            ),
            "adjoint is an UnrolledAdjoint, but CEM samples",
        ),
        (lambda: jaxmpc.solve(swing(), X0, P, key=jnp.zeros(3, jnp.uint32)), "key must be one"),
        (lambda: MPPI(temperature=0.0), "temperature must be positive, got 0.0"),
        (lambda: MPPI(adapt=1), "adapt must be a bool"),
        (lambda: MaximumEntropy(temperature=-1), "temperature must not be negative, got -1"),
        (
            lambda: jaxmpc.solve(swing(), X0, P, solver=MaximumEntropy()),
            "MaximumEntropy: solve needs key",
        ),
        (lambda: Chain(CEM()), "wanted two or more solvers, got"),
        (lambda: Chain(CEM(), jaxmpc.ILQR), "solvers must be Solvers"),
        (lambda: jaxmpc.solve(swing(), X0, P, solver=CEM()), r"CEM: solve needs key=jax.random"),
        (
            lambda: jaxmpc.solve(swing(), X0, P, solver=CEM(), key=3),
            r"key must be one jax.random.key\(...\), got int \(3\)",
        ),
        (
            lambda: jaxmpc.solve(swing(), X0, P, solver=CEM(), key=jax.random.split(KEY)),
            r"got an array of shape \(2,\)",
        ),
        (
            lambda: jaxmpc.solve(swing(control_bounds=None), X0, P, solver=MPPI(), key=KEY),
            "MPPI: noise must be given, the standard deviation",
        ),
        (
            lambda: jaxmpc.solve(swing(), X0, P, solver=ICEM(noise=jnp.ones(3)), key=KEY),
            r"noise must be a number or \[m\] = \(1,\); got shape \(3,\)",
        ),
    ],
)
def test_bad_input(make, words):
    with pytest.raises((TypeError, ValueError), match=words):
        make()
