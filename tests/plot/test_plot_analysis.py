"""The course of a solve, phase portraits, gains, and the names of signals."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from pictures import DT, LABELS, batch_of, cart, driven, png

import jaxmpc
from jaxmpc import models, plot


@pytest.fixture(scope="module")
def solution():
    return driven(cart())


@pytest.fixture
def course(solution):
    nothing = np.full(4, np.nan)
    return jaxmpc.Convergence(
        cost=np.array([-1.0, -3.0, -4.0, -4.5]),
        stationarity=np.array([1.0, 1e-2, 1e-5, 1e-9]),
        feasibility=np.array([0.1, 0.0, 1e-4, 0.0]),
        complementarity=np.zeros(4),
        step_size=np.array([np.nan, 0.5, 0.0, 1.0]),
        regularization=np.array([0.0, 0.0, 10.0, 0.0]),
        barrier=nothing,
        solution=solution,
    )


def test_convergence(course):
    axes = plot.plot_convergence(course)
    assert [axis.get_yscale() for axis in axes] == ["log"] * 3
    cost, residuals, numbers = axes
    np.testing.assert_allclose(cost.lines[0].get_ydata(), [3.5, 1.5, 0.5, np.nan])
    texts = [text.get_text() for text in residuals.get_legend().get_texts()]
    assert texts == ["stationarity", "feasibility", "tolerance"]  # nothing is complementary
    np.testing.assert_allclose(residuals.lines[1].get_ydata(), [0.1, np.nan, 1e-4, np.nan])
    texts = [text.get_text() for text in numbers.get_legend().get_texts()]
    assert texts == ["step size", "regularisation", "no step taken"]  # and no barrier
    np.testing.assert_allclose(numbers.lines[-1].get_xdata(), [2])
    for axis in axes:  # told apart without colour
        looks = [(line.get_linestyle(), line.get_marker()) for line in axis.lines]
        assert len(set(looks)) == len(looks)
    png(axes)


def test_convergence_of_something_else(solution):
    with pytest.raises(TypeError, match="convergence must be a Convergence, got Solution"):
        plot.plot_convergence(solution)


def test_a_phase_portrait(solution):
    axis = plot.plot_phase(solution, labels=LABELS)
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("position [m]", "speed [m/s]")
    line, start, end = axis.lines
    np.testing.assert_allclose(line.get_xydata(), solution.states)
    np.testing.assert_allclose(start.get_xydata(), solution.states[:1])
    np.testing.assert_allclose(end.get_xydata(), solution.states[-1:])
    assert start.get_marker() != end.get_marker()
    png(axis)


def test_a_phase_portrait_of_many_and_of_other_states(solution):
    states = np.asarray(batch_of(solution, 1.0, 2.0).states)
    axis = plot.plot_phase(states, -1, 0)
    assert len(axis.lines) == 2 + 2 and axis.get_xlabel() == "x[1]"
    np.testing.assert_allclose(axis.lines[1].get_xydata(), states[1][:, ::-1])
    with pytest.raises(ValueError, match="j must be the number of one of the 2 states, got 2"):
        plot.plot_phase(states, 0, 2)
    with pytest.raises(ValueError, match=r"states must be \[..., T\+1, n\]"):
        plot.plot_phase(np.zeros(3))
    assert plot.plot_phase(states, axes=axis) is axis


def test_gains(solution):
    feedback = np.arange(20.0).reshape(10, 1, 2)
    solution = dataclasses.replace(solution, gains=solution.gains._replace(feedback=feedback))
    (axis,) = plot.plot_gains(solution, DT, LABELS)
    assert axis.get_ylabel() == "gain of force"
    np.testing.assert_allclose(axis.lines[1].get_ydata()[:-1], feedback[:, 0, 1])
    texts = [text.get_text() for text in axis.figure.legends[0].get_texts()]
    assert texts == ["on position", "on speed"]
    png(axis)
    with pytest.raises(ValueError, match="must be of one problem"):
        plot.plot_gains(batch_of(solution, 1.0, 2.0))
    with pytest.raises(ValueError, match="got 1 labels; wanted k \\+ m = 3"):
        plot.plot_gains(solution, DT, ["a"])


def test_a_dozen_gains_are_told_apart(solution):
    feedback = np.random.default_rng(0).normal(size=(10, 1, 12))
    solution = dataclasses.replace(solution, gains=solution.gains._replace(feedback=feedback))
    (axis,) = plot.plot_gains(solution, DT)
    looks = {(line.get_linestyle(), line.get_marker()) for line in axis.lines}
    assert len(looks) == 12


SIZES = {
    models.pendulum: (3, 1),
    models.pendulum_complex: (3, 1),
    models.cartpole: (5, 1),
    models.cartpole_acados: (4, 1),
    models.acrobot: (4, 1),
    models.car: (4, 2),
    models.bicycle: (4, 2),
    models.unicycle: (3, 2),
    models.planar_quadrotor: (6, 2),
    models.quadrotor: (13, 4),
}


@pytest.mark.parametrize("model", SIZES, ids=lambda model: model.__name__)
def test_every_number_has_a_name(model):
    n, m = SIZES[model]
    assert model(jnp.ones(n), jnp.zeros(m)).shape == (n,)
    names = plot.labels(model)
    assert len(names) == len(set(names)) == n + m


def test_names_of_a_chain_and_of_strangers():
    names = plot.labels(models.chain, 15)
    assert len(names) == len(set(names)) == 15 + 3
    with pytest.raises(ValueError, match=r"n = 6 M \+ 3 states, .* got None"):
        plot.labels(models.chain)
    with pytest.raises(ValueError, match="one of jaxmpc.models: pendulum, .*, chain; got sorted"):
        plot.labels(sorted)
