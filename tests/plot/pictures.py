"""A trajectory whose bounds and violations are known beforehand, and what is seen of a picture."""

import io

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.patches import Rectangle

import jaxmpc

T, DT = 10, 0.1
LABELS = ["position [m]", "speed [m/s]", "force [N]"]
# Full force for three stages, none for three, and full force back.
CONTROLS = jnp.array([1.0] * 3 + [0.0] * 3 + [-1.0] * 4)[:, None]
SPEEDS = np.concatenate([[0.0], np.cumsum(0.1 * np.asarray(CONTROLS)[:, 0])])


def cart(**changes) -> jaxmpc.Problem:
    """A cart, by Euler steps, with force within one."""
    arguments = {"horizon": T, "control_dim": 1, "control_bounds": (-1.0, 1.0), **changes}
    return jaxmpc.Problem(
        lambda x, u, t, _: x + DT * jnp.stack([x[1], u[0]]),
        lambda x, u, t, _: jnp.sum(u**2),
        **arguments,
    )


def limited(**changes) -> jaxmpc.Problem:
    """With a speed of at most 0.2, which is violated at instants 3 to 6; and a place to stop at."""
    bounds = (jnp.array([-jnp.inf, -0.5]), jnp.array([jnp.inf, 0.2]))
    return cart(
        state_bounds=bounds,
        stage_inequality=lambda x, u, t, _: jnp.stack([x[1] - 0.25]),  # so is this
        terminal_equality=lambda x, _: x[:1] - 1.0,
        **changes,
    )


def driven(problem: jaxmpc.Problem) -> jaxmpc.Solution:
    """The cart under those forces, judged."""
    return judged(problem, jnp.zeros(2), CONTROLS)


def judged(problem: jaxmpc.Problem, x0, controls) -> jaxmpc.Solution:
    """Any controls as a solution: nothing is optimised."""
    return jax.jit(jaxmpc.evaluate)(problem, x0, None, controls)


def batch_of(solution: jaxmpc.Solution, *factors: float) -> jaxmpc.Solution:
    """Solutions side by side, multiplied by numbers."""
    return jax.tree.map(lambda leaf: np.stack([f * np.asarray(leaf) for f in factors]), solution)


def png(axes) -> np.ndarray:
    """The pixels [h, w, 3] of a picture: that it can be rendered, and is not empty."""
    from matplotlib import image

    file = io.BytesIO()
    np.atleast_1d(axes).flat[0].figure.savefig(file, format="png", dpi=50)
    file.seek(0)
    pixels = image.imread(file, format="png")[..., :3]
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 10
    return pixels


def dashed(axis) -> list:
    """The dashed lines of a panel."""
    return [line for line in axis.lines if line.get_linestyle() == "--"]


def spans(axis) -> list[tuple[float, float]]:
    """From when to when a panel is shaded."""
    patches = [patch for patch in axis.patches if isinstance(patch, Rectangle)]
    return [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in patches]


def marks(axis, label: str) -> np.ndarray:
    """The times of the marks with a label; none if there are no such marks."""
    found = [line.get_xdata() for line in axis.lines if line.get_label() == label]
    return np.concatenate([np.zeros(0), *found])
