"""What every contender of a benchmark solves, written once for all of them."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Task:
    """A control-bounded problem without terminal cost, from many starts, and a loss on it.

    The loss is the sum of the squares of all optimal controls; its gradient is taken with
    respect to `params`, which all starts share.

    `step` and `stage_cost` only index their arguments and take sin, cos, sqrt from the module
    that comes last (numpy, jax.numpy, casadi), so that nobody is timed on another expression of
    the same function, and so that numpy can differentiate them by complex steps. `models` names
    the same two functions in `jaxmpc.models`: jaxmpc is timed on those, as a user would write it.
    """

    name: str
    horizon: int
    state_dim: int
    control_dim: int
    lower: float
    upper: float
    params: dict[str, float]
    step: Callable[[Any, Any, Any, Any], Sequence[Any]]
    stage_cost: Callable[[Any, Any], Any]
    models: tuple[str, str]
    initial_states: Callable[[], np.ndarray]

    @property
    def values(self) -> np.ndarray:
        """The parameters as a vector, in the order of their names in `params`."""
        return np.array(list(self.params.values()), float)
