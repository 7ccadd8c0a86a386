"""Closed loops, fans, and times of steps."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pictures import DT, batch_of, cart, driven, png

import jaxmpc
from jaxmpc import plot
from jaxmpc.control import Simulation, TimingReport
from jaxmpc.control.closed_loop import Prediction

LABELS = ("x [m]", "v [m/s]", "force [N]")
S, T = 8, 5


def simulation() -> Simulation:
    """Eight samples with plans of five stages; at the fourth an earlier one was followed."""
    states = np.stack([np.linspace(1, 0, S + 1), np.linspace(-1, 0, S + 1)], axis=1)
    ahead = np.arange(T + 1)[:, None] * [[0.0, 0.1]]
    plans = Prediction(states[:-1, None] + ahead, np.full((S, T, 1), 0.5))
    whole = np.zeros(S, int)
    controls = np.linspace(0, 1, S)[:, None]
    failures = np.where(np.arange(S) == 3, 1, 0)
    measured = states[:-1]
    return Simulation(
        states, controls, np.zeros(S), whole, whole, failures, measured, plans, plan=None
    )


def test_plans_over_what_happened():
    loop = simulation()
    axes = plot.plot_closed_loop(loop, 0.1, LABELS, every=2)
    assert [axis.get_ylabel() for axis in axes] == list(LABELS)
    # Four plans, what happened, the mark of a failure.
    *plans, happened, marks = axes[0].lines
    assert len(plans) == 4 and plans[1].get_linewidth() < happened.get_linewidth()
    np.testing.assert_allclose(plans[1].get_xdata(), 0.1 * (2 + np.arange(T + 1)))
    np.testing.assert_allclose(happened.get_ydata(), loop.states[:, 0])
    np.testing.assert_allclose(marks.get_xdata(), [0.3])
    force = axes[2].lines[0]
    assert force.get_drawstyle() == "steps-post" and len(force.get_xdata()) == T + 1
    (legend,) = axes[0].figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["what was planned", "what happened", "an earlier plan followed"]
    png(axes)
    with pytest.raises(ValueError, match="got 2 labels; wanted n \\+ m = 3"):
        plot.plot_closed_loop(loop, labels=("a", "b"))


def test_bounds_over_a_loop():
    """Dashed over all eight samples, shaded where the force has reached one of them."""
    problem = jaxmpc.Problem(
        lambda x, u, t, p: x, lambda x, u, t, p: 0.0, horizon=T, control_dim=1,
        control_bounds=(-2.0, 1.0),
    )  # fmt: skip
    axes = plot.plot_closed_loop(simulation(), 0.1, LABELS, problem=problem)
    bounds = [line for line in axes[2].lines if line.get_label() == "bound"]
    assert sorted(float(line.get_ydata()[0]) for line in bounds) == [-2.0, 1.0]
    assert all(np.isclose(line.get_xdata()[-1], 0.1 * S) for line in bounds)
    (shade,) = axes[2].patches  # the last sample
    np.testing.assert_allclose([shade.get_x(), shade.get_x() + shade.get_width()], [0.7, 0.8])
    assert not axes[0].patches
    moving = dataclasses.replace(problem, control_bounds=(-2.0, np.linspace(1, 2, T)[:, None]))
    axes = plot.plot_closed_loop(simulation(), problem=moving)  # at which stage of a plan?
    assert not [line for line in axes[2].lines if line.get_label() == "bound"]
    with pytest.raises(TypeError, match="problem must be a Problem"):
        plot.plot_closed_loop(simulation(), problem=3)


def test_a_loop_without_plans():
    axes = plot.plot_closed_loop(simulation()._replace(predictions=None))
    assert len(axes[0].lines) == 2


@pytest.mark.parametrize("kind", ["loops", "solutions"])
def test_a_fan(kind):
    if kind == "loops":
        batch = jax.tree.map(lambda a: np.stack([a, 2 * a, 4 * a]), simulation())
    else:
        batch = batch_of(driven(cart()), 1.0, 2.0, 4.0)
    axes = plot.plot_fan(batch, DT)
    (median,) = axes[1].lines
    np.testing.assert_allclose(median.get_ydata(), np.median(batch.states[..., 1], axis=0))
    assert axes[2].lines[0].get_drawstyle() == "steps-post"
    wide, narrow = (band.get_datalim(axes[0].transData) for band in axes[0].collections)
    assert wide.height > narrow.height > 0
    texts = [text.get_text() for text in axes[0].figure.legends[0].get_texts()]
    assert texts == ["90% of 3", "50% of 3", "median"]
    png(axes)


def test_one_is_no_fan_and_many_are_no_loop():
    loop = simulation()
    with pytest.raises(ValueError, match="batch must be of several"):
        plot.plot_fan(loop)
    batch = jax.tree.map(lambda a: np.stack([a, a]), loop)
    with pytest.raises(ValueError, match="For a batch there is plot_fan"):
        plot.plot_closed_loop(batch)


def test_plans_begin_at_the_turn_of_the_angle_that_came():
    """A plan is wrapped by itself: drawn, it goes on where the loop is."""
    space = jaxmpc.spaces.Product(jaxmpc.spaces.Circle(), jaxmpc.spaces.Euclidean(1))
    turning = np.linspace(2.5, 4.5, S + 1)
    loop = simulation()
    states = np.stack([np.angle(np.exp(1j * turning)), turning], axis=1)
    following = turning[:-1, None] + np.linspace(0, 0.5, T + 1)
    plans = np.stack([np.angle(np.exp(1j * following)), following], axis=-1)
    loop = loop._replace(states=states, predictions=loop.predictions._replace(states=plans))
    axes = plot.plot_closed_loop(loop, every=1, state_space=space)
    for start, line in enumerate(axes[0].lines[:S]):
        np.testing.assert_allclose(line.get_ydata(), following[start], atol=1e-12)


def test_times_beside_a_deadline():
    report = TimingReport(np.geomspace(1e-4, 2e-3, 50), 1e-3)
    axis = plot.plot_timing(report, bins=20)
    texts = [text.get_text() for text in axis.get_legend().get_texts()]
    assert any("deadline 1 ms, 12 missed" in text for text in texts)
    assert len(texts) == 4 and len({line.get_linestyle() for line in axis.lines}) == 3
    assert sum(bar.get_height() for bar in axis.patches) == 50
    assert [axis.get_xscale(), axis.get_yscale()] == ["log", "log"]
    png(axis)
    without = plot.plot_timing(TimingReport(np.array([1e-3, 2e-3])))
    assert len(without.get_legend().get_texts()) == 3


def test_a_jax_simulation_is_drawn():
    """The types that `simulate` returns, and not only NumPy's."""
    problem = cart(horizon=T)
    loop = jaxmpc.simulate(
        jaxmpc.RecedingHorizon(problem),
        lambda x, u, t: problem.dynamics(x, u, t, None),
        jnp.array([1.0, 0.0]),
        S,
    )
    axes = plot.plot_closed_loop(loop, DT, every=3)
    assert len(axes[0].lines) == 3 + 1
