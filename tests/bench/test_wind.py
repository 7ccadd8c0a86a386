"""The wind study, in short: its vehicle, its flights and what is learned from them."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bench.wind import closed_loop, field, vehicle
from bench.wind.closed_loop import tracking_error
from bench.wind.disturbance import NOTHING, Network, constant_and_drag, learned
from bench.wind.situations import hindsight, prediction_error, situations
from bench.wind.training import END_TO_END, PREDICTION, Training
from jaxmpc import learning
from jaxmpc.models import quadrotor_state

_HAND = {"drag": jnp.array(0.7), "memory": jnp.array(0.0), "gain": jnp.array(1.0)}


def _mean_error(model, params, moments):
    return float(jnp.mean(jax.vmap(partial(prediction_error, model, params))(moments)))


@pytest.fixture(scope="module")
def flown():
    tasks = [closed_loop.draw(key, 16) for key in jax.random.split(jax.random.key(0), 2)]
    return tasks, [closed_loop.fly(constant_and_drag, _HAND, task) for task in tasks]


def test_wind_is_free_of_divergence():
    own = field.draw(jax.random.key(1))
    slopes = jax.jacobian(partial(field.wind, own))(jnp.array([0.3, -1.0, 0.5]))
    assert abs(jnp.trace(slopes)) < 1e-12
    assert jnp.max(jnp.abs(slopes)) > 0.1


def test_residual_is_the_drag_of_the_air():
    own = field.draw(jax.random.key(2))
    x = quadrotor_state(jnp.zeros(3)).at[vehicle.VELOCITY].set(jnp.array([2.0, -1.0, 0.3]))
    u = jnp.full(4, vehicle.HOVER)
    after = vehicle.fly(x, u, own)
    middle = 0.5 * (vehicle.air_drag(own, x) + vehicle.air_drag(own, after))
    found = vehicle.residual(x, u, after)
    np.testing.assert_allclose(found, middle, atol=0.01)
    assert jnp.linalg.norm(found) > 0.5


@pytest.mark.slow
def test_the_hand_tuned_model_tracks_several_times_better_than_none(flown):
    (task, _), (flight, _) = flown
    assert jnp.all(flight.converged)
    nothing = closed_loop.fly(constant_and_drag, jax.tree.map(jnp.asarray, NOTHING), task)
    tuned, none = (jnp.mean(tracking_error(f, task)) for f in (flight, nothing))
    assert tuned < 0.03  # [m]
    assert none > 4 * tuned


@pytest.mark.slow
def test_a_network_predicts_better_than_the_hand_tuned_model(flown):
    moments = [situations(flight, task) for task, flight in zip(*flown, strict=True)]
    train = Training(PREDICTION, 3e-3, epochs=10, batch_size=64)
    network, losses = train(Network(jax.random.key(3)), *moments, seed=0)
    assert min(losses) == pytest.approx(_mean_error(learned, network, moments[1]), rel=1e-6)
    assert min(losses) < 0.9 * _mean_error(constant_and_drag, _HAND, moments[1])


@pytest.mark.slow
def test_training_through_the_solver_lowers_the_distance_to_hindsight(flown):
    moments = [situations(flight, task) for task, flight in zip(*flown, strict=True)]
    some = [jax.tree.map(lambda leaf: leaf[::4], part) for part in moments]
    train = Training(END_TO_END, 3e-3, epochs=6, batch_size=32)
    network, (examples, held_out) = Network(jax.random.key(3)), map(hindsight, some)
    plans = END_TO_END.first_plans(network, held_out)
    before, _, _ = learning.evaluate(END_TO_END, network, held_out, plans)
    _, losses = train(network, examples, held_out, seed=0)
    assert min(losses) < 0.9 * before
