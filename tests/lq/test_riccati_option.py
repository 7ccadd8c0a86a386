"""riccati="parallel" of the solvers, of the adjoint and of `lq`: the same results."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_lq import random_problem

import jaxmpc
from jaxmpc import ILQR, ImplicitAdjoint, InteriorPoint, batch, lq
from jaxmpc.derivatives import kkt_system
from jaxmpc.lq.riccati import choice as riccati_choice
from jaxmpc.lq.riccati.choice import SEQUENTIAL, Recursion, choose

X0 = jnp.array([1.0, -0.5])
PARAMS = {"gravity": jnp.array(4.0), "weight": jnp.array(1.0)}


def problem_with(**constraints):
    def dynamics(x, u, t, params):
        return x + 0.1 * jnp.stack([x[1], params["gravity"] * jnp.sin(x[0]) + u[0] + 0.3 * u[1]])

    return jaxmpc.Problem(
        dynamics,
        lambda x, u, t, params: params["weight"] * x @ x + 0.1 * u @ u,
        horizon=19,
        control_dim=2,
        **constraints,
    )


PROBLEMS = {
    "free": (problem_with(), ILQR),
    "bounded": (problem_with(control_bounds=(-3.0, 2.0)), ILQR),
    "constrained": (problem_with(state_bounds=(-0.6, 2.0)), InteriorPoint),
}


@pytest.mark.parametrize(
    "name", ["free", "bounded", pytest.param("constrained", marks=pytest.mark.slow)]
)
def test_solutions_and_gradients_do_not_depend_on_it(name):
    problem, solver = PROBLEMS[name]

    def loss(riccati, x0, params):
        solution = jaxmpc.solve(
            problem,
            x0,
            params,
            solver=solver(riccati=riccati, tolerance=1e-10),
            adjoint=ImplicitAdjoint(riccati=riccati),
        )
        return jnp.sum(solution.controls**2) + jnp.sum(solution.states[-1]), solution

    gradient = jax.jit(jax.value_and_grad(loss, (1, 2), has_aux=True), static_argnums=0)
    (_, wanted), wanted_gradient = gradient("sequential", X0, PARAMS)
    (_, came), came_gradient = gradient("parallel", X0, PARAMS)
    assert wanted.converged
    assert came.converged
    if name != "free":
        held = sum(np.sum(leaf > 1e-6) for leaf in jax.tree.leaves(wanted.multipliers))
        assert held > 0
    np.testing.assert_allclose(came.controls, wanted.controls, rtol=1e-7, atol=1e-8)
    for a, b in zip(*map(jax.tree.leaves, (came_gradient, wanted_gradient)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("bounds", [(), (-0.05, 0.1)])
def test_lq_solve(bounds):
    problem = random_problem(17, 3, 2)
    solve = jax.jit(lambda riccati: lq.solve(problem, *bounds, riccati=riccati), static_argnums=0)
    wanted, came = solve("sequential"), solve("parallel")
    for a, b in zip(came, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)

    def loss(riccati, problem):
        return jnp.sum(lq.solve(problem, *bounds, riccati=riccati).controls ** 2)

    gradient = jax.jit(jax.grad(loss, 1), static_argnums=0)
    gradients = [gradient(riccati, problem) for riccati in ("parallel", "sequential")]
    for a, b in zip(*gradients, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-9)


def test_a_factor_is_used_in_the_form_that_made_it():
    problem = random_problem(9, 3, 2)
    factor = lq.factor(problem, riccati="parallel")
    assert factor.recursion.block is not None
    wanted = lq.solve(problem, riccati="sequential")
    np.testing.assert_allclose(lq.solve(problem, factor=factor).states, wanted.states, atol=1e-9)


def test_the_choice():
    assert choose("sequential", 10_000, 4, 1) == SEQUENTIAL
    assert choose("parallel", 10, 4, 1) != SEQUENTIAL
    assert choose("auto", 20, 4, 1) == SEQUENTIAL  # on a CPU, as measured
    assert Recursion(4) == Recursion(4)
    assert hash(Recursion(4)) == hash(Recursion(4))


def test_auto_is_the_nearest_that_was_measured(monkeypatch):
    measured = [
        {"sizes": [1000, 4, 1, 1], "fastest": 16, "fastest_parallel": 16},
        {"sizes": [1000, 4, 1, 4096], "fastest": None, "fastest_parallel": 4},
    ]
    monkeypatch.setattr(riccati_choice, "_measured", lambda platform: measured)
    assert choose("auto", 900, 4, 2) == Recursion(16)
    assert choose("auto", 900, 4, 2, batch=2000) == SEQUENTIAL
    assert choose("parallel", 900, 4, 2, batch=2000) == Recursion(4)
    assert choose("sequential", 900, 4, 2) == SEQUENTIAL
    sizes = (1000, 4, 1, 4096)
    assert batch._decided(ILQR(), sizes, "gpu") == ILQR(riccati="sequential")
    assert batch._decided(ILQR(), (1000, 4, 1, 1), "gpu") == ILQR(riccati="parallel")


def test_the_choice_is_the_platforms(monkeypatch):
    fast = [{"sizes": [1000, 4, 1, 1], "fastest": 16, "fastest_parallel": 16}]
    monkeypatch.setattr(riccati_choice, "_measured", {"gpu": fast, "cpu": []}.get)
    assert choose("auto", 1000, 4, 1, platform="gpu") == Recursion(16)
    assert choose("auto", 1000, 4, 1, platform="cpu") == SEQUENTIAL
    assert choose("auto", 1000, 4, 1) == SEQUENTIAL  # the default device is a CPU here
    assert batch._decided(ILQR(), (1000, 4, 1, 1), "gpu") == ILQR(riccati="parallel")


def test_derivatives_by_name_and_gains_take_the_adjoints_recursion(monkeypatch):
    asked = []

    def record(riccati, *sizes, **options):
        asked.append(riccati)
        return choose(riccati, *sizes, **options)

    monkeypatch.setattr(kkt_system, "choose", record)
    problem = jaxmpc.Problem(
        lambda x, u, t, p: x + p * u, lambda x, u, t, p: x @ x + u @ u, horizon=4, control_dim=1
    )
    x0, step, adjoint = jnp.ones(1), jnp.array(0.1), ImplicitAdjoint(riccati="parallel")
    solution = jaxmpc.solve(problem, x0, step)
    jaxmpc.solution_jvp(problem, x0, step, solution, (x0, None), adjoint=adjoint)
    assert asked == ["parallel"]

    def feedback(step):
        return jnp.sum(jaxmpc.solve(problem, x0, step, adjoint=adjoint).gains.feedback)

    jax.grad(feedback)(step)
    assert asked == ["parallel"] * 3  # the gains' own factor, and the solution's


def test_a_typo_is_an_error():
    problem = random_problem(3, 2, 1)
    with pytest.raises(ValueError, match=r"lq.factor: R must have shape"):
        lq.factor(problem._replace(R=problem.R[1:]))
    with pytest.raises(ValueError, match="riccati must be one of .*'paralel'"):
        lq.solve(problem, riccati="paralel")
    with pytest.raises(ValueError, match="InteriorPoint: riccati must be one of"):
        InteriorPoint(riccati="fast")
    with pytest.raises(ValueError, match="ImplicitAdjoint: riccati must be one of"):
        ImplicitAdjoint(riccati="fast")
