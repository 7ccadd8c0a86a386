"""The picture of a benchmark: times by contender, or along the sizes of the scaling family."""

import itertools
from pathlib import Path
from typing import Any

_AXES, _BASE = ("horizon", "states", "batch"), (20, 4, 1)


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
    """Along each size the rows in which the two others are those of the base."""
    points = [(row, (*_sizes(row["problem"]), row["starts"])) for row in rows]
    what = {"solve_ms": "solve", "solve_gradient_ms": "solve and gradient"}
    figure, axes = plt.subplots(len(what), 3, figsize=(13, 7), sharex="col", sharey=True)
    colours = {row["contender"]: f"C{k}" for k, (row, _) in enumerate(points[::-1])}
    for (key, label), line in zip(what.items(), axes, strict=True):
        for i, (axis, name) in enumerate(zip(line, _AXES, strict=True)):
            along = [
                (row["contender"], sizes[i], row[key]["median"])
                for row, sizes in points
                if key in row and all(sizes[j] == _BASE[j] for j in range(3) if j != i)
            ]
            for who, found in itertools.groupby(sorted(set(along)), key=lambda point: point[0]):
                _, x, y = zip(*found, strict=True)
                axis.loglog(x, y, "o-", label=who, color=colours[who])
            axis.set_title(f"{label}, along {name}")
        line[0].set_ylabel("ms")
    for i, (axis, name) in enumerate(zip(axes[-1], _AXES, strict=True)):
        axis.set_xlabel(name)
        ticks = sorted({sizes[i] for _, sizes in points})
        axis.set_xticks(ticks, [str(tick) for tick in ticks])
        axis.minorticks_off()
    axes[0][0].legend()
    return figure


def _sizes(problem: str) -> tuple[int, int]:
    _, horizon, states, _ = problem.split(":")
    return int(horizon), int(states)
