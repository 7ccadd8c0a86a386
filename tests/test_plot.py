"""Pictures of closed loops: what is in them, by what was drawn."""

import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
import pytest

mpl.use("agg")

import jaxmpc
from jaxmpc import plot
from jaxmpc.control import TimingReport


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
