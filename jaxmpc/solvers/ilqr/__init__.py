"""iLQR: rollouts, a policy by the Riccati recursion, and a line search along it."""

from jaxmpc.solvers.ilqr.solver import ILQR as ILQR
