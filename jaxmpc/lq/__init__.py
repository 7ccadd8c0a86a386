"""The linear-quadratic subproblem as a library of its own: matrices in, trajectory out."""

from jaxmpc.lq.bounds.control_limited import (
    Policy as Policy,
    control_limited_policy as control_limited_policy,
)
from jaxmpc.lq.infinite_horizon import (
    InfiniteHorizon as InfiniteHorizon,
    infinite_horizon as infinite_horizon,
)
from jaxmpc.lq.problem import LQProblem as LQProblem, from_joint as from_joint
from jaxmpc.lq.riccati.sequential import Factor as Factor, LQSolution as LQSolution
from jaxmpc.lq.solving import factor as factor, solve as solve
from jaxmpc.presentation.names import present

present(__name__)
