"""What went wrong with a solve, where, and what helps: in sentences."""

import jax
from jax.core import Tracer
from jaxtyping import Array, Float, PyTree

from jaxmpc.checks import check_state
from jaxmpc.derivatives.diagnostics import gradient_diagnostics
from jaxmpc.diagnosis.case import Case
from jaxmpc.diagnosis.conditions import conditions_of
from jaxmpc.diagnosis.curvature import curvature_findings, flat_or_negative
from jaxmpc.diagnosis.guesses import long_horizon, useless_guess
from jaxmpc.diagnosis.infeasibility import hard_violations, infeasible
from jaxmpc.diagnosis.inputs import bad_inputs
from jaxmpc.diagnosis.not_finite import not_finite
from jaxmpc.diagnosis.runaway import unbounded
from jaxmpc.diagnosis.scaling import scales_apart
from jaxmpc.diagnosis.stalled import stalled
from jaxmpc.presentation.wrap import wrapped
from jaxmpc.problem import Problem
from jaxmpc.problem.closures import check_and_hoist, close_over_static
from jaxmpc.solution import Solution, Status


def diagnose(problem: Problem, x0: Float[Array, " n"], params: PyTree, solution: Solution) -> str:
    """Say what went wrong with one solve, where, and what helps, one sentence a line.

    The first line is the status. Then, as far as it applies:

    - inputs: what of x0, params and bounds is NaN, and bounds with lower > upper. Nothing else
      is looked for then.
    - `non_finite`: the first function that is not finite (or the derivative of one) along the
      rollout of zero controls or the returned trajectory: the operation, the stage, its arguments
      and the line of code.
    - `infeasible`: the constraint with the largest violation, in units of its scale; whether x0
      alone decides it; and what plan there is if it is made soft, for which the problem is solved
      once more.
    - `unbounded`: the controls and states that run away.
    - `sampled`: the constraint that is violated most.
    - all others that did not converge: the largest residual beside the tolerance, and where it is;
      controls on which the cost does not depend (singular), or along which its curvature is
      negative (a saddle).
    - all of these that did not converge: states, controls or costs whose scales are far apart;
      whether standing still is a better guess than the rollout of zero controls; what to do about a
      long horizon.
    - `converged`: why its gradient cannot be relied on, if `gradient_diagnostics` says so.

    Compiles functions of its own: seconds. For a batch pick one element, and for use inside of
    `jit` return the solution and call this outside.

    Args:
        problem, x0, params: what was solved, as it was given to `solve`.
        solution: what came out.

    Returns:
        The sentences: print them.

    Raises:
        TypeError: for something that is not a `Problem` or a `Solution`, and inside of `jit`.
        ValueError: for a batch of solutions, or sizes that do not fit together.

    Example:
        >>> lost = jnp.array([jnp.nan, 0.0])
        >>> solution = jaxmpc.solve(problem, lost, params)
        >>> print(jaxmpc.diagnose(problem, lost, params, solution).splitlines()[-1])
        x0[0] is NaN: no solver can start from that; check where it comes from.
    """
    _check(problem, x0, params, solution)
    x0 = check_state(x0)
    status = Status(int(solution.status))
    told = [f"{status.name}: {status.message}", *_findings(problem, x0, params, solution)]
    return "\n".join(line for sentences in told for line in wrapped(sentences))


def _findings(problem: Problem, x0, params: PyTree, solution: Solution) -> list[str]:
    status = Status(int(solution.status))
    inputs = bad_inputs(Case(problem, x0, params, solution))
    if inputs:
        return inputs
    problem, params = close_over_static(problem, params)
    problem = check_and_hoist(problem, x0, params)
    case = Case(problem, x0, params, solution)
    if status == Status.converged:
        return _converged(case)
    if status == Status.sampled:
        return _sampled(case)
    if status == Status.non_finite:
        lines = not_finite(case)
    elif status == Status.infeasible:
        lines = infeasible(case)
    elif status == Status.unbounded:
        lines = unbounded(case)
    else:
        conditions = conditions_of(case)
        directions = flat_or_negative(case, conditions)
        lines = stalled(case, conditions, directions) + curvature_findings(case, directions)
    return lines + scales_apart(case) + useless_guess(case) + long_horizon(case)


def _converged(case: Case) -> list[str]:
    solution = case.solution
    residual, tolerance = float(solution.residuals.largest()), float(solution.tolerance)
    lines = [f"The largest residual is {residual:.2g}, the tolerance {tolerance:.0e}."]
    found = gradient_diagnostics(*case)
    if bool(found.reliable):
        return lines
    lines.append("Its gradient cannot be relied on (see gradient_diagnostics):")
    if not found.smallest_pivot > 0:
        directions = flat_or_negative(case, conditions_of(case))
        lines += curvature_findings(case, directions) or [
            "The solution is no strict minimum: add a small quadratic cost on the controls."
        ]
    if found.weakly_active > 0:
        lines.append(
            f"Weakly active constraints: {int(found.weakly_active)}. The solution has a kink "
            "there: ImplicitAdjoint(smoothing=...) gives the gradient of the central path."
        )
    if not found.independence > 1e-8:
        lines.append(
            "Active constraints depend on each other, so that their multipliers are not unique: "
            "leave out what another constraint already says."
        )
    return lines


def _sampled(case: Case) -> list[str]:
    found = hard_violations(case)[:1]
    return [
        f"{one.name}, row {one.row}, is violated by {one.amount:.3g} at stage {one.stage}: raise "
        "the solver's penalty, draw more samples, or let InteriorPoint polish it (jaxmpc.Chain)."
        for one in found
    ]


def _check(problem, x0, params, solution):
    for name, value, kind in (("problem", problem, Problem), ("solution", solution, Solution)):
        if not isinstance(value, kind):
            raise TypeError(
                f"jaxmpc.diagnose: {name} must be a {kind.__name__}, got {type(value).__name__}."
            )
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((problem, x0, params, solution))):
        raise TypeError(
            "jaxmpc.diagnose: got traced values, wanted concrete ones. Return the solution from "
            "the function that is jitted (or vmapped, or differentiated) and call diagnose outside."
        )
    shape = solution.status.shape
    if shape:
        raise ValueError(
            f"jaxmpc.diagnose: solution must be a single one, got a batch of shape {shape}. Pick "
            "an element: jax.tree.map(lambda leaf: leaf[0], solution), with its x0 and params."
        )
    wanted, size = (problem.horizon, problem.control_dim), solution.controls.shape
    if size != wanted:
        raise ValueError(
            f"jaxmpc.diagnose: solution.controls must have shape [T, m] = {wanted}, as problem "
            f"says, got {size}."
        )
    if getattr(x0, "shape", None) not in (None, solution.states.shape[1:]):
        raise ValueError(
            f"jaxmpc.diagnose: x0 must have shape [n] = {solution.states.shape[1:]}, as the "
            f"states of solution say, got {x0.shape}."
        )
