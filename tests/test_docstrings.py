"""Every public name has a docstring whose example runs, and `notebooks/api.md` is made of them."""

import contextlib
import doctest
import importlib
import inspect
import io
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "notebooks"))
api: Any = importlib.import_module("api")

NAMES = {entry.full: entry for entry in api.documented()}
# What a module needs besides the package itself.
NEEDED = {
    "jaxmpc.plot": ["matplotlib"],
    "jaxmpc.interop.mujoco": ["mujoco"],
    "jaxmpc.interop.gymnasium": ["gymnasium"],
}


@pytest.fixture(scope="module")
def shared():
    """What every example may use; with the print options that go with it, for this file alone."""
    with np.printoptions():
        names = {}
        exec(api.SHARED, names)
        yield names


@pytest.fixture(autouse=True)
def _no_pictures_left(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


def _module(name: str):
    for needed in NEEDED.get(name, []):
        pytest.importorskip(needed)
    return importlib.import_module(api.MODULES[name])


@pytest.mark.parametrize("name", NAMES)
def test_has_an_example(name):
    assert ">>> " in NAMES[name].docstring, f"{name}: the docstring has no example"


@pytest.mark.parametrize("name", NAMES)
def test_example_runs(name, shared):
    """As a doctest; those of methods count as their class's."""
    finder, runner = doctest.DocTestFinder(), doctest.DocTestRunner()
    report = io.StringIO()
    given = getattr(_module(NAMES[name].module), NAMES[name].name)
    for test in finder.find(given, name, module=False, globs=dict(shared)):
        with contextlib.redirect_stdout(io.StringIO()):
            runner.run(test, out=report.write)
    assert runner.tries > 0, f"{name}: no example was found"
    assert runner.failures == 0, report.getvalue()


@pytest.mark.parametrize("name", api.MODULES)
def test_every_name_is_on_the_page(name):
    module, on_page = _module(name), {e.name for e in api.entries() if e.module == name}
    assert len(on_page) > 1
    values = {key: getattr(module, key) for key in getattr(module, "__all__", [])}
    assert {key for key, value in values.items() if not inspect.ismodule(value)} <= on_page


def test_page_is_current():
    assert api.PAGE.read_text() == api.page(), "run: python notebooks/api.py"


def test_links_of_the_page_lead_to_headings():
    text = re.sub(r"^```.*?^```", "", api.PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    slugs = api.Slugs()
    headings = {slugs.of(heading) for heading in re.findall(r"^#{2,} (.+)$", text, re.MULTILINE)}
    links = set(re.findall(r"\]\(#([^)]+)\)", text))
    assert len(headings) > 100
    assert links == headings


def test_signatures_are_as_they_are_written():
    text = api.PAGE.read_text()
    assert 'controls: Float[Array, "T m"] | None = None' in text
    assert "class Solver(Protocol)" in text
