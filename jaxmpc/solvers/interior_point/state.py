"""What the interior point remembers between two iterations."""

from typing import NamedTuple

from jaxtyping import Array, Bool, Float, Int

from jaxmpc import trees
from jaxmpc.solution import Gains, Residuals, Scales
from jaxmpc.solvers.multiple_shooting.filter import Filter
from jaxmpc.solvers.multiple_shooting.filter_search import Place
from jaxmpc.solvers.multiple_shooting.iterate import Setting, relaxed
from jaxmpc.solvers.multiple_shooting.newton import Move


class Findings(NamedTuple):
    """What was found where the iteration ended."""

    scales: Scales  # those that the residuals are in
    unit: Float[Array, ""]  # what a multiplier of one is in units of the problem
    fixed_gradient: Float[Array, "T m"]  # the gradient in controls that equal bounds fix
    residuals: Residuals
    gains: Gains
    cost: Float[Array, ""]


class InteriorPointState(NamedTuple):
    """A point that has been judged, the barrier parameter there, and where to go from there."""

    scales: Scales  # of the start: the method's
    warm: Bool[Array, ""]  # whether it starts from the multipliers of a solution
    place: Place
    findings: Findings
    move: Move
    met: Bool[Array, ""]  # whether the point meets the tolerance
    nearly: Int[Array, ""]  # iterations in a row that were near to meeting it
    still: Bool[Array, ""]  # whether a whole step is lost in rounding
    original: Setting  # the problem as it was given
    restoring: Bool[Array, ""]  # whether the violation is being minimised instead
    restorations: Int[Array, ""]
    squared: Bool[Array, ""]  # whether a restoration minimises their squares, or absolute values
    target: Float[Array, ""]  # the violation that ends the restoration
    mu: Float[Array, ""]
    proximal: Float[Array, ""]  # the least weight to try, where one is needed
    step_size: Float[Array, ""]  # of the step that led here; zero if none was taken
    weight: Float[Array, ""]  # the proximal weight in the model of the next step
    memory: Filter
    failures: Int[Array, ""]
    crawled: Int[Array, ""]  # short steps in a row that left the violation as it was
    steps: Int[Array, ""]
    status: Int[Array, ""]

    @property
    def barrier(self) -> Float[Array, ""]:
        """The barrier parameter that the point was judged with."""
        return self.move.mu

    def setting(self) -> Setting:
        """What is being solved at present."""
        violation = relaxed(self.original, self.mu, self.squared)
        return trees.where(self.restoring, violation, self.original)

    def unit_of_multipliers(self) -> Float[Array, ""]:
        """What a multiplier of one is in units of the problem."""
        return self.scales.cost / self.setting().unit
