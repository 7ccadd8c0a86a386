"""The course of a training."""

from typing import TYPE_CHECKING

import numpy as np

from jaxmpc.learning.history import History
from jaxmpc.plot.axes import LOUD, QUIET, require_matplotlib, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_history(history: History) -> "Figure":
    """Losses over the epochs of a `learning.fit`, and below them what was not solved.

    Args:
        history: of a `learning.Fit`.
    """
    pyplot = require_matplotlib()
    figure, (above, below) = pyplot.subplots(
        2, 1, sharex=True, figsize=(7.5, 5.0), height_ratios=(3, 1), layout="constrained"
    )
    epochs = np.arange(1, len(history.loss) + 1)
    above.semilogy(epochs, history.loss, color=QUIET, lw=1.8, label="training")
    below.plot(epochs, history.unsolved, color=QUIET, lw=1.2, drawstyle="steps-mid")
    for place, (name, losses) in enumerate(history.evaluations.items()):
        evaluated = ~np.isnan(losses)
        look = {"color": LOUD if place == 0 else f"C{place + 3}", "lw": 1.4}
        above.semilogy(epochs[evaluated], losses[evaluated], label=name, **look)
        below.plot(epochs[evaluated], history.evaluations_unsolved[name][evaluated], **look)
    above.set_ylabel("mean loss")
    above.legend(frameon=False)
    below.set(xlabel="epoch", ylabel="not solved")
    for axis in (above, below):
        tidy(axis)
    return figure
