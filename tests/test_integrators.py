"""Order of convergence, exactness, equality and errors of the integrators."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmpc import integrators
from jaxmpc.integrators import discrete, euler, rk4, semi_implicit_euler


def oscillator(x, u, params):
    """Mass and spring, pushed; with params = 1 it turns by the angle t."""
    return jnp.stack([x[1], -params * x[0] + u[0]])


def nonlinear(x, u, params):
    return jnp.stack([jnp.sin(x[1]) + u[0], -params * x[0] * x[1]])


@pytest.mark.parametrize(
    ("scheme", "order"),
    [(euler, 1), (semi_implicit_euler, 1), (rk4, 4)],
    ids=["euler", "semi_implicit_euler", "rk4"],
)
def test_order_of_convergence(scheme, order):
    x, u = jnp.array([0.7, -0.4]), jnp.array([0.3])
    exact = jax.jit(rk4(nonlinear, 1.0, substeps=2000))(x, u, 0, 2.0)
    errors = []
    for substeps in (20, 40):
        step = jax.jit(scheme(nonlinear, 1.0, substeps=substeps))
        errors.append(np.linalg.norm(step(x, u, 0, 2.0) - exact))
    assert abs(np.log2(errors[0] / errors[1]) - order) < 0.25


def test_one_step_by_hand():
    x, u, h = jnp.array([1.0, 2.0]), jnp.array([0.5]), 0.1
    np.testing.assert_allclose(euler(oscillator, h)(x, u, 0, 3.0), [1.2, 1.75])
    np.testing.assert_allclose(semi_implicit_euler(oscillator, h)(x, u, 0, 3.0), [1.175, 1.75])
    # RK4 on a linear ode is the exponential series up to its fourth term
    a, b = np.array([[0, 1], [-3.0, 0]]) * h, np.array([0, 0.5]) * h
    total = np.array(x)
    term = a @ x + b
    for k in range(1, 5):
        total, term = total + term, a @ term / (k + 1)
    np.testing.assert_allclose(rk4(oscillator, h)(x, u, 0, 3.0), total, rtol=1e-14)


@pytest.mark.parametrize("scheme", [euler, semi_implicit_euler, rk4])
def test_substeps_are_steps(scheme, substeps=3):
    x, u = jnp.array([0.7, -0.4]), jnp.array([0.3])
    whole, part = scheme(nonlinear, 0.6, substeps=substeps), scheme(nonlinear, 0.6 / substeps)

    def loss(step, repeats):
        def run(x, u, params):
            for _ in range(repeats):
                x = step(x, u, 0, params)
            return x @ jnp.array([1.0, 2.0])

        return jax.jit(jax.value_and_grad(run, argnums=(0, 1, 2)))(x, u, 2.0)

    whole, parts = loss(whole, 1), loss(part, substeps)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), whole, parts)


def test_semi_implicit_euler_keeps_the_energy():
    def energy_after(step):
        states = jax.lax.fori_loop(
            0, 2000, lambda _, x: step(x, jnp.zeros(1), 0, 1.0), jnp.array([1.0, 0.0])
        )
        return float(jnp.sum(states**2))

    assert energy_after(euler(oscillator, 0.05)) > 100
    assert abs(energy_after(semi_implicit_euler(oscillator, 0.05)) - 1) < 0.06


def test_semi_implicit_euler_with_positions_anywhere():
    def swapped(x, u, params):
        return oscillator(x[::-1], u, params)[::-1]

    x, u = jnp.array([1.0, 2.0]), jnp.array([0.5])
    expected = semi_implicit_euler(oscillator, 0.1)(x, u, 0, 3.0)
    result = semi_implicit_euler(swapped, 0.1, positions=[1])(x[::-1], u, 0, 3.0)
    np.testing.assert_array_equal(result, expected[::-1])


@pytest.mark.parametrize("scheme", [euler, semi_implicit_euler, rk4])
@pytest.mark.parametrize("substeps", [1, 3])
def test_keeps_float32(scheme, substeps):
    x, u = jnp.ones(2, jnp.float32), jnp.ones(1, jnp.float32)
    step = scheme(oscillator, np.float64(0.1), substeps=substeps)
    with jax.numpy_dtype_promotion("standard"):  # what users have
        for params in (2.0, np.float64(2.0), np.float32(2.0)):
            assert step(x, u, 0, params).dtype == jnp.float32
        assert step([1, 2], [0.5], 0, 3.0).dtype == jnp.zeros(()).dtype  # integers do not stay


def test_equal_arguments_give_equal_dynamics():
    assert rk4(oscillator, 0.1) == rk4(oscillator, np.float64(0.1), np.int64(1))
    assert hash(rk4(oscillator, 0.1)) == hash(rk4(oscillator, 0.1))
    assert rk4(oscillator, 0.1) != rk4(oscillator, 0.2)
    assert rk4(oscillator, 0.1) != euler(oscillator, 0.1)
    assert rk4(oscillator, 0.1) != rk4(nonlinear, 0.1)
    implicit = semi_implicit_euler
    assert implicit(oscillator, 0.1, [0]) == implicit(oscillator, 0.1, np.array([0]))
    assert implicit(oscillator, 0.1, [0]) != implicit(oscillator, 0.1)
    assert discrete(oscillator) == discrete(oscillator)


def test_an_equal_integrator_does_not_retrace():
    traces = []

    def ode(x, u, params):
        traces.append(1)
        return oscillator(x, u, params)

    step = jax.jit(lambda f, x: f(x, jnp.zeros(1), 0, 1.0), static_argnums=0)
    for _ in range(3):
        step(euler(ode, 0.1), jnp.ones(2))
    assert len(traces) == 1
    step(euler(ode, 0.2), jnp.ones(2))
    assert len(traces) == 2


def test_an_ode_that_holds_arrays_brings_them_as_leaves():
    network = jax.tree_util.Partial(lambda weight, x, u, params: weight @ x + u, jnp.eye(2))
    leaves = jax.tree.leaves(rk4(network, 0.1))
    assert len(leaves) == 1 and leaves[0].shape == (2, 2)
    loss = jax.grad(lambda step: jnp.sum(step(jnp.ones(2), jnp.zeros(2), 0, None)))
    assert jnp.all(jax.tree.leaves(loss(rk4(network, 0.1)))[0] != 0)


def test_discrete_passes_the_parameters():
    step = discrete(lambda x, u, params: params * x + u)
    np.testing.assert_array_equal(step(jnp.ones(1), jnp.ones(1), 7, 2.0), [3.0])


@pytest.mark.parametrize("name", ["euler", "semi_implicit_euler", "rk4"])
def test_errors_name_the_argument(name):
    scheme = getattr(integrators, name)
    for dt in (0.0, -0.1, np.nan, np.inf, np.ones(2), "0.1", None):
        with pytest.raises(ValueError, match=f"{name}: dt must be"):
            scheme(oscillator, dt)
    for substeps in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match=f"{name}: substeps must be"):
            scheme(oscillator, 0.1, substeps=substeps)
    with pytest.raises(TypeError, match=f"{name}: ode must be a function"):
        scheme(3, 0.1)
    with pytest.raises(TypeError, match="dt must be a number that is known when tracing"):
        jax.jit(lambda dt: scheme(oscillator, dt)(jnp.ones(2), jnp.ones(1), 0, 1.0))(0.1)
    with pytest.raises(ValueError, match=r"ode returned the shape \(4,\); wanted .* \(2,\)"):
        scheme(lambda x, u, params: jnp.concatenate([x, x]), 0.1)(jnp.ones(2), jnp.ones(1))


def test_semi_implicit_euler_checks_its_positions():
    with pytest.raises(ValueError, match="which have no first half"):
        semi_implicit_euler(lambda x, u, params: x, 0.1)(jnp.ones(3), jnp.ones(1))
    with pytest.raises(ValueError, match=r"positions is \(2,\); wanted indices .* 0 .. 1"):
        semi_implicit_euler(oscillator, 0.1, [2])(jnp.ones(2), jnp.ones(1), 0, 1.0)
