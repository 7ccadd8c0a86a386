"""Rows of linear constraints on the stages and on the end of an LQ problem."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from jaxmpc.lq.small_linalg import stagewise, stagewise_transposed


class Rows(NamedTuple):
    """A number for each row of constraints: at every stage, and at the end."""

    stage: Shaped[Array, "T p"]
    terminal: Shaped[Array, " e"]

    def flat(self) -> Shaped[Array, " N"]:
        """All of them as one vector, stage by stage and then the end."""
        return jnp.concatenate([self.stage.ravel(), self.terminal])

    def unflat(self, vector: Shaped[Array, " N"]) -> "Rows":
        """The inverse, in the shape of these rows."""
        size = self.stage.size
        return Rows(vector[:size].reshape(self.stage.shape), vector[size:])


def every_state(stages: Float[Array, "T *s"], last: Float[Array, "*s"]) -> Float[Array, "T1 *s"]:
    """What belongs to x_0 .. x_T, from what belongs to the stages and to the end."""
    return jnp.concatenate([stages, last[None]])


class Jacobian(NamedTuple):
    """The derivatives of `Rows` in z_t = [x_t; u_t], and in x_T."""

    stage: Float[Array, "T p z"]
    terminal: Float[Array, "e n"]

    def only(self, rows: Rows) -> "Jacobian":
        """That of some rows, given by booleans; zero for the others."""
        return Jacobian(
            jnp.where(rows.stage[:, :, None], self.stage, 0.0),
            jnp.where(rows.terminal[:, None], self.terminal, 0.0),
        )

    def times(self, stages: Float[Array, "T z"], last: Float[Array, " n"]) -> Rows:
        """The change of the rows along a direction."""
        return Rows(stagewise(self.stage, stages), self.terminal @ last)

    def transposed_times(self, rows: Rows) -> tuple[Float[Array, "T z"], Float[Array, " n"]]:
        """The gradient of rows . constraints."""
        return stagewise_transposed(self.stage, rows.stage), self.terminal.T @ rows.terminal

    def squared(self, weights: Rows) -> tuple[Float[Array, "T z z"], Float[Array, "n n"]]:
        """J' diag(weights) J, stage by stage."""
        weighted = self.stage * weights.stage[:, :, None]
        last = self.terminal.T @ (self.terminal * weights.terminal[:, None])
        return jnp.einsum("tpi,tpj->tij", weighted, self.stage), last
