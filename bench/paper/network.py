"""The paper's baseline without a model: a recurrent network from first state to all controls."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

import jaxmpc
from jaxmpc.learning import Examples

_WIDTH = 256


class Policy(eqx.Module):
    """Embeddings of state and last control, an LSTM cell, a decoder; as in the authors' code.

    In float32: it is a baseline of the paper, and slow enough on a CPU.
    """

    state: eqx.nn.MLP
    control: eqx.nn.MLP
    cell: eqx.nn.LSTMCell
    decoder: eqx.nn.MLP
    horizon: int = eqx.field(static=True)

    def __init__(self, problem: jaxmpc.Problem, state_dim: int, key: Array):
        keys = jax.random.split(key, 4)
        m = problem.control_dim
        self.state = _network(state_dim, _WIDTH, keys[0])
        self.control = _network(m, _WIDTH, keys[1])
        self.cell = eqx.nn.LSTMCell(_WIDTH, _WIDTH, key=keys[2], dtype=jnp.float32)
        self.decoder = _network(_WIDTH, m, keys[3])
        self.horizon = problem.horizon

    def __call__(self, x0: Float[Array, " n"]) -> Float[Array, "T m"]:
        """The controls of the whole horizon."""
        hidden = self.state(x0.astype(jnp.float32))
        first = jnp.zeros(self.decoder.out_size, jnp.float32)

        def step(carry, _):
            u, memory = carry
            memory = self.cell(self.control(u), memory)
            u = self.decoder(memory[1])
            return (u, memory), u

        _, controls = jax.lax.scan(step, (first, (hidden, hidden)), None, length=self.horizon)
        return controls


def imitation(policy: Policy, example: Examples) -> Float[Array, ""]:
    """Mean squared distance of its controls to the expert's."""
    controls = policy(example.states[0])
    return jnp.mean((controls - example.controls.astype(controls.dtype)) ** 2)


def _network(inputs: int, outputs: int, key: Array) -> eqx.nn.MLP:
    return eqx.nn.MLP(inputs, outputs, _WIDTH, 2, key=key, dtype=jnp.float32)
