"""The architecture: imports run one way, and importing the package has no side effects."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "jaxmpc"
# A module imports its own layer and those before it. Files not named here belong to layer 0.
LAYERS = [
    ["problem", "solution", "models", "costs", "integrators"],
    ["trajectory", "lq"],
    ["solvers", "adjoint"],
    ["active_rows"],
    ["kkt_system"],
    ["implicit"],
    ["smoothing"],
    ["closures", "arguments"],
    ["solve"],
    [
        "sensitivity",
        "diagnostics",
        "describe",
        "diagnosis",
        "diagnose",
        "batch",
        "control",
        "receding_guess",
    ],
    ["learning"],
    ["interop", "plot", "__main__"],
]
LAYER = {name: number for number, names in enumerate(LAYERS) for name in names}
FILES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def layer(module: str) -> int:
    return LAYER.get(module.split(".")[1], 0)


def imported(path: Path) -> list[str]:
    package = [ROOT.name, *path.relative_to(ROOT).parent.parts]
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            base = ".".join([*base, *([node.module] if node.module else [])])
            names += [f"{base}.{alias.name}" for alias in node.names]
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path):
    own = "jaxmpc." + ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for name in imported(path):
        if name.startswith("jaxmpc.") and own != "jaxmpc.__main__":
            assert layer(name) <= layer(own), f"{own} imports {name}"


def test_only_the_fitting_loop_knows_optax():
    users = {p.relative_to(ROOT).as_posix() for p in FILES if "optax" in str(imported(p))}
    assert users <= {"learning/fit.py", "__main__.py"}


SILENT = """
import jax
before = dict(jax.config.values)
import jaxmpc
assert dict(jax.config.values) == before, "a jax flag changed"
from jax._src import xla_bridge
assert not xla_bridge.backends_are_initialized(), "a backend was started"
"""


def test_import_is_silent_and_changes_nothing():
    command = [sys.executable, "-W", "error", "-c", SILENT]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT.parent)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
