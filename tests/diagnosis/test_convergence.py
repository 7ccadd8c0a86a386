"""What each iteration found: the same as `solve`, step by step."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmpc
from jaxmpc import Status

T = 6
X0 = jnp.array([1.0, 0.2])


def dynamics(x, u, t, params):
    return x + 0.2 * jnp.stack([x[1], u[0] - params["stiffness"] * jnp.sin(2 * x[0])])


def stage_cost(x, u, t, params):
    return x @ x + 0.1 * u @ u


PARAMS = {"stiffness": 1.0}
FREE = jaxmpc.Problem(dynamics, stage_cost, horizon=T, control_dim=1, control_bounds=(-2.0, 2.0))
WALLED = jaxmpc.Problem(
    dynamics,
    stage_cost,
    horizon=T,
    control_dim=1,
    control_bounds=(-2.0, 2.0),
    stage_inequality=lambda x, u, t, params: jnp.stack([-0.8 - x[1]]),
)
CASES = {"SQP": (FREE, jaxmpc.SQP()), "ILQR": (FREE, jaxmpc.ILQR()), "walls": (WALLED, None)}


@pytest.fixture(scope="module", params=CASES)
def case(request):
    problem, solver = CASES[request.param]
    return request.param, jaxmpc.convergence(problem, X0, PARAMS, solver=solver), problem, solver


def test_it_is_what_solve_does(case):
    _, course, problem, solver = case
    wanted = jaxmpc.solve(problem, X0, PARAMS, solver=solver)
    found = course.solution
    assert found.status == wanted.status == Status.converged
    assert found.iterations == wanted.iterations == len(course.cost) - 1 > 2
    np.testing.assert_allclose(found.controls, wanted.controls, atol=1e-9)


def test_the_last_row_is_the_solution(case):
    _, course, _, _ = case
    solution = course.solution
    assert course.cost[-1] == pytest.approx(float(solution.cost), rel=1e-12)
    for name in ("stationarity", "feasibility", "complementarity"):
        values = getattr(course, name)
        assert values.shape == course.cost.shape
        np.testing.assert_allclose(values[-1], getattr(solution.residuals, name), atol=1e-15)
    assert course.stationarity[0] > 1e3 * course.stationarity[-1]


def test_what_a_solver_says_of_itself(case):
    name, course, _, _ = case
    assert np.isnan(course.step_size[0])
    assert np.all((course.step_size[1:] >= 0) & (course.step_size[1:] <= 1))
    assert course.step_size[-1] == 1.0  # Newton's steps are whole at the end
    assert np.all(course.regularization >= 0)
    if name == "walls":
        assert np.all(np.diff(course.barrier) <= 0) and 0 < course.barrier[-1] < 1e-6
    else:
        assert np.all(np.isnan(course.barrier))


def test_a_limit_on_iterations():
    course = jaxmpc.convergence(FREE, X0, PARAMS, solver=jaxmpc.SQP(max_iterations=2))
    assert len(course.cost) == 3  # the guess, and two more
    assert course.solution.status == Status.max_iterations and course.solution.iterations == 2


class Descended(NamedTuple):
    x0: jax.Array
    controls: jax.Array
    step_size: jax.Array
    weight: str = "not a number"
    barrier: tuple = ()


class Descent:
    """A solver of somebody's own: three steps downhill."""

    max_iterations = 3

    def init(self, problem, x0, params, guess) -> Any:
        return x0, guess.controls, 0.3 + 0 * x0[0]

    def step(self, problem, params, state):
        def cost(controls):
            return jaxmpc.evaluate(problem, state[0], params, controls).cost

        return (state[0], state[1] - 0.05 * jax.grad(cost)(state[1]), state[2])

    def terminate(self, state):
        return jnp.asarray(-1)

    def postprocess(self, problem, params, state):
        return jaxmpc.evaluate(problem, state[0], params, state[1])


def test_a_solver_that_says_nothing_of_itself():
    course = jaxmpc.convergence(FREE, X0, PARAMS, solver=Descent())
    assert len(course.cost) == 4 and np.all(np.diff(course.cost) < 0)
    for name in ("step_size", "regularization", "barrier"):
        assert np.all(np.isnan(getattr(course, name)))


def test_nothing_can_be_done_is_no_row():
    problem = jaxmpc.Problem(
        dynamics, stage_cost, horizon=T, control_dim=1, control_bounds=(-2.0, jnp.full(1, jnp.inf))
    )
    course = jaxmpc.convergence(problem, X0 * jnp.nan, PARAMS)
    assert course.solution.status == Status.non_finite
    assert len(course.cost) <= 2


def test_it_looks_at_numbers():
    with pytest.raises(RuntimeError, match="cannot run inside of jit, vmap or grad"):
        jax.jit(lambda x0: jaxmpc.convergence(FREE, x0, PARAMS).cost)(X0)
    with pytest.raises(TypeError, match="problem must be a Problem, got int"):
        jaxmpc.convergence(3, X0)
