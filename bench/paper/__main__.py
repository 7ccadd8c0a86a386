"""The 2018 paper's experiments: `python -m bench.paper NAME`, or all of them.

    python -m bench.paper runtime          # differentiating implicitly, or by unrolling
    python -m bench.paper lqr              # a linear model from an expert's controls
    python -m bench.paper imitation        # pendulum and cart-pole
    python -m bench.paper non_realisable   # a pendulum that the model cannot represent
    python -m bench.paper --short          # a glance at each

Each writes bench/results/paper_NAME-MACHINE.json, and a plot beside it.
"""

import argparse
from types import ModuleType

import jax

from bench import machine
from bench.paper import imitation, lqr, non_realisable, runtime
from jaxmpc import plot

_EXPERIMENTS: dict[str, ModuleType] = {
    "runtime": runtime,
    "lqr": lqr,
    "imitation": imitation,
    "non_realisable": non_realisable,
}


def main():
    """Run the experiments that were asked for."""
    parser = argparse.ArgumentParser(
        "bench.paper", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(_EXPERIMENTS))
    parser.add_argument("--short", action="store_true", help="a glance; writes no files")
    options = parser.parse_args()
    unknown = set(options.names) - set(_EXPERIMENTS)
    if unknown:
        parser.error(f"{', '.join(unknown)}: wanted some of {', '.join(_EXPERIMENTS)}")
    jax.config.update("jax_enable_x64", True)
    plot.require_matplotlib().switch_backend("Agg")
    for name in options.names or _EXPERIMENTS:
        print(f"== {name}")
        about = machine.describe()
        rows = []
        for row in _EXPERIMENTS[name].run(options.short):
            rows.append(row)
            if not options.short:  # after each: the longest experiment takes an hour
                path = machine.save_own(f"paper_{name}", about, rows)
        if not options.short:
            _EXPERIMENTS[name].draw(rows).savefig(path.with_suffix(".png"), dpi=130)
            print(f"wrote {path} and its plot")


if __name__ == "__main__":
    main()
