"""`RecedingHorizon`: a controller that solves a problem anew at every sample."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxmpc.arguments import (
    check_arguments,
    check_on_space,
    check_solver,
    check_warm_start,
    forward_mode_explained,
)
from jaxmpc.checks import (
    check_array,
    check_choice,
    check_not_negative,
    check_positive,
    check_type,
)
from jaxmpc.compilation import at_top_level, compiled
from jaxmpc.control import planning
from jaxmpc.control.plan import Plan, closed, opened, policy
from jaxmpc.derivatives.adjoint import ImplicitAdjoint
from jaxmpc.problem import Problem
from jaxmpc.problem.closures import announced, self_contained
from jaxmpc.problem.functions import Split
from jaxmpc.solution import Solution
from jaxmpc.solvers import keys
from jaxmpc.solvers.guesses import guess_of
from jaxmpc.solvers.loop import Solver, split_solver

LEVELS = ("policy", "rollout")


@jax.tree_util.register_pytree_with_keys_class
@dataclasses.dataclass(frozen=True)
class RecedingHorizon:
    """Model-predictive control: at every sample plan from where the plant is, apply the beginning.

        controller = jaxmpc.RecedingHorizon(problem)
        step = jax.jit(controller.step)
        plan = controller.init(x, params)
        while True:
            u, plan = step(x, plan, params)
            x = ...  # the robot, or a simulation

    Its functions are pure, of a `Plan` that the caller keeps, and work under `jit`, `vmap`, `scan`
    and `grad`; outside of them they compile themselves. A sample is a stage of the problem. Each
    plan starts from the one before, shifted, multipliers and all. `params` may be others at each
    sample (a window of a reference, see `control.window`), nothing is traced again for that.

    What cannot be relied on is never fed back: where a solve fails, or the state is not finite,
    the last good plan is followed, u* + K (x - x*) with the gains of its stage, and after
    `patience` failures in a row a plan is made as if there had never been one. `plan.status` and
    `plan.counts` tell.

    For real time there are the two halves of a step: `prepare`, all that can be done before the
    state is known, and `feedback`, the control for a measured state: one product. See also
    `control.AdvancedStep` and `control.RealTime`.

    A pytree: the problem with its bounds, the solver's numbers, `iterations` and `patience` are
    leaves.

    Args:
        problem: what to solve. Stage 0 is the sample to come; what lies beyond the horizon is for
            its terminal cost to know (of a linear model: `lq.infinite_horizon`).
        solver: as for `solve`; None picks one.
        iterations: how many a sample; then a plan counts that has not converged when they are
            spent, and only the first one of all has the solver's own limit. None: each is solved
            until the solver ends, and counts if it converged.
        patience: failures in a row before a new start.
        delay: samples from a control's being computed to its acting. The state is predicted so far
            ahead with the problem's dynamics (as of stage 0) and the controls on their way.
        every: `prepare` (not `step`) solves once in so many samples.
        between: what it does in the others. "policy": nothing, the plan and its gains are
            followed (all matrices kept; level A of Frey et al., 2024). "rollout": the plan is
            simulated from the predicted state with its gains (values of the dynamics are new,
            derivatives are kept; as in level B).
        adjoint: how each plan is differentiated.

    Differentiable with respect to the state, params and all that a solution is differentiable in.
    Two things are told by `failures` and `status` alone: where the last good plan of a `step` is
    followed, its gains count as constants; and with `iterations` the derivative of a plan that has
    not converged is that of the KKT conditions at its point, as exact as that point is
    (`ImplicitAdjoint(on_failure="nan")` refuses).

    Raises:
        TypeError, ValueError: when tracing, naming the argument, what came, what was wanted.

    Sources: Diehl, Bock and Schloeder (2005); Zavala and Biegler (2009), 'The advanced-step NMPC
    controller'; Frey, Nurkanovic, Manzano and Diehl (2024), 'Advanced-step real-time iterations'.

    Example:
        >>> controller = jaxmpc.RecedingHorizon(problem)
        >>> plan = controller.init(x0, params)
        >>> u, plan = controller.step(x0, plan, params)
        >>> round(float(u[0]), 2), jaxmpc.Status(int(plan.status)).name
        (-1.0, 'converged')
    """

    problem: Problem
    solver: Solver | None = None
    iterations: int | None = None
    _: dataclasses.KW_ONLY
    patience: int = 3
    delay: int = 0
    every: int = 1
    between: str = "policy"
    adjoint: ImplicitAdjoint = dataclasses.field(default_factory=ImplicitAdjoint)

    def __post_init__(self):
        owner = "RecedingHorizon"
        check_type(owner, "problem", self.problem, Problem)
        if self.solver is not None:
            check_solver(owner, self.solver)
        check_positive(owner, "iterations", self.iterations, whole=True, optional=True)
        check_positive(owner, "patience", self.patience, whole=True)
        check_positive(owner, "every", self.every, whole=True)
        check_not_negative(owner, "delay", self.delay, whole=True)
        object.__setattr__(self, "delay", int(self.delay))
        check_choice(owner, "between", self.between, LEVELS)
        check_type(owner, "adjoint", self.adjoint, ImplicitAdjoint)

    def tree_flatten_with_keys(self):
        """The numbers are leaves, the words are static."""
        solver = None if self.solver is None else split_solver(self.solver)
        leaves = {
            "problem": self.problem,
            "solver": solver,
            "iterations": self.iterations,
            "patience": self.patience,
            "every": self.every,
            "adjoint": self.adjoint,
        }
        named = jax.tree_util.GetAttrKey
        return [(named(name), leaf) for name, leaf in leaves.items()], (self.delay, self.between)

    @classmethod
    def tree_unflatten(cls, static, children) -> "RecedingHorizon":
        """The inverse; not checked, since JAX puts what it likes in the place of leaves."""
        new = object.__new__(cls)
        names = ("problem", "solver", "iterations", "patience", "every", "adjoint")
        for name, child in zip(names, children, strict=True):
            whole = child.whole() if isinstance(child, Split) else child  # the solver
            object.__setattr__(new, name, whole)
        object.__setattr__(new, "delay", static[0])
        object.__setattr__(new, "between", static[1])
        return new

    def init(
        self,
        x0: Float[Array, " n"],
        params: PyTree = None,
        *,
        controls: Float[Array, "T m"] | None = None,
        states: Float[Array, "T1 n"] | None = None,
        warm_start: Solution | None = None,
        key: Array | None = None,
    ) -> Plan:
        """A plan to begin with: a guess, which the first step or `prepare` makes a solution of.

        Args:
            x0: [n], where the plant is.
            params: as they will be given to `step`.
            controls, states, warm_start, key: as for `solve`. A warm start that converged is a
                plan. Each plan of a solver that samples is made with another key, from this one.
        """
        x0 = check_arguments(
            "RecedingHorizon.init", self.problem, x0, controls, states, warm_start, self.solver
        )
        check_on_space("RecedingHorizon.init", self.problem, x0, states)
        controller, arrays, lasting = self.contained(x0, params)
        check_warm_start("RecedingHorizon.init", controller.problem, x0, arrays, warm_start)
        shape = (self.problem.horizon, self.problem.control_dim)
        data = keys.data_of("RecedingHorizon.init", key)
        guess = guess_of(shape, x0.dtype, controls, states, warm_start, data)
        function = _first_plan if lasting else planning.first_plan
        return closed(function(controller, x0, arrays, guess), params)

    def step(
        self, x: Float[Array, " n"], plan: Plan, params: PyTree = None
    ) -> tuple[Float[Array, " m"], Plan]:
        """The control for a measured state, from a new plan, and that plan."""
        x = self.checked_state("RecedingHorizon.step", x, plan)
        controller, arrays, lasting = self.contained(x, params)
        function = _step if lasting else planning.step
        with forward_mode_explained():
            u, plan = function(controller, x, opened(plan), arrays)
        return u, closed(plan, params)

    def prepare(self, plan: Plan, params: PyTree = None) -> Plan:
        """The plan for the coming sample, from the state that the model predicts for it."""
        self._check_plan("RecedingHorizon.prepare", plan)
        controller, arrays, lasting = self.contained(plan.state, params)
        function = _prepare if lasting else planning.prepare
        with forward_mode_explained():
            return closed(function(controller, opened(plan), arrays), params)

    def feedback(self, x: Float[Array, " n"], plan: Plan) -> tuple[Float[Array, " m"], Plan]:
        """The control for a measured state from the plan that there is, and the plan after it.

        Called again without a new `prepare`, it goes on along the same plan. Differentiable, of a
        plan that `prepare` made through its gains too.
        """
        x = self.checked_state("RecedingHorizon.feedback", x, plan)
        if not self.delay:  # the model is not asked
            return (_feedback if at_top_level() else planning.feedback)(self, x, plan)
        params = plan.params.whole()
        controller, _, lasting = self.contained(x, params)
        u, plan = (_feedback if lasting else planning.feedback)(controller, x, opened(plan))
        return u, closed(plan, params)

    def policy(self, x: Float[Array, " n"], plan: Plan, fraction=0.0) -> Float[Array, " m"]:
        """u* + K (x - x*) between two samples: for a loop that is faster than the plans.

        Args:
            x: [n], the state now.
            plan: what `step` or `feedback` returned.
            fraction: of the sample that has passed, 0 .. 1; x* is interpolated.
        """
        x = self.checked_state("RecedingHorizon.policy", x, plan)
        check_not_negative("RecedingHorizon.policy", "fraction", fraction)
        return policy(self.problem, plan, x, plan.stage, fraction)

    def checked_state(self, owner: str, x, plan: Plan) -> Float[Array, " n"]:
        """A measured state as an array; an error unless it and the plan are of this controller."""
        self._check_plan(owner, plan)
        check_array(owner, "x", x, plan.state.shape, "[n]", optional=False)
        return jnp.asarray(x, plan.state.dtype)

    def contained(self, x, params: PyTree) -> tuple["RecedingHorizon", PyTree, bool]:
        """The controller and params as arguments of a compiled function; whether to keep that."""
        problem, params, lasting = self_contained(self.problem, x, params)
        if problem is self.problem:
            return self, params, lasting
        return dataclasses.replace(self, problem=problem), params, lasting

    def _check_plan(self, owner: str, plan: Plan):
        check_type(owner, "plan", plan, Plan)
        problem = self.problem
        wanted = {
            "solution.controls": (problem.horizon, problem.control_dim),
            "pending": (self.delay, problem.control_dim),
        }
        came = {"solution.controls": plan.solution.controls.shape, "pending": plan.pending.shape}
        for name, shape in wanted.items():
            if came[name] != shape:
                raise ValueError(
                    f"{owner}: plan must be one of this controller's, with {name} of shape "
                    f"{shape}; got {came[name]}."
                )


def _announced(what: str, controller: RecedingHorizon, x, params) -> str:
    return announced(what, controller.problem, x, params)


_first_plan = compiled(
    planning.first_plan,
    lambda controller, x, params, _: _announced("a first plan", controller, x, params),
)
_step = compiled(
    planning.step,
    lambda controller, x, _, params: _announced("a control step", controller, x, params),
)
_prepare = compiled(
    planning.prepare,
    lambda controller, plan, params: _announced("a preparation", controller, plan.state, params),
)
_feedback = compiled(planning.feedback)
