"""What comes back: `Solution` and its parts."""

import dataclasses
from typing import NamedTuple

import jax
from jaxtyping import Array, Bool, Float, Int

from jaxmpc.presentation.ending import ending
from jaxmpc.presentation.html import solution_html
from jaxmpc.presentation.status import Status as Status
from jaxmpc.problem.kinds import KINDS


class Gains(NamedTuple):
    """The affine policy u = u* + feedforward + feedback (x - x*) around the solution.

    `feedback[t]` is the derivative of the optimal u_t with respect to x_t (zero rows where a
    bound is active; on a `state_space` x - x* is difference(x*, x)); `feedforward` is the Newton
    step that remains, zero at a converged solution.

    Example:
        >>> x = solution.states[9] + jnp.array([0.01, 0.0])  # pushed a little
        >>> u = solution.controls[9] + solution.gains.feedback[9] @ (x - solution.states[9])
        >>> solution.gains.feedback.shape, u.shape
        ((10, 1, 2), (1,))
    """

    feedforward: Float[Array, "*b T m"]
    feedback: Float[Array, "*b T m k"]


class Multipliers(NamedTuple):
    """Multipliers of the constraints, in units of cost per unit of the constraint.

    The Lagrangian is the cost plus, over all constraints,

        upper . (u - upper bound) + lower . (lower bound - u)           (states likewise)
        + inequality multiplier . inequality + equality multiplier . equality.

    Those of inequalities and bounds are >= 0. Row t of the states' bounds belongs to x_{t+1}.
    Constraints that a problem does not have have one row, of zeros; likewise in `Violations`.

    Example:
        >>> float(solution.controls[0, 0]), bool(solution.multipliers.lower[0, 0] > 0)
        (-1.0, True)
        >>> float(solution.multipliers.upper[0, 0])
        0.0
    """

    lower: Float[Array, "*b T m"]
    upper: Float[Array, "*b T m"]
    state_lower: Float[Array, "*b T k"]
    state_upper: Float[Array, "*b T k"]
    stage_inequality: Float[Array, "*b T p"]
    stage_equality: Float[Array, "*b T q"]
    terminal_inequality: Float[Array, "*b e"]
    terminal_equality: Float[Array, "*b f"]


class Violations(NamedTuple):
    """How far the returned point is from meeting each constraint, in the constraint's units.

    max(0, g) of inequalities, |h| of equalities; zero where a constraint is met. Of a soft
    constraint it is the slack. Row t of the states' bounds belongs to x_{t+1}. A stage constraint
    at t = 0 that only sees the given x_0 is reported here, and counts nowhere else.

    Example:
        >>> solution.violations.dynamics.shape, bool(solution.violations.dynamics.max() < 1e-5)
        ((10, 2), True)
    """

    dynamics: Float[Array, "*b T k"]
    state_lower: Float[Array, "*b T k"]
    state_upper: Float[Array, "*b T k"]
    stage_inequality: Float[Array, "*b T p"]
    stage_equality: Float[Array, "*b T q"]
    terminal_inequality: Float[Array, "*b e"]
    terminal_equality: Float[Array, "*b f"]


def violations_of_dynamics(defects: Float[Array, "T k"]) -> Violations:
    """Those of a problem whose only constraints are control bounds."""
    return Violations(dynamics=jax.numpy.abs(defects), **_no_rows(defects))


def multipliers_of_bounds(
    lower: Float[Array, "T m"], upper: Float[Array, "T m"], costates: Float[Array, "T1 k"]
) -> Multipliers:
    """All multipliers of a problem whose only constraints are control bounds."""
    return Multipliers(lower, upper, **_no_rows(costates[1:]))


def _no_rows(steps: Float[Array, "T k"]) -> dict[str, Array]:
    """What stands for the constraints that a problem does not have: zero, in one row.

    (Arrays without entries are no use to anybody, and `jax.lax.map` cannot batch them.)
    """
    nothing = jax.numpy.zeros_like(steps)
    shaped = {"states": nothing, "stage": nothing[:, :1], "end": nothing[0, :1]}
    general = [kind for kind in KINDS.values() if kind.field != "control_bounds"]
    return {kind.name: shaped[kind.place] for kind in general}


class Scales(NamedTuple):
    """What counts as one unit of each quantity when a solution is judged; constants.

    They are measured along the trajectory that the solver starts from, and follow the cost as it
    changes (see `jaxmpc.trajectory.scales`); they change with the units of the problem as the
    quantities themselves do.
    """

    cost: Float[Array, "*b"]
    states: Float[Array, "*b k"]
    controls: Float[Array, "*b m"]
    stage_inequality: Float[Array, "*b p"]
    stage_equality: Float[Array, "*b q"]
    terminal_inequality: Float[Array, "*b e"]
    terminal_equality: Float[Array, "*b f"]
    least_cost: Float[Array, "*b"]  # the least that `cost` may fall to

    def of_rows(self, name: str) -> Float[Array, "*b k"]:
        """The unit of each row of a constraint, by its name in `Violations`."""
        return self.states if name == "dynamics" else getattr(self, KINDS[name].unit)


class Residuals(NamedTuple):
    """Scaled KKT residuals (largest absolute entry), measured at the returned point.

    Everything is in units of `Solution.scales`: a gradient in u is multiplied by the scale of u
    and divided by that of the cost, a violated constraint is divided by its own scale.
    Stationarity and complementarity are also divided by max(100, mean absolute multiplier or
    costate) / 100, as IPOPT does (Waechter and Biegler, 2006, eq. 5-6). `feasibility` is the
    largest violation of dynamics, bounds and hard constraints; `Solution.violations` says where
    it is, in the problem's units.

    Example:
        >>> bool(solution.residuals.largest() <= solution.tolerance)
        True
    """

    stationarity: Float[Array, "*b"]
    feasibility: Float[Array, "*b"]
    complementarity: Float[Array, "*b"]

    def if_sound(self, sound: Bool[Array, "*b"]) -> "Residuals":
        """The same; NaN, which ends a solve, where what they were made of was not finite."""
        return Residuals(*(jax.numpy.where(sound, part, jax.numpy.nan) for part in self))

    def largest(self) -> Float[Array, "*b"]:
        """The largest of the three: the number that is compared with the tolerance."""
        return jax.numpy.maximum(
            jax.numpy.maximum(self.stationarity, self.feasibility), self.complementarity
        )


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Solution:
    """The returned trajectory and how good it is; a pytree whose structure never changes.

    Attributes:
        states: [T+1, n], the trajectory; `states[0]` is x0.
        controls: [T, m], inside their bounds whatever the status.
        cost: [], the total cost, with the penalties of soft constraints.
        gains: `feedforward` [T, m] and `feedback` [T, m, k] of the policy around the solution.
        costates: [T+1, k]; `costates[t]` is the derivative of the optimal cost-to-go in x_t, the
            multiplier of x_{t} = dynamics(...), in units of cost per unit of state.
        multipliers: of all constraints.
        violations: how far each constraint is from being met; the slack of soft ones.
        status: int32, a `Status`.
        iterations: int32, the number of steps that led to the returned point, also those that did
            not move it. (One more step was made, which judged the point and ended the solve.)
        residuals: scaled KKT residuals at the returned point.
        tolerance: [], what they were compared with.
        scales: the units of the residuals.

    k is n, unless the problem has a `state_space`: then it is the number of directions at a state.

    Differentiable: states, controls, cost, costates, multipliers and gains. The others have zero
    derivatives.

    Example:
        >>> solution = jaxmpc.solve(problem, x0, params)
        >>> solution.states.shape, solution.controls.shape, solution.costates.shape
        ((11, 2), (10, 1), (11, 2))
        >>> bool(solution.converged), round(float(solution.cost), 2)
        (True, 9.27)
    """

    states: Float[Array, "*b T1 n"]
    controls: Float[Array, "*b T m"]
    cost: Float[Array, "*b"]
    gains: Gains
    costates: Float[Array, "*b T1 k"]
    multipliers: Multipliers
    violations: Violations
    status: Int[Array, "*b"]
    iterations: Int[Array, "*b"]
    residuals: Residuals
    tolerance: Float[Array, "*b"]
    scales: Scales

    def __repr__(self) -> str:
        """Shapes, and how it ended where that is known: `jaxmpc.describe` says more."""
        states, controls = (getattr(part, "shape", "?") for part in (self.states, self.controls))
        return f"Solution({ending(self)}states {states}, controls {controls})"

    @property
    def converged(self) -> Bool[Array, "*b"]:
        """Whether the status is `Status.converged`."""
        return self.status == Status.converged

    def _repr_html_(self) -> str | None:
        """What notebooks show; None, for the ordinary words, while it is traced."""
        return solution_html(self)

    def compact(self, problem) -> "Solution":
        """The same without what stands for the constraints that a problem does not have."""
        return self._with_absent(problem, {}, None)

    def expanded(self, problem) -> "Solution":
        """The inverse of `compact`."""
        unbounded = jax.numpy.zeros_like(self.controls)
        rows = {"lower": unbounded, "upper": unbounded, **_no_rows(self.costates[1:])}
        return self._with_absent(problem, rows, jax.numpy.ones_like(self.states[0, :1]))

    def _with_absent(self, problem, rows: dict[str, Array], unit: Array | None) -> "Solution":
        """With other rows, and their unit, for the constraints that a problem does not have."""
        absent = [name for name, kind in KINDS.items() if kind.given(problem) is None]

        def put(parts, value):
            return parts._replace(**{name: value(name) for name in absent if name in parts._fields})

        return dataclasses.replace(
            self,
            multipliers=put(self.multipliers, rows.get),
            violations=put(self.violations, rows.get),
            scales=put(self.scales, lambda _: unit),
        )

    def ended(self, status: Int[Array, "*b"], iterations: Int[Array, "*b"]) -> "Solution":
        """The same point, with the status and the count of who drove the solver.

        One that is still running was stopped early; so was one that claims to have converged with
        a residual that is far from its tolerance. What is not finite is `non_finite`, but for a
        cost that nobody has asked for yet: there the residuals are infinite too.
        """
        residual = self.residuals.largest()
        # Far: what rounding leaves of a hard problem in float32 is 200 times its tolerance.
        far = residual > self.tolerance**0.25
        false = (status == Status.converged) & far
        status = jax.numpy.where((status < 0) | false, Status.max_iterations, status)
        unknown = jax.numpy.isposinf(self.cost) & jax.numpy.isposinf(residual)
        sound = (jax.numpy.isfinite(self.cost) | unknown) & ~jax.numpy.isnan(residual)
        for leaf in (self.states, self.controls):
            sound &= jax.numpy.all(jax.numpy.isfinite(leaf))
        told = (status == Status.infeasible) | (status == Status.unbounded)
        status = jax.numpy.where(sound | told, status, Status.non_finite)
        return dataclasses.replace(
            self, status=status.astype(jax.numpy.int32), iterations=iterations
        )
