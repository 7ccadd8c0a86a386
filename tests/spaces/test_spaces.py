"""Spaces by themselves: against SciPy's rotations, differences, and their own definitions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from scipy.spatial.transform import Rotation

from jaxmpc import spaces
from jaxmpc.spaces.quaternion import exponential, logarithm

Q = spaces.UnitQuaternion()
MIXED = spaces.Product(
    spaces.Euclidean(2), Q, spaces.Circle(), spaces.Product(Q, spaces.Euclidean(1))
)


def from_scipy(rotation):
    return np.roll(rotation.as_quat(), 1, axis=-1)


def attitudes(count, seed=0):
    return from_scipy(Rotation.random(count, random_state=seed))


def steps(count, longest, seed=1):
    """Vectors of many lengths, down to 1e-12 of the longest."""
    rng = np.random.default_rng(seed)
    v = rng.normal(size=(count, 3))
    lengths = longest * 10.0 ** rng.uniform(-12, 0, (count, 1))
    lengths[: count // 2] = longest * rng.uniform(0, 1, (count // 2, 1))
    return v / np.linalg.norm(v, axis=1, keepdims=True) * lengths


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_quaternions_turn_as_scipy_turns(dtype):
    eps = np.finfo(dtype).eps
    q, v = attitudes(400), steps(400, 0.999 * np.pi)
    turned = jax.vmap(Q.retract)(jnp.asarray(q, dtype), jnp.asarray(v, dtype))
    assert turned.dtype == dtype
    wanted = from_scipy(Rotation.from_quat(np.roll(q, -1, 1)) * Rotation.from_rotvec(v))
    sign = np.sign(np.sum(wanted * np.asarray(turned), axis=1, keepdims=True))
    np.testing.assert_allclose(turned, sign * wanted, atol=8 * eps)
    back = jax.vmap(Q.difference)(jnp.asarray(q, dtype), turned)
    np.testing.assert_allclose(back, v, atol=16 * eps)
    np.testing.assert_allclose(jax.vmap(Q.difference)(jnp.asarray(q, dtype), -turned), back)


def test_tiny_turns_keep_all_their_digits():
    v = steps(400, 1.0)
    back = jax.vmap(lambda v: logarithm(exponential(v)))(jnp.asarray(v))
    error = np.linalg.norm(back - v, axis=1) / np.linalg.norm(v, axis=1)
    assert np.max(error) < 1e-15


def test_vectors_are_rotated_from_the_body_to_the_world():
    q, v = attitudes(50), steps(50, 3.0)
    rotated = jax.vmap(spaces.rotate)(jnp.asarray(q), jnp.asarray(v))
    np.testing.assert_allclose(rotated, Rotation.from_quat(np.roll(q, -1, 1)).apply(v), atol=1e-14)


@pytest.mark.parametrize("length", [0.0, 1e-9, 1e-4, 0.199, 0.201, 2.0])
def test_derivatives_up_to_the_third_are_right(length):
    """Also at a step of zero, and on both sides of where the series end."""
    direction = np.array([0.6, -0.48, 0.64])
    q = jnp.asarray(attitudes(1)[0])

    def around(v):
        return jnp.concatenate([Q.retract(q, v), Q.difference(q, Q.retract(q, 0.5 * v))])

    function, start = around, length * direction
    for order in range(3):
        derivative = jax.jit(jax.jacfwd(function))
        batched = jax.jit(jax.vmap(function))
        wanted = reference.central_difference(batched, start, 1e-3)
        found = np.moveaxis(np.asarray(derivative(jnp.asarray(start))), -1, 0)
        np.testing.assert_allclose(found, wanted, atol=1e-10, err_msg=f"order {order + 1}")
        function = derivative


def test_half_a_turn_is_a_finite_step_with_finite_derivatives():
    q = jnp.asarray(attitudes(1)[0])
    for axis in np.eye(3):
        across = spaces.multiply(q, jnp.asarray([0.0, *axis]))
        step = Q.difference(q, across)
        np.testing.assert_allclose(np.linalg.norm(step), np.pi, rtol=1e-14)
        reached = Q.retract(q, step)
        np.testing.assert_allclose(abs(np.dot(reached, across)), 1.0, rtol=1e-14)
        assert np.all(np.isfinite(jax.jacrev(Q.difference, 1)(q, across)))


def test_a_quaternion_of_zeros_is_not_finite():
    one, none = jnp.asarray([1.0, 0, 0, 0]), jnp.zeros(4)
    assert np.all(np.isnan(Q.difference(one, none)))
    assert np.all(np.isnan(Q.retract(none, jnp.zeros(3))))


def test_a_circle_takes_the_shorter_way():
    c = spaces.Circle()
    x, y = jnp.array([3.0]), jnp.array([-3.0])
    np.testing.assert_allclose(c.difference(x, y), [2 * np.pi - 6], rtol=1e-14)
    np.testing.assert_allclose(c.retract(x, jnp.array([1.0])), [4 - 2 * np.pi], rtol=1e-14)
    np.testing.assert_allclose(c.retract(x, jnp.array([100.0])), np.angle([np.exp(103j)]))
    np.testing.assert_allclose(jax.jacfwd(c.retract, 1)(x, jnp.array([1.0])), [[1.0]])


def test_a_product_is_its_factors():
    assert (MIXED.dim, MIXED.tangent_dim) == (12, 10)
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.normal(size=2), attitudes(1)[0], [3.0], attitudes(1, 5)[0], [7.0]])
    dx = 0.7 * rng.normal(size=10)
    there = MIXED.retract(jnp.asarray(x), jnp.asarray(dx))
    np.testing.assert_allclose(MIXED.difference(jnp.asarray(x), there), dx, atol=1e-14)
    np.testing.assert_allclose(there[:2], x[:2] + dx[:2])
    np.testing.assert_allclose(there[2:6], Q.retract(jnp.asarray(x[2:6]), jnp.asarray(dx[2:5])))
    assert spaces.Product(*MIXED.factors) == MIXED
    assert hash(MIXED) == hash(spaces.Product(*MIXED.factors))
    assert "UnitQuaternion()" in repr(MIXED)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: spaces.Euclidean(0), ValueError, "dim must be an int of at least 1, got 0"),
        (lambda: spaces.Euclidean(2.0), ValueError, "got 2.0"),
        (lambda: spaces.Product(), ValueError, "at least one space"),
        (lambda: spaces.Product(3), TypeError, "int has no dim, tangent_dim, retract, difference"),
        (lambda: spaces.Product(spaces.Circle), TypeError, "got the class Circle"),
    ],
)
def test_bad_spaces_are_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()
