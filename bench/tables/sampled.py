"""Solvers that sample, beside random guesses of one with derivatives."""

from typing import Any

from bench.tables.markdown import brief, link, table


def render(content: dict[str, Any], file: str) -> str:
    """Success and milliseconds of each solver on each task, alone and polished."""
    results = content["results"]
    own = {(of["task"], of["contender"]): of for of in results}
    names = list(dict.fromkeys(of["contender"].removesuffix(", polished") for of in results))
    rows = []
    for task in dict.fromkeys(of["task"] for of in results):
        for way, suffix in (("alone", ""), ("polished", ", polished")):
            cells = [_cell(own.get((task, name + suffix))) for name in names]
            if any(cells):
                rows.append([f"{task}, {way}", *cells])
    rollouts = {of["contender"]: of["samples"] for of in reversed(results) if of["samples"]}
    heads = ["", *(f"{name} ({rollouts[name]})" if name in rollouts else name for name in names)]
    return (
        "Success and milliseconds of one solve on one core, 100 seeds (10 of the hundred guesses); "
        "in brackets the rollouts; polished: by the default solver from there "
        f"(`python -m bench.sampling`, {link(file)}):\n\n{table(heads, rows)}\n"
    )


def _cell(of: dict[str, Any] | None) -> str:
    return "" if of is None else f"{100 * of['success'] / of['seeds']:.0f} %, {brief(of['ms'])}"
