"""What the interior point remembers between two iterations."""

from typing import NamedTuple

from jaxtyping import Array, Bool, Float, Int

from jaxmpc import trees
from jaxmpc.solution import Gains, Residuals, Scales
from jaxmpc.solvers.multiple_shooting.filter import Filter
from jaxmpc.solvers.multiple_shooting.iterate import Iterate, Setting, relaxed


class Result(NamedTuple):
    """The last point that was judged, and what was found there."""

    iterate: Iterate
    scales: Scales  # those that the residuals are in
    unit: Float[Array, ""]  # what a multiplier of one is in units of the problem
    fixed_gradient: Float[Array, "T m"]  # the gradient in controls that equal bounds fix
    residuals: Residuals
    gains: Gains
    cost: Float[Array, ""]


class InteriorPointState(NamedTuple):
    """The iterate, the barrier parameter, and what the line search remembers."""

    scales: Scales  # of the start: the method's
    iterate: Iterate
    result: Result  # of the point before
    met: Bool[Array, ""]  # whether that one meets the tolerance
    nearly: Int[Array, ""]  # iterations in a row that were near to meeting it
    still: Bool[Array, ""]  # whether the last step was a whole one, and lost in rounding
    original: Setting  # the problem as it was given
    restoring: Bool[Array, ""]  # whether the violation is being minimised instead
    restorations: Int[Array, ""]
    squared: Bool[Array, ""]  # whether a restoration minimises their squares, or absolute values
    target: Float[Array, ""]  # the violation that ends the restoration
    mu: Float[Array, ""]
    proximal: Float[Array, ""]  # the least weight to try, where one is needed
    memory: Filter
    failures: Int[Array, ""]
    steps: Int[Array, ""]
    status: Int[Array, ""]

    def setting(self) -> Setting:
        """What is being solved at present."""
        violation = relaxed(self.original, self.mu, self.squared)
        return trees.where(self.restoring, violation, self.original)

    def unit_of_multipliers(self) -> Float[Array, ""]:
        """What a multiplier of one is in units of the problem."""
        return self.scales.cost / self.setting().unit
