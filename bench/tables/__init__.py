"""bench/README.md's tables, rendered from the JSON files between their markers.

    python -m bench --write-readme

Nobody types a figure of these; prose stands between them.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.kept import FOLDER, newest
from bench.robust import table as robust
from bench.tables import comparison, compiling, learned, loops, robots, sampled

_PAGE = Path(__file__).parents[1] / "README.md"
# By the name of the benchmark in its file.
_ONE_FILE: dict[str, Callable[[dict[str, Any], str], str]] = {
    "tasks": robust.render,
    "compile": compiling.render,
    "disturbances": loops.disturbances,
    "real_time": loops.real_time,
    "sampling": sampled.render,
    "environments": robots.environments,
    "robots": robots.own,
    "robots_hopper": robots.hopper,
    "robots_humanoid": robots.humanoid,
    "robots_push": robots.pushed,
    "rl_hover": robots.actors,
    "rl_pendulum": robots.actors,
}


def sections() -> dict[str, str]:
    """What belongs between the markers of each name, of what results there are."""
    kept = newest(FOLDER)
    found = {name: write(*kept[name]) for name, write in _ONE_FILE.items() if name in kept}
    return {"comparison": comparison.render(), "learned": learned.render(), **found}


def write() -> int:
    """Replace what is between the page's markers; returns an exit status."""
    text = _PAGE.read_text()
    for name, found in sections().items():
        before, after = f"<!-- {name} -->", f"<!-- /{name} -->"
        start, end = text.find(before), text.find(after)
        if min(start, end) < 0 or not found:
            print(f"bench/README.md has no markers {before}, or bench/results nothing for them")
            return 1
        text = text[: start + len(before)] + "\n" + found.rstrip("\n") + "\n" + text[end:]
    _PAGE.write_text(text)
    return 0
