"""Pictures of closed loops: what is in them, by what was drawn."""

import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
import pytest

mpl.use("agg")

import jaxmpc
from jaxmpc import plot, spaces
from jaxmpc.control import TimingReport
from jaxmpc.plot.attitudes import readable


def loop(x0):
    problem = jaxmpc.Problem(
        lambda x, u, t, p: x + 0.1 * jnp.stack([x[1], u[0]]),
        lambda x, u, t, p: x @ x + 0.1 * u @ u,
        horizon=5,
        control_dim=1,
    )

    def seen(key, x, t):
        return jnp.where(t == 3, jnp.nan, 0.0) * x

    return jaxmpc.simulate(
        jaxmpc.RecedingHorizon(problem),
        lambda x, u, t: x + 0.1 * jnp.stack([x[1], u[0]]),
        x0,
        8,
        key=jax.random.key(0),
        measurement_noise=seen,
    )


def test_a_closed_loop_with_its_plans():
    simulation = loop(jnp.array([1.0, 0.0]))
    figure = plot.plot_closed_loop(simulation, 0.1, ("x [m]", "v [m/s]", "force [N]"), every=2)
    assert [axis.get_ylabel() for axis in figure.axes] == ["x [m]", "v [m/s]", "force [N]"]
    # Four plans, what happened, the marks of a failure.
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata())]
    assert len(lines) == 4 + 1 + 1
    np.testing.assert_allclose(lines[-2].get_ydata(), simulation.states[:, 0])
    np.testing.assert_allclose(lines[-1].get_xdata(), [0.3])
    with pytest.raises(ValueError, match="got 2 labels; wanted n \\+ m = 3"):
        plot.plot_closed_loop(simulation, labels=("a", "b"))


def test_a_fan():
    batch = jax.vmap(loop)(jnp.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]))
    figure = plot.plot_fan(batch, 0.1)
    median = figure.axes[1].lines[0].get_ydata()
    np.testing.assert_allclose(median, np.median(batch.states[..., 1], axis=0))
    with pytest.raises(ValueError, match="For a batch there is plot_fan"):
        plot.plot_closed_loop(batch)
    one = jax.tree.map(lambda leaf: leaf[0], batch)
    with pytest.raises(ValueError, match="must be of a batch"):
        plot.plot_fan(one)


def test_times_beside_a_deadline():
    figure = plot.plot_timing(TimingReport(np.geomspace(1e-4, 2e-3, 50), 1e-3))
    texts = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert any("deadline 1 ms, 12 missed" in text for text in texts)
    assert len(texts) == 4


def test_angles_have_no_jumps_and_quaternions_are_three_angles():
    space = spaces.Product(spaces.Circle(), spaces.UnitQuaternion(), spaces.Euclidean(1))
    angle, yaw = np.linspace(2.5, 4.5, 9), np.linspace(-2.0, -6.0, 9)
    wrapped = np.angle(np.exp(1j * angle))
    q = np.stack([np.cos(yaw / 2), 0 * yaw, 0 * yaw, np.sin(yaw / 2)], axis=1)
    states = np.concatenate([wrapped[:, None], q, angle[:, None]], axis=1)
    columns = readable(space, states)
    assert list(columns) == ["x[0] [rad]", "roll [rad]", "pitch [rad]", "yaw [rad]", "x[5]"]
    np.testing.assert_allclose(columns["x[0] [rad]"], angle)
    np.testing.assert_allclose(columns["yaw [rad]"], yaw, atol=1e-12)
    longer = readable(space, states * np.array([1.0, 1.2, 1.2, 1.2, 1.2, 1.0]))
    np.testing.assert_allclose(longer["yaw [rad]"], yaw, atol=1e-12)
    two = spaces.Product(spaces.UnitQuaternion(), spaces.UnitQuaternion())
    assert len(readable(two, np.concatenate([q, q], axis=1))) == 6
    batch = readable(space, np.stack([states, states]))
    np.testing.assert_allclose(batch["x[0] [rad]"][1], angle)


def test_a_solution_on_a_space():
    space = spaces.Product(spaces.Circle(), spaces.Euclidean(1))
    problem = jaxmpc.Problem(
        lambda x, u, t, _: jnp.stack([x[0] + 0.5 * x[1], x[1] + u[0]]),
        lambda x, u, t, _: jnp.sum(u**2),
        lambda x, _: jnp.sum((space.difference(jnp.array([-3.0, 0.0]), x)) ** 2),
        horizon=8,
        control_dim=1,
        state_space=space,
    )
    x0 = jnp.array([3.0, 0.0])
    solution = jaxmpc.solve(problem, x0)
    figure = plot.plot_solution(solution, 0.5, state_space=space)
    drawn = figure.axes[0].lines[0].get_ydata()
    np.testing.assert_allclose(drawn[-1], 2 * np.pi - 3.0, atol=0.1)
    loop = jaxmpc.simulate(
        jaxmpc.RecedingHorizon(problem), lambda x, u, t: problem.dynamics(x, u, t, None), x0, 6
    )
    figure = plot.plot_closed_loop(loop, state_space=space, every=1)
    heights = np.concatenate([line.get_ydata() for line in figure.axes[0].lines])
    assert np.all((heights > 2.9) & (heights < 3.5))


def test_the_axes_of_a_body():
    q = np.array([[1.0, 0, 0, 0], [0.0, 1.0, 0, 0]])  # the second upside down
    figure = plot.plot_attitudes(q, every=1)
    lines = figure.axes[0].lines
    ends = [np.stack(line.get_data_3d()) for line in lines if len(line.get_data_3d()[0])]
    np.testing.assert_allclose(ends[5][:, 1] - ends[5][:, 0], [0, 0, -1.0], atol=1e-12)
    moved = plot.plot_attitudes(q, np.array([[0.0, 0, 0], [1.0, 2.0, 3.0]]), every=1)
    assert moved.axes[0].get_xlabel() == "x"
