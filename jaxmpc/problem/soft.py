"""Soft constraints: which may be violated, and at what price."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxmpc.problem.kinds import SOFTENABLE


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Soft:
    """The price of violating a constraint: an exact L1 penalty plus a quadratic one.

        linear * v + 1/2 quadratic * v^2   for each row,   v = max(0, g) or |h|

    A plan then exists where the constraint cannot be met. The L1 term makes it exact: while
    `linear` is above the multiplier that the hard constraint would have, it is met as if hard.

    Args:
        linear: the L1 weight, in units of cost per unit of the constraint: a positive number, or
            [p] for its rows ([n] for `state_bounds`); inf keeps a row hard.
        quadratic: the quadratic weight, of the same shapes, >= 0; None is `linear / 100`. It
            spreads a violation that cannot be avoided.

    Both are leaves of the `Problem`, and differentiable.

    Source: Kerrigan and Maciejowski (2000), 'Soft constraints and exact penalty functions in
    model predictive control'.

    Example:
        >>> limits = {"state_bounds": ([-2.0, -0.2], [2.0, 0.2])}
        >>> price = {"state_bounds": jaxmpc.Soft(0.1)}
        >>> sizes = {"horizon": 10, "control_dim": 1}
        >>> slow = jaxmpc.Problem(dynamics, stage_cost, **sizes, **limits, soft=price)
        >>> solution = jaxmpc.solve(slow, x0, params)
        >>> bool(solution.converged), bool(solution.violations.state_lower.max() > 0.01)
        (True, True)
    """

    linear: Any
    quadratic: Any = None

    def __post_init__(self):
        for field in ("linear", "quadratic"):
            object.__setattr__(self, field, as_array(getattr(self, field)))

    def weights(self, name: str, size: int, dtype):
        """Both weights as [size] for the constraint `name`; those of hard rows are inf and zero."""
        linear = self._full(name, "linear", self.linear, size, dtype)
        hard = jnp.isinf(linear)
        given = jnp.where(hard, 0.0, linear) / 100 if self.quadratic is None else self.quadratic
        return linear, jnp.where(hard, 0.0, self._full(name, "quadratic", given, size, dtype))

    @staticmethod
    def _full(name: str, field: str, weight, size: int, dtype):
        weight = jnp.asarray(weight, dtype)
        if weight.shape not in ((), (size,)):
            raise ValueError(
                f"Problem: soft[{name!r}].{field} must be a number or have shape ({size},), "
                f"one weight for each row of {name}; got {weight.shape}."
            )
        return jnp.broadcast_to(weight, (size,))


def as_array(value):
    """A list of numbers as the array that it stands for; anything else as it is."""
    if not isinstance(value, list | tuple):
        return value
    traced = any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(value))
    return jnp.asarray(value) if traced else np.asarray(value)


def check_soft(soft, given: set[str]):
    """Raise unless `soft` maps names of constraints among `given` to `Soft`."""
    if not isinstance(soft, dict):
        raise TypeError(
            "Problem: soft must be a dict from names of constraints to jaxmpc.Soft, "
            f"got {type(soft).__name__}."
        )
    for name, value in soft.items():
        if name not in SOFTENABLE:
            raise ValueError(f"Problem: soft has the key {name!r}; wanted one of {SOFTENABLE}.")
        if name not in given:
            raise ValueError(f"Problem: soft names {name}, which this problem does not have.")
        if not isinstance(value, Soft):
            raise TypeError(
                f"Problem: soft[{name!r}] must be a jaxmpc.Soft, got {type(value).__name__}."
            )
        _check_weight(f"soft[{name!r}].linear", value.linear, least=np.nextafter(0, 1))
        if value.quadratic is not None:
            _check_weight(f"soft[{name!r}].quadratic", value.quadratic, least=0.0)


def _check_weight(name: str, weight, least: float):
    if isinstance(weight, Tracer):
        return
    try:
        array = np.asarray(weight, float)
    except (TypeError, ValueError) as error:
        raise TypeError(f"Problem: {name} must be numbers, got {weight!r}.") from error
    if array.ndim > 1:
        raise ValueError(f"Problem: {name} must be a number or [p], got shape {array.shape}.")
    if not np.all(array >= least):
        wanted = "positive" if least else "at least zero"
        raise ValueError(f"Problem: {name} must be {wanted}, got {weight}.")
