"""The Python of README and of the guides runs as it stands, and their links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GUIDES = sorted((ROOT / "notebooks/guides").glob("*.md"))
PAGES = [ROOT / "README.md", *GUIDES]
LINKED = [*PAGES, ROOT / "notebooks/README.md", ROOT / ".github/CONTRIBUTING.md"]
HEADING = re.compile(r"^#+ (.*)$", flags=re.MULTILINE)


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


CONFIGURING = [page for page in PAGES if "jax.config.update(" in "".join(blocks(page))]


@pytest.mark.parametrize("page", [page for page in PAGES if page not in CONFIGURING], ids=name)
def test_code_runs(page, capsys):
    """Block after block, as a reader pastes them."""
    names = {"__name__": "page"}
    for number, block in enumerate(blocks(page)):
        exec(compile(block, f"{page.name}, block {number}", "exec"), names)
    assert "nan" not in capsys.readouterr().out


@pytest.mark.parametrize("page", CONFIGURING, ids=name)
def test_code_that_configures_jax_runs(page):
    """In a process of its own, where JAX has not started."""
    command = [sys.executable, "-c", "\n".join(blocks(page))]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert "64 solutions, 64 converged" in done.stdout or page.stem != "batches"


def test_there_is_code():
    assert len(PAGES) > 9
    assert all(blocks(page) for page in PAGES)


def anchors(page: Path) -> set[str]:
    """Of the headings, as code hosts make them: the second of a name gets a number."""
    found: list[str] = []
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for heading in HEADING.findall(text):
        words = re.sub(r"[^\w\- ]", "", heading).lower().strip().replace(" ", "-")
        before = sum(re.sub(r"-\d+$", "", other) == words for other in found)
        found.append(f"{words}-{before}" if before else words)
    return set(found)


@pytest.mark.parametrize("page", LINKED, ids=name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if ":" in link:
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), link


def test_readme_can_be_read_in_five_minutes():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 250
