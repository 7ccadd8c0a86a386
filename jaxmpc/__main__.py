"""`python -m jaxmpc`: a pole that stays up, and what else the package can do.

python -m jaxmpc            a short tour: cartpole, then paper
python -m jaxmpc --list     all demonstrations
python -m jaxmpc NAME       one of them
"""

import argparse
import logging
import os
import sys
from pathlib import Path

import jax

from jaxmpc import plot
from jaxmpc.demos.catalogue import NAMES, TOUR, demo, listing, unknown
from jaxmpc.demos.options import Options
from jaxmpc.demos.report import Report

_DEFAULTS = Options()


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for; 1 if something in it did not go well, else 0."""
    names, options = _asked(arguments)
    jax.config.update("jax_enable_x64", True)  # a program of its own may choose
    logging.getLogger("jaxmpc").setLevel(logging.ERROR)  # what compiles is announced here
    report = Report()
    report.say(f"jaxmpc on {jax.devices()[0].platform}, jax {jax.__version__}, float64")
    went_well = [demo(name)(report, options) for name in names]
    if names == TOUR:
        report.say("\nMore: python -m jaxmpc --list")
    return 0 if all(went_well) else 1


def _asked(arguments: list[str] | None) -> tuple[tuple[str, ...], Options]:
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.list:
        parser.exit(0, listing() + "\n")
    if given.name is not None and given.name not in NAMES:
        parser.exit(2, f"{parser.prog}: {unknown(given.name)}\n")
    if given.steps < 1:
        parser.error(f"--steps must be at least 1, got {given.steps}")
    if given.plot:  # now, not after a minute of work
        try:
            plot.require_matplotlib().switch_backend("Agg")
        except ImportError as error:
            parser.exit(1, f"{error}\n")
    names = TOUR if given.name is None else (given.name,)
    return names, Options(given.plot, given.steps, given.quick)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m jaxmpc",
        description=f"What jaxmpc can do. Without a name: {', then '.join(TOUR)}.",
        epilog="demonstrations:\n" + listing(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="the demonstration to run")
    parser.add_argument("--list", action="store_true", help="print their names, and end")
    parser.add_argument("--plot", type=Path, metavar="DIR", help="write pictures and films there")
    parser.add_argument("--quick", action="store_true", help="fewer starts and steps")
    parser.add_argument(
        "--steps",
        type=int,
        default=_DEFAULTS.steps,
        metavar="N",
        help=f"of learning, in paper (default: {_DEFAULTS.steps})",
    )
    return parser


def _run() -> int:
    try:
        return main()
    except BrokenPipeError:  # whoever read (`| head`) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(_run())
