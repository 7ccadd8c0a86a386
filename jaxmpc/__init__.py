"""Differentiable trajectory optimisation in JAX."""

from jaxmpc import lq as lq
from jaxmpc.implicit import (
    ImplicitAdjoint as ImplicitAdjoint,
    UnrolledAdjoint as UnrolledAdjoint,
)
from jaxmpc.problem import Problem as Problem
from jaxmpc.solution import Gains as Gains, Solution as Solution, Status as Status
from jaxmpc.solve import solve as solve
from jaxmpc.solvers.ilqr import ILQR as ILQR
