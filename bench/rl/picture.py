"""Returns over samples."""

from pathlib import Path
from typing import Any

import numpy as np

from jaxmpc.plot import require_matplotlib

_STYLES = {
    "network": {"color": "#cc3311", "linestyle": "--", "label": "network"},
    "plan": {"color": "#4477aa", "linestyle": "-", "label": "network that sets a plan's cost"},
}


def draw(rows: list[dict[str, Any]], path: Path):
    """Write a PNG of a task: each seed thin, their median thick, the goal dotted."""
    plt = require_matplotlib()
    plt.switch_backend("agg")
    figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
    for actor, style in _STYLES.items():
        curves = [row for row in rows if row["actor"] == actor]
        for row in curves:
            axis.plot(row["samples"], row["returns"], color=style["color"], lw=0.6, alpha=0.5)
        median = np.median([row["returns"] for row in curves], axis=0)
        axis.plot(curves[0]["samples"], median, lw=2, **style)
    axis.axhline(rows[0]["goal"], color="k", linestyle=":", lw=1)
    axis.set_xscale("symlog", linthresh=4096)
    axis.set_xlim(left=0)
    axis.set_xlabel("samples")
    axis.set_ylabel("mean return of held-out starts")
    axis.set_title(f"{rows[0]['task']}, {len(curves)} seeds, their median thick", loc="left")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)
