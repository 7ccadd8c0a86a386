"""What a demonstration says: headings, tables and progress, within 80 columns.

On a terminal by Rich, with colours unless NO_COLOR is set; elsewhere as plain aligned text.
"""

import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

import jaxmpc

_WIDEST = 80
_INDENT = 3


class Report:
    """Writes to standard output; bars go to standard error, and only if that is a terminal."""

    def __init__(self):
        self.width = min(_WIDEST, shutil.get_terminal_size((_WIDEST, 24)).columns)
        self.watched = sys.stderr.isatty()
        self._console = _console(self.width) if sys.stdout.isatty() else None

    def heading(self, text: str):
        """A line that begins something new."""
        if self._console is None:
            print(f"\n{text}")
        else:
            self._console.print(f"\n{text}", style="bold cyan", markup=False)

    def say(self, text: str):
        """A paragraph."""
        for line in text.splitlines():
            hanging = " " * (_INDENT + len(line) - len(line.lstrip()))
            print(textwrap.fill(line.strip(), self.width, **_indents(hanging, hanging)))
        sys.stdout.flush()

    def facts(self, facts: Mapping[str, Any]):
        """Names and what is to be said about each."""
        if self._console is not None:
            return self._console.print(_grid(facts))
        column = _INDENT + 2 + max(20, *map(len, facts))
        for name, value in facts.items():
            first = f"{'':{_INDENT}}{name}".ljust(column)
            print(textwrap.fill(str(value), self.width, **_indents(first, " " * column)))
        return sys.stdout.flush()

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Any]]):
        """Rows under a header; the first column is of words, the others are of numbers."""
        cells = [[str(cell) for cell in row] for row in rows]
        if self._console is not None:
            return self._console.print(_rich_table(columns, cells))
        widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
        print()
        for row in [list(columns), *cells]:
            aligned = [row[0].ljust(widths[0])]
            aligned += [c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)]
            print(" " * _INDENT + "   ".join(aligned).rstrip())
        return print(flush=True)

    @contextmanager
    def waiting(self, what: str):
        """Says what is going on before it is done, and how long it took after it."""
        # Not a spinner: what this waits for holds the interpreter for seconds.
        start = time.perf_counter()
        print(f"{'':{_INDENT}}{what} ... ", end="", flush=True)
        try:
            yield
        except BaseException:
            print(flush=True)
            raise
        print(f"{time.perf_counter() - start:.1f} s", flush=True)

    def compiled(self, what: str, function: Callable, *arguments: Any) -> Any:
        """A function that is compiled for these arguments, before any clock runs."""
        options = jaxmpc.compiler_options()
        with self.waiting(f"compiling {what}"):
            return jax.jit(function, compiler_options=options).lower(*arguments).compile()

    def progress(self, things: Iterable, what: str) -> Iterable:
        """The same things, with a bar while they are gone through."""
        return tqdm(things, what, ncols=self.width - 1, disable=not self.watched, leave=False)


def milliseconds(function: Callable, *arguments: Any, repeats: int = 5) -> float:
    """The median time of a call."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times))


def statuses(solution: Any) -> str:
    """How many ended how, in words; of a `Solution` or of an array of statuses."""
    found = np.ravel(getattr(solution, "status", solution))
    counts = np.bincount(found, minlength=len(jaxmpc.Status))
    return ", ".join(f"{counts[s]} {s.name}" for s in jaxmpc.Status if counts[s])


def _indents(first: str, others: str) -> dict[str, Any]:
    return {
        "initial_indent": first,
        "subsequent_indent": others,
        "break_long_words": False,
        "break_on_hyphens": False,
    }


def _console(width: int) -> Any:
    """Rich's, which asks NO_COLOR and TERM itself; None where it is not installed."""
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(width=width, highlight=False)


def _grid(facts: Mapping[str, Any]) -> Any:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(min_width=20, style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in facts.items():
        grid.add_row(Text(name), Text(str(value)))
    return Padding(grid, (0, 0, 0, _INDENT), expand=False)


def _rich_table(columns: Sequence[str], cells: list[list[str]]) -> Any:
    from rich import box
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.ROUNDED, header_style="bold", border_style="dim")
    for place, name in enumerate(columns):
        table.add_column(Text(name), justify="right" if place else "left")
    for row in cells:
        table.add_row(*map(Text, row))
    return Padding(table, (0, 0, 0, _INDENT), expand=False)
