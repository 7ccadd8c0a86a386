"""How a solution is differentiated: the two configurations, and what a failed one gives."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PyTree

from jaxmpc.checks import check_choice, check_not_negative, check_positive
from jaxmpc.lq.riccati.choice import CHOICES
from jaxmpc.solvers.configuration import Configuration, configuration, number


@configuration
class ImplicitAdjoint(Configuration):
    """Differentiate the KKT conditions at the solution: one LQ problem, O(parameters) memory.

    Attributes:
        hessian: "exact" is the Lagrangian's Hessian, and gives the gradient of the solution.
            "gauss_newton" leaves out the curvature of the dynamics, as Amos et al. (2018) do: it
            is kept to reproduce them and is NOT the gradient of the solution.
        on_failure: the gradient of elements that did not converge: "zero", "nan", or "keep"
            (as if they had).
        smoothing: a barrier parameter kappa > 0, in units of cost: the gradient is that of the
            central path's point, where multiplier z and distance s of each inequality and bound
            satisfy s z = kappa, so that it is smooth where one becomes active. Costs a few
            iterations of `InteriorPoint` more. (The cost's own gradient has no kink, and stays.)
            Zero: the exact, one-sided gradient.
        damping: added to the Hessian in the controls; bounds the gradient at ill-conditioned
            points, at the price of a bias. In units of cost per unit of control squared.
        riccati: the recursion that solves the adjoint system, as in the solvers.

    Example:
        >>> along = (problem, x0, params, solution, (None, {"mass": 1.0}))
        >>> exact = jaxmpc.solution_jvp(*along)  # solve(..., adjoint=) does it in reverse
        >>> damped = jaxmpc.solution_jvp(*along, adjoint=jaxmpc.ImplicitAdjoint(damping=1.0))
        >>> bool(abs(damped.controls).max() < abs(exact.controls).max())
        True
    """

    hessian: str = "exact"
    on_failure: str = "zero"
    smoothing: float = 0.0
    damping: float = number(default=0.0)
    riccati: str = "auto"

    def __post_init__(self):
        check_choice("ImplicitAdjoint", "hessian", self.hessian, ("exact", "gauss_newton"))
        check_choice("ImplicitAdjoint", "on_failure", self.on_failure, ("zero", "nan", "keep"))
        check_choice("ImplicitAdjoint", "riccati", self.riccati, CHOICES)
        for name in ("smoothing", "damping"):
            check_not_negative("ImplicitAdjoint", name, getattr(self, name))


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class UnrolledAdjoint:
    """Differentiate a fixed number of solver iterations: a baseline, memory O(iterations).

    Attributes:
        iterations: how many steps are taken and differentiated; the solver's own limit and
            tolerance still stop it earlier, as a select.

    Example:
        >>> unrolled = jaxmpc.UnrolledAdjoint(iterations=5)
        >>> def cost(mass):
        ...     given = (problem, x0, {"mass": mass})
        ...     return jaxmpc.solve(*given, solver=jaxmpc.ILQR(), adjoint=unrolled).cost
        >>> tangent = jaxmpc.solution_jvp(problem, x0, params, solution, (None, {"mass": 1.0}))
        >>> bool(abs(jax.grad(cost)(1.0) - tangent.cost) < 1e-3)
        True
    """

    iterations: int = 50

    def __post_init__(self):
        check_positive("UnrolledAdjoint", "iterations", self.iterations, whole=True)


def apply_policy(adjoint: ImplicitAdjoint, converged: Bool[Array, ""], cotangent: PyTree):
    """What flows out of the rule of an element that may not have converged: `on_failure`.

    Applied inside the rules, where under `vmap` each element still has a cotangent of its own:
    those of a parameter that the batch shares are added up after it.
    """
    if adjoint.on_failure == "keep":
        return cotangent
    instead = 0.0 if adjoint.on_failure == "zero" else jnp.nan
    return jax.tree.map(lambda leaf: jnp.where(converged, leaf, instead), cotangent)


@jax.custom_vjp
def straight_through(value, surrogate):
    """The value, with the derivative of the surrogate."""
    return value


straight_through.defvjp(
    # The wrapped function itself, so that what is made of the value has second derivatives.
    lambda value, surrogate: (straight_through(value, surrogate), None),
    lambda _, cotangent: (jax.tree.map(jnp.zeros_like, cotangent), cotangent),
)
