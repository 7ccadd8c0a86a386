"""The open seat: a solver of somebody else's, and a loop of one's own."""

import dataclasses
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmpc
from jaxmpc import Status
from jaxmpc.learning import Examples, Imitation, fit

T, DT = 12, 0.1
RUNNING = -1


def dynamics(x, u, t, params):
    force = u[0] - jnp.sin(2 * x[0]) - params["damping"] * x[1]
    return jnp.stack([x[0] + DT * x[1], x[1] + DT * force])


def stage_cost(x, u, t, params):
    return params["weight"] * x[0] ** 2 + 0.1 * x[1] ** 2 + 0.1 * u[0] ** 2


PROBLEM = jaxmpc.Problem(dynamics, stage_cost, horizon=T, control_dim=1, control_bounds=(-0.8, 0.8))
X0 = jnp.array([1.0, 0.2])
PARAMS = {"damping": jnp.array(0.3), "weight": jnp.array(2.0)}


class State(NamedTuple):
    x0: jax.Array
    controls: jax.Array
    moved: jax.Array


@dataclasses.dataclass(frozen=True)
class ProjectedGradient:
    """u <- clip(u - step_size * gradient), until that moves nothing: 30 lines, no jaxmpc in them
    but `evaluate`, which says what the controls are worth."""

    step_size: float = 0.3
    max_iterations: int = 4000
    tolerance: float = 1e-13

    def init(self, problem, x0, params, guess):
        lower, upper = problem.limits(x0.dtype)
        return State(x0, jnp.clip(guess.controls, lower, upper), jnp.inf * x0[0])

    def step(self, problem, params, state):
        lower, upper = problem.limits(state.x0.dtype)
        gradient = jax.grad(lambda u: self.cost(problem, state.x0, params, u))(state.controls)
        controls = jnp.clip(state.controls - self.step_size * gradient, lower, upper)
        return State(state.x0, controls, jnp.max(jnp.abs(controls - state.controls)))

    def terminate(self, state):
        return jnp.where(state.moved <= self.tolerance, Status.converged, RUNNING)

    def postprocess(self, problem, params, state):
        return jaxmpc.evaluate(problem, state.x0, params, state.controls)

    def cost(self, problem, x0, params, controls):
        def stage(x, given):
            t, u = given
            return problem.dynamics(x, u, t, params), problem.stage_cost(x, u, t, params)

        _, costs = jax.lax.scan(stage, x0, (jnp.arange(problem.horizon), controls))
        return jnp.sum(costs)


SOLVER = ProjectedGradient()


def test_it_solves():
    solution = jaxmpc.solve(PROBLEM, X0, PARAMS, solver=SOLVER)
    wanted = jaxmpc.solve(PROBLEM, X0, PARAMS)
    assert solution.status == Status.converged and 10 < solution.iterations < 4000
    assert np.any(np.abs(solution.controls) == 0.8)
    assert solution.residuals.largest() < 1e-9
    for name in ("states", "controls", "cost", "costates", "multipliers"):
        ours, theirs = getattr(wanted, name), getattr(solution, name)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-9), ours, theirs)
    report = jaxmpc.describe(solution)
    assert "converged" in report and "active bounds   6 of 12 x 1 controls" in report
    jaxmpc.diagnose(PROBLEM, X0, PARAMS, solution)


def test_its_derivatives_are_right():
    def value(x0, params, solver):
        solution = jaxmpc.solve(PROBLEM, x0, params, solver=solver)
        return jnp.sum(jnp.cos(jnp.arange(T)) * solution.controls[:, 0]) + solution.cost

    value = jax.jit(value, static_argnums=2)
    gradient = jax.grad(value, (0, 1))(X0, PARAMS, SOLVER)
    given = jax.flatten_util.ravel_pytree((X0, PARAMS))
    flat, unravel = given
    h = 1e-5
    along = [value(*unravel(flat + h * e), SOLVER) for e in np.eye(len(flat))]
    back = [value(*unravel(flat - h * e), SOLVER) for e in np.eye(len(flat))]
    differences = (np.array(along) - np.array(back)) / (2 * h)
    came = jax.flatten_util.ravel_pytree(gradient)[0]
    np.testing.assert_allclose(came, differences, rtol=1e-6, atol=1e-8)


def test_many_at_once():
    x0s = X0[None] + 0.3 * jax.random.normal(jax.random.key(0), (10, 2))
    solve = jax.jit(jax.vmap(lambda x0: jaxmpc.solve(PROBLEM, x0, PARAMS, solver=SOLVER)))
    wanted, came = (
        solve(x0s),
        jaxmpc.solve_batch(PROBLEM, x0s, PARAMS, solver=SOLVER, chunk_size=3),
    )
    assert np.all(came.converged)
    assert len(set(np.asarray(came.iterations).tolist())) > 3  # lanes that end one by one
    np.testing.assert_array_equal(came.iterations, wanted.iterations)
    np.testing.assert_allclose(came.controls, wanted.controls, atol=1e-12)


def test_it_learns():
    x0s = X0[None] + 0.3 * jax.random.normal(jax.random.key(0), (6, 2))
    experts = jaxmpc.solve_batch(PROBLEM, x0s, PARAMS)
    loss = Imitation(PROBLEM, solver=SOLVER)
    start = {"damping": jnp.array(0.6), "weight": jnp.array(1.0)}
    examples = Examples(experts.states, experts.controls)
    found = fit(loss, start, examples, optimizer=optax.adam(0.05), epochs=120, progress=False)
    assert found.history.loss[-1] < 1e-3 * found.history.loss[0]


def test_the_driver_holds_the_limit_and_finds_what_is_not_finite():
    stopped = jaxmpc.solve(PROBLEM, X0, PARAMS, solver=ProjectedGradient(max_iterations=7))
    assert stopped.status == Status.max_iterations and stopped.iterations == 7
    lost = jaxmpc.solve(PROBLEM, X0.at[0].set(jnp.nan), PARAMS, solver=SOLVER)
    assert lost.status == Status.non_finite and lost.iterations == 0
    diverged = jaxmpc.solve(PROBLEM, X0, PARAMS, solver=ProjectedGradient(step_size=jnp.inf))
    assert diverged.status == Status.non_finite


def test_a_baseline_of_unrolled_steps():
    def value(weight, adjoint):
        params = {**PARAMS, "weight": weight}
        solution = jaxmpc.solve(PROBLEM, X0, params, solver=SOLVER, adjoint=adjoint)
        return jnp.sum(solution.controls)

    exact = jax.grad(value)(2.0, jaxmpc.ImplicitAdjoint())
    unrolled = jax.grad(value)(2.0, jaxmpc.UnrolledAdjoint(300))
    np.testing.assert_allclose(unrolled, exact, rtol=1e-6)


class WithRate(eqx.Module):
    """A solver with an array in it: its value is no constant of the program."""

    rate: jax.Array
    max_iterations: int = eqx.field(static=True, default=4000)

    def init(self, problem, x0, params, guess):
        return ProjectedGradient().init(problem, x0, params, guess)

    def step(self, problem, params, state):
        return ProjectedGradient(self.rate).step(problem, params, state)

    def terminate(self, state):
        return SOLVER.terminate(state)

    def postprocess(self, problem, params, state):
        return SOLVER.postprocess(problem, params, state)


def test_a_solver_may_have_arrays_in_it():
    solver = WithRate(jnp.array(0.3))
    wanted = jaxmpc.solve(PROBLEM, X0, PARAMS, solver=SOLVER)
    came = jaxmpc.solve(PROBLEM, X0, PARAMS, solver=solver)
    np.testing.assert_allclose(came.controls, wanted.controls, atol=1e-12)
    slower = jaxmpc.solve_batch(PROBLEM, X0[None], PARAMS, solver=WithRate(jnp.array(0.1)))
    assert slower.converged[0] and slower.iterations[0] > 2 * came.iterations
    gradient = jax.grad(lambda s: jaxmpc.solve(PROBLEM, X0, PARAMS, solver=s).cost)(solver)
    assert gradient.rate == 0  # where a solver ends is no function of how it went there


@pytest.mark.parametrize(
    "solver, words",
    [
        (jaxmpc.ILQR, ["solver", "ILQR()", "class ILQR"]),
        ("ilqr", ["solver", "str", "init", "step"]),
        (optax.adam(0.1), ["solver", "terminate", "postprocess", "max_iterations"]),
    ],
)
@pytest.mark.parametrize("call", [jaxmpc.solve, jaxmpc.initialize])
def test_what_is_no_solver(call, solver, words):
    with pytest.raises(TypeError) as error:
        call(PROBLEM, X0, PARAMS, solver=solver)
    assert all(word in str(error.value) for word in (*words, f"jaxmpc.{call.__name__}"))


@pytest.mark.parametrize(
    "build, word",
    [
        (lambda: jaxmpc.SQP(trust_region=1.0), "trust_region"),
        (lambda: jaxmpc.ILQR(barrier=0.1), "barrier"),
        (lambda: ProjectedGradient(damping=0.1), "damping"),
    ],
)
def test_options_that_a_solver_does_not_have(build, word):
    with pytest.raises(TypeError, match=word):
        build()


CONSTRAINED = dataclasses.replace(PROBLEM, state_bounds=(-jnp.array([9.0, 0.5]), None))


LOOPS = {
    "SQP": (PROBLEM, jaxmpc.SQP()),
    "ILQR": (PROBLEM, jaxmpc.ILQR()),
    "InteriorPoint": (CONSTRAINED, jaxmpc.InteriorPoint()),
}


def steps_of(problem, solver, limit):
    state = jaxmpc.initialize(problem, X0, PARAMS, solver=solver)
    step = jax.jit(solver.step)
    for _ in range(limit):
        if solver.terminate(state) != RUNNING:
            break
        state = step(problem, PARAMS, state)
    return state


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_of_ones_own_ends_where_solve_ends(name):
    problem, solver = LOOPS[name]
    state = steps_of(problem, solver, 500)
    came = jaxmpc.finalize(problem, X0, PARAMS, state, solver=solver)
    wanted = jaxmpc.solve(problem, X0, PARAMS, solver=solver)
    assert came.status == Status.converged
    assert jax.tree.structure(came) == jax.tree.structure(wanted)
    # To the last bit or two: XLA fuses a step inside of a loop differently.
    for a, b in zip(jax.tree.leaves(came), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_that_is_stopped_early_is_honest(name):
    problem, solver = LOOPS[name]
    costs = []
    for steps in range(4):
        state = steps_of(problem, solver, steps)
        early = jaxmpc.finalize(problem, X0, PARAMS, state, solver=solver)
        assert early.status == Status.max_iterations and not early.converged
        assert early.iterations == max(0, steps - 1)
        assert np.all(np.abs(early.controls) <= 0.8)
        assert early.residuals.largest() > early.tolerance
        costs.append(float(early.cost))
    limited = dataclasses.replace(solver, max_iterations=2)
    wanted = jaxmpc.solve(problem, X0, PARAMS, solver=limited)
    assert wanted.status == Status.max_iterations
    np.testing.assert_allclose(early.controls, wanted.controls, atol=1e-13)
    assert costs[-1] == pytest.approx(float(wanted.cost), abs=1e-12)


def test_a_loop_with_a_limit_of_time():
    solver = jaxmpc.default_solver(PROBLEM)
    assert type(solver) is jaxmpc.SQP
    state = jaxmpc.initialize(PROBLEM, X0, PARAMS)
    step = jax.jit(solver.step).lower(PROBLEM, PARAMS, state).compile()
    clock, deadline = iter([0.0, 0.02, 0.04, 0.06]), 0.05  # seconds
    while solver.terminate(state) == RUNNING and next(clock) < deadline:
        state = step(PROBLEM, PARAMS, state)
    came = jaxmpc.finalize(PROBLEM, X0, PARAMS, state)
    wanted = jaxmpc.solve(PROBLEM, X0, PARAMS, solver=jaxmpc.SQP(max_iterations=2))
    assert came.status == wanted.status == Status.max_iterations
    assert came.iterations == wanted.iterations == 2  # of three steps the last one judged
    np.testing.assert_array_equal(came.controls, wanted.controls)
    worth = jaxmpc.evaluate(PROBLEM, X0, PARAMS, jnp.zeros((T, 1)))
    assert came.cost < worth.cost  # better than the guess


def test_the_result_of_a_loop_is_differentiable():
    state = steps_of(PROBLEM, jaxmpc.SQP(), 500)

    def of_loop(params):
        return jnp.sum(jaxmpc.finalize(PROBLEM, X0, params, state).controls)

    def of_solve(params):
        return jnp.sum(jaxmpc.solve(PROBLEM, X0, params).controls)

    came, wanted = jax.grad(of_loop)(PARAMS), jax.grad(of_solve)(PARAMS)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10), came, wanted)
    early = jax.grad(lambda p: jnp.sum(jaxmpc.finalize(PROBLEM, X0, p, steps_of_two).controls))
    steps_of_two = steps_of(PROBLEM, jaxmpc.SQP(), 2)
    assert all(leaf == 0 for leaf in jax.tree.leaves(early(PARAMS)))  # on_failure="zero"


def test_a_loop_has_no_unrolled_derivative():
    state = jaxmpc.initialize(PROBLEM, X0, PARAMS)
    with pytest.raises(TypeError, match=r"jaxmpc.finalize: adjoint must be a ImplicitAdjoint"):
        jaxmpc.finalize(PROBLEM, X0, PARAMS, state, adjoint=jaxmpc.UnrolledAdjoint())


def test_what_controls_are_worth():
    controls = jnp.linspace(-1.0, 0.5, T)[:, None]
    problem = dataclasses.replace(
        PROBLEM,
        terminal_equality=lambda x, params: x - 0.1,
        soft={"terminal_equality": jaxmpc.Soft(3.0, jnp.array([2.0, 4.0]))},
        state_bounds=(None, jnp.array([np.inf, 0.1])),
    )
    worth = jax.jit(jaxmpc.evaluate)(problem, X0, PARAMS, controls)
    x, cost = X0, 0.0
    for t in range(T):
        cost += stage_cost(x, controls[t], t, PARAMS)
        x = dynamics(x, controls[t], t, PARAMS)
    off = jnp.abs(x - 0.1)
    price = jnp.sum(3.0 * off + 0.5 * jnp.array([2.0, 4.0]) * off**2)
    np.testing.assert_allclose(worth.states[-1], x, rtol=1e-12)
    np.testing.assert_allclose(worth.cost, cost + price, rtol=1e-12)
    np.testing.assert_allclose(worth.violations.terminal_equality, off, rtol=1e-12)
    assert worth.status == Status.max_iterations
    outside = max(
        0.2 / float(worth.scales.controls[0]),
        float(jnp.max(worth.violations.state_upper / worth.scales.states[None])),
    )
    np.testing.assert_allclose(worth.residuals.feasibility, outside, rtol=1e-12)


def softly():
    """A speed limit at a price, which is paid."""
    return jaxmpc.Problem(
        lambda x, u, t, p: x + 0.2 * jnp.stack([x[1], u[0]]),
        lambda x, u, t, p: (x[0] - 3.0) ** 2 + p * u @ u,
        horizon=8,
        control_dim=1,
        control_bounds=(-4.0, 4.0),
        state_bounds=(None, jnp.array([jnp.inf, 0.3])),
        soft={"state_bounds": jaxmpc.Soft(0.3, 0.0)},
        stage_inequality=lambda x, u, t, p: jnp.stack([x[0] - 50.0, -x[0] - 50.0]),
    )


class WithPrices(ProjectedGradient):
    def cost(self, problem, x0, params, controls):
        return jaxmpc.evaluate(problem, x0, params, controls).cost


def test_soft_constraints_have_their_prices_in_what_controls_are_worth():
    problem, x0 = softly(), jnp.array([1.0, 0.3])

    def control(price, solver):
        solution = jaxmpc.solve(problem, x0, price, solver=solver)
        return solution.controls[4, 0], solution

    both = jax.jit(jax.value_and_grad(control, has_aux=True), static_argnums=1)
    (_, came), gradient = both(0.5, WithPrices(step_size=0.05))
    (_, wanted), right = both(0.5, jaxmpc.InteriorPoint(tolerance=1e-10))
    np.testing.assert_allclose(came.controls, wanted.controls, atol=1e-7)
    np.testing.assert_allclose(gradient, right, rtol=1e-5)
    assert came.multipliers.stage_inequality.shape == (8, 2)
    upper = wanted.multipliers.state_upper
    np.testing.assert_allclose(came.multipliers.state_upper, upper, atol=1e-7)
    worth = jax.jit(jaxmpc.evaluate)(problem, x0, 0.5, wanted.controls)
    assert worth.residuals.largest() < 1e-6 and abs(worth.cost - wanted.cost) < 1e-8


class Stubborn(ProjectedGradient):
    """Claims to be there after one step."""

    def terminate(self, state):
        return jnp.where(state.moved < 1e9, Status.converged, RUNNING)


def test_a_claim_is_compared_with_the_residual():
    solution = jaxmpc.solve(PROBLEM, X0, PARAMS, solver=Stubborn())
    assert solution.residuals.largest() > 1e-2
    assert solution.status == Status.max_iterations
    kink = dataclasses.replace(PROBLEM, stage_cost=lambda x, u, t, p: jnp.sqrt(u @ u))
    solution = jaxmpc.solve(kink, X0, PARAMS, solver=Stubborn(step_size=0.0))
    assert solution.status == Status.non_finite  # of the derivative at u = 0
    gradient = jax.grad(lambda x0: jaxmpc.solve(kink, x0, PARAMS, solver=Stubborn(0.0)).cost)(X0)
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("name", LOOPS)
def test_bad_numbers_in_a_loop_of_ones_own(name):
    problem, solver = LOOPS[name]
    x0 = X0 * jnp.nan
    state = jaxmpc.initialize(problem, x0, PARAMS, solver=solver)
    step = jax.jit(solver.step)
    for _ in range(40):
        state = step(problem, PARAMS, state)
    assert jaxmpc.finalize(problem, x0, PARAMS, state, solver=solver).status == Status.non_finite


@pytest.mark.parametrize("name", LOOPS)
def test_steps_after_the_end_change_nothing(name):
    problem, solver = LOOPS[name]
    state = steps_of(problem, solver, 500)
    wanted = jaxmpc.finalize(problem, X0, PARAMS, state, solver=solver)

    def more(_, state):
        return solver.step(problem, PARAMS, state)

    later = jax.jit(lambda state: jax.lax.fori_loop(0, 3, more, state))(state)
    came = jaxmpc.finalize(problem, X0, PARAMS, later, solver=solver)
    assert came.iterations == wanted.iterations and came.status == wanted.status
    np.testing.assert_allclose(came.controls, wanted.controls, atol=1e-12)


def infinite(x, u, t, params):
    return stage_cost(x, u, t, params) + jnp.inf


@pytest.mark.parametrize("solver", [jaxmpc.ILQR(), jaxmpc.SQP(), jaxmpc.InteriorPoint()])
def test_an_infinite_cost_is_not_finite(solver):
    problem = dataclasses.replace(PROBLEM, stage_cost=infinite)
    assert jaxmpc.solve(problem, X0, PARAMS, solver=solver).status == Status.non_finite


class Changeable(ProjectedGradient):
    """Equal to what it was before it changed, and so unhashable."""

    __hash__ = None


class Mute(ProjectedGradient):
    def postprocess(self, problem, params, state):
        return state.controls


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: jaxmpc.evaluate(PROBLEM, X0, PARAMS, jnp.zeros((T, 2))), ["controls", "(12, 1)"]),
        (lambda: jaxmpc.evaluate(None, X0, PARAMS, jnp.zeros((T, 1))), ["problem", "NoneType"]),
        (
            lambda: jaxmpc.solve(PROBLEM, X0, PARAMS, solver=Changeable()),
            ["Changeable", "hashable"],
        ),
        (
            lambda: jaxmpc.solve(
                PROBLEM, X0, PARAMS, solver=ProjectedGradient(max_iterations=None)
            ),
            ["solver.max_iterations", "NoneType"],
        ),
        (lambda: jaxmpc.solve(PROBLEM, X0, PARAMS, solver=Mute()), ["postprocess of Mute"]),
        (lambda: jaxmpc.finalize(PROBLEM, X0, PARAMS, None), ["state must be", "SQP", "NoneType"]),
    ],
)
def test_what_is_wrong_is_named(call, words):
    with pytest.raises((TypeError, ValueError, AttributeError)) as error:
        call()
    text = "\n".join([str(error.value), *getattr(error.value, "__notes__", ())])
    assert all(word in text for word in words), text
