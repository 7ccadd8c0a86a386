"""The likely mistakes of somebody who has read the quick start, and what they are told.

That is the argument, what came, what was wanted, and the cure. (The checks of single arguments
have tests of their own: `problem/test_bad_input.py`; `help` and notebooks: `test_presentation.py`.)
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmpc
from jaxmpc import integrators, models


def dynamics(x, u, t, params):
    acceleration = 9.81 / params["length"] * jnp.sin(x[0]) + u[0]
    return x + 0.05 * jnp.array([x[1], acceleration])


def stage_cost(x, u, t, params):
    return 1 - jnp.cos(x[0]) + 0.05 * x[1] ** 2 + 0.001 * u[0] ** 2


SIZES = {"horizon": 6, "control_dim": 1, "control_bounds": (-8, 8)}
X0 = np.array([3.0, 0.0])
LENGTH = {"length": 1.0}
TABLE = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


def problem(dynamics=dynamics, stage_cost=stage_cost, **changes):
    return jaxmpc.Problem(dynamics, stage_cost, **(SIZES | changes))


def solve(dynamics=dynamics, params=LENGTH, x0=X0, **changes):
    return jaxmpc.solve(problem(dynamics, **changes), x0, params)


def said(error, build) -> str:
    """The message of what `build()` raises, with its notes."""
    with pytest.raises(error) as caught:
        build()
    assert caught.type is error  # not something that is derived from it
    return "\n".join([str(caught.value), *getattr(caught.value, "__notes__", ())])


def only_x_and_u(x, u):
    return x


def in_place(x, u, t, params):
    x[0] = u[0]
    return x


def nothing_returned(x, u, t, params):
    x + u


def three_states(x, u, t, params):
    _, _, _ = x
    return x


MISTAKES = {
    "a misspelt key": (
        lambda: solve(params={"lenght": 1.0}),
        KeyError,
        ["dynamics", "no key 'length'", "Did you mean params['lenght']?"],
    ),
    "a key of another level": (
        lambda: solve(params={"rod": {"length": 1.0}}),
        KeyError,
        ["no key 'length'", "params['rod']['length']?"],
    ),
    "no params": (
        lambda: solve(params=None),
        TypeError,
        ["params is None", "jaxmpc.solve(problem, x0, params)"],
    ),
    "a number for params": (
        lambda: solve(params=1.0),
        TypeError,
        ["params float64[]", "give a dict"],
    ),
    "a list for params": (lambda: solve(params=[1.0]), TypeError, ["params [float64[]]", "dict"]),
    "a dict's key as an attribute": (
        lambda: solve(lambda x, u, t, params: x / params.length),
        AttributeError,
        ["write params['length'] for params.length"],
    ),
    "a model whose parameters are not in params": (
        lambda: solve(integrators.discrete(models.cartpole), {"goal": 1.0}, np.zeros(5)),
        ValueError,
        ["models.cartpole", "['goal']", "gravity", "{**models.CARTPOLE, ...}", "lambda x, u"],
    ),
    "a number for a model's parameters": (
        lambda: models.pendulum(np.zeros(3), np.zeros(1), 9.81),
        TypeError,
        ["models.pendulum", "dict", "models.PENDULUM", "float"],
    ),
    "a model as dynamics": (
        lambda: solve(models.cartpole, None, np.zeros(5)),
        TypeError,
        ["dynamics(x, u, t, params)", "cartpole(x, u, params)", "integrators: discrete(model)"],
    ),
    "dynamics of (x, u)": (
        lambda: solve(only_x_and_u),
        TypeError,
        ["dynamics(x, u, t, params)", "only_x_and_u(x, u)"],
    ),
    "an ode of (x, u)": (
        lambda: solve(integrators.rk4(only_x_and_u, 0.1)),
        TypeError,
        ["ode(x, u, params)", "only_x_and_u(x, u)"],
    ),
    "a terminal cost like the stage's": (
        lambda: solve(terminal_cost=stage_cost),
        TypeError,
        ["terminal_cost(x, params)", "stage_cost(x, u, t, params)"],
    ),
    "x0 of another size": (
        lambda: solve(x0=np.zeros(3)),
        TypeError,
        ["x float64[3]", "as x0 has"],
    ),
    "more states than x0 has": (
        lambda: solve(three_states),
        ValueError,
        ["x float64[2]", "as x0 has"],
    ),
    "a control as a number": (
        lambda: solve(lambda x, u, t, params: jnp.array([x[1], u])),
        TypeError,
        ["u float64[1]", "u[0] is a number"],
    ),
    "dynamics that return a column": (
        lambda: solve(lambda x, u, t, params: jnp.array([x[1:], u])),
        ValueError,
        ["dynamics", "(2,)", "(2, 1)", "u[0] for u"],
    ),
    "dynamics that return a list": (
        lambda: solve(lambda x, u, t, params: [x[1], u[0]]),
        TypeError,
        ["dynamics", "got list", "jnp.array([...])"],
    ),
    "dynamics without a return": (
        lambda: solve(nothing_returned),
        TypeError,
        ["dynamics", "NoneType", "`return`"],
    ),
    "a stage cost with an axis": (
        lambda: solve(stage_cost=lambda x, u, t, params: u**2),
        ValueError,
        ["stage_cost", "(1,)", "u[0] for u", "jnp.sum"],
    ),
    "a condition as a constraint": (
        lambda: solve(stage_inequality=lambda x, u, t, params: x[0] < 1),
        TypeError,
        ["stage_inequality", "bool", "x[0] - limit"],
    ),
    "a number as a constraint": (
        lambda: solve(stage_inequality=lambda x, u, t, params: x[0] - 1),
        ValueError,
        ["stage_inequality", "()", "jnp.array([...])"],
    ),
    "NumPy's functions": (
        lambda: solve(lambda x, u, t, params: x + np.sin(x)),
        jax.errors.TracerArrayConversionError,
        ["dynamics", "jnp.sin for np.sin"],
    ),
    "the functions of math": (
        lambda: solve(lambda x, u, t, params: x + math.sin(x[0])),
        jax.errors.ConcretizationTypeError,
        ["dynamics", "jnp.sin for math.sin"],
    ),
    "an if": (
        lambda: solve(lambda x, u, t, params: x if x[0] > 0 else -x),
        jax.errors.TracerBoolConversionError,
        ["dynamics", "jnp.where"],
    ),
    "a list at stage t": (
        lambda: solve(stage_cost=lambda x, u, t, params: (x[0] - TABLE[t]) ** 2),
        jax.errors.TracerIntegerConversionError,
        ["stage_cost", "jnp.asarray(table)[t]"],
    ),
    "an assignment to an entry": (
        lambda: solve(in_place),
        TypeError,
        ["dynamics", "x.at[idx].set(y)"],
    ),
    "bounds as a pair for each control": (
        lambda: problem(control_dim=2, control_bounds=[(-1, 1), (-2, 2)]),
        ValueError,
        ["control_bounds", "[-1  1]", "not a pair for each"],
    ),
    "a number of another kind for x0": (
        lambda: solve(x0=[3, 0]),
        TypeError,
        ["x0", "int", "1.0 for 1"],
    ),
    "the arguments the wrong way round": (
        lambda: jaxmpc.solve(problem(), LENGTH, X0),
        TypeError,
        ["x0", "dict", "problem, x0, params"],
    ),
    "controls without their name": (
        lambda: jaxmpc.solve(problem(), X0, LENGTH, np.zeros((6, 1))),
        TypeError,
        ["jaxmpc.solve", "(problem, x0, params)", "controls="],
    ),
    "a solver's option to solve": (
        lambda: jaxmpc.solve(problem(), X0, LENGTH, tolerance=1e-3),
        TypeError,
        ["'tolerance'", "solver=jaxmpc.ILQR(tolerance=...)"],
    ),
    "a problem's field to solve": (
        lambda: jaxmpc.solve_batch(problem(), X0[None], LENGTH, horizon=3),
        TypeError,
        ["jaxmpc.solve_batch", "'horizon'", "belongs to the Problem"],
    ),
    "a field that is called otherwise": (
        lambda: problem(terminal=lambda x, params: x @ x),
        TypeError,
        ["Problem", "'terminal'", "Did you mean terminal_cost", "horizon"],
    ),
    "an argument of solve to the problem": (
        lambda: problem(x0=X0),
        TypeError,
        ["Problem", "'x0'", "jaxmpc.solve"],
    ),
    "an option that is called otherwise": (
        lambda: jaxmpc.SQP(max_iteration=3),
        TypeError,
        ["SQP", "'max_iteration'", "Did you mean max_iterations?", "tolerance"],
    ),
    "the sizes without their names": (
        lambda: jaxmpc.Problem(dynamics, stage_cost, None, 6, 1),
        TypeError,
        ["Problem", "terminal_cost)", "horizon=, control_dim="],
    ),
    "one state for a batch": (
        lambda: jaxmpc.solve_batch(problem(), X0, LENGTH),
        ValueError,
        ["x0s", "[B, n]", "(2,)", "jaxmpc.solve."],
    ),
    "params of each element without their axes": (
        lambda: jaxmpc.solve_batch(problem(), np.zeros((3, 2)), {"length": np.ones(3)}),
        TypeError,
        ["params {'length': float64[3]}", "params_axes=0"],
    ),
    "vmap over the entries of one state": (
        lambda: jax.vmap(lambda x0: jaxmpc.solve(problem(), x0, LENGTH))(X0),
        ValueError,
        ["x0", "()", "[B, n]"],
    ),
    "describe inside of jit": (
        lambda: jax.jit(lambda x0: jaxmpc.describe(solve(x0=x0)))(X0),
        TypeError,
        ["describe", "traced", "return it"],
    ),
    "a sampler without a key": (
        lambda: jaxmpc.solve(problem(), X0, LENGTH, solver=jaxmpc.CEM()),
        ValueError,
        ["CEM", "key=jax.random.key"],
    ),
    "a plant of (x, u)": (
        lambda: jaxmpc.simulate(jaxmpc.RecedingHorizon(problem()), only_x_and_u, X0, 3, LENGTH),
        TypeError,
        ["plant", "(x, u, t)", "(x, u)"],
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_likely_mistake(name):
    build, error, words = MISTAKES[name]
    message = said(error, build)
    for word in words:
        assert word in message, f"{word!r} is not in {message!r}"
