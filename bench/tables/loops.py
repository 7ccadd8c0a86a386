"""Closed loops: what goes wrong in them, and how long a sample takes."""

from typing import Any

from bench.tables.markdown import brief, link, table

_SHORT = {"RTI": "one iteration", "RTI, advanced step": "the same, before the state is known"}


def disturbances(content: dict[str, Any], file: str) -> str:
    """Failures and the median cost of each controller on each task."""
    results = content["results"]
    controllers = list(dict.fromkeys(of["controller"] for of in results))
    rows = []
    for task in dict.fromkeys(of["task"] for of in results):
        own = {of["controller"]: of for of in results if of["task"] == task}
        rows.append([task, *(_cell(own.get(name)) for name in controllers)])
    heads = ["", *(_SHORT.get(name, name) for name in controllers)]
    return (
        f"Masses 20 % off, noise and a push, {results[0]['seeds']} loops each: failures and the "
        f"median cost (`python -m bench.loops.disturbances`, {link(file)}):\n\n"
        f"{table(heads, rows)}\n"
    )


def _cell(of: dict[str, Any] | None) -> str:
    return "-" if of is None else f"{of['failures']}, {brief(of['median_cost'])}"


def real_time(content: dict[str, Any], file: str) -> str:
    """Times of a step, and how many came too late; beside acados' on its own problem."""
    loops = [of for of in content["results"] if "loop" in of]
    keys = ("median_ms", "p99_ms", "p999_ms", "worst_ms")
    rows = [
        [of["loop"], *(f"{of[key]:.2f}" for key in keys), f"{of['missed']} of {of['samples']:,}"]
        for of in loops
    ]
    heads = ["one iteration a sample", "median ms", "p99", "p99.9", "worst", "missed"]
    both = {of["contender"]: of for of in content["results"] if "contender" in of}
    told = "; ".join(
        f"{name}: preparation {1e3 * of['preparation_seconds']['median']:.2f} ms, feedback "
        f"{1e3 * of['feedback_seconds']['median']:.2f} ms"
        for name, of in both.items()
    )
    return (
        f"`python -m bench.loops.real_time`, one core ({link(file)}):\n\n{table(heads, rows)}\n\n"
        f"The real-time iteration on acados' cart-pole of 50 stages: {told}.\n"
    )
