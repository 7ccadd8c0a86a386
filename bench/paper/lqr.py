"""Experiment 2: a linear model learned from the controls and states of an LQR expert.

The paper's expert and eight initial guesses: n = m = 3, T = 5, no bounds, 128 new initial states a
step, RMSprop with a rate of 0.01. Half of the trials stick: the imitation loss stays near 0.2 while
the model moves away for ever.

Why: of one step with unit weights, the optimal control answers a state with a gain of b / (1 + b^2)
(times a). Seen from a wrong sign, the loss falls towards b = 0 and beyond it only if |b| < 1; where
|b| > 1 it falls towards infinity, as there the gain goes to zero as well. A column of B that
starts large and on the wrong side is driven out. So nothing is wrong with the optimiser's rate or
with the gradient, and the cure is where it starts: "shrink B first" adds |B|^2 / 10 to the same
imitation loss for 300 steps, which brings every column to where its sign can be learned. Predicting
the expert's next states, a convex problem, is another way to a better start; 300 steps of it are
not always enough.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from bench.paper.tasks import INITS
from jaxmpc import lq, plot

_HORIZON, _SIZE, _BATCH, _STEPS, _FIRST = 5, 3, 128, 1000, 300
_RECOVERED = 1e-2  # of the model loss
_MORE = 64  # initial guesses of our own, drawn as the paper's


def run(short: bool) -> Iterator[dict[str, Any]]:
    """A row a protocol: curves of the paper's eight guesses, and how many of others recover."""
    steps = 200 if short else _STEPS
    key = jax.random.key(1)
    others = {
        "A": jnp.eye(_SIZE) + 0.2 * jax.random.normal(key, (_MORE, _SIZE, _SIZE)),
        "B": jax.random.normal(jax.random.fold_in(key, 1), (_MORE, _SIZE, _SIZE)),
    }
    for name, first in PROTOCOLS.items():
        losses, model_losses = trials(first, steps, papers_guesses(), seed=0)
        of_others = trials(first, steps, others, seed=2)[1]
        row = {
            "protocol": name,
            "steps": losses.shape[1],
            "recovered": int(np.sum(model_losses[:, -1] < _RECOVERED)),
            "recovered_of_others": int(np.sum(of_others[:, -1] < _RECOVERED)),
            "others": _MORE,
            "imitation_last_25": np.mean(losses[:, -25:], axis=1).tolist(),
            "model_last": model_losses[:, -1].tolist(),
            "imitation": _means(losses).tolist(),
            "model": _means(model_losses).tolist(),
        }
        print(
            f"{name:<16} recovered {row['recovered']} of 8, and {row['recovered_of_others']} of "
            f"{_MORE} others; imitation loss "
            + " ".join(f"{value:.4f}" for value in row["imitation_last_25"])
        )
        yield row


def papers_guesses() -> dict[str, Array]:
    """The eight that the paper starts from: A and B, [8, 3, 3] each."""
    guesses = [_model(INITS["init"][str(seed)]) for seed in range(8)]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *guesses)


def trials(first, steps: int, guesses, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Imitation and model losses [guesses, steps], after some steps of the loss `first`."""
    keys = jax.random.split(jax.random.key(seed), len(guesses["A"]))
    learn = jax.jit(jax.vmap(partial(_learn, first, steps)))
    losses, model_losses = learn(guesses, keys)
    return np.asarray(losses), np.asarray(model_losses)


def draw(rows: list[dict[str, Any]]):
    """Imitation and model loss of the eight guesses, a column a protocol."""
    pyplot = plot.require_matplotlib()
    figure, axes = pyplot.subplots(
        2, len(rows), sharex="col", sharey="row", figsize=(10, 5), layout="constrained"
    )
    for row, column in zip(rows, axes.T, strict=True):
        for axis, name in zip(column, ("imitation", "model"), strict=True):
            curves = np.asarray(row[name])
            steps = 25 * np.arange(1, curves.shape[1] + 1)
            for seed, curve in enumerate(curves):
                axis.semilogy(steps, curve, color=f"C{seed}", lw=1.3, label=f"guess {seed}")
            axis.grid(color="0.9", lw=0.6)
            axis.spines[["top", "right"]].set_visible(False)
        column[0].set_title(f"{row['protocol']}: {row['recovered']} of 8 recover")
        column[1].set_xlabel("step")
    axes[0, 0].set_ylabel("imitation loss")
    axes[1, 0].set_ylabel("model loss")
    axes[1, 0].legend(ncols=2, fontsize=7, frameon=False)
    return figure


def _model(data: dict[str, Any]) -> dict[str, Array]:
    return {name: jnp.asarray(data[name]) for name in ("A", "B")}


def _plan(model, x0: Float[Array, "3"]):
    """The optimal states and controls; as in the paper, of T states, and no terminal cost."""
    n, weights = _SIZE, jnp.asarray(INITS["expert"]["p"])
    every = partial(jnp.broadcast_to, shape=(_HORIZON, n, n))
    identity = jnp.eye(n)
    linear = jnp.broadcast_to(weights, (_HORIZON, 2 * n))
    none = jnp.zeros((_HORIZON, n, n))
    problem = lq.LQProblem(
        Q=jnp.concatenate([every(identity), none[:1]]),
        S=none,
        R=every(identity),
        q=jnp.concatenate([linear[:, :n], none[:1, 0]]),
        r=linear[:, n:],
        A=every(model["A"]),
        B=every(model["B"]),
        c=none[:, 0],
        x0=x0,
    )
    solution = lq.solve(problem)
    return solution.states[:-1], solution.controls


def _experts(x0s):
    return jax.vmap(partial(_plan, _model(INITS["expert"])))(x0s)


def _imitation(model, x0s):
    states, controls = jax.vmap(partial(_plan, model))(x0s)
    expert_states, expert_controls = _experts(x0s)
    return jnp.mean((controls - expert_controls) ** 2) + jnp.mean((states - expert_states) ** 2)


def shrinking(model, x0s):
    """The imitation loss, and what keeps B small."""
    return _imitation(model, x0s) + 0.1 * jnp.sum(model["B"] ** 2)


def _prediction(model, x0s):
    states, controls = _experts(x0s)
    next_states = jnp.einsum("ij,btj->bti", model["A"], states[:, :-1])
    next_states += jnp.einsum("ij,btj->bti", model["B"], controls[:, :-1])
    return jnp.mean((next_states - states[:, 1:]) ** 2)


def _model_loss(model):
    return sum(jnp.mean((model[k] - value) ** 2) for k, value in _model(INITS["expert"]).items())


def _learn(first, steps: int, model, key):
    """The imitation and the model loss, before each step; the first steps are of another loss."""
    torch_like = {"eps": 1e-8, "eps_in_sqrt": False, "initial_scale": 0.0}
    optimizer = optax.rmsprop(1e-2, decay=0.99, **torch_like)

    def phase(loss, model, key, steps):
        def step(carry, key):
            model, moments = carry
            x0s = jax.random.normal(key, (_BATCH, _SIZE))
            told = _imitation(model, x0s), _model_loss(model)
            change, moments = optimizer.update(jax.grad(loss)(model, x0s), moments)
            return (optax.apply_updates(model, change), moments), told

        (model, _), told = jax.lax.scan(
            step, (model, optimizer.init(model)), jax.random.split(key, steps)
        )
        return model, told

    keys = jax.random.split(key)
    if first is None:
        return phase(_imitation, model, keys[1], steps)[1]
    model, before = phase(first, model, keys[0], _FIRST)
    after = phase(_imitation, model, keys[1], steps)[1]
    return jax.tree.map(lambda a, b: jnp.concatenate([a, b]), before, after)


def _means(curves):
    """Over blocks of 25 steps, as the paper's moving average."""
    curves = np.asarray(curves)
    return curves[:, : curves.shape[1] // 25 * 25].reshape(len(curves), -1, 25).mean(axis=2)


PROTOCOLS = {"the paper's": None, "shrink B first": shrinking, "predict first": _prediction}
