"""Networks as dynamics and costs: learned through prediction and through the solver."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

from bench.networks import stages
from bench.networks.cost import ConvexCost, FreeCost
from bench.networks.residual import residual_dynamics
from bench.networks.systems import CARTPOLE, rollouts, starts
from jaxmpc import ILQR, learning
from jaxmpc.learning import Examples, plain

N, WIDTH = 16, 16


def untrained(system, seed):
    return residual_dynamics(
        system.prior, system.features, system.scale, 1, key=jax.random.key(seed), width=WIDTH
    )


@pytest.fixture(scope="module")
def truth():
    """A network too, so that one compiled program plans for both."""
    model = untrained(CARTPOLE, 1)
    keys = jax.random.split(jax.random.key(2))
    last = model.network.layers[-1]
    weight = 0.25 * jax.random.normal(keys[0], last.weight.shape)
    return eqx.tree_at(lambda model: model.network.layers[-1].weight, model, weight)


@pytest.fixture(scope="module")
def given(truth):
    """Recorded rollouts without noise, and optimal trajectories."""
    system, problem = CARTPOLE._replace(truth=truth), CARTPOLE.problem()
    x0s = starts(system, jax.random.key(3), N)
    blank = jnp.zeros((N, problem.horizon, 1))
    best = stages.plans(problem, truth, x0s, blank)
    assert bool(jnp.all(best.converged))
    return rollouts(system, jax.random.key(4), x0s, blank, 0.0), Examples(
        best.states, best.controls
    )


def fit(loss, model, examples, epochs, rate):
    return learning.fit(
        loss, model, examples, optimizer=optax.adam(rate), epochs=epochs, progress=False
    )


def test_an_untrained_residual_is_its_prior():
    x, u = jnp.array([0.1, 0.5, -1.0, 2.0]), jnp.array([3.0])
    np.testing.assert_array_equal(untrained(CARTPOLE, 0)(x, u), CARTPOLE.prior(x, u))


@pytest.fixture(scope="module")
def imitation(truth, given):
    """Flat weights -> (loss, all solved), gradient: through the solver, compiled once."""
    loss, back = (
        learning.Imitation(CARTPOLE.problem(), solver=ILQR(tolerance=1e-10)),
        unravel(truth),
    )
    plans = loss.first_plans(truth, given[1])

    @jax.jit
    @partial(jax.value_and_grad, has_aux=True)
    def value(flat):
        outcome = loss(back(flat), given[1], plans)
        return jnp.mean(outcome.losses), jnp.all(outcome.solved)

    return value


def unravel(model):
    return ravel_pytree(model)[1]


def test_prediction_learns_what_the_prior_lacks(given):
    recorded, _ = given
    one = fit(stages.prediction(CARTPOLE, 1), untrained(CARTPOLE, 0), recorded, 300, 1e-2)
    assert one.history.loss[-1] < 0.05 * one.history.loss[0]
    several = fit(stages.prediction(CARTPOLE, 10), one.last, recorded, 60, 2e-3)
    assert several.history.loss[-1] < 0.7 * several.history.loss[0]


def test_imitation_through_the_solver_learns_too(imitation):
    flat, _ = ravel_pytree(untrained(CARTPOLE, 0))
    optimizer, losses = optax.adam(3e-3), []
    moments = optimizer.init(flat)
    for _ in range(20):
        (loss, solved), gradient = imitation(flat)
        assert bool(solved)
        losses.append(float(loss))
        with jax.numpy_dtype_promotion("standard"):  # Optax's own arithmetic asks for it
            change, moments = optimizer.update(gradient, moments)
        flat = optax.apply_updates(flat, change)
    assert losses[-1] < 0.2 * losses[0]


def test_the_gradient_through_the_solver_agrees_with_differences(truth, imitation):
    flat, _ = ravel_pytree(truth)
    start = flat + 0.02 * jax.random.normal(jax.random.key(5), flat.shape)  # not at the optimum
    (_, solved), gradient = imitation(start)
    assert bool(solved)
    for seed in range(3):
        direction = jax.random.normal(jax.random.key(seed), flat.shape)
        direction /= jnp.linalg.norm(direction)
        ahead, behind = (imitation(start + h * direction)[0][0] for h in (1e-4, -1e-4))
        scale = float(jnp.linalg.norm(gradient)) / flat.size**0.5
        np.testing.assert_allclose(
            gradient @ direction, (ahead - behind) / 2e-4, rtol=1e-5, atol=1e-5 * scale
        )


@pytest.mark.parametrize("seed", range(3))
def test_a_convex_cost_is_convex_for_all_parameters(seed):
    keys = jax.random.split(jax.random.key(seed), 3)
    points = 3 * jax.random.normal(keys[2], (200, 5))

    @jax.jit
    def least(cost):
        flat, back = ravel_pytree(cost)
        wild = plain(back(flat + jax.random.normal(keys[1], flat.shape)))
        curvatures = jnp.linalg.eigvalsh(jax.vmap(jax.hessian(wild))(points))
        return jnp.min(curvatures), jnp.max(curvatures)

    smallest, largest = least(ConvexCost(5, 16, keys[0]))
    assert smallest > -1e-10 * largest
    assert least(FreeCost(5, 16, keys[0]))[0] < -0.1  # so that the check could have failed
