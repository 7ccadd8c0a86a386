"""Robots that MuJoCo simulates, and an actor that plans."""

from typing import Any

from bench.tables.markdown import brief, link, spread, table


def environments(content: dict[str, Any], file: str) -> str:
    """Mean returns in Gymnasium's environments."""
    rows = [
        [
            of["environment"],
            str(of["seeds"]),
            f"{of['mean_return']:.4g}",
            f"{of['worst_return']:.4g}",
            f"{of['published']:.4g}",
            f"{of['hindsight']:.4g}",
            brief(of["milliseconds"]),
        ]
        for of in content["results"]
    ]
    heads = [
        "",
        "seeds",
        "mean return",
        "worst",
        "best published",
        "best known plan",
        "ms a sample",
    ]
    return (
        "Receding horizon from the environments' own starts (`python -m bench.robots.environments`"
        f", {link(file)}):\n\n{table(heads, rows)}\n"
    )


def own(content: dict[str, Any], file: str) -> str:
    """Our own robots: how a solve ended, and how far from its goal."""
    rows = [
        [
            of["robot"],
            of["solver"],
            of["status"],
            str(of["iterations"]),
            f"{1e3 * of['miss']:.1f}",
            f"{of['seconds']:.1f}",
        ]
        for of in content["results"]
    ]
    heads = ["", "solver", "status", "iterations", "off by [mm]", "seconds"]
    return f"`python -m bench.robots.own` ({link(file)}):\n\n{table(heads, rows)}\n"


def hopper(content: dict[str, Any], file: str) -> str:
    """How many hops in how many seconds."""
    rows = [
        [
            of.get("by", "samples"),
            f"{of['seconds']:.1f}",
            str(of["hops"]),
            "yes" if of["fell"] else "no",
            f"{of['forwards']:.2f}",
            f"{of['milliseconds'] / 1e3:.1f}",
        ]
        for of in content["results"]
    ]
    heads = ["hopper, by", "seconds", "hops", "fell", "forwards [m]", "seconds a sample"]
    return f"`python -m bench.robots.hopper` ({link(file)}):\n\n{table(heads, rows)}\n"


def humanoid(content: dict[str, Any], file: str) -> str:
    """A push, and what came of it."""
    rows = [
        [
            of.get("by", "samples"),
            f"{of['push_newton']:.0f} N for {of['push_seconds']:.2f} s",
            f"{of['stood_seconds']:.1f}",
            "yes" if of["fell"] else "no",
            f"{of['furthest']:.2f}",
            f"{of['milliseconds'] / 1e3:.2f}",
        ]
        for of in content["results"]
    ]
    heads = ["humanoid, by", "push", "stood [s]", "fell", "furthest away [m]", "seconds a sample"]
    return f"`python -m bench.robots.humanoid` ({link(file)}):\n\n{table(heads, rows)}\n"


def pushed(content: dict[str, Any], file: str) -> str:
    """A box, a finger, and where it ended."""
    rows = [
        [
            of["solver"],
            f"{1e3 * of['off']:.0f}",
            f"{of['off_degrees']:.0f}",
            f"{of['milliseconds'] / 1e3:.1f}",
        ]
        for of in content["results"]
    ]
    heads = ["a pushed box, by", "off by [mm]", "[degrees]", "seconds a sample"]
    return f"`python -m bench.robots.push` ({link(file)}):\n\n{table(heads, rows)}\n"


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
