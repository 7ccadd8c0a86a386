"""A user's function that fails while traced: the error stays theirs, and says where it was."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmpc
from jaxmpc import learning

X0 = np.array([3.0, 0.0])


def dynamics(x, u, t, params):
    return x + 0.05 * jnp.array([x[1], jnp.sin(x[0]) / params["length"] + u[0]])


def problem(dynamics=dynamics, stage_cost=lambda x, u, t, params: x @ x, **changes):
    return jaxmpc.Problem(dynamics, stage_cost, horizon=6, control_dim=1, **changes)


def raised(error, build):
    """What `build()` raises, and what the package has added to it."""
    with pytest.raises(error) as caught:
        build()
    assert caught.type is error  # not something that is derived from it
    return caught.value, [note for note in caught.value.__notes__ if note.startswith("jaxmpc")]


def controller():
    return jaxmpc.RecedingHorizon(problem())


def fitted(loss, params):
    examples = learning.Examples(np.zeros((1, 7, 2)), np.zeros((1, 6, 1)))
    sgd = optax.sgd(0.1)
    return learning.fit(loss, params, examples, optimizer=sgd, epochs=1, progress=False)


WHEREVER = {
    "solve_batch": lambda p: jaxmpc.solve_batch(problem(), X0[None], p),
    "under jit": lambda p: jax.jit(lambda x0: jaxmpc.solve(problem(), x0, p))(X0),
    "under grad": lambda p: jax.grad(lambda x0: jaxmpc.solve(problem(), x0, p).cost)(X0),
    "initialize": lambda p: jaxmpc.initialize(problem(), X0, p),
    "a controller": lambda p: controller().init(X0, p),
    "a closed loop": lambda p: jaxmpc.simulate(controller(), lambda x, u, t: x, X0, 3, p),
    "a receding guess": lambda p: jaxmpc.receding_guess(problem(), X0, p),
    "evaluate": lambda p: jaxmpc.evaluate(problem(), X0, p, np.zeros((6, 1))),
    "imitation": lambda p: fitted(learning.Imitation(problem()), p),
    "identification": lambda p: fitted(learning.Prediction(dynamics), p),
    "a reformulation": lambda p: jaxmpc.solve(
        jaxmpc.slew_rate.penalize_slew_rate(problem(), 1.0),
        jaxmpc.slew_rate.augment_state(X0, np.zeros(1)),
        p,
    ),
}


@pytest.mark.parametrize("where", WHEREVER)
def test_a_key_is_missed_wherever_functions_are_traced(where):
    _, notes = raised(KeyError, lambda: WHEREVER[where]({"lenght": 1.0}))
    assert len(notes) == 2
    assert notes[0].startswith("jaxmpc: while tracing dynamics(x, u, t, params)")
    assert "Did you mean params['lenght']?" in notes[1]


@pytest.mark.parametrize("solve", [jaxmpc.solve, jaxmpc.evaluate])
def test_the_function_that_failed_is_named(solve):
    constrained = problem(terminal_equality=lambda x, params: x - params["goal"])
    controls = {"controls": np.zeros((6, 1))}
    _, notes = raised(KeyError, lambda: solve(constrained, X0, {"length": 1.0}, **controls))
    assert "terminal_equality(x, params) with x float64[2] and params" in notes[0]


class Mine(Exception):
    pass


def test_an_error_of_their_own_is_left_as_it_is():
    def broken(x, u, t, params):
        raise Mine("not yours")

    error, notes = raised(Mine, lambda: jaxmpc.solve(problem(broken), X0, {"length": 1.0}))
    assert error.args == ("not yours",)
    assert len(notes) == 1  # where it was, and no advice
    assert "dynamics(x, u, t, params) with x float64[2], u float64[1]" in notes[0]
    assert "params {'length': float64[]}" in notes[0]


@pytest.mark.parametrize("params", [None, {"length": 1.0}])
def test_a_key_of_another_dict_gets_no_advice(params):
    def looks_up(x, u, t, params):
        return {}["length"]

    _, notes = raised(KeyError, lambda: jaxmpc.solve(problem(looks_up), X0, params))
    assert len(notes) == 1


def test_what_is_no_number_in_params_is_shown_too():
    params = {"length": 1.0, "activation": jnp.tanh, "name": "rod"}
    with_words = problem(lambda x, u, t, params: x * params["mass"])
    _, notes = raised(KeyError, lambda: jaxmpc.solve(with_words, X0, params))
    assert "'activation': tanh, 'length': float64[], 'name': 'rod'" in notes[0]


def test_much_in_params_is_shortened():
    many = {f"weight {number}": 1.0 for number in range(100)}
    _, notes = raised(KeyError, lambda: jaxmpc.solve(problem(), X0, many))
    assert all(len(note) < 450 and "..." in note for note in notes)


def test_an_error_of_the_evaluation_itself_is_not_explained_away():
    with pytest.raises(ValueError, match=r"^jaxmpc.evaluate: controls must have shape") as caught:
        jaxmpc.evaluate(problem(), X0, {"length": 1.0}, np.zeros((5, 1)))
    assert not hasattr(caught.value, "__notes__")
