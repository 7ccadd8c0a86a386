"""Films of all models: that they move as their states say."""

import base64
import io
import re

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib import pyplot
from PIL import Image
from test_plot_analysis import SIZES

from jaxmpc import models, plot

DT = 0.1
ALL = {**SIZES, models.chain: (15, 3)}


def motion(model, steps=2):
    """States that move a little, on their space."""
    n, m = ALL[model]
    rng = np.random.default_rng(1)
    states = np.cumsum(0.2 * rng.normal(size=(steps + 1, n)), axis=0)
    if n == 13:
        states[:, 3:7] /= np.linalg.norm(states[:, 3:7], axis=1, keepdims=True)
    return states, rng.normal(size=(steps, m))


def pixels_of(film, frame):
    film._func(frame)
    film._draw_was_started = True
    figure = film._fig
    figure.set_dpi(40)
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()


@pytest.mark.parametrize("model", ALL, ids=lambda model: model.__name__)
def test_every_model_moves(model):
    states, controls = motion(model)
    film = plot.animate(model, states, DT, controls=controls, frames_per_second=10)
    assert len(list(film.new_frame_seq())) == 3 + 10  # it rests for a second
    first, last = pixels_of(film, 0), pixels_of(film, 2)
    assert 0.002 < np.mean(np.any(first != last, axis=-1)) < 0.3
    caption = film._fig.axes[0].get_title("left")
    assert f"{controls[-1, -1]:.2f}" in caption and "time 0.20 s" in caption
    assert film._fig.bbox.width / 40 <= 7.0


def drawn(film, frame, place):
    film._func(frame)
    film._draw_was_started = True
    return film._fig.axes[0].lines[place].get_xydata()


def test_the_tip_of_a_pendulum_is_where_its_angle_is():
    angle = np.array([0.0, np.pi / 2, np.pi])
    states = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    film = plot.animate(models.pendulum, states, DT, params={**models.PENDULUM, "length": 2.0})
    film._func(5)  # at a tenth of a second 2.5 frames have passed: 0.2 s are five
    film._draw_was_started = True
    rods = [line for line in film._fig.axes[0].lines if line.get_linewidth() == 6.0]
    np.testing.assert_allclose(rods[0].get_xydata(), [[0, 0], [0, -2.0]], atol=1e-12)


@pytest.mark.parametrize(
    "model, upright",
    [(models.cartpole, [0, 0, 1, 0, 0]), (models.cartpole_acados, [0, 0, 0, 0])],
    ids=["cartpole", "cartpole_acados"],
)
def test_a_pole_leans_back_when_the_cart_is_pushed(model, upright):
    """The sign of the angle is the model's own: pushed to the right, the pole falls to the left."""
    x = jnp.asarray(upright, float)
    moved = model(x, jnp.array([5.0]))
    after = model(moved, jnp.array([5.0])) if model is models.cartpole else x + 0.1 * moved
    after = model(after, jnp.zeros(1)) if model is models.cartpole else after + 0.1 * moved
    if model is models.cartpole_acados:  # angles change a step after their rates
        after = after.at[1].set(0.1 * after[3])
    film = plot.animate(model, np.stack([x, after]), DT, frames_per_second=10)
    film._func(1)
    film._draw_was_started = True
    (rod,) = [line for line in film._fig.axes[0].lines if line.get_linewidth() == 5.0]
    foot, tip = rod.get_xydata()
    assert tip[0] < foot[0] and tip[1] > 0.5


def test_between_two_states_the_motion_is_interpolated():
    states = np.zeros((2, 3))
    states[1] = [1.0, 2.0, 0.0]
    film = plot.animate(models.unicycle, states, 1.0, frames_per_second=4)
    np.testing.assert_allclose(drawn(film, 2, 0), [[0, 0], [0.25, 0.5], [0.5, 1.0]])
    slow = plot.animate(models.unicycle, states, 1.0, slowdown=2.0, frames_per_second=4)
    assert len(list(slow.new_frame_seq())) == 2 * 4 + 1 + 4
    slow._draw_was_started = True


def test_a_quaternion_may_change_its_sign():
    states, _ = motion(models.quadrotor, 4)
    states[:, 3:7] = [1.0, 0, 0, 0]
    other = states.copy()
    other[2, 3:7] *= -1
    frames = []
    for given in (states, other):
        film = plot.animate(models.quadrotor, given, DT, frames_per_second=20)
        frames.append(pixels_of(film, 5))
    np.testing.assert_array_equal(*frames)


def test_a_batch_is_drawn_faintly():
    states, controls = motion(models.planar_quadrotor)
    film = plot.animate(
        models.planar_quadrotor,
        np.stack([states, 2 * states, 3 * states]),
        DT,
        controls=np.stack([controls] * 3),
        frames_per_second=10,
    )
    pixels_of(film, 1)
    bars = [line for line in film._fig.axes[0].lines if line.get_linewidth() in (5.0, 2.5)]
    faint = sorted(line.get_alpha() for line in bars)
    assert faint[0] < 0.5 and faint[-1] == 1.0
    assert bars[-1].get_alpha() == 1.0  # the first of the batch is drawn last: above the others


def test_html_and_gif(tmp_path):
    states, controls = motion(models.cartpole, 10)
    film = plot.animate(models.cartpole, states, DT, controls=controls, frames_per_second=10)
    shown = plot.html(film, dpi=50)
    text = shown._repr_html_()
    data = re.fullmatch(r'<img width="\d+" alt="film" src="data:image/gif;base64,(.*)"/>', text)
    assert data is not None and len(text) < 60_000
    image = Image.open(io.BytesIO(base64.b64decode(data[1])))
    assert image.n_frames == 11  # the rest at the end is one long frame
    image.seek(10)
    assert image.info["duration"] == 1100 and image.info["loop"] == 0
    white = np.mean(np.all(np.asarray(image.convert("RGB")) == 255, axis=-1))
    assert white > 0.5
    assert not pyplot.fignum_exists(film._fig.number)  # a notebook would show it again
    film.save(tmp_path / "film.gif", writer="pillow", dpi=30)
    assert Image.open(tmp_path / "film.gif").n_frames == 11


def test_films_into_given_axes():
    figure, given = pyplot.subplots(1, 2)
    states, _ = motion(models.unicycle)
    film = plot.animate(models.unicycle, states, DT, axes=given[1])
    assert pixels_of(film, 1).any() and film._fig is figure and not given[0].lines
    solid, _ = motion(models.chain)
    with pytest.raises(ValueError, match='axes must be of projection="3d"'):
        plot.animate(models.chain, solid, DT, axes=given[0])
    with pytest.raises(ValueError, match="must be flat"):
        plot.animate(models.unicycle, states, DT, axes=figure.add_subplot(projection="3d"))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"model": sorted}, "model must be one of jaxmpc.models: pendulum, .* chain; got sorted"),
        ({"states": np.zeros((4, 3))}, r"states of cartpole have n = 5: .*; got shape \(4, 3\)"),
        ({"states": np.zeros(5)}, r"states must be \[T\+1, n\] or \[B, T\+1, n\]"),
        ({"controls": np.zeros((4, 1))}, r"controls must have shape \(3, 1\); got \(4, 1\)"),
        ({"dt": 0.0}, "dt must be positive"),
    ],
)
def test_what_is_no_film(change, message):
    arguments = {"model": models.cartpole, "states": np.zeros((4, 5)), "dt": 0.1, **change}
    with pytest.raises(ValueError, match=message):
        plot.animate(arguments.pop("model"), arguments.pop("states"), **arguments)


def test_html_of_something_else():
    with pytest.raises(TypeError, match="animation must be a FuncAnimation, got int"):
        plot.html(3)
