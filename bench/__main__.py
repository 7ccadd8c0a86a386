"""The benchmarks: `python -m bench` runs all that this machine can, and writes what it found.

    python -m bench                                    # everything; an hour or two
    python -m bench --quick                            # a glance: smallest batches, two rounds
    python -m bench --problems cartpole,lqr:1 --peers none
    python -m bench --peers acados,ipopt --batches 1,32
    python -m bench --write-readme                     # bench/README.md from the JSON files alone

The problems are described in bench/problems, the contenders in bench/contenders.py and the files
of bench/peers. Each contender runs in a process of its own, a peer in a virtual environment that
is made under bench/.environments on first use; who cannot be installed or fails is reported with
the reason, and the rest goes on.

Everyone starts from the same guess and is asked for the same tolerance by its own KKT test.

- solve ms: wall clock of one solve of the whole batch, after warm-up, results waited for; the
  contenders take turns, so that a slow minute of the machine is everybody's. With the gradient of
  the problem's loss and without.
- own clock: what the solver says of itself, where that leaves out a wrapper in Python.
- KKT: of the trajectories returned, by `bench.reference` (numpy, multipliers of its own), scaled
  as IPOPT scales; the worst of the batch. ok: how many are below ten times what was asked.
- grad error: max |g - fd| / max |fd| against central differences of problems solved again, to
  rounding, near the contender's own solutions (it may have found another local minimum).
- compile s: tracing, lowering and compiling, without a persistent cache; for CasADi, building;
  for acados, generating C and compiling it.
- peak MiB: of the contender's process, everything up to and including that batch; in brackets
  after the imports alone.

Results go to bench/results/PROBLEM-MACHINE.json, with a plot beside them.
"""

import argparse
import sys

from bench import machine, plot, receding, report, tables
from bench.contenders import CONTENDERS
from bench.measure import measure
from bench.problems import FIGURES, SCALING
from bench.timing import Settings


def _options() -> argparse.Namespace:
    words = sorted({contender.word for contender in CONTENDERS.values() if contender.word})
    problems = [*FIGURES, "scaling", "receding"]
    parser = argparse.ArgumentParser(
        "bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--problems", default="all", help=f"all, or some of {','.join(problems)}")
    parser.add_argument("--peers", default="all", help=f"none, all, or some of {','.join(words)}")
    parser.add_argument("--without-jaxmpc", action="store_true", help="measure the peers alone")
    parser.add_argument("--batches", help="how many of the starts, instead of the usual")
    parser.add_argument("--rounds", type=int, default=Settings.rounds)
    parser.add_argument("--repeats", type=int, default=Settings.repeats)
    parser.add_argument("--tolerance", type=float, default=Settings.tolerance)
    parser.add_argument("--no-gradients", action="store_true")
    parser.add_argument("--quick", action="store_true", help="smallest batches, two rounds")
    parser.add_argument("--dry", action="store_true", help="print only, write no files")
    parser.add_argument("--write-readme", action="store_true", help="only refresh bench/README.md")
    options = parser.parse_args()
    options.problems = problems if options.problems == "all" else options.problems.split(",")
    options.peers = {"none": [], "all": words}.get(options.peers, options.peers.split(","))
    for chosen, known in ((options.peers, words), (options.problems, problems)):
        unknown = [name for name in chosen if name not in known and ":" not in name]
        if unknown:
            parser.error(f"unknown: {', '.join(unknown)}; wanted some of {', '.join(known)}")
    return options


def _settings(options: argparse.Namespace) -> Settings:
    return Settings(
        tolerance=options.tolerance,
        rounds=2 if options.quick else options.rounds,
        repeats=2 if options.quick else options.repeats,
        budget=5.0 if options.quick else Settings.budget,
        gradients=not options.no_gradients,
    )


def _run(title: str, problems: dict[str, tuple[int, ...]], options, settings: Settings):
    """Measure problems that belong together, print their table, write their JSON and plot."""
    words = [*options.peers, *([] if options.without_jaxmpc else [""])]
    names = [name for name, contender in CONTENDERS.items() if contender.word in words]
    here, rows, about = machine.describe(), [], {}
    for problem, sizes in problems.items():
        if options.batches:
            sizes = tuple(map(int, options.batches.split(",")))
        found = measure(problem, names, sizes[:1] if options.quick else sizes, settings)
        rows += found[0]
        about |= {name: of for name, of in found[1].items() if name not in about}
    print(f"\n{title}\n", report.table(rows, about), *report.warnings(rows, about), sep="\n")
    shown = ("tolerance", "rounds", "repeats", "budget")
    content = {
        "benchmark": title,
        "settings": {key: getattr(settings, key) for key in shown},
        "contenders": about,
        "results": rows,
    }
    if not options.dry:
        path = machine.save(title.replace(":", "-"), here, content, report.accelerator(about))
        print("written:", path.name, plot.draw(content, path.with_suffix(".png")))


def main():
    """Run the benchmarks, print the tables, write the JSON."""
    options = _options()
    if options.write_readme:
        sys.exit(tables.write())
    settings = _settings(options)
    for problem in options.problems:
        if problem == "receding":
            receding.run(options)
        elif problem == "scaling":
            quick = {name: SCALING[name] for name in list(SCALING)[:2]}
            _run("scaling", quick if options.quick else SCALING, options, settings)
        else:
            _run(problem, {problem: FIGURES.get(problem, (1,))}, options, settings)


if __name__ == "__main__":
    main()
