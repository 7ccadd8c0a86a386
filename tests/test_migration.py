"""The migration pages: our side of each runs as it stands, and their links lead somewhere."""

import re
from pathlib import Path

import pytest

PAGES = sorted((Path(__file__).parents[1] / "notebooks" / "migration").glob("*.md"))
WITH_CODE = [page for page in PAGES if page.name != "README.md"]


def _blocks(page: Path, language: str) -> list[str]:
    pattern = rf"^```{language}\n(.*?)^```"
    return re.findall(pattern, page.read_text(), flags=re.MULTILINE | re.DOTALL)


def _headings(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _links() -> list[tuple[str, str]]:
    return [
        (page.name, link)
        for page in PAGES
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text())
        if "://" not in link
    ]


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.stem)
def test_our_side_runs(page, capsys):
    """Block after block in one namespace, as a reader pastes them."""
    names = {"__name__": page.stem}
    for number, block in enumerate(_blocks(page, "python")):
        exec(compile(block, f"{page.name}, block {number}", "exec"), names)
    assert "nan" not in capsys.readouterr().out


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.stem)
def test_both_sides_are_shown_and_ours_is_checked(page):
    """Each page has the peer's code, which is Python, and asserts an optimum in ours."""
    theirs, ours = _blocks(page, "py"), _blocks(page, "python")
    assert theirs and ours
    for number, block in enumerate(theirs):
        compile(block, f"{page.name}, block {number} of the other side", "exec")
    assert "assert " in "".join(ours)


@pytest.mark.parametrize("page, link", _links())
def test_links_exist(page, link):
    here = next(p for p in PAGES if p.name == page)
    path, _, anchor = link.partition("#")
    target = here.parent / path if path else here
    assert target.exists()
    assert not anchor or anchor in _headings(target)


def test_every_peer_has_a_page():
    names = {"mpc_pytorch", "trajax", "acados", "casadi", "crocoddyl"}
    assert {page.stem for page in WITH_CODE} == names
    index = (PAGES[0].parent / "README.md").read_text()
    assert all(f"({name}.md)" in index for name in names)
