"""Solvers that sample: no derivatives of the problem's functions are asked for."""

from jaxmpc.solvers.sampling.cem import CEM as CEM, ICEM as ICEM
from jaxmpc.solvers.sampling.maximum_entropy import MaximumEntropy as MaximumEntropy
from jaxmpc.solvers.sampling.mppi import MPPI as MPPI
