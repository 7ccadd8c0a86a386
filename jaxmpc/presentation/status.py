"""How a solve can end, in words."""

import enum


class Status(enum.IntEnum):
    """How a solve ended; `Status(k).message` says it in a sentence.

    Example:
        >>> jaxmpc.Status(int(solution.status)).name
        'converged'
        >>> print(jaxmpc.Status.infeasible.message)
        The constraints cannot be met; the least violating point is returned.
    """

    converged = 0
    max_iterations = 1
    line_search_failed = 2
    regularization_limit = 3
    infeasible = 4
    non_finite = 5
    unbounded = 6
    sampled = 7
    off_space = 8

    @property
    def message(self) -> str:
        """What the status means, in a sentence."""
        return _MESSAGES[self]


_MESSAGES = {
    Status.converged: "Converged: the scaled KKT residual is below the tolerance.",
    Status.max_iterations: (
        "Stopped before the tolerance was reached, at the iteration limit or by who owns the loop: "
        "jaxmpc.diagnose says more; for long horizons try jaxmpc.receding_guess."
    ),
    Status.line_search_failed: (
        "No step along the search direction lowered the cost: rounding limits the accuracy, "
        "or the functions are not smooth here."
    ),
    Status.regularization_limit: (
        "The subproblem stayed non-convex, or every step failed, up to the largest regularization."
    ),
    Status.infeasible: "The constraints cannot be met; the least violating point is returned.",
    Status.non_finite: (
        "The cost, the dynamics or a derivative is not finite at the point returned, "
        "or an input is NaN: jaxmpc.diagnose says which, and where."
    ),
    Status.unbounded: "The cost falls without limit: nothing holds some controls or states back.",
    Status.sampled: (
        "Sampled: the best that was found, which need not be a minimum: its derivative is zero. A "
        "solver with derivatives may polish it: jaxmpc.Chain."
    ),
    Status.off_space: (
        "The dynamics lead off the state space by more than a twentieth: what they return must be "
        "on it (quaternions of length one), and an integrator's steps short enough to stay near."
    ),
}
