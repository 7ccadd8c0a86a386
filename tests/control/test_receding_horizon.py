"""`RecedingHorizon`: that of a loop by hand, and what happens when something goes wrong."""

import dataclasses
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import loops
import numpy as np
import pytest

import jaxmpc
from jaxmpc import Status
from jaxmpc.control import AdvancedStep

WALL = {"stage_inequality": lambda x, u, t, p: jnp.stack([x[1] - 0.8])}
PROBLEMS = {"SQP": loops.problem(), "InteriorPoint": loops.problem(**WALL)}


def by_hand(problem, x, params, steps):
    """Every plan from scratch."""
    states, controls, iterations = [x], [], 0
    for _ in range(steps):
        solution = jaxmpc.solve(problem, jnp.asarray(x), params)
        assert solution.converged
        controls.append(solution.controls[0])
        iterations += int(solution.iterations)
        x = loops.plant()(x, controls[-1], 0)
        states.append(x)
    return np.stack(states), np.stack(controls), iterations


@pytest.mark.parametrize("name", PROBLEMS)
def test_it_is_the_loop_by_hand(name):
    problem, steps = PROBLEMS[name], 12
    controller = jaxmpc.RecedingHorizon(problem)
    states, controls, iterations = by_hand(problem, loops.X0, loops.PARAMS, steps)
    loop = jaxmpc.simulate(controller, loops.plant(), loops.X0, steps, loops.PARAMS)
    np.testing.assert_allclose(loop.states, states, rtol=0, atol=1e-6)
    np.testing.assert_allclose(loop.controls, controls, rtol=0, atol=1e-6)
    assert loop.converged.all()
    assert loop.plan.counts[Status.converged] == steps and loop.plan.failures == 0
    # What a shifted plan is worth.
    assert int(loop.iterations.sum()) < 0.8 * iterations
    np.testing.assert_array_equal(loop.predictions.states[:, 0], loop.states[:-1])


def test_a_step_by_hand_and_nothing_is_traced_again():
    traced = []

    def cost(x, u, t, p):
        traced.append(None)
        return (x[0] - p["goal"][t]) ** 2 + 0.1 * x[1] ** 2 + p["effort"] * u[0] ** 2

    problem = jaxmpc.Problem(
        lambda x, u, t, p: loops.swing(x, u, p["gravity"]), cost, horizon=10, control_dim=1
    )
    reference = 0.3 * np.sin(0.2 * np.arange(40))
    controller = jaxmpc.RecedingHorizon(problem, patience=2)

    def given(t):
        return {**loops.PARAMS, "goal": jaxmpc.control.window(reference, t, 10)}

    x, plan = jnp.asarray(loops.X0), controller.init(loops.X0, given(0))
    structure = [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(plan)]
    for t in range(8):
        if t == 2:
            before = len(traced)
        expected = jaxmpc.solve(problem, x, given(t)).controls[0] if t in (0, 7) else None
        u, plan = controller.step(x, plan, given(t))
        assert [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(plan)] == structure
        if expected is not None:
            np.testing.assert_allclose(u, expected, atol=1e-6)
        x = loops.plant()(x, u, t)
    changed = jaxmpc.RecedingHorizon(problem, patience=5)
    changed.step(x, plan, given(0))
    # (The solve that is compared with is traced for itself, once.)
    assert len(traced) == before


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_fixed_number_of_iterations_settles_on_the_same_controls(name):
    problem = PROBLEMS[name]
    solved = jaxmpc.simulate(
        jaxmpc.RecedingHorizon(problem), loops.plant(), loops.X0, 40, loops.PARAMS
    )
    rti = jaxmpc.RecedingHorizon(problem, iterations=1)
    for controller in (rti, AdvancedStep(rti)):
        loop = jaxmpc.simulate(controller, loops.plant(), loops.X0, 40, loops.PARAMS)
        assert loop.iterations[2:].max() <= 1
        assert loop.plan.failures == 0
        np.testing.assert_allclose(loop.states[-1], solved.states[-1], atol=2e-2)
        assert loop.costs.sum() < 1.05 * solved.costs.sum()


@pytest.mark.parametrize("between", ["policy", "rollout"])
def test_a_plan_every_third_sample(between):
    controller = jaxmpc.RecedingHorizon(loops.problem(), every=3, between=between)
    every = jaxmpc.simulate(
        AdvancedStep(jaxmpc.RecedingHorizon(loops.problem())),
        loops.plant(),
        loops.X0,
        30,
        loops.PARAMS,
    )
    loop = jaxmpc.simulate(AdvancedStep(controller), loops.plant(), loops.X0, 30, loops.PARAMS)
    assert loop.plan.counts.sum() == 10 and every.plan.counts.sum() == 30
    assert loop.costs.sum() < 1.1 * every.costs.sum()
    assert np.linalg.norm(loop.states[-1]) < 0.05


def test_what_cannot_be_solved_is_not_followed_and_not_fed_back():
    """Params that nobody can plan with, for a while; the last good plan goes on with its gains."""
    problem = loops.problem()
    controller = jaxmpc.RecedingHorizon(problem, patience=3)
    plan, x = controller.init(loops.X0, loops.PARAMS), jnp.asarray(loops.X0)
    u, plan = controller.step(x, plan, loops.PARAMS)
    good = plan.solution
    broken = {**loops.PARAMS, "goal": jnp.array(jnp.nan)}
    for k in range(1, 5):
        x = loops.plant()(x, u, 0)
        u, plan = controller.step(x, plan, broken)
        assert plan.status == Status.non_finite and plan.failures == k
        jax.tree.map(np.testing.assert_array_equal, plan.solution, good)
        away = x - good.states[k]
        expected = np.clip(good.controls[k] + good.gains.feedback[k] @ away, -1.5, 1.5)
        np.testing.assert_allclose(u, expected, atol=1e-12)
    x = loops.plant()(x, u, 0)
    u, plan = controller.step(x, plan, loops.PARAMS)  # a new start: more than `patience` failures
    np.testing.assert_allclose(u, jaxmpc.solve(problem, x, loops.PARAMS).controls[0], atol=1e-7)
    assert plan.status == Status.converged and plan.failures == 0 and plan.stage == 0
    np.testing.assert_array_equal(plan.counts[jnp.array([0, 5])], [2, 4])


def test_beyond_the_end_of_the_plan_its_last_stage_is_followed():
    controller = jaxmpc.RecedingHorizon(loops.problem(horizon=3))
    u, plan = controller.step(loops.X0, controller.init(loops.X0, loops.PARAMS), loops.PARAMS)
    broken = {**loops.PARAMS, "goal": jnp.array(jnp.nan)}
    for _ in range(6):
        u, plan = controller.step(loops.X0, plan, broken)
    away = loops.X0 - plan.solution.states[2]
    expected = plan.solution.controls[2] + plan.solution.gains.feedback[2] @ away
    np.testing.assert_allclose(u, np.clip(expected, -1.5, 1.5), atol=1e-12)


@pytest.mark.parametrize("iterations", [None, 2])
def test_a_sensor_that_fails_and_a_jump(iterations):
    """NaN for four samples, and a push: told, survived, and planned again."""
    controller = jaxmpc.RecedingHorizon(loops.problem(), iterations=iterations)

    def noise(key, x, t):
        return jnp.where((t >= 5) & (t < 9), jnp.nan, 0.0) * jnp.ones_like(x)

    def plant(x, u, t):
        return loops.plant()(x, u, t) + jnp.where(t == 15, 1.0, 0.0) * jnp.array([0.3, -1.0])

    loop = jaxmpc.simulate(
        controller,
        plant,
        loops.X0,
        60,
        loops.PARAMS,
        key=jax.random.key(0),
        measurement_noise=noise,
    )
    assert np.isnan(loop.measured[5:9]).all() and np.isfinite(loop.states).all()
    lost = np.asarray(loop.statuses) == Status.non_finite
    np.testing.assert_array_equal(np.flatnonzero(lost), np.arange(5, 9))
    np.testing.assert_array_equal(loop.failures[4:10], [0, 1, 2, 3, 4, 0])
    assert np.linalg.norm(loop.states[-1]) < 1e-2


def test_a_plant_that_returns_nan_and_recovers():
    controller = jaxmpc.RecedingHorizon(loops.problem())
    step = jax.jit(controller.step)
    plan, x = controller.init(loops.X0, loops.PARAMS), jnp.asarray(loops.X0)
    for t in range(12):
        seen = jnp.full(2, jnp.nan) if t in (4, 5, 6, 7) else x
        u, plan = step(seen, plan, loops.PARAMS)
        assert np.isfinite(u).all() and abs(u[0]) <= 1.5
        assert (plan.status == Status.converged) == (t not in (4, 5, 6, 7))
        x = loops.plant()(x, u, t)


@pytest.mark.parametrize("samples", [1, 3])
def test_a_delay_is_compensated_by_prediction(samples):
    """With the plant's own model the loop is that without delay, so many samples later."""
    problem = loops.problem()
    told = jaxmpc.RecedingHorizon(problem, delay=samples)
    untold = jaxmpc.RecedingHorizon(problem)
    exact = loops.plant(2.0)
    rest = jnp.zeros(1)
    x0 = 0.3 * loops.X0
    ahead = jnp.asarray(x0)
    for _ in range(samples):
        ahead = exact(ahead, rest, 0)
    late = jaxmpc.simulate(told, exact, x0, 20, loops.PARAMS, delay=samples)
    prompt = jaxmpc.simulate(untold, exact, ahead, 20 - samples, loops.PARAMS)
    np.testing.assert_allclose(late.states[samples:], prompt.states, atol=1e-6)
    naive = jaxmpc.simulate(untold, exact, x0, 20, loops.PARAMS, delay=samples)
    assert naive.costs.sum() > late.costs.sum()


def test_prepare_and_feedback():
    """From the predicted state the control is the plan's; near it the policy's, to second order."""
    problem = loops.problem()
    controller = jaxmpc.RecedingHorizon(problem)
    x0 = 0.3 * loops.X0
    plan = controller.prepare(controller.init(x0, loops.PARAMS), loops.PARAMS)
    u, plan = controller.feedback(x0, plan)
    whole = jaxmpc.solve(problem, x0, loops.PARAMS)
    np.testing.assert_allclose(u, whole.controls[0], atol=1e-9)
    # The policy between two samples.
    between = 0.5 * (whole.states[0] + whole.states[1])
    np.testing.assert_allclose(controller.policy(between, plan, 0.5), u, atol=1e-9)
    plan = controller.prepare(plan, loops.PARAMS)
    expected = loops.swing(x0, u, 2.0)
    np.testing.assert_allclose(plan.solution.states[0], expected, atol=1e-9)
    errors = []
    for size in (1e-2, 1e-3):
        x = expected + size * jnp.array([1.0, -2.0])
        error = controller.feedback(x, plan)[0] - jaxmpc.solve(problem, x, loops.PARAMS).controls[0]
        errors.append(abs(error[0]))
    assert errors[0] < 1e-3 and errors[1] < 0.02 * errors[0]
    # Without a new preparation the same plan goes on.
    _, once = controller.feedback(expected, plan)
    u, twice = controller.feedback(plan.solution.states[1], once)
    np.testing.assert_allclose(u, plan.solution.controls[1], atol=1e-9)
    assert twice.stage == 1


def test_vmap_over_states_and_controllers():
    def last(x0, effort, bound):
        controller = jaxmpc.RecedingHorizon(loops.problem(bound=bound))
        params = {**loops.PARAMS, "effort": effort}
        return jaxmpc.simulate(controller, loops.plant(), x0, 5, params).states[-1]

    x0s = jnp.array([[1.0, 0.0], [-0.5, 0.2]])
    efforts, bounds = jnp.array([0.1, 0.3]), jnp.array([1.5, 0.5])
    together = jax.jit(jax.vmap(last))(x0s, efforts, bounds)
    for k in range(2):
        alone = last(x0s[k], efforts[k], bounds[k])
        np.testing.assert_allclose(together[k], alone, atol=1e-8)


def test_a_warm_start_is_a_plan():
    problem = loops.problem()
    solution = jaxmpc.solve(problem, loops.X0, loops.PARAMS)
    controller = jaxmpc.RecedingHorizon(problem, iterations=1)
    plan = controller.init(loops.X0, loops.PARAMS, warm_start=solution)
    assert plan.begun
    u, plan = controller.step(loops.X0, plan, loops.PARAMS)
    np.testing.assert_allclose(u, solution.controls[0], atol=1e-9)


def test_a_robot_that_starts_blind():
    """The first measurements are NaN: bounded controls, and a plan with the first good one."""
    for delay in (0, 1):
        controller = jaxmpc.RecedingHorizon(loops.problem(), delay=delay)
        plan = controller.init(jnp.full(2, jnp.nan), loops.PARAMS)
        for _ in range(2):
            u, plan = controller.step(jnp.full(2, jnp.nan), plan, loops.PARAMS)
            assert np.isfinite(u).all() and plan.status == Status.non_finite
        u, plan = controller.step(loops.X0, plan, loops.PARAMS)
        assert np.isfinite(u).all() and plan.status == Status.converged


def test_the_first_preparation_over_a_delay_starts_where_its_control_will_act():
    problem = dataclasses.replace(loops.problem(), control_bounds=(0.3, 1.5))
    controller = jaxmpc.RecedingHorizon(problem, delay=2)
    plan = controller.prepare(controller.init(loops.X0, loops.PARAMS), loops.PARAMS)
    x = jnp.asarray(loops.X0)
    for _ in range(2):  # what is pending at the beginning: zeros, moved within the bounds
        x = loops.swing(x, jnp.array([0.3]), 2.0)
    np.testing.assert_allclose(plan.solution.states[0], x, atol=1e-12)


class Torque(eqx.Module):
    """Params with a leaf that is no number, and that can be called."""

    gain: jax.Array
    function: Callable

    def __call__(self, x):
        return self.gain * self.function(x)


@pytest.mark.parametrize("delay", [0, 1])
def test_params_that_are_a_network(delay):
    problem = jaxmpc.Problem(
        lambda x, u, t, p: x + 0.1 * jnp.stack([x[1], p(x[0]) + u[0]]),
        lambda x, u, t, p: x @ x + 0.1 * u @ u,
        horizon=8,
        control_dim=1,
    )
    params = Torque(jnp.array(1.0), jnp.sin)
    controller = jaxmpc.RecedingHorizon(problem, delay=delay)
    plan = controller.prepare(controller.init(loops.X0, params), params)
    u, plan = controller.feedback(loops.X0, plan)
    again, _ = controller.step(loops.X0, controller.init(loops.X0, params), params)
    np.testing.assert_allclose(u, again, atol=1e-6)
    loop = jaxmpc.simulate(AdvancedStep(controller), loops.plant(1.1), loops.X0, 3, params)
    assert loop.converged.all()


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda p: jaxmpc.RecedingHorizon("cart"), "problem must be a Problem, got str"),
        (lambda p: jaxmpc.RecedingHorizon(p, jaxmpc.SQP), "solver must be a Solver"),
        (lambda p: jaxmpc.RecedingHorizon(p, iterations=0), "iterations must be positive, got 0"),
        (lambda p: jaxmpc.RecedingHorizon(p, delay=-1), "delay must not be negative, got -1"),
        (lambda p: jaxmpc.RecedingHorizon(p, delay=0.5), "delay must be an int, got float"),
        (lambda p: jaxmpc.RecedingHorizon(p, between="b"), "between must be one of"),
        (
            lambda p: jaxmpc.RecedingHorizon(p, adjoint=jaxmpc.UnrolledAdjoint(3)),
            "adjoint must be a ImplicitAdjoint, got UnrolledAdjoint",
        ),
        (
            lambda p: jaxmpc.RecedingHorizon(p).step(loops.X0, None, loops.PARAMS),
            "plan must be a Plan, got NoneType",
        ),
        (
            lambda p: (c := jaxmpc.RecedingHorizon(p)).step(
                np.zeros(3), c.init(loops.X0, loops.PARAMS), loops.PARAMS
            ),
            r"x must have shape \[n\] = \(2,\), got \(3,\)",
        ),
        (
            lambda p: jaxmpc.RecedingHorizon(p, delay=1).step(
                loops.X0, jaxmpc.RecedingHorizon(p).init(loops.X0, loops.PARAMS), loops.PARAMS
            ),
            r"plan must be one of this controller's, with pending of shape \(1, 1\); got \(0, 1\)",
        ),
        (
            lambda p: (c := jaxmpc.RecedingHorizon(p)).step(
                None, c.init(loops.X0, loops.PARAMS), loops.PARAMS
            ),
            "x must be an array .* got None",
        ),
        (lambda p: AdvancedStep(p).init(loops.X0), "controller must be a RecedingHorizon"),
        (lambda p: jaxmpc.control.window(np.zeros((15, 2)), -1, 10), "t must not be negative"),
        (lambda p: jaxmpc.shift(jaxmpc.solve(p, loops.X0, loops.PARAMS), 1.5), "samples must be"),
        (
            lambda p: jaxmpc.RecedingHorizon(p).init(loops.X0, loops.PARAMS, controls=np.zeros(3)),
            r"controls must have shape \[T, m\]",
        ),
        (
            lambda p: jaxmpc.control.window(np.zeros((5, 2)), 0, 10),
            r"at least horizon \+ 1 = 11 rows; got shape \(5, 2\)",
        ),
        (lambda p: jaxmpc.shift("plan"), "solution must be a Solution, got str"),
    ],
)
def test_bad_input(make, words):
    with pytest.raises((TypeError, ValueError), match=words):
        make(loops.problem())
