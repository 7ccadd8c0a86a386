"""Random problems against IPOPT: who solves them, in how many iterations, and how well.

    python -m bench.robust families --family box --draws 200 --solvers default,interior
    python -m bench.robust families --family all --draws 60 --start 1000
    python -m bench.robust families --family box --draws 200 --solvers none   # IPOPT's cache alone
    python -m bench.robust tasks --draws 300   # twelve tasks, for the table in bench/README.md
    python -m bench.robust case box-n4-m2-T30-seed15 --solvers ilqr,interior

Everyone starts from zero controls, moved inside the bounds, and the states that they lead to.
IPOPT's answers are kept in a file (--cache). `lost` draws are solved by IPOPT alone, `won` ones by
jaxmpc alone, and `wrong` ones are called converged by jaxmpc and not by CasADi's derivatives.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import jax

from bench import machine
from bench.robust import draws, ipopt, ours, report, table
from bench.robust.families import SIZES, Draw
from bench.robust.tasks import TASKS


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "bench.robust", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    of_families = commands.add_parser("families", help="many draws of a family")
    of_families.add_argument("--family", default="box", help=f"all, or some of {','.join(SIZES)}")
    of_families.add_argument("--draws", type=int, default=60)
    of_families.add_argument("--start", type=int, default=0, help="the first seed")
    of_families.add_argument("--slowest", type=int, default=5, help="how many slow draws to name")
    of_tasks = commands.add_parser("tasks", help="many starts of each task, kept as JSON")
    of_tasks.add_argument("--tasks", default="all", help=f"all, or some of {','.join(TASKS)}")
    of_tasks.add_argument("--draws", type=int, default=300)
    of_tasks.add_argument("--dry", action="store_true", help="print only, write no file")
    of_case = commands.add_parser("case", help="draws by their names")
    of_case.add_argument("names", nargs="+")
    for command in (of_families, of_tasks, of_case):
        known = ",".join(ours.SOLVERS)
        command.add_argument("--solvers", default="default", help=f"none, or some of {known}")
        kept = Path(tempfile.gettempdir()) / "robust_cache.json"
        command.add_argument("--cache", type=Path, default=kept, help="IPOPT's answers")
    options = parser.parse_args()
    options.solvers = [] if options.solvers == "none" else options.solvers.split(",")
    unknown = [name for name in options.solvers if name not in ours.SOLVERS]
    if options.command == "families":
        families = SIZES if options.family == "all" else options.family.split(",")
        options.families = list(families)
        unknown += [name for name in options.families if name not in SIZES]
    if options.command == "tasks":
        options.tasks = list(TASKS) if options.tasks == "all" else options.tasks.split(",")
        unknown += [name for name in options.tasks if name not in TASKS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    return options


def _solve_all(chosen: list[Draw], solvers: list[str], answers: ipopt.Answers):
    """Everybody's answers to the draws, one size after another; a compilation is not timed."""
    order = sorted(chosen, key=lambda draw: draw.size.name)
    theirs = [answers.of(draw) for draw in order]
    answers.write()
    seconds, found = 0.0, {solver: [] for solver in solvers}
    for draw in order:
        for solver in solvers:
            seconds += ours.compile_for(draw.size, solver)
            found[solver].append(ours.solve(draw, solver))
        _progress(f"{len(found[solvers[0]])}/{len(order)}" if solvers else "")
    _progress("")
    return [draw.name for draw in order], theirs, found, seconds


def _progress(text: str):
    if sys.stderr.isatty():
        print(f"\r{text:20}", end="", file=sys.stderr, flush=True)


def _run(title: str, chosen: list[Draw], options: argparse.Namespace, slowest: int):
    answers = ipopt.Answers(options.cache)
    solvers = [s for s in options.solvers if ours.possible(s, chosen[0])]
    names, theirs, found, seconds = _solve_all(chosen, solvers, answers)
    print(f"\n{title} (compiled in {seconds:.0f} s)")
    print(*report.table(theirs, found), "", sep="\n")
    print(*report.remarks(names, theirs, found, slowest), sep="\n", flush=True)


def _run_tasks(options: argparse.Namespace):
    """the table of the tasks; always by the default, the interior point and IPOPT."""
    answers, rows = ipopt.Answers(options.cache), []
    for task in options.tasks:
        chosen = draws.starts(task, 0, options.draws)
        _, theirs, found, _ = _solve_all(chosen, ["default", "interior"], answers)
        rows.append(table.row(task, {**found, "ipopt": theirs}))
        print(rows[-1], flush=True)
    content = {"benchmark": "tasks", "results": rows}
    print(table.render(content, ""))
    if not options.dry:
        print("written:", machine.save("tasks", machine.describe(), content).name)


def main():
    """Run one command."""
    options = _options()
    jax.config.update("jax_enable_x64", True)
    if options.command == "tasks":
        _run_tasks(options)
        return
    if options.command == "case":
        for name in options.names:
            _run(name, [draws.load(name)], options, slowest=1)
        return
    for family in options.families:
        chosen = draws.draws(family, options.start, options.draws)
        _run(
            f"{family}, {len(chosen)} draws from seed {options.start}",
            chosen,
            options,
            options.slowest,
        )


if __name__ == "__main__":
    main()
