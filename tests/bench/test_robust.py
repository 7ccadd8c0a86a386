"""The random problems that bench.robust draws, and its check of a solution."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
import reference

import jaxmpc
from bench.robust import draws, families, ours, report, table
from bench.robust.families import SIZES
from bench.robust.tasks import TASKS

# IPOPT's iterations for the first hundred box problems, all solved: tol 1e-9, from the same guess.
# fmt: off
IPOPT_ITERATIONS = [
    10, 24, 13, 8, 12, 15, 68, 35, 13, 36, 10, 10, 10, 8, 14, 23, 20, 93, 39, 202, 11, 19, 14,
    10, 10, 34, 29, 422, 15, 50, 29, 34, 21, 14, 12, 15, 24, 27, 28, 184, 9, 14, 28, 21, 53, 8,
    43, 84, 33, 13, 12, 7, 49, 32, 45, 18, 107, 16, 39, 42, 10, 9, 7, 10, 74, 18, 119, 481, 9,
    22, 6, 67, 12, 12, 12, 18, 16, 93, 52, 17, 7, 14, 8, 13, 7, 13, 17, 99, 16, 99, 12, 11, 12,
    11, 15, 28, 90, 51, 17, 16,
]
# fmt: on


@pytest.mark.slow
def test_the_default_loses_none_of_a_hundred_bounded_problems():
    """And needs at most 1.3 times IPOPT's iterations; the campaign has 1,000 (`bench.robust`)."""
    solutions = [ours.solution_of(draw, "default") for draw in draws.draws("box", 0, 100)]
    assert all(bool(solution.converged) for solution in solutions)
    iterations = [int(solution.iterations) for solution in solutions]
    assert np.mean(iterations) <= 1.3 * np.mean(IPOPT_ITERATIONS)


def test_newtons_step_is_not_refused_for_defects_of_second_order():
    """By the cost alone it is: some 200 iterations for 9."""
    draw = draws.load("box-n3-m1-T60-seed862")
    problem, solution = ours.problem_of(draw), ours.solution_of(draw, "default")
    assert bool(solution.converged) and solution.iterations < 30
    verdict = reference.kkt(problem, draw.x0, draw.params, solution.states, solution.controls)
    assert reference.stationarity_in_scales(problem, verdict, solution) < 1e-6
    assert verdict.outside == 0 and verdict.defect < 1e-9


def test_the_interior_point_goes_on_where_the_cost_alone_says_stop():
    """By it, and with a second-order correction, this was `infeasible` after 36 iterations."""
    draw = draws.load("terminal_equality-n2-m1-T30-seed376")
    problem, solution = ours.problem_of(draw), ours.solution_of(draw, "default")
    assert bool(solution.converged) and solution.iterations < 30
    np.testing.assert_allclose(solution.cost, 51.7229916, rtol=1e-8)  # IPOPT's
    found = (draw.x0, draw.params, solution.states, solution.controls)
    assert reference.largest_violation(problem, *found) < 1e-7


@pytest.mark.parametrize("family", SIZES)
def test_a_name_says_which_draw_it_is(family):
    for draw in draws.draws(family, 7, len(SIZES[family])):
        again = draws.load(draw.name)
        assert (again.name, again.digest) == (draw.name, draw.digest)
        assert np.all(draw.lower < draw.upper)
        assert np.isfinite(draws.rollout(draw, draws.zero_controls(draw))).all()
    with pytest.raises(ValueError, match="box-n1"):
        draws.load("box-n1-m1-T3-seed0")


@pytest.mark.parametrize("task", TASKS)
def test_a_task_has_other_starts_and_the_same_bounds(task):
    first, second = draws.starts(task, 0, 2)
    assert draws.load(second.name).digest == second.digest != first.digest
    assert first.lower.shape == first.upper.shape == (first.size.m,)
    assert draws.rollout(first, draws.zero_controls(first)).shape == (
        first.size.horizon + 1,
        first.size.n,
    )


@pytest.mark.parametrize("seed", range(8))
def test_the_start_is_outside_of_all_discs(seed):
    for draw in draws.draws("discs", seed, 1):
        assert np.all(families.outside_discs(draw.x0, draw.params, np) < 0)
        assert draw.params["discs"].shape == (draw.size.rows, 3)


@pytest.mark.parametrize(
    "family",
    ["box", *(pytest.param(name, marks=pytest.mark.slow) for name in SIZES if name != "box")],
)
def test_jax_and_casadi_have_the_same_problem(family):
    pytest.importorskip("casadi")
    from bench.robust import ipopt, ours

    draw = draws.draws(family, 0, 1)[0]
    solution = jaxmpc.solve(
        ours.problem_of(draw), jnp.asarray(draw.x0), draw.params, solver=jaxmpc.InteriorPoint()
    )
    nlp = ipopt.nlp_of(draw.size)
    stationarity, infeasibility = nlp.violated_conditions(draw, solution)
    assert bool(solution.converged) and stationarity < 1e-6 and infeasibility < 1e-7
    moved = dataclasses.replace(solution, controls=solution.controls + 1e-3)
    assert max(nlp.violated_conditions(draw, moved)) > 1e-5
    answer = ipopt.solve(draw)
    assert answer["solved"] and report.compare(float(solution.cost), answer["cost"]) == "same"


def test_costs_are_compared_relatively():
    assert report.compare(1e6 + 0.1, 1e6) == "same"
    assert report.compare(1.1, 1.0) == "higher"
    assert report.compare(-1.1, -1.0) == "lower"


def test_a_table_in_which_somebody_solves_nothing():
    solved = {"solved": True, "iterations": 5, "cost": 1.0, "confirmed": True}
    lost = {"solved": False, "iterations": 500, "cost": 1e19}
    row = table.row("unstable_map", {"default": [solved], "interior": [solved], "ipopt": [lost]})
    assert "| unstable map | 1 (5, 5) | 1 (5, 5) | 0 | 0 / 0 |" in table.render(
        {"results": [row]}, "tasks.json"
    )
