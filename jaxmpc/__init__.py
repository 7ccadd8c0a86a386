"""Differentiable trajectory optimisation in JAX."""

from jaxmpc import (
    costs as costs,
    free_parameters as free_parameters,
    integrators as integrators,
    learning as learning,
    lq as lq,
    models as models,
    slew_rate as slew_rate,
)
from jaxmpc.adjoint import (
    ImplicitAdjoint as ImplicitAdjoint,
    UnrolledAdjoint as UnrolledAdjoint,
)
from jaxmpc.batch import solve_batch as solve_batch
from jaxmpc.describe import describe as describe
from jaxmpc.diagnose import diagnose as diagnose
from jaxmpc.diagnostics import (
    GradientDiagnostics as GradientDiagnostics,
    gradient_diagnostics as gradient_diagnostics,
)
from jaxmpc.problem import Problem as Problem
from jaxmpc.receding_guess import receding_guess as receding_guess
from jaxmpc.sensitivity import (
    SolutionTangent as SolutionTangent,
    solution_jvp as solution_jvp,
)
from jaxmpc.soft import Soft as Soft
from jaxmpc.solution import (
    Gains as Gains,
    Multipliers as Multipliers,
    Residuals as Residuals,
    Solution as Solution,
    Status as Status,
    Violations as Violations,
)
from jaxmpc.solve import solve as solve
from jaxmpc.solvers.ilqr import ILQR as ILQR
from jaxmpc.solvers.interior_point import InteriorPoint as InteriorPoint
from jaxmpc.solvers.sqp import SQP as SQP
