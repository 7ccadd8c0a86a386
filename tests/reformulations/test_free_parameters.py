"""Problems with free parameters: as written by hand, and against optima that are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmpc
from jaxmpc import free_parameters

N, M, K, T = 2, 1, 2, 5
RNG = np.random.RandomState(3)
STATES, CONTROLS = RNG.randn(T + 1, N), RNG.randn(T, M)
P, OTHER = np.array([0.7, -1.2]), np.array([5.0, 6.0])
PARAMS = {"gain": 2.0, "free": None}


def merge(params, p):
    return {**params, "free": p}


def dynamics(x, u, t, params):
    duration, wind = params["free"]
    return x + duration * jnp.stack([x[1] + wind, params["gain"] * u[0] + t])


def stage_row(x, u, t, params):
    return x * params["free"] - u - t


def stage_cost(x, u, t, params):
    return jnp.sum(stage_row(x, u, t, params) ** 4)


def terminal_row(x, params):
    return params["gain"] * x + params["free"]


def terminal_cost(x, params):
    return jnp.sum(terminal_row(x, params) ** 2)


def original(**options):
    functions = {"stage_inequality": stage_row, "stage_equality": stage_row}
    functions |= {"terminal_inequality": terminal_row, "terminal_equality": terminal_row}
    sizes = {"horizon": T, "control_dim": M}
    return jaxmpc.Problem(dynamics, stage_cost, terminal_cost, **{**functions, **sizes, **options})


def optimized(lower=(-2.0, -np.inf), upper=(2.0, 3.0), **options):
    return free_parameters.optimize_parameters(original(**options), merge, lower, upper)


@pytest.mark.parametrize("t", [0, 3])
def test_functions_agree_with_those_written_by_hand(t):
    """The first control chooses p, the state carries it from then on."""
    problem, augmented = original(), optimized()
    in_state, in_control = (OTHER, P) if t == 0 else (P, OTHER)
    z, v = np.r_[STATES[t], in_state], np.r_[CONTROLS[t], in_control]
    given = merge(PARAMS, jnp.asarray(P))
    stage = (STATES[t], CONTROLS[t], t, given)
    expected = np.r_[problem.dynamics(*stage), P]
    np.testing.assert_allclose(augmented.dynamics(z, v, t, PARAMS), expected, rtol=1e-14)
    for name in ("stage_cost", "stage_inequality", "stage_equality"):
        value = getattr(augmented, name)(z, v, t, PARAMS)
        np.testing.assert_allclose(value, getattr(problem, name)(*stage), rtol=1e-14)
    for name in ("terminal_cost", "terminal_inequality", "terminal_equality"):
        value = getattr(augmented, name)(np.r_[STATES[t], P], PARAMS)
        np.testing.assert_allclose(value, getattr(problem, name)(STATES[t], given), rtol=1e-14)


def test_functions_that_are_not_there_stay_away():
    problem = jaxmpc.Problem(dynamics, stage_cost, horizon=T, control_dim=M)
    augmented = free_parameters.optimize_parameters(problem, merge, [0.0, 0.0], [1.0, 1.0])
    assert augmented.terminal_cost is None
    assert not augmented.has_general_constraints


@pytest.mark.parametrize(
    "bounds", [None, (None, 1.0), (-1.0, np.ones(M)), (RNG.randn(T, M) - 5, np.inf)]
)
def test_control_bounds(bounds):
    lower, upper = optimized(control_bounds=bounds).limits(float)
    expected = original(control_bounds=bounds).limits(float)
    np.testing.assert_array_equal(lower[:, :M], expected[0])
    np.testing.assert_array_equal(upper[:, :M], expected[1])
    np.testing.assert_array_equal(lower[:, M:], np.r_[[[-2.0, -np.inf]], np.zeros((T - 1, K))])
    np.testing.assert_array_equal(upper[:, M:], np.r_[[[2.0, 3.0]], np.zeros((T - 1, K))])


@pytest.mark.parametrize(
    "bounds",
    [
        None,
        (None, None),
        (None, np.array([1.0, 2.0])),
        (-1.0, np.ones(N)),
        (RNG.randn(T, N) - 5, 2.0),
    ],
)
def test_state_bounds_leave_the_parameters_alone(bounds):
    augmented = optimized(state_bounds=bounds)
    limits = augmented.state_limits(N + K, float)
    for limit, expected, none in zip(
        limits, original(state_bounds=bounds).state_limits(N, float), (-np.inf, np.inf), strict=True
    ):
        np.testing.assert_array_equal(limit[:, :N], expected)
        assert np.all(limit[:, N:] == none)
    assert (augmented.state_bounds is None) == (bounds is None)


def test_soft_constraints_keep_their_prices():
    prices = {"stage_inequality": jaxmpc.Soft(np.ones(N)), "state_bounds": jaxmpc.Soft(2.0)}
    kept = optimized(state_bounds=(None, np.ones(N)), soft=prices).soft
    assert kept["stage_inequality"] is prices["stage_inequality"]
    assert kept["state_bounds"].linear == 2.0
    prices["state_bounds"] = jaxmpc.Soft(np.array([1.0, np.inf]), np.ones(N))
    augmented = optimized(state_bounds=(None, np.ones(N)), soft=prices)
    weights = augmented.soft["state_bounds"].weights("state_bounds", N + K, float)
    expected = prices["state_bounds"].weights("state_bounds", N, float)
    for weight, old, none in zip(weights, expected, (np.inf, 0), strict=True):
        np.testing.assert_array_equal(weight, np.r_[old, none, none])


def test_guesses_and_the_split_are_inverse():
    states, controls = free_parameters.augment_guess(STATES, CONTROLS, list(P))
    np.testing.assert_array_equal(states[0], free_parameters.augment_state(STATES[0], P))
    np.testing.assert_array_equal(states[:, N:], np.tile(P, (T + 1, 1)))
    np.testing.assert_array_equal(controls[1:, M:], 0)
    batch = jnp.stack([states, 2 * states]), jnp.stack([controls, 2 * controls])
    for scale, *parts in zip((1, 2), *free_parameters.split_trajectory(*batch, K), strict=True):
        for part, expected in zip(parts, (STATES, CONTROLS, P), strict=True):
            np.testing.assert_array_equal(part, scale * expected)
    nothing, alone = free_parameters.augment_guess(None, CONTROLS, P)
    assert nothing is None
    np.testing.assert_array_equal(alone, controls)


def test_dtype_is_that_of_the_state():
    x0 = jnp.ones(N, jnp.float32)
    assert free_parameters.augment_state(x0, P).dtype == jnp.float32
    states, controls = free_parameters.augment_guess(
        jnp.zeros((T + 1, N), jnp.float32), jnp.zeros((T, M), jnp.float32), P
    )
    assert (states.dtype, controls.dtype) == (jnp.float32, jnp.float32)


# --- The time to go from 0 towards 1: cost weight * time + 1/2 integral of u^2 + end penalty. ---

STEPS, LIMIT, PENALTY = 8, 0.5, 10.0


def go(x, u, t, params):
    return x + params["time"] / STEPS * u


def going_cost(x, u, t, params):
    return params["time"] / STEPS * (0.5 * u @ u + params["weight"])


def going_end(x, params):
    return 0.5 * PENALTY * jnp.sum((x - 1) ** 2)


def with_time(params, p):
    return {**params, "time": p[0]}


@jax.jit
def best_time(weight, limit=LIMIT, longest=50.0):
    """The solution's time and controls."""
    problem = jaxmpc.Problem(
        go, going_cost, going_end, horizon=STEPS, control_dim=1, control_bounds=(-limit, limit)
    )
    problem = free_parameters.optimize_parameters(problem, with_time, [0.01], [longest])
    _, controls = free_parameters.augment_guess(None, np.full((STEPS, 1), 0.2), [1.0])
    solution = jaxmpc.solve(
        problem,
        free_parameters.augment_state(np.zeros(1), [1.0]),
        {"weight": weight},
        controls=controls,
        solver=jaxmpc.ILQR(tolerance=1e-11),
    )
    states, controls, p = free_parameters.split_trajectory(solution.states, solution.controls, 1)
    return p[0], (states, controls, solution.converged)


@pytest.mark.parametrize(
    ("weight", "limit", "longest"),
    [(0.08, LIMIT, 50.0), (0.5, LIMIT, 50.0), (0.5, LIMIT, 1.2)],
    ids=["nothing active", "controls at their bounds", "time and controls at their bounds"],
)
def test_optimal_time_and_its_gradient(weight, limit, longest):
    """At constant u the distance is d = 1 - (u / 2 + weight / u) / PENALTY, in the time d / u."""
    speed = jnp.minimum(jnp.sqrt(2 * weight), limit)
    exact = (1 - (speed / 2 + weight / speed) / PENALTY) / speed
    time, (states, controls, converged) = best_time(weight, limit, longest)
    assert converged
    np.testing.assert_allclose(time, jnp.minimum(exact, longest), rtol=1e-9)
    np.testing.assert_allclose(controls, np.full((STEPS, 1), speed), rtol=1e-8)
    np.testing.assert_allclose(states[:, 0], time * speed * np.linspace(0, 1, STEPS + 1), rtol=1e-8)

    arguments, h = (weight, limit, longest), 1e-4
    gradient = jax.jit(jax.grad(lambda *args: best_time(*args)[0], (0, 1, 2)))(*arguments)
    for i, slope in enumerate(gradient):
        step = h * np.eye(3)[i]
        ends = (best_time(*(np.array(arguments) + sign * step))[0] for sign in (1, -1))
        difference = np.subtract(*ends) / (2 * h)
        # an error of the difference of order h^2, of the solutions of 1e-11 / h
        np.testing.assert_allclose(slope, difference, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(gradient[2], float(longest < exact), atol=1e-8)


def scaled_merge(scale, params, p):
    return {**params, "free": scale * p}


def test_functions_with_arrays_and_traced_bounds_stay_leaves():
    structures = {jax.tree.structure(optimized()) for _ in range(2)}
    assert len(structures) == 1  # an equal problem does not retrace

    @jax.jit
    def loss(scale, upper):
        augmented = free_parameters.optimize_parameters(
            original(), jax.tree_util.Partial(scaled_merge, scale), [0.0, 0.0], upper
        )
        state = jnp.asarray(np.r_[STATES[1], P])
        limits = augmented.limits(float)[1]
        return augmented.terminal_cost(state, PARAMS) + jnp.sum(limits)

    by_scale, by_upper = jax.grad(loss, (0, 1))(3.0, jnp.ones(K))
    row = terminal_row(STATES[1], {"gain": 2.0, "free": 3.0 * P})
    np.testing.assert_allclose(by_scale, 2 * row @ P, rtol=1e-12)
    np.testing.assert_array_equal(by_upper, np.ones(K))


OPTIMIZE = free_parameters.optimize_parameters


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: OPTIMIZE(None, merge, [0.0], [1.0]), TypeError, "problem must be a Problem"),
        (lambda: OPTIMIZE(original(), None, [0.0], [1.0]), TypeError, "merge must be a function"),
        (lambda: optimized(0.0, 1.0), ValueError, r"lower has shape \(\); wanted \[k\]"),
        (lambda: optimized({}), TypeError, r"lower must be an array \[k\], got {}"),
        (lambda: optimized([0.0]), ValueError, r"lower has shape \(1,\) and upper \(2,\)"),
        (lambda: optimized([], []), ValueError, "an entry for each free parameter"),
        (lambda: optimized([3.0, 0.0]), ValueError, "wanted lower <= upper, got lower = "),
        (lambda: optimized([np.nan, 0.0]), ValueError, "wanted lower <= upper"),
        (lambda: optimized(state_bounds=(None, 1.0)), ValueError, r"the scalars \(None, 1.0\)"),
        (lambda: free_parameters.augment_state(STATES, P), ValueError, r"x0 has shape \(6, 2\)"),
        (
            lambda: free_parameters.augment_guess(STATES[1:], CONTROLS, P),
            ValueError,
            r"states has shape \(5, 2\) and controls \(5, 1\); wanted \[T\+1, n\] and \[T, m\]",
        ),
        (
            lambda: free_parameters.split_trajectory(STATES, CONTROLS, 1),
            ValueError,
            "parameter_dim is 1; wanted 1 .. 0",
        ),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
