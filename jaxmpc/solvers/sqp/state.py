"""What sequential quadratic programming remembers between two iterations."""

from typing import NamedTuple

from jaxtyping import Array, Float, Int

from jaxmpc.solution import Gains, Residuals, Scales
from jaxmpc.solvers.multiple_shooting.filter import Filter
from jaxmpc.solvers.multiple_shooting.filter_search import Place
from jaxmpc.solvers.multiple_shooting.iterate import Setting
from jaxmpc.solvers.multiple_shooting.newton import Move
from jaxmpc.trajectory import BoundMultipliers

_CLOSED_AFTER_FAILURE = 0.3  # of the share of the defects that the search before was to close


class Findings(NamedTuple):
    """What was found where the iteration ended."""

    scales: Scales  # those that the residuals are in
    multipliers: BoundMultipliers
    residuals: Residuals
    gains: Gains


class SQPState(NamedTuple):
    """A point that has been judged, and where to go from there."""

    scales: Scales  # of the start: the method's
    setting: Setting
    place: Place
    findings: Findings
    move: Move
    side: Int[Array, "T m"]  # -1 / 1: thought to end at the lower / upper bound
    proximal: Float[Array, ""]
    step_size: Float[Array, ""]  # of the step that led here; zero if none was taken
    weight: Float[Array, ""]  # the proximal weight in the model of the next step
    memory: Filter
    failures: Int[Array, ""]
    nearly: Int[Array, ""]
    steps: Int[Array, ""]
    status: Int[Array, ""]

    def closing(self) -> Float[Array, ""]:
        """The share of the defects that a full step is to close: all, but after failed searches.

        To close all of them at once may take every bound of unstable dynamics, and states far away.
        """
        return _CLOSED_AFTER_FAILURE ** self.failures.astype(self.proximal.dtype)
