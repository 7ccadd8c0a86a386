"""The notebooks run as scripts, and their executed twins are those scripts with outputs."""

import os
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat
import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_runs(script):
    variables = {
        "MPLBACKEND": "Agg",
        "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".jax_cache"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.3",
    }
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    result = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:__main__", script],
        env={**os.environ, **variables, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stderr[-3000:]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_notebook_is_the_script_with_outputs(script):
    twin = nbformat.read(script.with_suffix(".ipynb"), as_version=4)
    written = [(cell.cell_type, cell.source.strip()) for cell in jupytext.read(script).cells]
    assert [(cell.cell_type, cell.source.strip()) for cell in twin.cells] == written, (
        f"run: jupytext --to ipynb --execute notebooks/{script.name}"
    )
    outputs = [output for cell in twin.cells for output in cell.get("outputs", [])]
    kinds = {kind for output in outputs for kind in output.get("data", {})}
    assert "image/png" in kinds
    assert all(cell.execution_count for cell in twin.cells if cell.cell_type == "code")
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]


def test_there_are_notebooks():
    assert len(SCRIPTS) >= 2
