"""The architecture: imports run one way, and importing the package has no side effects."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "jaxmpc"
# The rooms, files or folders, from the ground up. A module imports its own room and those of the
# lines before it, so that `batching` and `lq` know nothing of nonlinear problems and solvers.
FLOORS = [
    ["checks", "compilation", "presentation", "trees"],
    ["batching", "spaces"],
    ["lq.small_linalg"],
    ["lq.problem", "lq.rows"],
    ["lq.riccati"],
    ["lq.differentiable"],
    ["lq.constrained", "lq.bounds"],
    ["lq.infinite_horizon", "lq.solving"],
    ["problem.kinds"],
    ["problem", "solution"],
    ["costs", "integrators", "models", "trajectory"],
    ["reformulations"],
    ["solvers.configuration", "solvers.keys"],
    ["solvers.loop", "solvers.options"],
    ["solvers.evaluation", "solvers.guesses", "solvers.report", "solvers.start"],
    ["solvers.multiple_shooting"],
    ["solvers.ilqr", "solvers.interior_point", "solvers.sqp"],
    ["solvers.chain", "solvers.sampling"],
    ["derivatives"],
    ["arguments"],
    ["solving"],
    ["batch", "control", "description", "diagnosis"],
    ["learning"],
    ["interop", "plot"],
    ["demos"],
    ["__main__"],
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
FILES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def room_of(module: str) -> str | None:
    """The innermost room of a module; None for a folder that has but rooms in it, or has none."""
    parts = module.split(".")
    prefixes = [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
    return next((prefix for prefix in reversed(prefixes) if prefix in FLOOR), None)


def imported(path: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def is_a_face(module: str) -> bool:
    """Whether it is the `__init__` of a folder whose rooms are on several floors."""
    return any(room.startswith(module + ".") for room in FLOOR)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path):
    own = module_of(path)
    if is_a_face(own):
        return
    room = room_of(own)
    assert room is not None, f"{own} is in no room: give it a place in FLOORS"
    for name in imported(path):
        other = name.removeprefix("jaxmpc.")
        if other == name or room_of(other) == room:
            continue
        if is_a_face(other.rpartition(".")[0]) and room_of(other) is None:
            other = other.partition(".")[0]  # a name that the folder's face hands on
            below = max(FLOOR[r] for r in FLOOR if r.startswith(other + "."))
            assert below < FLOOR[room], f"{own} imports {name}"
            continue
        floor = room_of(other)
        assert floor is not None, f"{own} imports {name}, which is in no room"
        assert FLOOR[floor] < FLOOR[room], f"{own} imports {name}"


def test_only_the_fitting_loop_knows_optax():
    users = {p.relative_to(ROOT).as_posix() for p in FILES if "optax" in str(imported(p))}
    assert users <= {"learning/fitting.py", "demos/learning.py", "demos/paper.py"}


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
