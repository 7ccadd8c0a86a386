"""What is learned from."""

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float, PyTree


class Examples(eqx.Module):
    """Trajectories, an example a row; any pytree with a leading axis of N can take its place.

    Attributes:
        states: [N, T+1, n], what was seen.
        controls: [N, T, m], what was done.
        inputs: what else is known of each example (a history, a target), for `params_of` of a
            loss; a pytree with a leading axis of N, or None.

    Example:
        >>> experts = jaxmpc.solve_batch(problem, jnp.array([[1.0, 0.0], [2.0, 0.0]]), params)
        >>> examples = jaxmpc.learning.Examples(experts.states, experts.controls)
        >>> examples[:1].controls.shape
        (1, 10, 1)
    """

    states: Float[Array, "N T1 n"]
    controls: Float[Array, "N T m"]
    inputs: PyTree = None

    def __getitem__(self, index):
        """The examples that a slice, a mask or an array of indices picks."""
        return jax.tree.map(lambda leaf: leaf[index], self)


def count(examples: PyTree, name: str) -> int:
    """How many examples there are, or an error that says what came."""
    shapes = [np.shape(leaf) for leaf in jax.tree.leaves(examples)]
    sizes = {shape[0] if shape else 0 for shape in shapes}
    if len(sizes) != 1 or 0 in sizes:
        raise ValueError(
            f"learning.fit: every array of {name} must have the same leading axis, of at least "
            f"one example; got shapes {shapes}."
        )
    return sizes.pop()
