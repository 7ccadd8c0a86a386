"""Costs as networks: one that is convex whatever is learned, and one that is not."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bench.networks.residual import MLP
from jaxmpc.learning import Positive, PositiveDefinite


class QuadraticCost(eqx.Module):
    """1/2 z' P z with P positive definite by construction, the baseline."""

    quadratic: Any  # [k, k], P

    def __init__(self, size: int):
        self.quadratic = PositiveDefinite(jnp.eye(size))

    def __call__(self, z: Float[Array, " k"]) -> Float[Array, ""]:
        """The cost, once `learning.plain` has made matrices of the free parameters."""
        return 0.5 * z @ self.quadratic @ z


class ConvexCost(eqx.Module):
    """A quadratic cost and an input-convex network on top: convex in z for all parameters.

        h_1 = s(W_1 z + b_1),   h_2 = s(V h_1 + W_2 z + b_2),   1/2 z' P z + v' h_2

    with s = softplus, which is convex, increasing and smooth, and V, v > 0 (`learning.Positive`).
    P keeps the problem strictly convex where the network is flat. z must be affine in (x, u).

    Source: Amos, Xu and Kolter (2017), 'Input convex neural networks'.
    """

    quadratic: QuadraticCost
    first: eqx.nn.Linear
    second: eqx.nn.Linear
    between: Any  # [h, h], V
    out: Any  # [h], v

    def __init__(self, size: int, width: int, key: Array):
        keys = jax.random.split(key, 2)
        self.quadratic = QuadraticCost(size)
        self.first = eqx.nn.Linear(size, width, key=keys[0])
        self.second = eqx.nn.Linear(size, width, key=keys[1])
        self.between = Positive(jnp.full((width, width), 1 / width))
        self.out = Positive(jnp.full((width,), 1 / width))

    def __call__(self, z: Float[Array, " k"]) -> Float[Array, ""]:
        """The cost, once `learning.plain` has made values of the free parameters."""
        hidden = jax.nn.softplus(self.first(z))
        hidden = jax.nn.softplus(self.between @ hidden + self.second(z))
        return self.quadratic(z) + self.out @ hidden


class FreeCost(eqx.Module):
    """The same quadratic cost with any network on top: nothing keeps it convex."""

    quadratic: QuadraticCost
    network: MLP

    def __init__(self, size: int, width: int, key: Array):
        self.quadratic = QuadraticCost(size)
        self.network = MLP([size, width, width, 1], jnp.tanh, key)

    def __call__(self, z: Float[Array, " k"]) -> Float[Array, ""]:
        """The cost, once `learning.plain` has made a matrix of the free parameters."""
        return self.quadratic(z) + self.network(z)[0]
