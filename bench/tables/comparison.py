"""The comparison with the peers: one table a problem, of the newest file of each."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.kept import FOLDER, newest

_OURS = """
jaxmpc is `solve`, and of a batch `solve_batch` on one device; jaxmpc-2devices has two cores as a
mesh, jaxmpc-interior and jaxmpc-ilqr the other solvers, jaxmpc-lq is `lq.solve` under `vmap`."""
_TITLES = {
    "cartpole": "The paper's cart-pole (20 steps)",
    "lqr:10000": "LQRs of arXiv 2505.01353, bounds inactive (gradient: 248 parameters)",
    "lqr:1": "The same with |u| <= 1",
    "cartpole_acados": "acados' cart-pole, |u| <= 20, cold start",
    "quadrotor": "A quadrotor between two columns",
}


def render(folder: Path = FOLDER) -> str:
    """The Markdown between the markers; empty where there are no results."""
    found = newest(folder)
    parts = [_table(title, *found[name]) for name, title in _TITLES.items() if name in found]
    if "receding" in found:
        parts.append(_receding(*found["receding"]))
    if not parts:
        return ""
    about = "Medians in milliseconds for the whole batch, float64, side by side in one run by"
    head = f"{about} `python -m bench`;\nall judged by one independent KKT check.\n{_OURS}\n"
    compared = (found[name][0] for name in _TITLES if name in found)
    return "\n".join([head, *parts, _lacking(compared)])


def _lacking(contents: Iterable[dict[str, Any]]) -> str:
    """What contenders cannot do, said once for all tables."""
    names: dict[str, list[str]] = {}
    for content in contents:
        for name, of in content["contenders"].items():
            if "lacks" in of and name not in names.setdefault(of["lacks"], []):
                names[of["lacks"]].append(name)
    lines = (f"{', '.join(who)}: {what}" for what, who in names.items())
    return f"What they lack: {'; '.join(lines)}.\n" if names else ""


def _table(title: str, content: dict[str, Any], file: str) -> str:
    rows = [row for row in content["results"] if "solve_ms" in row]
    sizes = sorted({row["starts"] for row in rows})
    names = list(dict.fromkeys(row["contender"] for row in rows))
    gradients = any("solve_gradient_ms" in row for row in rows)
    heads = [""]
    for size in sizes:
        heads += ["1 start" if size == 1 else f"{size} starts", *(["with gradient"] * gradients)]
    heads += ["solved", "KKT", *(["gradient error"] * gradients), "compile [s]"]
    lines = [heads, ["---"] * len(heads)]
    for name in names:
        own = {row["starts"]: row for row in rows if row["contender"] == name}
        cells = [name]
        for size in sizes:
            row = own.get(size, {})
            cells.append(_milliseconds(row, "solve_ms"))
            cells += [_milliseconds(row, "solve_gradient_ms")] if gradients else []
        last = own[max(own)]
        cells += [f"{last.get('kkt_ok', 0)}/{last['starts']}", f"{last.get('kkt', 1):.0e}"]
        cells += [_error(last)] if gradients else []
        lines.append([*cells, f"{last['compile_s']:.1f}"])
    machine = content["machine"]
    where = f"{machine['cpu']}, {machine['cores']} cores, [results](results/{file})"
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"{title} ({where}):\n\n{table}\n{_absent(content)}"


def _receding(content: dict[str, Any], file: str) -> str:
    step = content["results"][0]
    return (
        f"Receding horizon on the paper's cart-pole: {step['steps']} warm-started steps of one "
        f"jitted call, median {step['median_ms']:.2f} ms, 99th percentile {step['p99_ms']:.2f} ms "
        f"([results](results/{file})).\n"
    )


def _absent(content: dict[str, Any]) -> str:
    notes = {row["contender"]: row["failed"] for row in content["results"] if "failed" in row}
    missing = ((name, of.get("missing")) for name, of in content["contenders"].items())
    notes |= {name: reason for name, reason in missing if reason}
    return "".join(f"\n({name}: {_brief(note)})\n" for name, note in notes.items())


def _brief(reason: str) -> str:
    return re.sub(r"(/[\w.+-]+)+", "...", reason)[:120]  # no path of the machine


def _milliseconds(row: dict[str, Any], key: str) -> str:
    if key not in row:
        return "-"
    value = row[key]["median"]
    return f"{value:.1f}" if value < 99.5 else f"{value:.0f}"


def _error(row: dict[str, Any]) -> str:
    return f"{row['gradient_error']:.0e}" if "gradient_error" in row else "-"
