"""Returns over samples, a panel for each task."""

from pathlib import Path
from typing import Any

import numpy as np

from jaxmpc.plot import require_matplotlib

_STYLES = {
    "network": {"color": "#cc3311", "linestyle": "--", "label": "network"},
    "plan": {"color": "#4477aa", "linestyle": "-", "label": "network that sets a plan's cost"},
}


def draw(rows: list[dict[str, Any]], path: Path):
    """Write a PNG: each seed thin, their median thick, the goal dotted."""
    plt = require_matplotlib()
    plt.switch_backend("agg")
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    figure, axes = plt.subplots(1, len(tasks), figsize=(6 * len(tasks), 4), squeeze=False)
    for axis, task in zip(axes[0], tasks, strict=True):
        own = [row for row in rows if row["task"] == task]
        for actor in dict.fromkeys(row["actor"] for row in own):
            curves = [row for row in own if row["actor"] == actor]
            style = _STYLES[actor]
            for row in curves:
                axis.plot(row["samples"], row["returns"], color=style["color"], lw=0.6, alpha=0.5)
            median = np.median([row["returns"] for row in curves], axis=0)
            axis.plot(curves[0]["samples"], median, lw=2, **style)
        axis.axhline(own[0]["goal"], color="k", linestyle=":", lw=1)
        axis.set_xlabel("samples")
        axis.set_xscale("symlog", linthresh=4096)
        axis.set_ylabel("mean return of 32 starts")
        axis.set_title(task, loc="left")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
