"""Tables in Markdown, and links to the files that they were made from."""

from collections.abc import Iterable, Sequence


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; the rows have as many cells as there are heads."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def link(file: str) -> str:
    """Where the numbers are, as seen from bench/README.md."""
    return f"[results](results/{file})"


def spread(values: Sequence[float], form: str = "{:,.0f}") -> str:
    """The least and the largest."""
    low, high = form.format(min(values)), form.format(max(values))
    return low if low == high else f"{low} to {high}"


def brief(value: float) -> str:
    """Three digits, and all of those before the point."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
