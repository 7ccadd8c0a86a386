"""`simulate`: noise, delays, plants that are not JAX, and the derivative of the whole loop."""

import dataclasses

import jax
import jax.numpy as jnp
import loops
import numpy as np
import pytest

import jaxmpc
from jaxmpc.control import AdvancedStep

CONTROLLER = jaxmpc.RecedingHorizon(loops.problem())


def run(**options):
    return jaxmpc.simulate(CONTROLLER, loops.plant(), loops.X0, 10, loops.PARAMS, **options)


def test_what_is_recorded():
    loop = run(process_noise=jnp.array([0.0, 0.1]), measurement_noise=0.05, key=jax.random.key(3))
    assert loop.states.shape == (11, 2) and loop.controls.shape == (10, 1)
    assert loop.predictions.states.shape == (10, 11, 2)
    assert loop.predictions.controls.shape == (10, 10, 1)
    problem = CONTROLLER.problem
    costs = [
        problem.stage_cost(x, u, 0, loops.PARAMS)
        for x, u in zip(loop.states[:-1], loop.controls, strict=True)
    ]
    np.testing.assert_allclose(loop.costs, costs)
    after = jax.vmap(lambda x, u: loops.plant()(x, u, 0))(loop.states[:-1], loop.controls)
    disturbance = np.asarray(loop.states[1:] - after)
    np.testing.assert_allclose(disturbance[:, 0], 0, atol=1e-12)
    assert 0.03 < np.std(disturbance[:, 1]) < 0.3
    assert 0.02 < np.std(loop.measured - loop.states[:-1]) < 0.1
    again = run(process_noise=jnp.array([0.0, 0.1]), measurement_noise=0.05, key=jax.random.key(3))
    np.testing.assert_array_equal(loop.states, again.states)


def test_in_python_with_a_plant_that_is_not_jax():
    def plant(x, u, t):
        x, u = np.asarray(x), np.asarray(u)
        return x + loops.DT * np.array([x[1], 2.2 * np.sin(x[0]) + u[0]])

    loop = jaxmpc.simulate(CONTROLLER, plant, loops.X0, 10, loops.PARAMS, jit=False)
    np.testing.assert_allclose(loop.states, run().states, atol=1e-9)
    np.testing.assert_array_equal(loop.statuses, run().statuses)


def test_params_of_time_a_cost_and_no_predictions():
    reference = jnp.concatenate([jnp.zeros(20), 0.5 * jnp.ones(40)])

    def params(t):
        return {**loops.PARAMS, "goal": reference[t]}

    loop = jaxmpc.simulate(
        CONTROLLER,
        loops.plant(2.0),
        loops.X0,
        40,
        params,
        cost=lambda x, u, t: x[0] - reference[t],
        predictions=False,
    )
    assert loop.predictions is None
    np.testing.assert_allclose(loop.costs, loop.states[:-1, 0] - reference[:40], atol=1e-12)
    assert loop.states[15:20, 0].max() < 0.25 < 0.4 < loop.states[-1, 0]


def test_a_controller_of_ones_own_and_a_loop_that_goes_on():
    class Proportional:
        def init(self, x0, params):
            return jnp.zeros(())

        def step(self, x, plan, params):
            return -params @ x, plan + 1

    gain = jnp.array([[4.0, 2.0]])
    whole = jaxmpc.simulate(Proportional(), loops.plant(), loops.X0, 9, gain)
    assert whole.plan == 9 and not whole.costs.any() and whole.predictions is None
    first = jaxmpc.simulate(CONTROLLER, loops.plant(), loops.X0, 4, loops.PARAMS)
    then = jaxmpc.simulate(
        CONTROLLER, loops.plant(), first.states[-1], 6, loops.PARAMS, plan=first.plan
    )
    np.testing.assert_allclose(then.states, run().states[4:], atol=1e-9)
    assert then.plan.counts.sum() == 10


@pytest.mark.parametrize("name", ["SQP", "InteriorPoint"])
def test_the_derivative_of_a_closed_loop(name):
    """30 steps with active bounds, by plant, controller and state: central differences."""
    walls = {"stage_inequality": lambda x, u, t, p: jnp.stack([-0.12 - x[1]])}
    given = loops.problem(bound=1.2, **(walls if name == "InteriorPoint" else {}))
    solver = getattr(jaxmpc, name)(tolerance=1e-11)

    def loss(varied):
        bounds = (-varied["bound"], varied["bound"])
        problem = dataclasses.replace(given, control_bounds=bounds)
        params = {**loops.PARAMS, "effort": varied["effort"], "gravity": varied["model"]}
        controller = jaxmpc.RecedingHorizon(problem, solver)
        loop = jaxmpc.simulate(
            controller, loops.plant(varied["plant"]), varied["x0"], 30, params, predictions=False
        )
        return jnp.sum(loop.costs) + jnp.sum(loop.states[-1] ** 2), loop

    point = {
        "bound": jnp.array(1.2),
        "effort": jnp.array(0.1),
        "model": jnp.array(2.0),
        "plant": jnp.array(2.2),
        "x0": jnp.array([0.3, 0.3]),
    }
    (_, loop), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(point)
    assert loop.converged.all()
    assert (np.abs(loop.controls) > 1.2 - 1e-6).any()
    if name == "InteriorPoint":
        assert (loop.states[:, 1] < -0.11).any()  # of the plant, whose model is wrong
    value = jax.jit(lambda varied: loss(varied)[0])
    for key, part in point.items():
        for index in np.ndindex(part.shape):
            step = 1e-5
            up, down = (value({**point, key: part.at[index].add(sign * step)}) for sign in (1, -1))
            expected = (up - down) / (2 * step)
            assert abs(gradient[key][index] - expected) < 1e-5 * max(1, abs(expected)), key


@pytest.mark.parametrize(
    "make, tolerance",
    [
        # Through the gains of each plan: they are differentiated too.
        (lambda p, solver: AdvancedStep(jaxmpc.RecedingHorizon(p, solver)), 1e-5),
        (
            lambda p, solver: AdvancedStep(
                jaxmpc.RecedingHorizon(p, solver, every=2, between="rollout")
            ),
            1e-5,
        ),
        (lambda p, solver: jaxmpc.RecedingHorizon(p, solver, delay=1), 1e-5),
        # As exact as plans of one iteration are.
        (lambda p, solver: jaxmpc.RecedingHorizon(p, solver, iterations=1), 2e-2),
    ],
    ids=["advanced step", "rollout", "delay", "one iteration"],
)
def test_the_derivative_of_other_loops(make, tolerance):
    """With noise, a wrong model, and one measurement that is not finite."""
    problem, solver = loops.problem(bound=1.2, horizon=8), jaxmpc.SQP(tolerance=1e-11)

    def noise(key, x, t):
        return 0.02 * jax.random.normal(key, x.shape, x.dtype) + jnp.where(t == 4, jnp.nan, 0.0)

    def loss(point):
        params = {**loops.PARAMS, "effort": point[0], "gravity": point[1]}
        controller = make(problem, solver)
        loop = jaxmpc.simulate(
            controller,
            loops.plant(point[2]),
            jnp.array([0.3, 0.3]),
            10,
            params,
            key=jax.random.key(0),
            process_noise=0.02,
            measurement_noise=noise,
            delay=getattr(controller, "delay", 0),
            predictions=False,
        )
        return jnp.sum(loop.costs) + jnp.sum(loop.states[-1] ** 2)

    point = jnp.array([0.1, 2.0, 2.2])
    value = jax.jit(loss)
    gradient = jax.jit(jax.grad(loss))(point)
    for k in range(3):
        up, down = value(point.at[k].add(1e-5)), value(point.at[k].add(-1e-5))
        expected = (up - down) / 2e-5
        assert abs(gradient[k] - expected) < tolerance * max(1, abs(expected)), k


def test_other_numbers_compile_nothing_anew():
    traced = []

    def cost(x, u, t, p):
        traced.append(None)
        return p["q"] * x @ x + 0.1 * u @ u

    problem = jaxmpc.Problem(
        lambda x, u, t, p: loops.swing(x, u, 2.0),
        cost,
        horizon=5,
        control_dim=1,
        control_bounds=(-1.0, 1.0),
    )
    plant = loops.plant()

    def run(problem, **options):
        controller = jaxmpc.RecedingHorizon(problem, **options)
        return jaxmpc.simulate(controller, plant, loops.X0, 3, {"q": 1.0 + len(traced)})

    run(problem)
    before = len(traced)
    run(problem)
    run(dataclasses.replace(problem, control_bounds=(-0.7, 0.7)), patience=5)
    assert len(traced) == before


def test_a_loop_with_a_delay_goes_on():
    controller = jaxmpc.RecedingHorizon(loops.problem(), delay=2)
    whole = jaxmpc.simulate(controller, loops.plant(), loops.X0, 8, loops.PARAMS, delay=2)
    first = jaxmpc.simulate(controller, loops.plant(), loops.X0, 4, loops.PARAMS, delay=2)
    then = jaxmpc.simulate(
        controller, loops.plant(), first.states[-1], 4, loops.PARAMS, delay=2, plan=first.plan
    )
    np.testing.assert_allclose(then.states, whole.states[4:], atol=1e-9)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"steps": 0}, "steps must be positive, got 0"),
        ({"process_noise": 0.1}, "process_noise needs key"),
        (
            {"measurement_noise": np.ones(3), "key": jax.random.key(0)},
            r"measurement_noise must be a number, \[n\] = \(2,\)",
        ),
        ({"plant": 3}, "plant must be a function"),
        ({"controller": jaxmpc.RecedingHorizon}, "controller must have init and step"),
        ({"plant": lambda x, u, t: x[0]}, r"plant must return a state, of shape \(2,\)"),
        ({"x0": np.zeros((3, 2))}, "x0 must have shape"),
        ({"plant": lambda x, u, t: None}, r"plant must return a state, of shape \(2,\); got None"),
        ({"cost": 3.0}, "cost must be a function"),
        ({"cost": lambda x, u, t: x}, r"cost must return a scalar, got shape \(2,\)"),
        ({"key": 1}, r"key must be one jax.random.key\(...\), got int"),
        (
            {"process_noise": lambda key, x, t: x[0], "key": jax.random.key(0)},
            r"noise must return a state, of shape \(2,\); got \(\)",
        ),
        ({"delay": -1}, "delay must be an int, 0 or more; got -1"),
    ],
)
def test_bad_input(change, words):
    given = {"controller": CONTROLLER, "plant": loops.plant(), "x0": loops.X0, "steps": 3}
    with pytest.raises((TypeError, ValueError), match=words):
        jaxmpc.simulate(**{**given, "params": loops.PARAMS, **change})
