"""Experiment 3: learning to control a pendulum and a cart-pole from an expert's plans.

    python -m bench.paper imitation            # all of it: an hour and a half of a core
    python -m bench.paper imitation --short    # one seed, 100 steps: a glance

The paper's environments, experts, splits, initial guesses and size of batch; four seeds for the
order of the examples; the epoch is chosen by the validation loss and the loss reported is that on
the ten test experts, solved from zero controls. Different from the paper: 1,000 steps (250 epochs
of 100 examples, 1,000 of 10), or 1,000 epochs where cost and dynamics are learned at once, and not
10,000 epochs; Adam with a falling rate and not RMSprop; every 25 epochs a learner's solves start
afresh, and from the experts' controls (of the training examples only), so that it is in the
expert's local minimum; and float64. With "gn" the gradient is the paper's, which leaves the
curvature of the dynamics out.
"""

import functools
import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import optax

import jaxmpc
from bench.paper import network, tasks
from jaxmpc import learning, plot

ENVIRONMENTS = ("pendulum", "cartpole")
MODES = ("sysid", "dx", "dx gn", "cost", "cost gn", "cost.dx", "cost.dx gn", "nn")
SIZES = (10, 50, 100)
BATCH = 32
_STEPS, _FRESH = 1000, 25
_SEEDS = {"nn": 1, "gn": 2}  # fewer where it is slow, or the question is another
_OF_THE_OTHERS = 4
# Rate and memory of squares of Adam. Through the solver gradients differ by orders of magnitude
# from place to place, and a short memory lets the steps follow.
_ADAM = {"nn": (1e-3, 0.999), "sysid": (0.1, 0.999), "dx": (0.03, 0.95)}
_ADAM_COST = (0.1, 0.95)

_FLOOR = 1e-14  # of the plot

# Test loss in the paper (thesis, figure 5.5).
PAPER = {
    "pendulum": {
        "nn": (3.88e-1, 7.80e-2, 2.69e-2),
        "sysid": (1.47e-4, 2.12e-5, 2.39e-6),
        "dx": (5.16, 4.62e-7, 3.42e-8),
        "cost": (4.29e-3, 1.24e-5, 2.78e-5),
        "cost.dx": (6.25e-2, 2.12e-4, 1.79e-4),
    },
    "cartpole": {
        "nn": (45.8, 21.5, 9.70),
        "sysid": (1.62e-2, 3.22e-3, 8.02e-4),
        "dx": (2.23e-2, 8.86e-2, 1.58e-4),
        "cost": (19.9, 3.22e-1, 9.52e-4),
        "cost.dx": (21.7, 1.81, 4.34e-3),
    },
}


def run(short: bool, modes=MODES, environments=ENVIRONMENTS) -> Iterator[dict[str, Any]]:
    """A row for each environment, mode and number of examples."""
    for environment in environments:
        task = tasks.task(environment)
        data = tasks.experts(task)
        for mode in modes:
            for size in SIZES:
                seeds = 1 if short else _SEEDS.get(mode.split()[-1], _OF_THE_OTHERS)
                if mode != "nn" and size <= BATCH:
                    seeds = 1  # a single batch has no order
                steps = 100 if short else _steps(mode, size)
                trials = [trial(task, data, mode, size, seed, steps) for seed in range(seeds)]
                jax.clear_caches()  # hundreds of compiled programs are more than a process may map
                row = summary(environment, mode, size, trials)
                print(describe(row), flush=True)
                yield row


def _steps(mode: str, size: int) -> int:
    everything_at_once = mode.startswith("cost.dx")
    return _STEPS * _batches(size) if everything_at_once else _STEPS


def _batches(size: int) -> int:
    return -(-size // BATCH)


def trial(task: tasks.Task, data: tasks.Data, mode: str, size: int, seed: int, steps: int):
    """Train one learner; what it reached."""
    start = time.perf_counter()
    loss, judge, params, mask = _learner(task, mode, seed)
    epochs = steps // _batches(size)
    fit = learning.fit(
        loss,
        params,
        data.train[:size],
        optimizer=_optimizer(mode.partition(" ")[0], steps),
        epochs=epochs,
        batch_size=BATCH,
        evaluations={"validation": (judge, data.validation), "test": (judge, data.test)},
        evaluate_every=max(1, epochs // 60),
        alternate=[(mask, 1)],
        fresh_every=_FRESH,
        seed=seed,
        progress=False,
    )
    history = fit.history
    found = {"epoch": fit.epoch, "seconds": time.perf_counter() - start}
    for name, losses in history.evaluations.items():
        found[name] = float(losses[fit.epoch - 1])
    found["unsolved"] = int(np.sum(history.unsolved))
    found["epochs"], found["visits"] = epochs, epochs * size
    found["unsolved_test"] = int(history.evaluations_unsolved["test"][fit.epoch - 1])
    found["median_seconds_an_epoch"] = float(np.median(history.seconds))
    if mode != "nn":
        plain = learning.plain(fit.params)
        found["params"] = jax.tree.map(lambda leaf: np.asarray(leaf).tolist(), plain)
    return found


@functools.cache
def _optimizer(mode: str, steps: int) -> optax.GradientTransformation:
    """The same object for all seeds, so that they share what is compiled."""
    rate, memory = _ADAM.get(mode, _ADAM_COST)
    return optax.adam(optax.cosine_decay_schedule(rate, steps), b2=memory)


def _learner(task: tasks.Task, mode: str, seed: int):
    """The loss, the loss that it is judged by, the params, and which of them are learned."""
    # From zeros, as the expert was.
    judge = learning.Imitation(task.problem, solver=tasks.SOLVER, warm=False)
    if mode == "nn":
        policy = network.Policy(task.problem, len(task.expert["q"]) - 1, jax.random.key(seed))
        loss = learning.PerExample(network.imitation)
        return loss, loss, policy, True
    learned, _, gradient = mode.partition(" ")
    if mode == "sysid":
        params, mask = tasks.start(task, "dx")
        return learning.Prediction(task.problem.dynamics), judge, params, mask
    adjoint = jaxmpc.ImplicitAdjoint(hessian="gauss_newton" if gradient else "exact")
    loss = learning.Imitation(
        task.problem, solver=tasks.SOLVER, adjoint=adjoint, from_examples=True
    )
    return loss, judge, *tasks.start(task, learned)


def summary(environment: str, mode: str, size: int, trials: list[dict[str, Any]]):
    """A row of the table: means over the seeds, beside the paper's."""
    paper = PAPER[environment][mode.partition(" ")[0]][SIZES.index(size)]
    mean = {
        name: float(np.mean([trial[name] for trial in trials])) for name in ("validation", "test")
    }
    return {
        "environment": environment,
        "mode": mode,
        "examples": size,
        **mean,
        "paper": paper,
        "trials": trials,
    }


def describe(row: dict[str, Any]) -> str:
    """The row in words."""
    tests = " ".join(f"{trial['test']:.1e}" for trial in row["trials"])
    return (
        f"{row['environment']:<9}{row['mode']:<11}n={row['examples']:<4} test {row['test']:.2e}  "
        f"paper {row['paper']:.2e}  ({tests})"
    )


def draw(rows: list[dict[str, Any]]):
    """Test losses beside the paper's, a panel for each environment and number of examples."""
    pyplot = plot.require_matplotlib()
    figure, axes = pyplot.subplots(
        len(ENVIRONMENTS),
        len(SIZES),
        sharex=True,
        sharey="row",
        figsize=(10, 6),
        layout="constrained",
    )
    known = [mode for mode in PAPER["pendulum"] if any(row["mode"] == mode for row in rows)]
    places = {mode: place for place, mode in enumerate(known)}
    for row in rows:
        axis = axes[ENVIRONMENTS.index(row["environment"]), SIZES.index(row["examples"])]
        mode, _, paper_gradient = row["mode"].partition(" ")
        tests = [max(trial["test"], _FLOOR) for trial in row["trials"]]
        place = places[mode] + (0.15 if paper_gradient else -0.15)
        color, label = (
            ("C1", "the paper's gradient, Gauss-Newton")
            if paper_gradient
            else ("C3", "exact gradient")
        )
        axis.semilogy([place] * len(tests), tests, "o", color=color, ms=4, alpha=0.7, label=label)
        if not paper_gradient:
            axis.semilogy(
                places[mode], row["paper"], "_", color="k", ms=22, mew=2, label="the paper's result"
            )
        axis.set_xticks(range(len(places)), list(places))
        axis.set_title(f"{row['environment']}, {row['examples']} experts", fontsize=10)
        axis.grid(axis="y", color="0.9", lw=0.6)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[:, 0]:
        axis.set_ylabel("test imitation loss")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    figure.legend(
        unique.values(), unique.keys(), loc="outside lower center", ncols=3, frameon=False
    )
    return figure
