"""What sequential quadratic programming remembers between two iterations."""

from typing import NamedTuple

from jaxtyping import Array, Float, Int

from jaxmpc.solution import Gains, Residuals, Scales
from jaxmpc.solvers.multiple_shooting.filter import Filter
from jaxmpc.solvers.multiple_shooting.iterate import Iterate, Setting
from jaxmpc.trajectory import BoundMultipliers


class Result(NamedTuple):
    """The last point that was judged, and what was found there."""

    states: Float[Array, "T1 n"]
    controls: Float[Array, "T m"]
    costates: Float[Array, "T1 n"]
    scales: Scales  # those that the residuals are in
    multipliers: BoundMultipliers
    residuals: Residuals
    gains: Gains
    cost: Float[Array, ""]


class SQPState(NamedTuple):
    """The iterate, where its controls are thought to end, and what the line search remembers."""

    scales: Scales  # of the start: the method's
    setting: Setting
    iterate: Iterate
    side: Int[Array, "T m"]  # -1 / 1: at the lower / upper bound
    proximal: Float[Array, ""]
    memory: Filter
    failures: Int[Array, ""]
    nearly: Int[Array, ""]
    result: Result
    steps: Int[Array, ""]
    status: Int[Array, ""]
