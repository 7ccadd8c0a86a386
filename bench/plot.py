"""The picture of a benchmark: times by contender, or along the sizes of the scaling family."""

import itertools
from pathlib import Path
from typing import Any

_AXES = ("horizon", "states", "batch")


def draw(content: dict[str, Any], path: Path) -> str:
    """Write a PNG; returns its name, or why there is none."""
    try:
        import matplotlib

        matplotlib.use("agg")
        import matplotlib.pyplot as plt
    except ImportError:
        return "(no plot: matplotlib is not installed)"
    rows = [row for row in content["results"] if "solve_ms" in row]
    if not rows:
        return "(no plot: nothing was measured)"
    scaling = content["benchmark"] == "scaling"
    figure = _lines(plt, rows) if scaling else _bars(plt, rows)
    figure.suptitle(f"{content['benchmark']}: milliseconds for the whole batch, lower is better")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path.name


def _bars(plt: Any, rows: list[dict[str, Any]]) -> Any:
    sizes = sorted({row["starts"] for row in rows})
    figure, axes = plt.subplots(1, len(sizes), figsize=(5.5 * len(sizes), 3.5), squeeze=False)
    for axis, size in zip(axes[0], sizes, strict=True):
        here = [row for row in rows if row["starts"] == size]
        for shift, key, label in (
            (0.2, "solve_ms", "solve"),
            (-0.2, "solve_gradient_ms", "+ grad"),
        ):
            lengths = [row.get(key, {}).get("median", 0.0) for row in here]
            places = [-i + shift for i in range(len(here))]
            axis.barh(places, lengths, 0.38, label=label)
        axis.set_yticks([-i for i in range(len(here))], [row["contender"] for row in here])
        axis.set_xscale("log")
        axis.set_title("1 start" if size == 1 else f"{size} starts")
    axes[0][0].legend()
    return figure


def _lines(plt: Any, rows: list[dict[str, Any]]) -> Any:
    """Along each size the rows in which the two others are the smallest."""
    points = [(row, (*_sizes(row["problem"]), row["starts"])) for row in rows]
    least = [min(sizes[i] for _, sizes in points) for i in range(3)]
    figure, axes = plt.subplots(1, 3, figsize=(13, 3.8))
    for i, (axis, name) in enumerate(zip(axes, _AXES, strict=True)):
        along = [
            (row["contender"], sizes[i], row["solve_ms"]["median"])
            for row, sizes in points
            if all(sizes[j] == least[j] for j in range(3) if j != i)
        ]
        for contender, found in itertools.groupby(sorted(set(along)), key=lambda point: point[0]):
            _, x, y = zip(*found, strict=True)
            axis.loglog(x, y, "o-", label=contender)
        axis.set_xlabel(name)
        axis.set_ylabel("ms")
    axes[0].legend()
    return figure


def _sizes(problem: str) -> tuple[int, int]:
    _, horizon, states, _ = problem.split(":")
    return int(horizon), int(states)
