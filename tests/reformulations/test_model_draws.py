"""One plan for several models: its costs, its constraints, and its derivative."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmpc
from jaxmpc import model_draws
from jaxmpc.trajectory import open_loop

T, D = 8, 4
X0 = jnp.array([0.6, 0.0])
DRAWS = {"gravity": jnp.array([0.5, 1.0, 1.5, 2.0]), "effort": jnp.array(0.1)}
AXES = {"gravity": 0, "effort": None}


def problem(**constraints):
    return jaxmpc.Problem(
        lambda x, u, t, p: x + 0.1 * jnp.stack([x[1], p["gravity"] * jnp.sin(x[0]) + u[0]]),
        lambda x, u, t, p: x @ x + p["effort"] * u @ u,
        lambda x, p: 5.0 * x @ x,
        horizon=T,
        control_dim=1,
        control_bounds=(-2.0, 2.0),
        **constraints,
    )


def costs_of(controls):
    """J_d, one by one."""
    return np.array(
        [open_loop(problem(), X0, {**DRAWS, "gravity": g}, controls).cost for g in DRAWS["gravity"]]
    )


@pytest.mark.parametrize("risk", model_draws.RISKS)
def test_the_risk_of_the_costs(risk):
    robust = model_draws.over_draws(problem(), D, risk=risk, level=0.6, params_axes=AXES)
    x0 = model_draws.augment_state(X0, D, risk=risk)
    controls = 0.3 * jnp.cos(jnp.arange(T))[:, None]
    found = jaxmpc.evaluate(robust, x0, DRAWS, controls)
    costs = np.sort(costs_of(controls))[::-1]
    # The worst 40 % of four are the worst and 0.6 of the second.
    expected = {"mean": costs.mean(), "worst": costs[0], "cvar": (costs[0] + 0.6 * costs[1]) / 1.6}
    np.testing.assert_allclose(found.cost, expected[risk], rtol=1e-12)
    states = model_draws.split_states(found.states, D, risk=risk)
    for d, gravity in enumerate(DRAWS["gravity"]):
        alone = open_loop(problem(), X0, {**DRAWS, "gravity": gravity}, controls)
        np.testing.assert_allclose(states[:, d], alone.states, atol=1e-12)


def test_plans_for_all_of_them():
    """The mean by derivatives; by samples a plan whose worst is better, and its mean worse."""
    mean = model_draws.over_draws(problem(), D, params_axes=AXES)
    by_mean = jaxmpc.solve(mean, model_draws.augment_state(X0, D), DRAWS)
    assert by_mean.converged
    worst = model_draws.over_draws(problem(), D, risk="worst", params_axes=AXES)
    x0 = model_draws.augment_state(X0, D, risk="worst")
    by_worst = jaxmpc.solve(
        worst,
        x0,
        DRAWS,
        controls=by_mean.controls,
        solver=jaxmpc.CEM(noise=0.3),
        key=jax.random.key(0),
    )
    assert costs_of(by_worst.controls).max() < costs_of(by_mean.controls).max() - 1e-3
    assert costs_of(by_worst.controls).mean() > costs_of(by_mean.controls).mean()

    def cost(effort):
        params = {**DRAWS, "effort": effort}
        return jaxmpc.solve(mean, model_draws.augment_state(X0, D), params).controls[0, 0]

    h, effort = 1e-5, DRAWS["effort"]
    expected = (cost(effort + h) - cost(effort - h)) / (2 * h)
    np.testing.assert_allclose(jax.grad(cost)(effort), expected, rtol=1e-6)


def test_constraints_hold_in_every_draw():
    limited = problem(stage_inequality=lambda x, u, t, p: jnp.stack([-0.3 - x[1]]))
    robust = model_draws.over_draws(limited, D, params_axes=AXES)
    solution = jaxmpc.solve(robust, model_draws.augment_state(X0, D), DRAWS)
    assert solution.converged
    # At the stages 0 .. T-1.
    slowest = model_draws.split_states(solution.states, D)[:-1, :, 1].min()
    np.testing.assert_allclose(slowest, -0.3, atol=1e-6)


def test_an_ensemble_of_networks():
    """With an activation function among the params; the same as one by one."""

    def made(key):
        return eqx.nn.MLP(3, 2, 4, 1, activation=jnp.tanh, key=key)

    nets = eqx.filter_vmap(made)(jax.random.split(jax.random.key(0), D))
    single = jaxmpc.Problem(
        lambda x, u, t, net: x + 0.1 * net(jnp.concatenate([x, u])),
        lambda x, u, t, net: x @ x + u @ u,
        horizon=T,
        control_dim=1,
        control_bounds=(-1.0, 1.0),
    )
    robust = model_draws.over_draws(single, D)
    solution = jaxmpc.solve(robust, model_draws.augment_state(X0, D), nets)
    assert solution.converged
    costs = [
        open_loop(single, X0, net, solution.controls).cost
        for net in (
            jax.tree.map(lambda leaf, d=d: leaf[d] if eqx.is_array(leaf) else leaf, nets)
            for d in range(D)
        )
    ]
    np.testing.assert_allclose(solution.cost, np.mean(costs), rtol=1e-10)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: model_draws.over_draws("p", 3), "problem must be a Problem"),
        (lambda: model_draws.over_draws(problem(), 0), "draws must be positive, got 0"),
        (lambda: model_draws.over_draws(problem(), 3, risk="var"), "risk must be one of"),
        (lambda: model_draws.over_draws(problem(), 3, level=1.0), "level must be less than 1"),
        (
            lambda: model_draws.over_draws(problem(state_bounds=(-1.0, 1.0)), 3),
            "state_bounds are not carried over",
        ),
        (
            lambda: jaxmpc.evaluate(
                model_draws.over_draws(problem(), 3, params_axes=AXES), X0, DRAWS, np.zeros((T, 1))
            ),
            "x0 must be the state of 3 draws",
        ),
        (
            lambda: jaxmpc.evaluate(
                model_draws.over_draws(problem(), 3, params_axes=AXES),
                model_draws.augment_state(X0, 3),
                DRAWS,
                np.zeros((T, 1)),
            ),
            r"leading axis of 3 draws .* got an array of shape \(4,\)",
        ),
        (lambda: model_draws.augment_state(X0, 3, risk="cvarr"), "risk must be one of"),
        (lambda: model_draws.augment_state(np.zeros((2, 2)), 3), r"with D = 3; got \(2, 2\)"),
        (lambda: model_draws.split_states(np.zeros((5, 7)), 3), "are not those of 3 draws"),
    ],
)
def test_bad_input(make, words):
    with pytest.raises((TypeError, ValueError), match=words):
        make()
