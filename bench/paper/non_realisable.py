"""Experiment 4: imitating a pendulum that the learner's model cannot represent.

The expert's pendulum has a "damping" and a "wind" that the learner's has not (gravity, mass and
length only). Identification makes the best one-step predictions; learning through the controller
makes the best controls. 100 experts, 250 epochs, eight initial guesses, batches of 32: as the
paper. Beside RMSprop with its rate of 0.01 and memory of 0.5, constant as in the paper, the same
with a rate that falls to zero, so that both ways are compared at their minima.
"""

import functools
import time
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxmpc
from bench.paper import tasks
from bench.paper.tasks import INITS
from jaxmpc import learning, models, plot
from jaxmpc.learning import Examples

_EPOCHS, _BATCH, _LAST = 250, 32, 50
# Means of the last 50 epochs in the paper: sysid, through the controller.
PAPER = {"next state": (1.97e-3, 2.68e-3), "imitation": (0.186, 0.135)}
_TRUE = {**models.PENDULUM, "damping": 1.0, "wind": 0.1}


def run(short: bool) -> Iterator[dict[str, Any]]:
    """A row for each way to learn and each schedule of the rate."""
    epochs, seeds = (10, 2) if short else (_EPOCHS, 8)
    which = tasks.task("pendulum")
    train, test = experts(which)
    for schedule in ("constant", "falling"):
        for mode in ("sysid", "dx"):
            trials = [trial(which, train, test, mode, schedule, k, epochs) for k in range(seeds)]
            row = {"mode": mode, "rate": schedule, "epochs": epochs, "trials": trials}
            for name in ("next state", "imitation", "test imitation"):
                curves = np.asarray([trial[name] for trial in trials])
                row[name] = float(np.mean(curves[:, -_LAST:]))
                row[f"{name} sd"] = float(np.std(np.mean(curves[:, -_LAST:], axis=1)))
            print(
                f"{mode:<6} rate {schedule:<9} next state {row['next state']:.2e}  imitation "
                f"{row['imitation']:.4f} +- {row['imitation sd']:.4f}  on new starts "
                f"{row['test imitation']:.4f}"
            )
            yield row


def draw(rows: list[dict[str, Any]]):
    """Both losses over the epochs: mean and standard deviation over the guesses."""
    pyplot = plot.require_matplotlib()
    figure, axes = pyplot.subplots(
        2, 2, sharex=True, sharey="row", figsize=(9, 5.5), layout="constrained"
    )
    names = {"sysid": "next-state loss", "dx": "imitation loss"}
    for column, schedule in zip(axes.T, ("constant", "falling"), strict=True):
        for row in (row for row in rows if row["rate"] == schedule):
            color = {"sysid": "0.45", "dx": "C3"}[row["mode"]]
            for axis, name in zip(column, ("next state", "imitation"), strict=True):
                curves = np.asarray([trial[name] for trial in row["trials"]])
                mean, spread = curves.mean(axis=0), curves.std(axis=0)
                label = f"learned by its {names[row['mode']]}"
                epochs = np.arange(1, len(mean) + 1)
                axis.semilogy(epochs, mean, color=color, label=label)
                axis.fill_between(epochs, mean - spread, mean + spread, color=color, alpha=0.2)
        for axis, place in zip(column, (0, 1), strict=True):
            axis.grid(color="0.9", lw=0.6)
            axis.spines[["top", "right"]].set_visible(False)
            axis.axhline(
                PAPER["next state"][0] if place == 0 else PAPER["imitation"][1],
                color="k",
                lw=0.8,
                ls=":",
                label="the better of the paper's",
            )
        column[0].set_title(f"RMSprop, rate {schedule}")
        column[1].set_xlabel("epoch")
    axes[0, 0].set_ylabel("next-state loss")
    axes[1, 0].set_ylabel("imitation loss")
    axes[0, 0].set_ylim(1e-3, 1e-1)
    axes[1, 0].set_ylim(5e-2, 2.0)
    axes[0, 0].legend(frameon=False, fontsize=8)
    return figure


def experts(which: tasks.Task) -> tuple[Examples, Examples]:
    """100 for training and the other 20."""
    problem = jaxmpc.Problem(
        lambda x, u, t, params: models.pendulum_complex(x, u, _TRUE),
        which.problem.stage_cost,
        horizon=tasks.HORIZON,
        control_dim=1,
        control_bounds=which.problem.control_bounds,
    )
    starts = jnp.asarray(models.paper_initial_states("pendulum"))
    solution = jaxmpc.solve_batch(problem, starts, which.expert, solver=tasks.SOLVER)
    examples = Examples(solution.states, solution.controls)
    return examples[: tasks.TRAIN], examples[tasks.TRAIN :]


def trial(which, train, test, mode: str, schedule: str, seed: int, epochs: int):
    """The losses after each epoch."""
    start = time.perf_counter()
    guess = INITS["pendulum_complex_param_init"][str(seed)]
    params, mask = tasks.start(which, "dx")
    params["dynamics"] = {
        name: jnp.asarray(value)
        for name, value in zip(("gravity", "mass", "length"), guess, strict=True)
    }
    prediction = learning.Prediction(which.problem.dynamics)
    judge = learning.Imitation(which.problem, solver=tasks.SOLVER)
    fit = learning.fit(
        prediction if mode == "sysid" else judge,
        params,
        train,
        optimizer=_optimizer(schedule, epochs),
        epochs=epochs,
        batch_size=_BATCH,
        evaluations={
            "imitation": (judge, train),
            "next state": (prediction, train),
            "test imitation": (judge, test),
        },
        alternate=[(mask, 1)],
        seed=seed,
        progress=False,
    )
    curves = {name: values.tolist() for name, values in fit.history.evaluations.items()}
    last = jax.tree.map(
        lambda leaf: np.asarray(leaf).tolist(), learning.plain(fit.last)["dynamics"]
    )
    return {
        **curves,
        "params": last,
        "unsolved": int(np.sum(fit.history.unsolved)),
        "seconds": time.perf_counter() - start,
    }


@functools.cache
def _optimizer(schedule: str, epochs: int) -> optax.GradientTransformation:
    """The same object for all guesses, so that they share what is compiled."""
    rate = 1e-2
    if schedule == "falling":
        rate = optax.cosine_decay_schedule(rate, epochs * -(-tasks.TRAIN // _BATCH))
    return optax.rmsprop(rate, decay=0.5, eps=1e-8, eps_in_sqrt=False)
