"""The printed table of a benchmark, and the warnings that belong under it."""

from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]

_HEADS = [
    *("contender", "starts", "solve ms", "own clock", "iterations", "KKT", "ok", "mean cost"),
    *("solve+grad ms", "grad error", "compile s", "with grad", "peak MiB"),
]


def table(rows: Sequence[Row], about: dict[str, Row]) -> str:
    """A Markdown table, a line a row: times are median (min - max)."""
    several = len({row["problem"] for row in rows}) > 1
    lines = [
        _HEADS,
        *(_cells(r, about[r["contender"]], r["problem"] if several else None) for r in rows),
    ]
    widths = [max(len(line[i]) for line in lines) for i in range(len(_HEADS))]
    padded = ["| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([padded[0], rule, *padded[1:]])


def warnings(rows: Sequence[Row], about: dict[str, Row]) -> list[str]:
    """What a reader must know before comparing two lines of the table."""
    found = [f"note: {name} lacks {of['lacks']}" for name, of in about.items() if "lacks" in of]
    missing = ((name, of["missing"]) for name, of in about.items() if "missing" in of)
    found += [f"WARNING: {name} takes no part: {reason}" for name, reason in missing]
    if not any(row.get("at_bound", 0.0) for row in rows):
        found.append("note: no control of any solution is at a bound")
    for row in rows:
        who = f"WARNING: {row['contender']}, {row['problem']}, {row['starts']} starts:"
        found += [f"{who} {row[key]}" for key in ("failed", "gradient_failed") if key in row]
        if row.get("kkt_ok", row["starts"]) < row["starts"]:
            worst, missed = row["kkt"], row["starts"] - row["kkt_ok"]
            found.append(f"{who} {missed} missed the tolerance tenfold, worst {worst:.1e}")
        if row.get("converged", row["starts"]) < row["starts"]:
            found.append(f"{who} says itself that only {row['converged']} converged")
        if not row.get("gradient_error", 0.0) <= 1e-3:
            found.append(f"{who} the gradient is wrong, relative error {row['gradient_error']:.1e}")
        if row.get("at_bound", 0.0) > 0.0 and "bounds" in about[row["contender"]].get("lacks", ""):
            found.append(f"{who} {row['at_bound']:.0%} of the controls are at a bound")
        if "gradient_unjudged" in row:
            found.append(f"{who} no judgement of the gradient: {row['gradient_unjudged']}")
    return found


def accelerator(about: dict[str, Row]) -> str:
    """The device that is not a CPU, if a contender ran on one."""
    devices = {of.get("device", "cpu") for of in about.values()}
    return " ".join(sorted(d for d in devices if not d.lower().startswith("cpu")))


def _cells(row: Row, about: Row, of: str | None) -> list[str]:
    iterations = row.get("iterations")
    return [
        row["contender"] + ("" if of is None else f", {of}"),
        str(row["starts"]),
        _time(row.get("solve_ms")),
        _number(row.get("own_ms"), "{:.2f}"),
        f"{iterations['median']:g} / {iterations['max']}" if iterations else "-",
        _number(row.get("kkt"), "{:.0e}"),
        f"{row.get('kkt_ok', 0)}/{row['starts']}",
        _number(row.get("mean_cost"), "{:.6f}"),
        _time(row.get("solve_gradient_ms")),
        _number(row.get("gradient_error"), "{:.0e}"),
        _number(row.get("compile_s"), "{:.2f}"),
        _number(row.get("compile_gradient_s"), "{:.2f}"),
        _number(row.get("peak_mib"), "{:.0f}") + f" ({about['import_mib']:.0f})",
    ]


def _time(summary: dict[str, float] | None) -> str:
    if summary is None:
        return "-"
    return "{median:.2f} ({min:.2f} - {max:.2f})".format(**summary)


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
