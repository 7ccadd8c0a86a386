"""The table of the kinds of constraints: nothing else knows them, and a row more is enough."""

import ast
import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import jaxmpc
from jaxmpc.problem.kinds import END_FUNCTIONS, KINDS, SOFTENABLE, STAGE_FUNCTIONS
from jaxmpc.solution import Scales

ROOT = Path(jaxmpc.__file__).parent
FUNCTIONS = [kind.name for kind in KINDS.values() if not kind.is_bound]


def test_the_types_that_users_read_have_a_field_for_each_kind():
    fields = {field.name for field in dataclasses.fields(jaxmpc.Problem)}
    assert fields >= {*STAGE_FUNCTIONS, *END_FUNCTIONS, *SOFTENABLE, "control_bounds"}
    assert set(jaxmpc.Multipliers._fields) == set(KINDS)
    general = {name for name, kind in KINDS.items() if kind.field != "control_bounds"}
    assert set(jaxmpc.Violations._fields) == {"dynamics", *general}
    assert set(Scales._fields) >= {kind.unit for kind in KINDS.values()}


def names_in(path: Path) -> set[str]:
    """Every attribute, keyword and word for itself of a module, but its docstrings."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.keyword):
            found.add(node.arg)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
    return found


# What declares them; and who makes a constraint of that kind, as a user would.
MAY_NAME_THEM = ["problem/kinds.py", "problem/problem.py", "solution.py"]
MAY_NAME_THEM += ["reformulations/slew_rate.py", "demos/obstacles.py"]


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_nobody_else_knows_the_constraint_functions_by_name(path):
    if path.relative_to(ROOT).as_posix() not in MAY_NAME_THEM:
        assert not names_in(path) & set(FUNCTIONS)


# A kind of constraint more: one row of the table, and the fields.
EDITS = [
    (
        "problem/kinds.py",
        '_function("stage_inequality", "stage", "inequality"),',
        '_function("keep_out", "stage", "inequality"),',
    ),
    (
        "problem/problem.py",
        "    stage_inequality: Callable | None = None",
        "    keep_out: Callable | None = None",
    ),
    (
        "solution.py",
        '    stage_inequality: Float[Array, "*b T p"]',
        '    keep_out: Float[Array, "*b T o"]',
    ),
    (
        "solution.py",
        '    stage_inequality: Float[Array, "*b p"]',
        '    keep_out: Float[Array, "*b o"]',
    ),
]
PROGRAM = """
import jax
jax.config.update("jax_enable_x64", True)
import jax.numpy as jnp
import numpy as np
import jaxmpc

def solve(limit, name, soft=None):
    problem = jaxmpc.Problem(
        lambda x, u, t, params: x + 0.3 * jnp.stack([x[1], u[0]]),
        lambda x, u, t, params: x @ x + 0.1 * u @ u,
        horizon=4,
        control_dim=1,
        **{name: lambda x, u, t, params: u - limit},
        soft=soft and {name: soft},
    )
    return jaxmpc.solve(problem, jnp.array([-2.0, 0.0]))

def both(limit, name, soft=None):
    solution = solve(limit, name, soft)
    return jnp.sum(solution.states) + jnp.sum(getattr(solution.multipliers, name)), solution

@jax.jit
def answers(limit):
    return [jax.value_and_grad(both, has_aux=True)(limit, name)
            for name in ("stage_inequality", "keep_out")]

((value, plain), gradient), ((same_value, new), same_gradient) = answers(1.0)
assert plain.converged and new.converged
np.testing.assert_allclose([same_value, same_gradient], [value, gradient], rtol=1e-9)
new_multipliers = np.asarray(new.multipliers.keep_out)
np.testing.assert_allclose(new_multipliers, plain.multipliers.stage_inequality, rtol=1e-9)
assert new_multipliers.max() > 0.1 and np.all(new.multipliers.stage_inequality == 0)
off = jax.jit(lambda: solve(-9.0, "keep_out", jaxmpc.Soft(0.1)))()
assert "slack           keep_out[0] at stage 0 by" in jaxmpc.describe(off), jaxmpc.describe(off)
"""


def test_a_kind_more_is_a_row_of_the_table(tmp_path):
    copy = tmp_path / "jaxmpc"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for file, line, more in EDITS:
        text = (copy / file).read_text()
        assert line in text, file
        indent = line[: len(line) - len(line.lstrip())] or " " * 8
        (copy / file).write_text(text.replace(line, f"{line}\n{indent}{more.strip()}"))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
