"""What happened during training, epoch by epoch."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import numpy as np

from jaxmpc.learning.training import Epoch


class History(NamedTuple):
    """Arrays with one entry an epoch, in order; `jaxmpc.plot.plot_history` draws them.

    Attributes:
        loss: mean over the examples that were solved, before each step, NaN if there were none.
        unsolved: how many visits to an example ended without a solution, and taught nothing.
        skipped: how many steps were not taken, as their gradient was not finite.
        gradient_norm: the mean over the steps that were taken, NaN if none was.
        evaluations: of each set that was asked for, the mean loss after the epoch; of all its
            examples, solved or not, as long as the loss is finite. NaN where it was not evaluated.
        evaluations_unsolved: how many of that set's examples were not solved; -1 likewise.
        seconds: the time an epoch took; the first one compiles.

    Example:
        >>> import optax
        >>> loss = jaxmpc.learning.PerExample(lambda p, example: (p - example) ** 2)
        >>> how = {"optimizer": optax.sgd(0.1), "epochs": 30, "progress": False}
        >>> fit = jaxmpc.learning.fit(loss, 0.0, jnp.array([1.0, 3.0]), **how)
        >>> fit.history.loss.shape, round(float(fit.history.loss[-1]), 2)
        ((30,), 1.0)
    """

    loss: np.ndarray
    unsolved: np.ndarray
    skipped: np.ndarray
    gradient_norm: np.ndarray
    evaluations: dict[str, np.ndarray]
    evaluations_unsolved: dict[str, np.ndarray]
    seconds: np.ndarray


def blank(epochs: int, names) -> History:
    """Nothing known yet: NaN, and -1 for counts."""

    def numbers():
        return np.full(epochs, np.nan)

    def counts():
        return np.full(epochs, -1)

    return History(
        loss=numbers(),
        unsolved=counts(),
        skipped=counts(),
        gradient_norm=numbers(),
        evaluations={name: numbers() for name in names},
        evaluations_unsolved={name: counts() for name in names},
        seconds=numbers(),
    )


def record_training(history: History, epoch: int, entry: Epoch):
    """Write what a pass over the examples was like."""
    for name, value in entry._asdict().items():
        getattr(history, name)[epoch] = value


def record_evaluation(history: History, epoch: int, losses: Mapping, unsolved: Mapping):
    """Write what the sets for evaluation say after it."""
    for name in losses:
        history.evaluations[name][epoch] = losses[name]
        history.evaluations_unsolved[name][epoch] = unsolved[name]


def until(history: History, epoch: int) -> History:
    """The first epochs alone."""
    return jax.tree.map(lambda array: array[:epoch], history)
