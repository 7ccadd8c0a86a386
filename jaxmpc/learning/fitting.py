"""`fit`: learning parameters from examples, with Optax."""

import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax
import numpy as np
import optax
from jaxtyping import Array, ArrayLike, PyTree
from tqdm import tqdm

from jaxmpc.learning import history
from jaxmpc.learning.checkpoint import Checkpoint
from jaxmpc.learning.examples import count
from jaxmpc.learning.history import History
from jaxmpc.learning.losses import Loss
from jaxmpc.learning.parameters import floats_as_arrays, group_of, masks_of
from jaxmpc.learning.trainer import State, Trainer


class Fit(NamedTuple):
    """What was learned.

    Attributes:
        params: those of the epoch with the lowest loss on the selecting set; without one, the last.
        last: those after the last epoch.
        epoch: how many epochs `params` had seen.
        history: epoch by epoch.

    Example:
        >>> import optax
        >>> loss = jaxmpc.learning.PerExample(lambda p, example: (p - example) ** 2)
        >>> how = {"optimizer": optax.sgd(0.1), "epochs": 30, "progress": False}
        >>> fit = jaxmpc.learning.fit(loss, 0.0, jnp.array([1.0, 3.0]), **how)
        >>> round(float(fit.params), 2), fit.epoch
        (2.0, 30)
    """

    params: PyTree
    last: PyTree
    epoch: int
    history: History


def fit(
    loss: Loss,
    params: PyTree,
    examples: PyTree,
    *,
    optimizer: optax.GradientTransformation,
    epochs: int,
    batch_size: int | None = None,
    evaluations: Mapping[str, tuple[Loss, PyTree]] | None = None,
    evaluate_every: int = 1,
    select: str | None = None,
    alternate: Sequence[tuple[PyTree, int]] | None = None,
    fresh_every: int | None = None,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    checkpoint_every: int = 10,
    progress: bool = True,
) -> Fit:
    """Minimise the mean loss over examples: jitted steps of an Optax optimiser on mini-batches.

    The plan of each example (for a loss with a solver in it) is kept from epoch to epoch and is
    where its next solve starts. An example that is not solved teaches nothing in that step, keeps
    its plan, and is counted in the history; training goes on.

    Args:
        loss: `Imitation`, `Prediction`, `PerExample`, or anything that is a `Loss`.
        params: any pytree: a dict, an Equinox module, a Flax dict. Trained are its floating-point
            arrays, and Python floats in its dicts, lists and tuples; `Positive`, `Bounded` and
            `PositiveDefinite` arrive at the loss as their values.
        examples: a pytree with a leading axis of N, such as `Examples`.
        optimizer: from Optax.
        epochs: passes over the examples, in a new random order each.
        batch_size: examples a step; None: all of them, in one.
        evaluations: {name: (loss, examples)}, evaluated every `evaluate_every` epochs and at the
            end.
        select: which of these chooses the params that are returned; by default the first.
        alternate: [(mask, epochs), ...], taken in turn, over and over: a mask is a pytree of
            bools, a prefix of params, true for what is trained. Each has an optimiser's state of
            its own, which rests while the others are trained. None: everything, always.
        fresh_every: forget all plans after so many epochs, so that none stays in a local minimum
            that it was led into; None: never.
        seed: of the order of the examples.
        checkpoint: a file that is written every `checkpoint_every` epochs and at the end, and
            read if it exists: training goes on from there, to the bit.
        progress: show a bar.

    Returns:
        A `Fit`.

    Raises:
        TypeError, ValueError: naming the argument, what came and what was wanted.

    Example:
        >>> import optax
        >>> experts = jaxmpc.solve_batch(problem, jnp.array([[1.0, 0.0], [2.0, 0.0]]), params)
        >>> examples = jaxmpc.learning.Examples(experts.states, experts.controls)
        >>> fit = jaxmpc.learning.fit(
        ...     jaxmpc.learning.Prediction(dynamics),
        ...     {"mass": jaxmpc.learning.Positive(2.0)},
        ...     examples,
        ...     optimizer=optax.adam(0.05),
        ...     epochs=100,
        ...     progress=False,
        ... )
        >>> round(float(jaxmpc.learning.plain(fit.params)["mass"]), 1)
        1.0
    """
    number = count(examples, "examples")
    evaluations = dict(evaluations or {})
    select = select or next(iter(evaluations), None)
    _check_whole(
        epochs=epochs,
        evaluate_every=evaluate_every,
        checkpoint_every=checkpoint_every,
        batch_size=batch_size or 1,
        fresh_every=fresh_every or 1,
    )
    _check(loss, optimizer, evaluations, select)
    batch_size = min(batch_size or number, number)
    arrays, static = eqx.partition(floats_as_arrays(params), eqx.is_array)
    masks, turns = zip(*masks_of(arrays, alternate), strict=True)
    trainer = Trainer(loss, static, masks, optimizer, examples, evaluations)
    order = jax.random.key(seed)
    schedule = _Schedule(epochs, batch_size, turns, fresh_every, evaluate_every, select, order)
    settings = {
        "examples": number,
        "batch_size": batch_size,
        "seed": seed,
        "evaluations": list(evaluations),
        "params": str([f"{leaf.dtype}{list(leaf.shape)}" for leaf in jax.tree.leaves(arrays)]),
    }
    file = Checkpoint(checkpoint, checkpoint_every, settings)
    first, state, happened = file.load(trainer.start(arrays), epochs, evaluations)
    ahead = range(first, epochs)
    bar = tqdm(ahead, "fit", epochs, initial=first, disable=not progress, unit=" epochs")
    for now in bar:
        state = _epoch(trainer, schedule, state, now, happened)
        _report(bar, now, happened)
        file.save(now + 1, now + 1 == epochs, state, happened)
    best, after = trainer.whole(state.best), trainer.whole(state.params)
    return Fit(best, after, int(state.best_epoch), happened)


class _Schedule(NamedTuple):
    """What happens when."""

    epochs: int
    batch_size: int
    turns: tuple[int, ...]  # epochs of each group's turn
    fresh_every: int | None
    evaluate_every: int
    select: str | None
    order: Array  # the key of the order of the examples


def _epoch(trainer: Trainer, schedule: _Schedule, state: State, now: int, happened: History):
    """The state after one more epoch, of which the history is told."""
    clock, seen = time.perf_counter(), now + 1
    if schedule.fresh_every and now and now % schedule.fresh_every == 0:
        state = trainer.forget(state)
    group, key = group_of(now, schedule.turns), jax.random.fold_in(schedule.order, now)
    state, entry = trainer.advance(state, group, key, schedule.batch_size)
    history.record_training(happened, now, entry)
    if seen % schedule.evaluate_every == 0 or seen == schedule.epochs:
        state, losses, unsolved = trainer.judge(state)
        state = _select(state, losses[schedule.select] if schedule.select else -np.inf, seen)
        history.record_evaluation(happened, now, losses, unsolved)
    happened.seconds[now] = time.perf_counter() - clock
    return state


def _select(state: State, loss: ArrayLike, epoch: int) -> State:
    """The best params so far; those of the last epoch where nothing selects (-inf)."""
    if loss < state.best_loss or loss == -np.inf:
        return state._replace(
            best=state.params, best_loss=np.asarray(loss), best_epoch=np.asarray(epoch)
        )
    return state


def _report(bar: tqdm, epoch: int, happened: History):
    words = {"loss": f"{happened.loss[epoch]:.2e}"}
    for name, losses in happened.evaluations.items():
        known = losses[~np.isnan(losses)]
        words |= {name: f"{known[-1]:.2e}"} if known.size else {}
    if happened.unsolved[epoch]:
        words["unsolved"] = f"{happened.unsolved[epoch]}"
    bar.set_postfix(words, refresh=False)
    if np.isnan(happened.loss[epoch]):
        warnings.warn(
            f"learning.fit: no example was solved in epoch {epoch}: nothing was learned in it.",
            stacklevel=3,
        )


def _check_whole(**numbers):
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"learning.fit: {name} must be a positive int, got {value!r}.")


def _check(loss, optimizer, evaluations, select):
    if not isinstance(optimizer, optax.GradientTransformation):
        raise TypeError(
            "learning.fit: optimizer must be one of Optax, such as optax.adam(1e-2), got "
            f"{type(optimizer).__name__}."
        )
    named = {"loss": loss} | {f"evaluations[{k!r}]": _loss_of(k, v) for k, v in evaluations.items()}
    for name, value in named.items():
        if not (callable(value) and hasattr(value, "first_plans")):
            raise TypeError(
                f"learning.fit: {name} must be a learning.Loss (a function of one example is one "
                f"as learning.PerExample(function)), got {type(value).__name__}."
            )
    for name, (_, examples) in evaluations.items():
        count(examples, f"evaluations[{name!r}]")
    if select is not None and select not in evaluations:
        raise ValueError(
            f"learning.fit: select must be one of evaluations, {list(evaluations)}, got {select!r}."
        )


def _loss_of(name: str, value):
    if not isinstance(value, tuple) or len(value) != 2:
        raise TypeError(
            f"learning.fit: evaluations[{name!r}] must be (loss, examples), got "
            f"{type(value).__name__}."
        )
    return value[0]
