"""`simulate`: noise, delays, plants that are not JAX, and the derivative of the whole loop."""

import dataclasses

import jax
import jax.numpy as jnp
import loops
import numpy as np
import pytest

import jaxmpc

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
        ({"plant": lambda x, u, t: x[0]}, r"plant must return the next state, of shape \(2,\)"),
        ({"x0": np.zeros((3, 2))}, "x0 must have shape"),
        ({"delay": -1}, "delay must be an int, 0 or more; got -1"),
    ],
)
def test_bad_input(change, words):
    given = {"controller": CONTROLLER, "plant": loops.plant(), "x0": loops.X0, "steps": 3}
    with pytest.raises((TypeError, ValueError), match=words):
        jaxmpc.simulate(**{**given, "params": loops.PARAMS, **change})
