"""What a demonstration may be told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from jaxmpc import plot
from jaxmpc.demos.report import Report


class Options(NamedTuple):
    """The options of the command line.

    Attributes:
        plot: the folder for pictures, or None.
        steps: of learning, in the demonstration of the paper.
        quick: fewer starts, samples and steps: for a first look, and for the tests.
    """

    plot: Path | None = None
    steps: int = 300
    quick: bool = False

    @property
    def frames_per_second(self) -> int:
        """Of the films."""
        return 5 if self.quick else 25


def draw(report: Report, options: Options, pictures: dict[str, Callable[[], Any]]):
    """Write the pictures, if they are wanted: of each name what its function draws.

    A function returns axes, a figure or an animation; names end in .png or .gif.
    """
    folder = options.plot
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in report.progress(pictures.items(), "drawing"):
        _save(make(), folder / name)
    report.say(f"Wrote {' and '.join(pictures)} in {folder}.")


def _save(drawn: Any, path: Path):
    pyplot = plot.require_matplotlib()
    if path.suffix == ".gif":
        drawn.save(path, writer="pillow", dpi=80)
    else:
        first = getattr(drawn, "flat", [drawn])[0]  # of an array of axes
        figure = getattr(first, "figure", first)
        figure.savefig(path, dpi=150)
    pyplot.close("all")
