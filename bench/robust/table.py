"""The twelve tasks' table: who solves how many of the starts, and its rendering."""

from typing import Any

import numpy as np

from bench.robust.report import Answer, compare

_NAMES = {"default": "default", "interior": "`InteriorPoint`", "ipopt": "IPOPT"}


def row(task: str, answers: dict[str, list[Answer]]) -> dict[str, Any]:
    """What JSON keeps of a task; `ipopt` is one of the solvers."""
    theirs = answers["ipopt"]
    return {
        "task": task,
        "starts": len(theirs),
        **{solver: _counts(found, theirs) for solver, found in answers.items()},
    }


def _counts(found: list[Answer], theirs: list[Answer]) -> dict[str, Any]:
    pairs = list(zip(found, theirs, strict=True))
    both = [compare(a["cost"], b["cost"]) for a, b in pairs if a["solved"] and b["solved"]]
    solved = [answer for answer in found if answer["solved"]]
    return {
        "solved": len(solved),
        "wrong": sum(not answer.get("confirmed", True) for answer in solved),
        "lost": sum(b["solved"] and not a["solved"] for a, b in pairs),
        "median_iterations": _percentile(solved, 50),
        "p90_iterations": _percentile(solved, 90),
        "lower": both.count("lower"),
        "higher": both.count("higher"),
    }


def _percentile(solved: list[Answer], percent: float) -> float | None:
    if not solved:
        return None
    return float(np.percentile([answer["iterations"] for answer in solved], percent))


def render(content: dict[str, Any], file: str) -> str:
    """The table in Markdown."""
    rows = content["results"]
    solvers = [name for name in _NAMES if name in rows[0]]
    lines = [
        f"Of {rows[0]['starts']} random starts each, solved (median, 90th percentile of the "
        "iterations), all from zero controls and the states that they lead to; lower / higher: "
        "how often the default's minimum is better / worse than IPOPT's "
        f"(`python -m bench.robust tasks`, [results](results/{file})):",
        "",
        "| task | " + " | ".join(_NAMES[name] for name in solvers) + " | lower / higher |",
        "| --- |" + " --- |" * (len(solvers) + 1),
    ]
    for of in rows:
        cells = [_cell(of[name]) for name in solvers]
        minima = f"{of['default']['lower']} / {of['default']['higher']}"
        lines.append(f"| {of['task'].replace('_', ' ')} | {' | '.join(cells)} | {minima} |")
    wrong = sum(of[name]["wrong"] for of in rows for name in solvers)
    return "\n".join(
        [*lines, "", f"Called converged, and not so by CasADi's derivatives: {wrong}."]
    )


def _cell(of: dict[str, Any]) -> str:
    if not of["solved"]:
        return "0"
    return f"{of['solved']} ({of['median_iterations']:.0f}, {of['p90_iterations']:.0f})"
