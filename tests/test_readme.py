"""README's Python runs as it stands, and its links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)


def test_code_runs(capsys):
    """Block after block, as a reader pastes them."""
    names = {"__name__": "readme"}
    for number, block in enumerate(BLOCKS):
        if "jax.config.update(" in block:
            continue
        exec(compile(block, f"README.md, block {number}", "exec"), names)
    assert "nan" not in capsys.readouterr().out


def test_code_that_configures_jax_runs():
    """In a process of its own, where JAX has not started."""
    blocks = [block for block in BLOCKS if "jax.config.update(" in block]
    assert len(blocks) == 2
    printed = ""
    for block in blocks:
        command = [sys.executable, "-c", f"import jax\n{block}"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
        printed += done.stdout
    assert "64 solutions, 64 converged" in printed


def test_there_is_code():
    assert len(BLOCKS) > 2


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#:]+)\)", TEXT))
def test_links_exist(link):
    assert (ROOT / link).exists()
