"""The map of the lessons: where it leads to exists, and nothing public is left out."""

import re
import sys
from pathlib import Path

import jupytext

ROOT = Path(__file__).parents[1]
MAP = ROOT / "notebooks/README.md"
ENTRY = re.compile(r"^\| (.+?) \| (.+) \|$", flags=re.MULTILINE)
LINK = re.compile(r"\[[^\]]+\]\(([^)]+)\)")


def entries() -> list[tuple[str, list[str]]]:
    rows = ENTRY.findall(MAP.read_text())
    return [(question, LINK.findall(where)) for question, where in rows if LINK.search(where)]


def headings(lesson: Path) -> set[str]:
    """The anchors of a notebook's headings, as Jupyter makes them."""
    cells = jupytext.read(lesson.with_suffix(".py")).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    lines = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {line.strip().replace("`", "").replace(" ", "-") for line in lines}


def test_there_are_fifty_entries():
    assert len({question for question, _ in entries()}) >= 50


def test_every_lesson_is_on_it():
    reached = {link.partition("#")[0] for _, links in entries() for link in links}
    assert {path.name for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")} <= reached


def test_every_target_exists():
    for question, links in entries():
        for link in links:
            path, _, anchor = link.partition("#")
            target = MAP.parent / path
            assert target.exists(), f"{question}: {link}"
            if anchor and target.suffix == ".ipynb":
                assert anchor in headings(target), f"{question}: {link}"


def test_every_public_name_is_on_it_or_in_the_api():
    sys.path.insert(0, str(ROOT / "notebooks"))
    try:
        import api  # pyright: ignore
    finally:
        sys.path.pop(0)
    pages = MAP.read_text() + (ROOT / "notebooks/api.md").read_text()
    assert not [name for name in api.public_names() if name.rpartition(".")[2] not in pages]
