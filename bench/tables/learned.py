"""Tables of what was learned (the wind's too), from the JSON files."""

from pathlib import Path
from typing import Any

from bench.kept import FOLDER, newest

_TITLES = {"cartpole": "cart-pole", "pendulum": "pendulum"}
_WIND = {
    "none": "none",
    "hand_tuned": "a constant estimated in flight, and drag, tuned by hand",
    "prediction": "a network of the state history, trained on prediction error",
    "end_to_end": "the same, then trained end to end through the solver",
    "informed": "the true wind field, which nobody has",
}


def render(folder: Path = FOLDER) -> str:
    """The Markdown between the markers; empty where there are no results."""
    writers = {
        "paper_imitation": _imitation,
        "paper_non_realisable": _non_realisable,
        "paper_lqr": _lqr,
        "paper_runtime": _runtime,
        "wind": _wind,
    }
    found = newest(folder)
    return "\n".join(
        write(found[name][0]["results"], f"[results](results/{found[name][1]})")
        for name, write in writers.items()
        if name in found
    )


def _imitation(rows: list[dict[str, Any]], link: str) -> str:
    modes = [mode for mode in ("nn", "sysid", "dx", "cost", "cost.dx") if _of(rows, mode=mode)]
    lines = [["task", "experts", *modes], ["---"] * (2 + len(modes))]
    for environment, title in _TITLES.items():
        for size in sorted({row["examples"] for row in rows}):
            cells = [title, str(size)]
            for mode in modes:
                own = {"environment": environment, "examples": size}
                (row,) = _of(rows, **own, mode=mode) or ({},)
                exact = f"**{row['test']:.0e}**" if row else "-"
                (paper,) = _of(rows, **own, mode=f"{mode} gn") or ({},)
                gauss_newton = f" ({paper['test']:.0e})" if paper else ""
                cells.append(f"{exact}{gauss_newton} / {row['paper']:.0e}" if row else "-")
            lines.append(cells)
    network = ", nn a recurrent network" if "nn" in modes else ""
    trials = [trial for row in rows for trial in row["trials"]]
    hours = sum(trial["seconds"] for trial in trials) / 3600
    return (
        "Imitation of an expert that plans 20 steps, mean squared error of the controls on "
        f"experts that were not seen, **jaxmpc** / paper (in brackets with the paper's gradient; "
        f"{link}):\n\n{_markdown(lines)}\n\nLearned were the dynamics (dx), the cost, or both; "
        f"sysid is one-step prediction{network}. A thousand steps of Adam a trial, where both are "
        f"learned a thousand epochs (the paper: 10,000 epochs); these {len(trials)} trials took "
        f"{hours:.1f} hours of a core.\n"
    )


def _non_realisable(rows: list[dict[str, Any]], link: str) -> str:
    lines = [["learned by", "next-state loss", "imitation loss", "on new starts"], ["---"] * 4]
    for mode, words in {"sysid": "prediction", "dx": "imitation, through the controller"}.items():
        (row,) = _of(rows, mode=mode, rate="constant")
        imitation = f"{row['imitation']:.4f} ± {row['imitation sd']:.4f}"
        on_others = f"{row['test imitation']:.3f}"
        lines.append([words, f"{row['next state']:.2e}", imitation, on_others])
    return (
        f"A pendulum whose damping and wind the model cannot represent, 8 guesses ({link}; the "
        f"paper: 1.97e-3 and 0.186, 2.68e-3 and 0.135):\n\n{_markdown(lines)}\n"
    )


def _lqr(rows: list[dict[str, Any]], link: str) -> str:
    told = ", ".join(
        f"{row['protocol']} {row['recovered']} of 8 (of other guesses "
        f"{row['recovered_of_others']} of {row['others']})"
        for row in rows
    )
    return f"A linear model recovered from an LQR expert ({link}), by protocol: {told}.\n"


def _runtime(rows: list[dict[str, Any]], link: str) -> str:
    def of(adjoint: str, key: str) -> list[float]:
        return [row[key] for row in _of(rows, adjoint=adjoint)]

    most = max(row["iterations"] for row in rows)
    backward, memory = of("unrolled", "backward_ms"), of("unrolled", "memory_mib")
    implicit = f"{max(of('implicit', 'backward_ms')):.1f} ms"
    constant = f"{max(of('implicit', 'memory_mib')):.1f} MiB"
    return (
        f"Backward pass after 1 to {most} iterations ({link}): implicit, at most {implicit} and "
        f"{constant} whatever their number; unrolled, {backward[0]:.0f} to {backward[-1]:.0f} ms "
        f"and {memory[0]:.0f} to {memory[-1]:.0f} MiB.\n"
    )


def _wind(rows: list[dict[str, Any]], link: str) -> str:
    summary, seeds = rows[0]["summary"], len(rows) - 1
    lines = [["disturbance that the controller plans with", "tracking error [mm]"], ["---"] * 2]
    for name, words in _WIND.items():
        error = summary["tracking_rms_m"][name]
        lines.append(
            [words, f"{1e3 * error['mean']:.1f} ± {1e3 * error['standard_deviation']:.1f}"]
        )
    lower = {name: f"{of['mean']:.0f} %" for name, of in summary["percent_lower"].items()}
    return (
        "A quadrotor of 13 states in a wind that varies in space, on tracks and in winds that were "
        f"not flown before, {seeds} seeds (`python -m bench.wind`; {link}):\n\n{_markdown(lines)}"
        f"\n\nEnd to end is {lower['end_to_end than hand_tuned']} lower than tuned by hand; over a "
        f"network that predicts well it gains {lower['end_to_end than prediction']}.\n"
    )


def _of(rows: list[dict[str, Any]], **given) -> list[dict[str, Any]]:
    return [row for row in rows if all(row[key] == value for key, value in given.items())]


def _markdown(lines: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
