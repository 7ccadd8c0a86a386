"""What is differentiated, and the point at which it is."""

from typing import NamedTuple

from jaxtyping import Array, Float, PyTree

from jaxmpc.lq.rows import Rows
from jaxmpc.problem import Problem
from jaxmpc.solution import Scales


class Instance(NamedTuple):
    """All that a solution depends on; the scales are constants, and decide what is active."""

    problem: Problem
    x0: Float[Array, " n"]
    params: PyTree
    scales: Scales


class KKTPoint(NamedTuple):
    """Trajectory, costates, and the multipliers of all constraints but the control bounds.

    Those of the control bounds follow from stationarity.
    """

    states: Float[Array, "T1 n"]
    controls: Float[Array, "T m"]
    costates: Float[Array, "T1 n"]
    rows: Rows
