"""The primal-dual interior point for every constraint of a problem."""

from jaxmpc.solvers.interior_point.solver import InteriorPoint as InteriorPoint
