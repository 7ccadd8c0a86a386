"""Solutions and series over time: panels, steps, bounds, shades, marks."""

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib import pyplot
from pictures import (
    CONTROLS,
    DT,
    LABELS,
    SPEEDS,
    T,
    batch_of,
    cart,
    dashed,
    driven,
    judged,
    limited,
    marks,
    png,
    spans,
)

import jaxmpc
from jaxmpc import models, plot, spaces

VIOLATED = DT * np.arange(3, 7)


@pytest.fixture(scope="module")
def problem():
    return limited()


@pytest.fixture(scope="module")
def solution(problem):
    return driven(problem)


def test_states_are_lines_and_controls_are_steps(solution):
    axes = plot.plot_solution(solution, DT, LABELS)
    assert [axis.get_ylabel() for axis in axes] == LABELS
    assert axes[-1].get_xlabel() == "time [s]"
    np.testing.assert_allclose(axes[1].lines[0].get_ydata(), SPEEDS, atol=1e-12)
    (force,) = axes[2].lines
    assert force.get_drawstyle() == "steps-post" and axes[0].lines[0].get_drawstyle() == "default"
    np.testing.assert_allclose(force.get_ydata()[:-1], CONTROLS[:, 0])  # the last one is held
    assert len(force.get_xdata()) == T + 1
    png(axes)


def test_bounds_are_dashed(problem, solution):
    position, speed, force = plot.plot_solution(solution, DT, LABELS, problem=problem)
    assert not dashed(position)  # it has none
    assert sorted(float(line.get_ydata()[0]) for line in dashed(speed)) == [-0.5, 0.2]
    assert sorted(float(line.get_ydata()[0]) for line in dashed(force)) == [-1.0, 1.0]
    assert dashed(speed)[0].get_xdata()[0] == pytest.approx(DT)  # x_0 is given
    assert force.get_ylim()[0] < -1.0 and force.get_ylim()[1] > 1.0
    png(force)


def test_a_bound_that_changes_in_time_and_one_that_is_far_away(solution):
    upper = jnp.linspace(1.0, 1.5, T)[:, None]
    far = (jnp.array([-500.0, -jnp.inf]), None)
    bounded = cart(control_bounds=(None, upper), state_bounds=far)
    position, _, force = plot.plot_solution(solution, DT, problem=bounded)
    (line,) = dashed(force)
    np.testing.assert_allclose(line.get_ydata()[:-1], upper[:, 0])
    assert line.get_drawstyle() == "steps-post"
    assert position.get_ylim()[0] > -1.0  # it would make a flat line of the position


def test_saturation_is_shaded(problem, solution):
    axes = plot.plot_solution(solution, DT, problem=problem)
    assert not spans(axes[0])
    np.testing.assert_allclose(spans(axes[2]), [[0.0, 0.3], [0.6, 1.0]])
    # The speed is at or beyond its bound of 0.2 from the second instant to the seventh.
    np.testing.assert_allclose(spans(axes[1]), [[0.15, 0.75]])
    pixels = png(axes)
    grey = np.ptp(pixels, axis=-1) < 0.01
    shaded = grey & (pixels[..., 0] > 0.8) & (pixels[..., 0] < 0.9)
    assert 0.05 < shaded.mean() < 0.3


def test_violated_stages_are_marked(problem, solution):
    axes = plot.plot_solution(solution, DT, problem=problem)
    np.testing.assert_allclose(marks(axes[1], "violated: state_bounds"), VIOLATED)
    assert not len(marks(axes[0], "violated: state_bounds"))
    for axis in axes:  # whatever is about no single signal is marked below all
        np.testing.assert_allclose(marks(axis, "violated: stage_inequality"), VIOLATED)
        np.testing.assert_allclose(marks(axis, "violated: terminal_equality"), [DT * T])
    (legend,) = axes[0].figure.legends
    texts = {text.get_text() for text in legend.get_texts()}
    assert texts == {
        "bound",
        "at a bound",
        "violated: state_bounds",
        "violated: stage_inequality",
        "violated: terminal_equality",
    }
    png(axes)


def test_slack_is_no_violation(solution):
    soft = limited(soft={"stage_inequality": jaxmpc.Soft(1.0)})
    axes = plot.plot_solution(driven(soft), DT, problem=soft)
    np.testing.assert_allclose(marks(axes[0], "slack of stage_inequality"), VIOLATED)
    assert not len(marks(axes[0], "violated: stage_inequality"))


def test_a_batch(problem, solution):
    batch = batch_of(solution, 1.0, 0.5)
    axes = plot.plot_solution(batch, DT, problem=problem)
    lines = [line for line in axes[1].lines if len(line.get_xdata()) == T + 1]
    assert len(lines) == 2
    alone = plot.plot_solution(solution, DT, problem=problem)
    half, whole = (drawn[2].patches[0].get_alpha() for drawn in (axes, alone))
    assert half < whole  # one of two is saturated
    png(axes)


def test_the_solution_of_another_problem(solution):
    with pytest.raises(ValueError, match=r"controls \[T, m\] = \(4, 1\); those of .* \(10, 1\)"):
        plot.plot_solution(solution, problem=cart(horizon=4))
    with pytest.raises(ValueError, match="got 2 labels; wanted n \\+ m = 3"):
        plot.plot_solution(solution, labels=("a", "b"))
    with pytest.raises(TypeError, match="solution must be a Solution, got dict"):
        plot.plot_solution({})


def test_seventeen_signals_stay_on_a_screen():
    problem = jaxmpc.Problem(
        lambda x, u, t, _: x, lambda x, u, t, _: jnp.sum(u), horizon=3, control_dim=4
    )
    solution = judged(problem, models.quadrotor_state(jnp.zeros(3)), jnp.ones((3, 4)))
    axes = plot.plot_solution(solution, 0.1, plot.labels(models.quadrotor))
    assert len(axes) == 17 == len(axes[0].figure.axes)
    assert [axis.get_title("left") for axis in axes] == plot.labels(models.quadrotor)
    width, height = axes[0].figure.get_size_inches()
    assert width <= 11 and height <= 8
    png(axes)
    panels = [axis.get_window_extent() for axis in axes]  # as they were laid out
    assert min(panel.height for panel in panels) > 0.06 * axes[0].figure.bbox.height
    assert not any(a.overlaps(b) for i, a in enumerate(panels) for b in panels[:i])
    labels = plot.labels(models.quadrotor)
    angles = plot.plot_solution(solution, 0.1, labels, state_space=models.QUADROTOR_SPACE)
    assert [axis.get_title("left") for axis in angles[2:7]] == [
        "position z [m]",
        "roll [rad]",
        "pitch [rad]",
        "yaw [rad]",
        "velocity x [m/s]",
    ]


def test_bounds_beside_an_attitude():
    """A bound belongs to a number, and its violation to a direction, of which there are fewer."""
    space = spaces.Product(spaces.UnitQuaternion(), spaces.Euclidean(2))
    low = jnp.array([-jnp.inf] * 5 + [-0.2])
    problem = jaxmpc.Problem(
        lambda x, u, t, _: x - 0.1 * jnp.concatenate([jnp.zeros(5), u]),
        lambda x, u, t, _: jnp.sum(u**2),
        horizon=4,
        control_dim=1,
        state_bounds=(low, None),
        state_space=space,
    )
    solution = judged(problem, jnp.array([1.0, 0, 0, 0, 0, 0]), jnp.ones((4, 1)))
    axes = plot.plot_solution(solution, problem=problem)
    assert [len(dashed(axis)) for axis in axes] == [0, 0, 0, 0, 1, 0]
    np.testing.assert_allclose(marks(axes[4], "violated: state_bounds"), [3, 4])


def test_given_axes(problem, solution):
    _, given = pyplot.subplots(2, 2)
    axes = plot.plot_solution(solution, DT, LABELS, problem=problem, axes=given)
    assert list(axes) == list(given.ravel()[:3])
    assert axes[0].get_ylabel() == LABELS[0] and not given[1, 1].lines
    with pytest.raises(ValueError, match="plot_solution: axes are 2; wanted 3"):
        plot.plot_solution(solution, axes=given[0])
    with pytest.raises(TypeError, match="axes must be matplotlib axes, .* got Figure"):
        plot.plot_solution(solution, axes=given[0, 0].figure)


def test_series():
    series = {"angle": np.ones((3, 5)), "torque": np.tile(np.arange(4.0), (3, 1))}
    angle, torque = plot.plot_series(series, 0.5, highlight=1)
    assert len(angle.lines) == 3 + 2  # the chosen one, on white
    assert torque.lines[0].get_drawstyle() == "steps-post"
    np.testing.assert_allclose(torque.lines[0].get_xdata(), 0.5 * np.arange(5))
    png(angle)
