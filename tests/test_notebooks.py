"""The lessons run as scripts, their answers too, and have the parts that they promise."""

import os
import re
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat
import pytest

ROOT = Path(__file__).parents[1]
LESSONS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.py"))
ANSWER = re.compile(r"<details>.*?</details>", flags=re.DOTALL)
PYTHON = re.compile(r"^```python\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
each = pytest.mark.parametrize("script", LESSONS, ids=lambda path: path.stem)


def texts(script: Path) -> list[str]:
    cells = jupytext.read(script).cells
    return [cell.source for cell in cells if cell.cell_type == "markdown"]


def answers(script: Path) -> list[str]:
    return [part for text in texts(script) for part in ANSWER.findall(text)]


def run(code: str, tmp_path: Path, name: str):
    (tmp_path / name).write_text(code)
    variables = {
        "MPLBACKEND": "Agg",
        "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".jax_cache"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.3",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    result = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:__main__", tmp_path / name],
        env={**os.environ, **variables},
        cwd=ROOT / "notebooks",
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stderr[-3000:]


@each
def test_runs_with_its_answers(script, tmp_path):
    code = [block for answer in answers(script) for block in PYTHON.findall(answer)]
    assert code, "an answer has code"
    run("\n\n".join([script.read_text(), *code]), tmp_path, script.name)


@each
def test_notebook_is_the_script_with_outputs(script):
    twin = nbformat.read(script.with_suffix(".ipynb"), as_version=4)
    written = [(cell.cell_type, cell.source.strip()) for cell in jupytext.read(script).cells]
    assert [(cell.cell_type, cell.source.strip()) for cell in twin.cells] == written, (
        f"run: python notebooks/execute.py {script.stem}"
    )
    outputs = [output for cell in twin.cells for output in cell.get("outputs", [])]
    assert all(cell.execution_count for cell in twin.cells if cell.cell_type == "code")
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    lines = "".join(o.text for o in outputs if o.output_type == "stream").splitlines()
    assert not [line for line in lines if len(line) > 80]


@each
def test_it_has_the_parts_of_a_lesson(script):
    first, *_, last = texts(script)
    last = last[last.rfind("## ") :]
    assert first.startswith("# ") and "?" in first, "a title, and a question that a person has"
    assert last.startswith("## What to read next") and ".ipynb" in last
    assert 2 <= len(answers(script)) <= 3, "two or three exercises"
    twin = nbformat.read(script.with_suffix(".ipynb"), as_version=4)
    drawn = [output for cell in twin.cells[:5] for output in cell.get("outputs", [])]
    kinds = {kind for output in drawn for kind in output.get("data", {})}
    assert kinds & {"image/png", "text/html"}, "a picture within the first screen"
    for link in re.findall(r"\]\(([^)#:]+)[)#]", "".join(texts(script))):
        assert (script.parent / link).exists(), link
    headings = re.findall(r"^#+ (.*)$", "\n".join(texts(script)), flags=re.MULTILINE)
    anchors = {heading.strip().replace("`", "").replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", "".join(texts(script)))) <= anchors


def test_one_lesson_through_a_kernel():
    command = [sys.executable, "-c", "import execute; print(execute.execute(execute.LESSONS[0]))"]
    inline = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    where = ROOT / "notebooks"
    done = subprocess.run(command, cwd=where, env=inline, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "image/png" in done.stdout


def test_there_are_twelve():
    assert [script.name[:2] for script in LESSONS] == [f"{number:02d}" for number in range(1, 13)]
