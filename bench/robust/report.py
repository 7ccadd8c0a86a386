"""The table of a family, and the cases that deserve a look."""

from typing import Any

import numpy as np

Answer = dict[str, Any]
_SAME = 1e-6  # relative difference of costs
_COLUMNS = (
    *(("solver", 9), ("solved", 8), ("lost", 5), ("won", 4), ("wrong", 6)),
    *(("mean", 7), ("median", 7), ("90 %", 6), ("ipopt", 7), ("ratio", 6), ("geo", 5)),
    *(("same", 6), ("lower", 6), ("higher", 7), ("ms", 7)),
)


def table(theirs: list[Answer], ours: dict[str, list[Answer]]) -> list[str]:
    """One line a solver; iterations and costs are of the draws that it and IPOPT solve.

    `ipopt` is IPOPT's mean over the same draws, `ratio` that of the means, `geo` the
    geometric mean of the draws' ratios (of iterations + 1), `ms` the median time
    of a solve.
    """
    lines = ["".join(name.rjust(width) for name, width in _COLUMNS)]
    for solver, answers in {"ipopt": theirs, **ours}.items():
        cells = {"solver": solver, **_row(answers, theirs)}
        if solver == "ipopt":
            cells = {name: cells[name] for name in ("solver", "solved", *_OF_IPOPT)}
        lines.append("".join(cells.get(name, "").rjust(width) for name, width in _COLUMNS))
    return lines


_OF_IPOPT = ("mean", "median", "90 %", "ms")


def _row(answers: list[Answer], theirs: list[Answer]) -> dict[str, str]:
    good, solved = (np.array([a["solved"] for a in of]) for of in (answers, theirs))
    both = [pair for pair in zip(answers, theirs, strict=True) if all(a["solved"] for a in pair)]
    cells = {
        "solved": f"{good.sum()}/{len(answers)}",
        "lost": f"{(solved & ~good).sum()}",
        "won": f"{(good & ~solved).sum()}",
        "wrong": f"{sum(not a.get('confirmed', True) for a in answers if a['solved'])}",
        "ms": f"{1e3 * np.median([a['seconds'] for a in answers]):.1f}",
    }
    if not both:
        return cells
    mine, other = (np.array([pair[k]["iterations"] for pair in both]) for k in (0, 1))
    kinds = [compare(a["cost"], b["cost"]) for a, b in both]
    shares = {
        kind: f"{100 * kinds.count(kind) / len(kinds):.0f} %"
        for kind in ("same", "lower", "higher")
    }
    return cells | {
        "mean": f"{mine.mean():.1f}",
        "median": f"{np.median(mine):.0f}",
        "90 %": f"{np.percentile(mine, 90):.0f}",
        "ipopt": f"{other.mean():.1f}",
        "geo": f"{np.exp(np.mean(np.log((1 + mine) / (1 + other)))):.2f}",
        "ratio": f"{mine.mean() / other.mean():.2f}",
        **shares,
    }


def compare(cost: float, other: float) -> str:
    """Whether a cost is the "same" as another one, "lower" or "higher"."""
    if abs(cost - other) <= _SAME * max(1.0, abs(other)):
        return "same"
    return "lower" if cost < other else "higher"


def remarks(
    names: list[str], theirs: list[Answer], ours: dict[str, list[Answer]], slowest: int
) -> list[str]:
    """What was lost, what was wrong, and the `slowest` draws in units of IPOPT's iterations."""
    lines = []
    for solver, answers in ours.items():
        rows = list(zip(names, answers, theirs, strict=True))
        for name, mine, other in rows:
            if other["solved"] and not mine["solved"]:
                lines.append(f"lost  {solver:8} {name:34} {_ended(mine)}; IPOPT: {_ended(other)}")
            if mine["solved"] and not mine["confirmed"]:
                said = "stationarity {:.1e}, infeasibility {:.1e}".format(*mine["check"])
                lines.append(f"wrong {solver:8} {name:34} {said}")
        both = [row for row in rows if row[1]["solved"] and row[2]["solved"]]
        both.sort(key=lambda row: -row[1]["iterations"] / max(row[2]["iterations"], 1))
        for name, mine, other in both[:slowest]:
            lines.append(f"slow  {solver:8} {name:34} {_ended(mine)}; IPOPT: {_ended(other)}")
    return lines


def _ended(answer: Answer) -> str:
    return f"{answer['status']} after {answer['iterations']}, cost {answer['cost']:.9g}"
