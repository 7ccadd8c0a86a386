"""The course of a training."""

from typing import Any

import numpy as np

from jaxmpc.checks import check_type
from jaxmpc.learning.history import History
from jaxmpc.plot.axes import DASHES, LOUD, QUIET, require_matplotlib, several, tidy


def plot_history(history: History, *, axes: Any = None) -> np.ndarray:
    """Losses over the epochs of a `learning.fit`, and below them what was not solved.

    Args:
        history: of a `learning.Fit`.
        axes: two, where to draw; None makes a figure.

    Returns:
        The axes of the losses, and of what was not solved.

    Example:
        >>> import optax
        >>> from jaxmpc import plot
        >>> loss = jaxmpc.learning.PerExample(lambda p, example: (p - example) ** 2)
        >>> how = {"optimizer": optax.sgd(0.1), "epochs": 5, "progress": False}
        >>> fit = jaxmpc.learning.fit(loss, 0.0, jnp.array([1.0, 3.0]), **how)
        >>> axes = plot.plot_history(fit.history)
        >>> len(axes[0].lines[0].get_xdata())  # epochs
        5
    """
    check_type("plot_history", "history", history, History)
    if axes is None:
        _, axes = require_matplotlib().subplots(
            2, 1, sharex=True, figsize=(7.5, 5.0), height_ratios=(3, 1), layout="constrained"
        )
    above, below = axes = several("plot_history", axes, 2)
    epochs = np.arange(1, len(history.loss) + 1)
    above.semilogy(epochs, history.loss, color=QUIET, lw=1.8, label="training")
    below.plot(epochs, history.unsolved, color=QUIET, lw=1.2, drawstyle="steps-mid")
    for place, (name, losses) in enumerate(history.evaluations.items()):
        evaluated = ~np.isnan(losses)
        color, dash = LOUD if place == 0 else f"C{place + 3}", DASHES[1 + place % 3]
        look = {"color": color, "lw": 1.4, "ls": dash}
        above.semilogy(epochs[evaluated], losses[evaluated], label=name, **look)
        below.plot(epochs[evaluated], history.evaluations_unsolved[name][evaluated], **look)
    above.set_ylabel("mean loss")
    above.legend(frameon=False)
    below.set(xlabel="epoch", ylabel="not solved")
    below.set_ylim(0, max(1.0, 1.05 * below.get_ylim()[1]))  # counts, which are often all zero
    for axis in axes:
        tidy(axis)
    return axes
