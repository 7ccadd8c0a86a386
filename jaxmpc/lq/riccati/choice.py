"""Which form of the Riccati recursion runs: sequential, or parallel in time."""

import dataclasses
import functools
import json
import math
from pathlib import Path

import jax

CHOICES = ("auto", "sequential", "parallel")
_MEASURED = Path(__file__).with_name("choice.json")


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Recursion:
    """A form of the recursion.

    Attributes:
        block: None is sequential in time. Otherwise it is parallel: blocks of so many stages are
            condensed side by side, each stage by stage, before the scan over blocks.
    """

    block: int | None = None


SEQUENTIAL = Recursion()


def choose(
    riccati: str, horizon: int, n: int, m: int, batch: int = 1, *, platform: str | None = None
) -> Recursion:
    """The form that an option stands for, on a platform (None: the default device's).

    "sequential" and "parallel" are what they say; the latter with the block that was the fastest.
    "auto" is what was the fastest of all at the nearest sizes that have been measured on this
    kind of device (`python -m bench.riccati` measures), and sequential where none has been.
    """
    if riccati == "sequential":
        return SEQUENTIAL
    measured = _measured(platform or jax.default_backend())
    if not measured:
        return SEQUENTIAL if riccati == "auto" else Recursion(block=8)
    sizes = (horizon, n, m, batch)

    def distance(entry):
        pairs = zip(entry["sizes"], sizes, strict=True)
        return sum(abs(math.log(a / b)) for a, b in pairs)

    nearest = min(measured, key=distance)
    if riccati == "auto":
        return Recursion(nearest["fastest"])
    return Recursion(nearest["fastest_parallel"])


@functools.cache
def _measured(platform: str) -> list[dict]:
    """Entries {"sizes": [horizon, n, m, batch], "fastest": block, "fastest_parallel": block}."""
    return json.loads(_MEASURED.read_text()).get(platform, [])
