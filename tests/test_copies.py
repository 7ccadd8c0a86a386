"""How often the user's functions are in the program: each copy is compile time.

The marker is the logarithm of the gamma function, whose derivatives are functions of other names:
the numbers of all three say how many copies of a function there are, and of its derivatives.
"""

from collections import Counter

import jax
import jax.numpy as jnp
import pytest
from jax.extend.core import ClosedJaxpr, Jaxpr

import jaxmpc
from jaxmpc import ILQR, SQP, ImplicitAdjoint, InteriorPoint

MARKERS = ("lgamma", "digamma", "polygamma")  # a value, its first and its second derivative
X0, WEIGHT = jnp.array([1.0, 0.0]), jnp.array(0.3)


def dynamics(x, u, t, weight):
    return x + 0.1 * jnp.stack([x[1], u[0] + 0.1 * jax.lax.lgamma(2.5 + weight * x[0] ** 2)])


def stage_cost(x, u, t, weight):
    return x @ x + 0.1 * u @ u


def problem(limit: float | None):
    return jaxmpc.Problem(
        dynamics,
        stage_cost,
        horizon=10,
        control_dim=1,
        control_bounds=(-1.0, 1.0),
        state_bounds=None if limit is None else (None, jnp.array([jnp.inf, limit])),
    )


def primitives(jaxpr: Jaxpr, found: Counter | None = None) -> Counter:
    """How often each primitive is in a program, with all that it calls."""
    found = Counter() if found is None else found

    def inner(value):
        if isinstance(value, ClosedJaxpr):
            primitives(value.jaxpr, found)
        elif isinstance(value, Jaxpr):
            primitives(value, found)
        elif isinstance(value, tuple | list):
            for part in value:
                inner(part)

    for equation in jaxpr.eqns:
        found[equation.primitive.name] += 1
        for value in equation.params.values():
            inner(value)
    return found


def copies(function) -> tuple[int, ...]:
    found = primitives(jax.make_jaxpr(function)(WEIGHT).jaxpr)
    return tuple(found[name] for name in MARKERS)


# Of dynamics: values (the simulation of the guess, the line search, and where derivatives are
# taken), first derivatives (a Jacobian; the gradient of costates . dynamics along the columns is
# another), second derivatives.
SOLVES = {
    "SQP": (None, SQP(), (3, 2, 1)),
    "SQP, Gauss-Newton": (None, SQP(hessian="gauss_newton"), (3, 1, 0)),
    "InteriorPoint": (0.5, InteriorPoint(), (3, 2, 1)),
    "InteriorPoint, Gauss-Newton": (0.5, InteriorPoint(hessian="gauss_newton"), (3, 1, 0)),
    # The simulation is the line search; the costates are only known once the Jacobians are.
    "ILQR": (None, ILQR(), (3, 3, 1)),
    "ILQR, Gauss-Newton": (None, ILQR(hessian="gauss_newton"), (2, 1, 0)),
}


@pytest.mark.parametrize("name", SOLVES)
def test_a_solve(name):
    limit, solver, wanted = SOLVES[name]
    assert copies(lambda w: jaxmpc.solve(problem(limit), X0, w, solver=solver)) == wanted


@pytest.mark.parametrize("name", SOLVES)
def test_its_gradient(name):
    limit, solver, solve = SOLVES[name]
    plain = "Gauss" in name
    adjoint = ImplicitAdjoint(hessian="gauss_newton" if plain else "exact")

    def loss(weight):
        solution = jaxmpc.solve(problem(limit), X0, weight, solver=solver, adjoint=adjoint)
        return jnp.sum(solution.controls**2)

    found = copies(jax.grad(loss))
    # The rule has one expansion of its own, and the parameters' cotangent, which is the mixed
    # second derivative in states and parameters.
    expansion, cotangent = ((1, 1, 0) if plain else (1, 2, 1)), (1, 2, 1)
    assert all(
        a <= b + c + d for a, b, c, d in zip(found, solve, expansion, cotangent, strict=True)
    )


def test_gauss_newton_needs_no_second_derivative_of_constraints():
    bent = jaxmpc.Problem(
        lambda x, u, t, w: x + 0.1 * jnp.stack([x[1], u[0]]),
        stage_cost,
        horizon=10,
        control_dim=1,
        stage_inequality=lambda x, u, t, w: jax.lax.lgamma(2.5 + w * x[:1] ** 2) - 9.0,
        terminal_equality=lambda x, w: jax.lax.lgamma(2.5 + w * x[:1] ** 2) - 0.3,
    )
    for hessian, least in (("exact", 1), ("gauss_newton", 0)):
        solver = InteriorPoint(hessian=hessian)
        assert copies(lambda w, s=solver: jaxmpc.solve(bent, X0, w, solver=s))[2] == 2 * least
