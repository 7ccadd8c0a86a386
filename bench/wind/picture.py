"""The picture of the study: errors by method, and one flight."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bench.wind import field
from bench.wind.closed_loop import FLIGHT, tracking_error
from bench.wind.study import METHODS, Seed
from bench.wind.vehicle import STEP
from jaxmpc.plot import require_matplotlib

_COLOURS = {
    "none": "#999933",
    "hand_tuned": "#cc3311",
    "prediction": "#ee9933",
    "end_to_end": "#4477aa",
    "informed": "#555555",
}


def draw(rows: list[dict[str, Any]], seed: Seed, path: Path):
    """Write a PNG; the flight is the one with the median error of the hand-tuned model."""
    plt = require_matplotlib()
    plt.switch_backend("agg")
    figure, axes = plt.subplots(1, 3, figsize=(16, 4.8), layout="constrained")
    _bars(axes[0], rows)
    errors = np.asarray(tracking_error(seed.flights["hand_tuned"], seed.task))
    which = int(np.argsort(errors)[len(errors) // 2])
    _from_above(axes[1], seed, which)
    _over_time(axes[2], seed, which)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _bars(axis, rows):
    errors = {m: 1e3 * np.array([row["tracking_rms_m"][m] for row in rows]) for m in METHODS}
    right = 1.35 * errors["hand_tuned"].max()  # without a model the error is off the scale
    for place, (name, values) in enumerate(errors.items()):
        axis.barh(-place, values.mean(), 0.6, color=_COLOURS[name])
        axis.plot(values, np.full(len(values), -place), "k.", ms=5)
        beyond = values.max() > right
        text = f"{values.mean():.0f} (off the scale)" if beyond else f"{values.mean():.1f}"
        end = 0.97 * right if beyond else values.max() + 0.02 * right
        axis.text(end, -place, text, va="center", ha="right" if beyond else "left")
    axis.set_yticks([-i for i in range(len(METHODS))], list(METHODS.values()))
    axis.set_xlim(0, right)
    axis.set_xlabel("RMS tracking error on held-out flights [mm]")
    axis.set_title(f"mean of {len(rows)} seeds (dots: each)", loc="left")
    axis.spines[["top", "right"]].set_visible(False)


def _from_above(axis, seed: Seed, which: int):
    reference = np.asarray(seed.task.reference)[which, :FLIGHT]
    own = jax.tree.map(lambda leaf: leaf[which], seed.task.field)
    low, high = reference[:, :2].min(0) - 0.8, reference[:, :2].max(0) + 0.8
    x, y = np.meshgrid(*(np.linspace(a, b, 12) for a, b in zip(low, high, strict=True)))
    height = np.full(x.size, reference[:, 2].mean())
    air = jax.vmap(field.wind, (None, 0))(own, jnp.stack([x.ravel(), y.ravel(), height], axis=1))
    arrows = axis.quiver(x, y, *np.asarray(air).T[:2], color="0.8", zorder=0)
    axis.quiverkey(arrows, 0.9, -0.07, 5.0, "5 m/s", labelpos="S", fontproperties={"size": 9})
    for name in ("none", "hand_tuned", "end_to_end"):
        path = np.asarray(seed.flights[name].truth)[:, which]
        axis.plot(*path[:, :2].T, color=_COLOURS[name], lw=1.8, label=_label(name))
    axis.plot(*reference[:, :2].T, "k--", lw=1.0, label="reference")
    axis.set(aspect="equal", xlabel="x [m]", ylabel="y [m]")
    axis.set_title("a held-out flight from above, and the wind", loc="left")
    axis.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)


def _over_time(axis, seed: Seed, which: int):
    reference = np.asarray(seed.task.reference)[which, :FLIGHT, :3]
    for name, colour in _COLOURS.items():
        if name != "none":
            path = np.asarray(seed.flights[name].truth)[:, which, :3]
            distance = 1e3 * np.linalg.norm(path - reference, axis=1)
            axis.plot(STEP * np.arange(FLIGHT), distance, color=colour, label=_label(name))
    axis.axvspan(0, 1, color="0.94", zorder=0)
    axis.text(0.5, 0.98, "not counted", transform=axis.get_xaxis_transform(), ha="center", va="top")
    axis.set(
        xlabel="time [s]",
        ylabel="distance to the reference [mm]",
        ylim=(0, 1.12 * axis.get_ylim()[1]),
    )
    axis.margins(x=0)
    axis.set_title("the same flight (without a model: not shown)", loc="left")
    axis.legend(fontsize=8)
    axis.spines[["top", "right"]].set_visible(False)


def _label(name: str) -> str:
    return METHODS[name].replace("\n", " ")
