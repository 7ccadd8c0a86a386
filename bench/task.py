"""What every contender of a benchmark solves, written once for all of them."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Params = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Task:
    """A problem with bounds on its controls, from many starts, and a loss on its solutions.

    The functions end with `params`, a mapping of the names in `params`, and the module that they
    take sin, cos, sqrt from (numpy, jax.numpy, casadi, torch). They index their arguments or
    multiply them by matrices, so that nobody is timed on another expression of the same function,
    and so that numpy can differentiate them by complex steps. There `x` is [n, anything], and a
    vector among the parameters a column.

    `jaxmpc_problem` makes the same problem for jaxmpc as a user would write it.

    The loss, of which the gradient is taken with respect to all of `params`, which the starts
    share: "squares", the sum of the squares of all optimal controls, or "first", the sum of the
    first ones.
    """

    name: str
    horizon: int
    state_dim: int
    control_dim: int
    lower: float
    upper: float
    params: dict[str, Any]
    step: Callable[[Any, Any, Params, Any], Sequence[Any]]
    stage_cost: Callable[[Any, Any, Params, Any], Any]
    jaxmpc_problem: Callable[[], Any]
    initial_states: Callable[[], np.ndarray]
    _: dataclasses.KW_ONLY
    terminal_cost: Callable[[Any, Params, Any], Any] | None = None
    stage_inequality: Callable[[Any, Params, Any], Sequence[Any]] | None = None  # of x_1..x_{T-1}
    guessed_states: Callable[[np.ndarray], np.ndarray] | None = None  # [n] -> [T+1, n]
    guessed_control: float = 0.0
    loss: str = "squares"
    linear: bool = False  # dynamics; the cost is then quadratic

    @property
    def values(self) -> np.ndarray:
        """The parameters as a vector, in the order of their names in `params`."""
        return np.concatenate([np.ravel(value) for value in self.params.values()]).astype(float)

    def split(self, vector: Any) -> dict[str, Any]:
        """A vector like `values`, of numpy, jax.numpy or torch, by name."""
        shapes = {name: np.shape(value) for name, value in self.params.items()}
        return {
            name: vector[first : first + int(np.prod(shape))].reshape(shape)
            for (name, shape), first in zip(shapes.items(), self._offsets(), strict=True)
        }

    def guesses(self, x0s: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """States [B, T+1, n] and controls [B, T, m] to start from, where the task has guesses."""
        if self.guessed_states is None:
            return None
        controls = np.full((len(x0s), self.horizon, self.control_dim), self.guessed_control)
        return np.stack([self.guessed_states(x0) for x0 in x0s]), controls

    def loss_of(self, controls: Any) -> Any:
        """The loss of controls [..., T, m], of any array library."""
        return controls[..., 0, :].sum() if self.loss == "first" else (controls**2).sum()

    def _offsets(self) -> np.ndarray:
        sizes = [np.size(value) for value in self.params.values()]
        return np.cumsum([0, *sizes[:-1]])
