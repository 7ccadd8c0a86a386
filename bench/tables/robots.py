"""Robots that MuJoCo simulates, and an actor that plans."""

from collections.abc import Callable
from typing import Any

from bench.tables.markdown import brief, link, spread, table

# What stands in the cells of each column, by its head.
Columns = dict[str, Callable[[dict[str, Any]], str]]


def environments(content: dict[str, Any], file: str) -> str:
    """Mean returns in Gymnasium's environments."""
    columns: Columns = {
        "": lambda of: of["environment"],
        "seeds": lambda of: str(of["seeds"]),
        "mean return": lambda of: f"{of['mean_return']:.4g}",
        "worst": lambda of: f"{of['worst_return']:.4g}",
        "best published": lambda of: f"{of['published']:.4g}",
        "best known plan": lambda of: f"{of['hindsight']:.4g}",
        "ms a sample": lambda of: brief(of["milliseconds"]),
    }
    start = "Receding horizon from the environments' own starts ("
    made = f"`python -m bench.robots.environments`, {link(file)}"
    return f"{start}{made}):\n\n{_table(columns, content)}\n"


def own(content: dict[str, Any], file: str) -> str:
    """Our own robots: how a solve ended, and how far from its goal."""
    columns: Columns = {
        "": lambda of: of["robot"],
        "solver": lambda of: of["solver"],
        "status": lambda of: of["status"],
        "iterations": lambda of: str(of["iterations"]),
        "off by [mm]": lambda of: f"{1e3 * of['miss']:.1f}",
        "seconds": lambda of: f"{of['seconds']:.1f}",
    }
    return _alone("own", columns, content, file)


def hopper(content: dict[str, Any], file: str) -> str:
    """How many hops in how many seconds."""
    columns: Columns = {
        "hopper, by": lambda of: of["by"],
        "seconds": lambda of: f"{of['seconds']:.1f}",
        "hops": lambda of: str(of["hops"]),
        "fell": _fell,
        "forwards [m]": lambda of: f"{of['forwards']:.2f}",
        "seconds a sample": lambda of: f"{of['milliseconds'] / 1e3:.1f}",
    }
    return _alone("hopper", columns, content, file)


def humanoid(content: dict[str, Any], file: str) -> str:
    """A push, and what came of it."""
    columns: Columns = {
        "humanoid, by": lambda of: of["by"],
        "push": lambda of: f"{of['push_newton']:.0f} N for {of['push_seconds']:.2f} s",
        "stood [s]": lambda of: f"{of['stood_seconds']:.1f}",
        "fell": _fell,
        "furthest away [m]": lambda of: f"{of['furthest']:.2f}",
        "seconds a sample": lambda of: f"{of['milliseconds'] / 1e3:.2f}",
    }
    return _alone("humanoid", columns, content, file)


def pushed(content: dict[str, Any], file: str) -> str:
    """A box, a finger, and where it ended."""
    columns: Columns = {
        "a pushed box, by": lambda of: of["solver"],
        "off by [mm]": lambda of: f"{1e3 * of['off']:.0f}",
        "[degrees]": lambda of: f"{of['off_degrees']:.0f}",
        "seconds a sample": lambda of: f"{of['milliseconds'] / 1e3:.1f}",
    }
    return _alone("push", columns, content, file)


def _alone(script: str, columns: Columns, content: dict[str, Any], file: str) -> str:
    where = f"`python -m bench.robots.{script}` ({link(file)})"
    return f"{where}:\n\n{_table(columns, content)}\n"


def _table(columns: Columns, content: dict[str, Any]) -> str:
    rows = [[cell(of) for cell in columns.values()] for of in content["results"]]
    return table(list(columns), rows)


def _fell(of: dict[str, Any]) -> str:
    return "yes" if of["fell"] else "no"


def actors(content: dict[str, Any], file: str) -> str:
    """Samples until a goal, by an actor that plans and by a network."""
    rows = []
    for actor in ("plan", "network"):
        runs = [of for of in content["results"] if of["actor"] == actor]
        there = [of for of in runs if of["samples_to_goal"] is not None]
        rows.append(
            [
                actor,
                f"{len(there)} of {len(runs)}",
                spread([of["samples_to_goal"] for of in there]) if there else "-",
                spread([of["seconds_to_goal"] for of in there]) if there else "-",
                spread([of["first_return"] for of in runs]),
                spread([of["last_return"] for of in runs]),
            ]
        )
    heads = ["actor", "reached", "samples to it", "seconds to it", "first return", "last"]
    first = content["results"][0]
    return (
        f"{first['task']}, a return of {first['goal']:.0f} (`python -m bench.rl`, {link(file)}):"
        f"\n\n{table(heads, rows)}\n"
    )
