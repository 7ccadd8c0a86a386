"""The judge and the README tool of the benchmarks, without any peer."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import jaxmpc
from bench import reference, tables
from bench.problems import FIGURES, load
from bench.tables import comparison


@pytest.fixture(scope="module")
def solved():
    task = load("cartpole")
    x0 = task.initial_states()[0]
    solution = jaxmpc.solve(task.jaxmpc_problem(), x0, task.params)
    return task, x0[None], np.asarray(solution.states)[None], np.asarray(solution.controls)[None]


def test_the_judge_accepts_a_solution(solved):
    assert reference.judge(*solved).residual.max() < 1e-8


@pytest.mark.parametrize("which", [2, 3])
def test_the_judge_sees_a_small_error(solved, which):
    moved = list(solved)
    moved[which] = moved[which].copy()
    moved[which][0, 3, 0] += 1e-5
    assert reference.judge(*moved).residual.max() > 1e-7


def test_the_judge_tells_a_wrong_gradient(solved):
    task, x0s, states, controls = solved
    # that of this start in the results of the first benchmark, to 1e-10
    right = np.array(
        [-230.6789861735546, 3008.8098740796217, 4053.8559616488046, -2811.65117606822]
    )
    assert reference.loss_gradient_error(task, x0s, states, controls, right) < 1e-8
    assert reference.loss_gradient_error(task, x0s, states, controls, 1.01 * right) > 1e-3


@pytest.mark.parametrize("name", FIGURES)
def test_both_definitions_of_a_problem_agree(name):
    task = load(name)
    problem, x = task.jaxmpc_problem(), task.initial_states()[0]
    u = np.linspace(0.1, 0.4, task.control_dim)
    columns = {k: v[:, None] if np.ndim(v) == 1 else v for k, v in task.params.items()}
    ours = np.stack(task.step(x[:, None], u[:, None], columns, np))[:, 0]
    np.testing.assert_allclose(problem.dynamics(x, u, 0, task.params), ours, rtol=1e-12, atol=1e-12)
    cost = np.squeeze(task.stage_cost(x[:, None], u[:, None], columns, np))
    np.testing.assert_allclose(problem.stage_cost(x, u, 0, task.params), cost, rtol=1e-12)
    if task.terminal_cost is not None:
        last = np.squeeze(task.terminal_cost(x[:, None], columns, np))
        np.testing.assert_allclose(problem.terminal_cost(x, task.params), last, rtol=1e-12)
    if task.stage_inequality is not None:
        rows = np.stack(task.stage_inequality(x[:, None], columns, np))[:, 0]
        np.testing.assert_allclose(problem.stage_inequality(x, u, 0, task.params), rows)


def test_readme_table_from_a_file(tmp_path):
    row = {
        "contender": "jaxmpc",
        "problem": "lqr:1",
        "starts": 128,
        "solve_ms": {"median": 12.34},
        "kkt": 3e-9,
        "kkt_ok": 128,
        "compile_s": 1.0,
    }
    content = {
        "machine": {"cpu": "A CPU", "cores": 2, "date": "2026-11-23"},
        "benchmark": "lqr:1",
        "contenders": {"jaxmpc": {}, "acados": {"missing": "no compiler"}},
        "results": [row],
    }
    (tmp_path / "lqr-1-a-cpu.json").write_text(json.dumps(content))
    table = comparison.render(tmp_path)
    assert "| jaxmpc | 12.3 | 128/128 | 3e-09 | 1.0 |" in table
    assert "(acados: no compiler)" in table


def test_the_page_of_tables_is_that_of_the_files():
    page = (Path(tables.__file__).parents[1] / "README.md").read_text()
    for name, section in tables.sections().items():
        assert section.strip() in page, f"run: python -m bench --write-readme ({name})"
    for target in re.findall(r"\]\(([^)#:]+)\)", page):
        assert (Path(tables.__file__).parents[1] / target).exists(), target
