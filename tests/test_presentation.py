"""What the package shows of itself: `dir`, `help`, and solutions in notebooks."""

import ast
import dataclasses
import importlib
import inspect
import pydoc
import re
import subprocess
import sys
from pathlib import Path
from xml.dom import minidom

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmpc

# --- dir and help ---

ROOT = Path(jaxmpc.__file__).parent
FACES = ["", ".control", ".learning", ".lq", ".models", ".plot", ".spaces"]
FACES += [".interop.gymnasium", ".interop.mujoco"]
FILES = ["costs", "integrators"]
FILES += [f"reformulations.{name}" for name in ("free_parameters", "model_draws", "slew_rate")]


@pytest.mark.parametrize("face", FACES)
def test_dir_shows_what_a_package_hands_on(face):
    """That is what its `__init__` imports under its own name, `from ... import X as X`."""
    module = importlib.import_module("jaxmpc" + face)
    tree = ast.parse(Path(module.__file__).read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    handed = {alias.name for node in imports for alias in node.names if alias.asname == alias.name}
    assert handed
    assert dir(module) == sorted(handed) == module.__all__
    assert all(hasattr(module, name) for name in handed)


@pytest.mark.parametrize("name", FILES)
def test_dir_shows_what_a_file_defines(name):
    module = importlib.import_module(f"jaxmpc.{name}")
    body = ast.parse(Path(module.__file__).read_text()).body
    defined = [node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    imports = [node for node in body if isinstance(node, ast.ImportFrom)]
    defined += [one.name for node in imports for one in node.names if one.asname == one.name]
    assert dir(module) == sorted(one for one in defined if not one.startswith("_"))
    assert dir(module) == module.__all__


def test_a_misspelt_name_and_a_module_on_demand():
    with pytest.raises(AttributeError, match="^module 'jaxmpc' has no attribute 'slove'"):
        _ = jaxmpc.slove
    command = [sys.executable, "-c", "import jaxmpc; jaxmpc.plot.plot_solution; jaxmpc.slove"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT.parent)
    assert "Did you mean: 'solve'?" in done.stderr


def public():
    modules = [importlib.import_module("jaxmpc" + face) for face in FACES]
    modules += [importlib.import_module(f"jaxmpc.{name}") for name in FILES]
    for module in modules:
        for name in dir(module):
            value = getattr(module, name)
            if inspect.isfunction(value) or inspect.isclass(value):
                yield f"{module.__name__}.{name}", value


def test_help_shows_readable_types():
    text = pydoc.plain(pydoc.render_doc(jaxmpc.solve))
    assert 'controls: Float[Array, "T m"] | None = None' in text
    assert "x0: Float[Array, " in text
    assert ") -> Solution" in text


def test_all_signatures_are_readable():
    unreadable = re.compile(r"jaxtyping|jaxlib|typing\.|jaxmpc\.\w|<class")
    seen = 0
    for name, value in public():
        try:
            signature = inspect.signature(value)
        except ValueError:  # of an enumeration, for one
            continue
        words = [str(one.annotation) for one in signature.parameters.values()]
        words.append(str(signature.return_annotation))
        words = [word for word in words if "inspect._empty" not in word]
        assert not any(unreadable.search(word) for word in words), f"{name}{signature}"
        seen += 1
    assert seen > 100


# --- What notebooks show ---


HORIZON = 6
PENDULUM = jaxmpc.Problem(
    lambda x, u, t, params: x + 0.05 * jnp.array([x[1], params["g"] * jnp.sin(x[0]) + u[0]]),
    lambda x, u, t, params: 1 - jnp.cos(x[0]) + 0.05 * x[1] ** 2 + 0.001 * u[0] ** 2,
    horizon=HORIZON,
    control_dim=1,
    control_bounds=(-8, 8),
)
X0 = np.array([3.0, 0.0])


def solve(x0):
    return jaxmpc.solve(PENDULUM, x0, {"g": 9.81})


@pytest.fixture(scope="module")
def solution():
    return solve(X0)


def batch_of(solution):
    """Two elements, of which the second has failed."""
    other = jax.tree.map(
        lambda leaf: jnp.full_like(leaf, jnp.nan) if leaf.dtype.kind == "f" else leaf, solution
    )
    other = dataclasses.replace(other, status=jnp.int32(jaxmpc.Status.non_finite))
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), solution, other)


def table(shown: str) -> dict[str, str]:
    """The rows of a table, which must be well formed."""
    tree = minidom.parseString(shown.replace("&le;", "at most"))
    rows = {}
    for row in tree.getElementsByTagName("tr"):
        name, cell = row.childNodes
        rows[name.firstChild.data if name.firstChild else ""] = cell.toxml()
    return rows


def paths(cell: str) -> list[str]:
    return re.findall(r' d="([^"]*)"', cell)


def test_a_notebook_shows_a_solution(solution):
    rows = table(solution._repr_html_())
    assert "converged" in rows["status"]
    assert f"{float(solution.cost):.9g}" in rows["cost"]
    for name in ("stationarity", "feasibility", "complementarity"):
        residual, tolerance = float(getattr(solution.residuals, name)), float(solution.tolerance)
        assert f"{residual:.2e} at most {tolerance:.2e}" in rows[name]
    (curve,) = paths(rows["control 0"])
    assert curve.count("H") == HORIZON  # a level for each stage
    heights = [float(height) for height in re.findall(r"(?:^M\S+ |V)([\d.]+)", curve)]
    assert np.corrcoef(heights, np.ravel(solution.controls))[0, 1] < -0.999  # pixels go down


def test_a_notebook_shows_a_batch(solution):
    rows = table(batch_of(solution)._repr_html_())
    assert "1 <b>converged</b>, 1 <b>non_finite</b>" in rows["2 solutions"]
    assert "1 not finite" in rows["cost"]
    assert "nan not at most" in rows["worst stationarity"]
    drawn, failed = paths(rows["control 0"])
    assert drawn.count("H") == HORIZON and failed == ""


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1.7e308, 0.0])
def test_a_notebook_shows_whatever_the_numbers(solution, value):
    controls = solution.controls.at[::2].set(value).at[1].set(-1.7e308)
    strange = dataclasses.replace(
        solution,
        controls=controls,
        cost=jnp.asarray(value),
        residuals=jax.tree.map(lambda _: jnp.asarray(value), solution.residuals),
        status=jnp.int32(77),
    )
    rows = table(strange._repr_html_())
    assert "nan" not in "".join(paths(rows["control 0"]))
    assert "77" in rows["status"]


def test_where_there_are_no_numbers_a_notebook_shows_the_words():
    def shown(x0):
        return solve(x0)._repr_html_() is None

    traced = []
    jax.eval_shape(lambda x0: traced.append(shown(x0)), X0)
    assert traced == [True]
    shapes = jax.eval_shape(solve, X0)
    assert shapes._repr_html_() is None


def test_a_solution_is_printed_in_a_line():
    problem = jaxmpc.Problem(
        lambda x, u, t, p: x + u, lambda x, u, t, p: u @ u, horizon=3, control_dim=2
    )
    one = jaxmpc.solve(problem, jnp.zeros(2))
    assert repr(one) == (
        "Solution(converged, cost 0, 0 iterations, states (4, 2), controls (3, 2))"
    )
    batch = jaxmpc.solve_batch(problem, jnp.zeros((5, 2)))
    assert repr(batch).startswith("Solution(5 of 5 converged, states (5, 4, 2)")
    shapes = jax.eval_shape(lambda x0: jaxmpc.solve(problem, x0), jnp.zeros(2))
    assert repr(shapes) == "Solution(states (4, 2), controls (3, 2))"
    assert repr(jax.tree.map(lambda leaf: None, one)) == "Solution(states ?, controls ?)"
