"""A network that corrects a model: dynamics that start as good as the prior."""

from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class MLP(eqx.Module):
    """Layers with an activation between them.

    Unlike `eqx.nn.MLP` all its leaves are arrays, so that it passes through `jax.jit` as it is.
    """

    layers: tuple[eqx.nn.Linear, ...]
    activation: Callable = eqx.field(static=True)

    def __init__(self, sizes: Sequence[int], activation: Callable, key: Array):
        keys = jax.random.split(key, len(sizes) - 1)
        pairs = zip(sizes[:-1], sizes[1:], keys, strict=True)
        self.layers = tuple(eqx.nn.Linear(a, b, key=k) for a, b, k in pairs)
        self.activation = activation

    def __call__(self, z: Float[Array, " k"]) -> Float[Array, " l"]:
        """The last layer has no activation."""
        for layer in self.layers[:-1]:
            z = self.activation(layer(z))
        return self.layers[-1](z)


class ResidualDynamics(eqx.Module):
    """x_next = prior(x, u) + scale * network(features(x, u)).

    The last layer starts at zero, so that untrained it is the prior. The activation is smooth,
    for the solver's Hessian needs the curvature of the dynamics: with ReLU it is zero almost
    everywhere, and the gradient jumps. What is not learned is static, out of the optimiser's way.

    Attributes:
        network: the trained part.
        prior: (x, u) -> x_next, what physics says.
        features: (x, u) -> [k] of order one: angles as sine and cosine, and without what the
            correction cannot depend on (a position), which need then not be seen in the data.
        scale: [n], in units of the state: the correction of a step where the network says 1;
            of the order of dt times an acceleration.
    """

    network: MLP
    prior: Callable = eqx.field(static=True)
    features: Callable = eqx.field(static=True)
    scale: tuple[float, ...] = eqx.field(static=True)

    def __call__(self, x: Float[Array, " n"], u: Float[Array, " m"]) -> Float[Array, " n"]:
        """The next state; differentiable in x, u and the weights."""
        correction = self.network(self.features(x, u))
        return self.prior(x, u) + jnp.asarray(self.scale, x.dtype) * correction


def residual_dynamics(
    prior: Callable,
    features: Callable,
    scale: tuple[float, ...],
    control_dim: int,
    *,
    key: Array,
    width: int = 64,
    depth: int = 2,
    activation: Callable = jnp.tanh,
) -> ResidualDynamics:
    """One that is its prior as yet, with `depth` hidden layers of `width`."""
    inputs = jax.eval_shape(features, jnp.zeros(len(scale)), jnp.zeros(control_dim)).shape[0]
    network = MLP([inputs, *[width] * depth, len(scale)], activation, key)
    last = jax.tree.map(jnp.zeros_like, network.layers[-1])
    network = eqx.tree_at(lambda network: network.layers[-1], network, last)
    return ResidualDynamics(network, prior, features, scale)


def dynamics(x, u, t, model) -> Array:
    """The model as the dynamics of a `Problem` whose params are the model."""
    return model(x, u)
