"""Differentiable trajectory optimisation in JAX."""

import typing
from importlib.metadata import version as _version

from jaxmpc import (
    control as control,
    costs as costs,
    integrators as integrators,
    interop as interop,
    learning as learning,
    lq as lq,
    models as models,
    spaces as spaces,
)
from jaxmpc.batch import solve_batch as solve_batch
from jaxmpc.compilation import compiler_options as compiler_options
from jaxmpc.control.closed_loop import Simulation as Simulation
from jaxmpc.control.exporting import export as export
from jaxmpc.control.receding_guess import receding_guess as receding_guess
from jaxmpc.control.receding_horizon import RecedingHorizon as RecedingHorizon
from jaxmpc.control.shifting import shift as shift
from jaxmpc.control.simulation import simulate as simulate
from jaxmpc.derivatives.adjoint import (
    ImplicitAdjoint as ImplicitAdjoint,
    UnrolledAdjoint as UnrolledAdjoint,
)
from jaxmpc.derivatives.diagnostics import (
    GradientDiagnostics as GradientDiagnostics,
    gradient_diagnostics as gradient_diagnostics,
)
from jaxmpc.derivatives.forward import (
    SolutionTangent as SolutionTangent,
    solution_jvp as solution_jvp,
)
from jaxmpc.description import describe as describe
from jaxmpc.diagnosis.convergence import Convergence as Convergence, convergence as convergence
from jaxmpc.diagnosis.diagnose import diagnose as diagnose
from jaxmpc.presentation.names import present
from jaxmpc.problem import Problem as Problem, Soft as Soft
from jaxmpc.reformulations import (
    free_parameters as free_parameters,
    model_draws as model_draws,
    slew_rate as slew_rate,
)
from jaxmpc.solution import (
    Gains as Gains,
    Multipliers as Multipliers,
    Residuals as Residuals,
    Solution as Solution,
    Status as Status,
    Violations as Violations,
)
from jaxmpc.solvers.chain import Chain as Chain
from jaxmpc.solvers.evaluation import evaluate as evaluate
from jaxmpc.solvers.ilqr import ILQR as ILQR
from jaxmpc.solvers.interior_point import InteriorPoint as InteriorPoint
from jaxmpc.solvers.loop import Solver as Solver
from jaxmpc.solvers.sampling import (
    CEM as CEM,
    ICEM as ICEM,
    MPPI as MPPI,
    MaximumEntropy as MaximumEntropy,
)
from jaxmpc.solvers.sqp import SQP as SQP
from jaxmpc.solving import (
    default_solver as default_solver,
    finalize as finalize,
    initialize as initialize,
    solve as solve,
)

if typing.TYPE_CHECKING:
    from jaxmpc import plot as plot

__version__ = _version("jaxmpc")

present(__name__, on_demand=("plot",))
