"""Bad input: an error that names the argument, what came and what was wanted; or a status."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmpc
from jaxmpc import ILQR, ImplicitAdjoint, Soft, Status, UnrolledAdjoint


def dynamics(x, u, t, params):
    return x + 0.1 * u


def cost(x, u, t, params):
    return jnp.sum(x**2) + jnp.sum(u**2)


def problem(**changes):
    arguments = {"dynamics": dynamics, "stage_cost": cost, "horizon": 4, "control_dim": 2}
    return jaxmpc.Problem(**{**arguments, **changes})


X0 = np.array([1.0, -1.0])


def refused(error, words, build):
    """`build()` raises `error`, and the message (with its notes) has each of the words in it."""
    with pytest.raises(error) as caught:
        build()
    message = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", ())])
    for word in words:
        assert str(word) in message, f"{word!r} is not in {message!r}"


# --- The problem ---


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"horizon": 0}, ValueError, ["horizon", "at least 1", "0"]),
        ({"horizon": -3}, ValueError, ["horizon", "at least 1", "-3"]),
        ({"horizon": 2.0}, TypeError, ["horizon", "int", "float", "2.0"]),
        ({"horizon": True}, TypeError, ["horizon", "int", "bool"]),
        ({"control_dim": 0}, ValueError, ["control_dim", "at least 1", "0"]),
        ({"control_dim": None}, TypeError, ["control_dim", "int", "NoneType"]),
        ({"dynamics": None}, TypeError, ["dynamics", "function", "NoneType"]),
        ({"stage_cost": 3.0}, TypeError, ["stage_cost", "function", "float"]),
        ({"terminal_cost": "x"}, TypeError, ["terminal_cost", "function", "str"]),
        ({"control_bounds": 1.0}, TypeError, ["control_bounds", "(lower, upper)", "float"]),
        ({"control_bounds": (1, 2, 3)}, TypeError, ["control_bounds", "(lower, upper)"]),
        (
            {"control_bounds": (0, np.ones(3))},
            ValueError,
            ["control_bounds", "upper", "(3,)", "(2,)"],
        ),
        (
            {"control_bounds": (-np.ones((5, 2)), 1)},
            ValueError,
            ["control_bounds", "lower", "(5, 2)", "(4, 2)"],
        ),
        ({"control_bounds": (1.0, -1.0)}, ValueError, ["control_bounds", "lower > upper", "1.0"]),
        (
            {"control_bounds": (0, np.array([1.0, -0.5]))},
            ValueError,
            ["control_bounds", "lower > upper", "-0.5"],
        ),
        ({"control_bounds": (np.nan, 1.0)}, ValueError, ["control_bounds", "NaN", "inf"]),
        ({"control_bounds": (None, np.nan)}, ValueError, ["control_bounds", "NaN", "inf"]),
        ({"control_bounds": (1j, None)}, TypeError, ["control_bounds", "lower", "complex"]),
        ({"control_bounds": ("low", None)}, TypeError, ["control_bounds", "lower", "str"]),
    ],
)
def test_problem(changes, error, words):
    refused(error, words, lambda: problem(**changes))


def test_missing_and_unknown_keywords():
    refused(TypeError, ["horizon"], lambda: jaxmpc.Problem(dynamics, cost, control_dim=1))
    refused(TypeError, ["bounds"], lambda: problem(bounds=(-1, 1)))
    refused(TypeError, ["tol"], lambda: jaxmpc.solve(problem(), X0, tol=1e-3))
    refused(TypeError, ["max_iter"], lambda: ILQR(max_iter=3))


# --- What the functions return ---


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        (
            {"stage_cost": lambda x, u, t, p: (x**2).sum(keepdims=True)},
            ValueError,
            ["stage_cost", "scalar", "(1,)"],
        ),
        ({"stage_cost": lambda x, u, t, p: x}, ValueError, ["stage_cost", "scalar", "(2,)"]),
        ({"stage_cost": lambda x, u, t, p: None}, TypeError, ["stage_cost", "array", "None"]),
        ({"stage_cost": lambda x, u, t, p: 1}, TypeError, ["stage_cost", "float64", "int"]),
        ({"terminal_cost": lambda x, p: x[:1]}, ValueError, ["terminal_cost", "scalar", "(1,)"]),
        (
            {"dynamics": lambda x, u, t, p: x[:1]},
            ValueError,
            ["dynamics", "shape of x0", "(2,)", "(1,)"],
        ),
        ({"dynamics": lambda x, u, t, p: (x, u)}, TypeError, ["dynamics", "one array", "tuple"]),
        (
            {"dynamics": lambda x, u, t, p: x.astype(np.float32)},
            TypeError,
            ["dynamics", "float64", "float32"],
        ),
        (
            {"stage_cost": lambda x, u, t, p: cost(x, u, t, p).astype(np.float32)},
            TypeError,
            ["stage_cost", "float64", "float32"],
        ),
        ({"stage_cost": lambda x, u: 0.0}, TypeError, ["stage_cost", "x, u, t, params"]),
        ({"dynamics": lambda x, u, t, p: x @ u[:1]}, TypeError, ["dynamics", "(2,)"]),
        ({"terminal_cost": lambda x, p: p["q"]}, TypeError, ["terminal_cost", "x, params"]),
    ],
)
def test_functions(changes, error, words):
    refused(error, words, lambda: jaxmpc.solve(problem(**changes), X0))


def test_a_float64_parameter_in_a_float32_problem():
    """A NumPy array promotes; the message says what it does to."""
    weights = np.array([1.0, 2.0])
    wide = problem(dynamics=lambda x, u, t, p: x + weights * u)
    words = ["dynamics", "float32", "float64", "NumPy"]
    with jax.numpy_dtype_promotion("standard"):  # what users have
        refused(TypeError, words, lambda: jaxmpc.solve(wide, X0.astype(np.float32)))


# --- The arguments of solve ---


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"x0": np.array([1, -1])}, TypeError, ["x0", "floating", "int"]),
        ({"x0": X0 + 0j}, TypeError, ["x0", "floating", "complex"]),
        ({"x0": 1.0}, ValueError, ["x0", "[n]", "()"]),
        ({"x0": np.ones((3, 2))}, ValueError, ["x0", "[n]", "(3, 2)", "vmap"]),
        ({"x0": np.zeros(0)}, ValueError, ["x0", "[n]", "(0,)"]),
        ({"x0": "start"}, TypeError, ["x0", "array", "str"]),
        ({"x0": None}, TypeError, ["x0", "array", "None"]),
        ({"controls": "zeros"}, TypeError, ["controls", "array", "str"]),
        ({"controls": np.zeros((3, 2))}, ValueError, ["controls", "(4, 2)", "(3, 2)"]),
        ({"controls": np.zeros((4, 2), int)}, TypeError, ["controls", "floating", "int"]),
        ({"controls": [[0.0]]}, ValueError, ["controls", "(4, 2)", "(1, 1)"]),
        ({"states": np.zeros((4, 2))}, ValueError, ["states", "(5, 2)", "(4, 2)"]),
        ({"states": np.zeros((5, 2), bool)}, TypeError, ["states", "floating", "bool"]),
        ({"warm_start": np.zeros((4, 2))}, TypeError, ["warm_start", "Solution", "ndarray"]),
        ({"solver": "ilqr"}, TypeError, ["solver", "ILQR", "str"]),
        ({"solver": ILQR}, TypeError, ["solver", "ILQR()", "class"]),
        ({"adjoint": "implicit"}, TypeError, ["adjoint", "ImplicitAdjoint", "str"]),
        ({"adjoint": None}, TypeError, ["adjoint", "ImplicitAdjoint", "None"]),
        ({"problem": dynamics}, TypeError, ["problem", "Problem", "function"]),
    ],
)
def test_arguments(arguments, error, words):
    arguments = {"problem": problem(), "x0": X0, **arguments}
    refused(error, words, lambda: jaxmpc.solve(**arguments))


def test_a_warm_start_of_another_size():
    solution = jaxmpc.solve(problem(horizon=3), X0)
    words = ["warm_start", "(4, 2)", "(3, 2)"]
    refused(ValueError, words, lambda: jaxmpc.solve(problem(), X0, warm_start=solution))


@pytest.mark.parametrize("name", ["stage_inequality", "stage_equality"])
def test_ilqr_refuses_general_constraints(name):
    constrained = problem(**{name: lambda x, u, t, p: x})
    words = ["solver", "ILQR", "InteriorPoint"]
    refused(ValueError, words, lambda: jaxmpc.solve(constrained, X0, solver=jaxmpc.ILQR()))


CONSTRAINTS = ("stage_inequality", "stage_equality", "terminal_inequality", "terminal_equality")


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_a_constraint_that_returns_no_vector(name):
    """Its first argument is x, whatever follows."""
    for returned, shape in ((lambda x, *_: x[0], "()"), (lambda x, *_: x[None], "(1, 2)")):
        constrained = problem(**{name: returned})
        refused(ValueError, [name, "a vector", shape], lambda p=constrained: jaxmpc.solve(p, X0))
    constrained = problem(**{name: lambda x, *_: (x, x)})
    refused(TypeError, [name, "one array", "tuple"], lambda: jaxmpc.solve(constrained, X0))


def test_a_constraint_whose_length_depends_on_the_stage():
    constrained = problem(stage_inequality=lambda x, u, t, p: x[:1] if t > 2 else x)
    refused(Exception, ["while tracing stage_inequality"], lambda: jaxmpc.solve(constrained, X0))


def test_a_constraint_whose_length_changes_from_call_to_call():
    lengths = iter([1, 2] * 100)
    constrained = problem(stage_inequality=lambda x, u, t, p: x[: next(lengths)])
    words = ["stage_inequality", "(1,)", "(2,)", "pure"]
    refused(ValueError, words, lambda: jaxmpc.solve(constrained, X0))


def test_state_bounds_of_another_size():
    constrained = problem(state_bounds=([0.0, 0.0, 0.0], None))
    words = ["state_bounds", "(3,)", "(2,)"]
    refused(ValueError, words, lambda: jaxmpc.solve(constrained, X0))


@pytest.mark.parametrize(
    ("soft", "error", "words"),
    [
        (1.0, TypeError, ["soft", "dict", "float"]),
        ({"stage_inequalty": Soft(1.0)}, ValueError, ["stage_inequalty", "stage_inequality"]),
        ({"terminal_equality": Soft(1.0)}, ValueError, ["terminal_equality", "does not have"]),
        ({"control_bounds": Soft(1.0)}, ValueError, ["control_bounds", "wanted one of"]),
        ({"stage_inequality": 1.0}, TypeError, ["stage_inequality", "Soft", "float"]),
        ({"stage_inequality": Soft(-1.0)}, ValueError, ["linear", "positive", "-1"]),
        ({"stage_inequality": Soft(float("nan"))}, ValueError, ["linear", "positive", "nan"]),
        ({"stage_inequality": Soft(1.0, -2.0)}, ValueError, ["quadratic", "zero", "-2"]),
        ({"stage_inequality": Soft("much")}, TypeError, ["linear", "numbers", "much"]),
        ({"stage_inequality": Soft([[1.0]])}, ValueError, ["linear", "(1, 1)"]),
    ],
)
def test_soft_constraints(soft, error, words):
    refused(error, words, lambda: problem(stage_inequality=lambda x, u, t, p: x, soft=soft))


def test_a_price_for_another_number_of_rows():
    soft = {"stage_inequality": Soft([1.0, 2.0, 3.0])}
    constrained = problem(stage_inequality=lambda x, u, t, p: x, soft=soft)
    words = ["stage_inequality", "linear", "(2,)", "(3,)"]
    refused(ValueError, words, lambda: jaxmpc.solve(constrained, X0))


def test_errors_are_raised_when_tracing():
    """Also under jit and vmap, from Python, naming the same things."""
    solve = jax.jit(jax.vmap(lambda x0: jaxmpc.solve(problem(), x0)))
    refused(ValueError, ["x0", "(3, 2)", "vmap"], lambda: solve(np.ones((5, 3, 2))))


# --- Options ---


@pytest.mark.parametrize(
    ("build", "error", "words"),
    [
        (lambda: ILQR(max_iterations=0), ValueError, ["max_iterations", "positive", "0"]),
        (lambda: ILQR(max_iterations=1.5), TypeError, ["max_iterations", "int", "1.5"]),
        (lambda: ILQR(tolerance=-1e-3), ValueError, ["tolerance", "positive", "-0.001"]),
        (lambda: ILQR(tolerance="tight"), TypeError, ["tolerance", "number", "tight"]),
        (lambda: ILQR(tolerance=np.nan), ValueError, ["tolerance", "positive", "nan"]),
        (lambda: ILQR(trust_region=0.0), ValueError, ["trust_region", "positive", "0.0"]),
        (lambda: ILQR(hessian="newton"), ValueError, ["hessian", "newton", "gauss_newton"]),
        (lambda: ILQR(riccati="fast"), ValueError, ["riccati", "fast", "sequential"]),
        (lambda: ILQR(verbose=3), TypeError, ["verbose", "bool", "3"]),
        (lambda: ImplicitAdjoint(hessian="auto"), ValueError, ["hessian", "auto", "exact"]),
        (lambda: ImplicitAdjoint(on_failure="raise"), ValueError, ["on_failure", "raise", "keep"]),
        (lambda: ImplicitAdjoint(smoothing=-1.0), ValueError, ["smoothing", "negative", "-1.0"]),
        (lambda: ImplicitAdjoint(smoothing="a"), TypeError, ["smoothing", "number", "a"]),
        (lambda: ImplicitAdjoint(damping=-1), ValueError, ["damping", "negative", "-1"]),
        (lambda: UnrolledAdjoint(0), ValueError, ["iterations", "positive", "0"]),
    ],
)
def test_options(build, error, words):
    refused(error, words, build)


# --- Numbers that only show when running: a status, in that element alone ---


def test_nan_in_x0():
    solution = jaxmpc.solve(problem(), np.array([1.0, np.nan]))
    assert solution.status == Status.non_finite
    assert not solution.converged
    assert "not finite" in Status(int(solution.status)).message


def test_dynamics_that_blow_up():
    """x' = 1e60 x^2 overflows at the third stage from 1, and is harmless from 1e-70."""
    explosive = problem(dynamics=lambda x, u, t, p: 1e60 * x**2, control_bounds=(0.0, 0.0))
    solve = jax.jit(jax.vmap(lambda x0: jaxmpc.solve(explosive, x0)))
    solution = solve(np.array([[1.0, 1.0], [1e-70, 1e-70], [1.0, 1e-70]]))
    # Multiple shooting starts at rest, and finds no way to close the defect of 1e60.
    wanted = [Status.line_search_failed, Status.converged, Status.line_search_failed]
    np.testing.assert_array_equal(solution.status, wanted)
    assert np.all(np.isfinite(solution.controls))


def test_a_warm_start_with_other_rows():
    def with_rows(number):
        return problem(stage_inequality=lambda x, u, t, p: x[:number] - 9.0)

    earlier = jaxmpc.solve(with_rows(2), jnp.asarray(X0))
    with pytest.raises(ValueError, match=r"multipliers.stage_inequality must have 1 row"):
        jaxmpc.solve(with_rows(1), jnp.asarray(X0), warm_start=earlier)
    batch = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), earlier)
    with pytest.raises(ValueError, match=r"multipliers.stage_inequality must have 1 row"):
        jaxmpc.solve_batch(with_rows(1), jnp.asarray([X0, X0]), warm_start=batch)


def test_errors_name_the_function_that_was_called():
    with pytest.raises(TypeError, match=r"^jaxmpc.solve_batch: problem must be"):
        jaxmpc.solve_batch(None, jnp.asarray([X0]))
    with pytest.raises(TypeError, match=r"^jaxmpc.solve: problem must be"):
        jaxmpc.solve(None, jnp.asarray(X0))


@pytest.mark.parametrize("transform", ["jvp", "jacfwd", "hessian"])
def test_forward_mode_says_what_there_is_instead(transform):
    def cost(x0):
        return jaxmpc.solve(problem(), x0).cost

    x0 = jnp.asarray(X0)
    with pytest.raises(TypeError) as caught:
        jax.jvp(cost, (x0,), (x0,)) if transform == "jvp" else getattr(jax, transform)(cost)(x0)
    assert any("jaxmpc.solution_jvp" in note for note in caught.value.__notes__)


def test_traced_bounds_in_the_wrong_order():
    def solve(lower):
        return jaxmpc.solve(problem(control_bounds=(lower, 1.0)), jnp.asarray(X0))

    solution = jax.jit(jax.vmap(solve))(np.array([-1.0, 2.0, 1.0]))
    wanted = [Status.converged, Status.infeasible, Status.converged]
    np.testing.assert_array_equal(solution.status, wanted)
    np.testing.assert_array_equal(solution.controls[2], np.ones((4, 2)))
    assert not solution.converged[1]


def test_statuses_have_sentences():
    for status in Status:
        assert Status(int(status)).message.endswith(".")
        assert len(status.message) > 20
    assert [status.name for status in Status] == [
        "converged",
        "max_iterations",
        "line_search_failed",
        "regularization_limit",
        "infeasible",
        "non_finite",
        "unbounded",
        "sampled",
        "off_space",
    ]
