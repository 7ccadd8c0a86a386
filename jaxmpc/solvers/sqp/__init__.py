"""Sequential quadratic programming for bounded controls."""

from jaxmpc.solvers.sqp.solver import SQP as SQP
