"""A solution one sample later: the warm start of a receding horizon."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Int

from jaxmpc.checks import check_not_negative, check_type
from jaxmpc.problem.kinds import KINDS
from jaxmpc.solution import Gains, Multipliers, Solution, Violations


def shift(solution: Solution, samples: int | Int[Array, ""] = 1) -> Solution:
    """The same plan seen some samples later: stage t of it is stage t + samples of the solution.

        warm_start = jaxmpc.shift(solution)
        solution = jaxmpc.solve(problem, x, params, warm_start=warm_start)

    States, controls, costates, gains, violations and the stages' multipliers move; beyond the end
    the last of each is repeated, since nobody knows better. Terminal multipliers, cost, status,
    residuals and scales stay what they are: those of the solution.

    Args:
        solution: of one problem, or of a batch of them.
        samples: how many, 0 or more; may be traced.

    Returns:
        A `Solution` of the same shapes.

    Differentiable as the solution is.

    Raises:
        TypeError, ValueError: naming the argument, what came, what was wanted.

    Source: Diehl, Bock and Schloeder (2005), 'A real-time iteration scheme for nonlinear
    optimization in optimal feedback control'.

    Example:
        >>> later = jaxmpc.shift(solution)
        >>> later.controls.shape, bool((later.controls[0] == solution.controls[1]).all())
        ((10, 1), True)
    """
    check_type("jaxmpc.shift", "solution", solution, Solution)
    check_not_negative("jaxmpc.shift", "samples", samples, whole=True)

    def later(leaf: Array, axis: int = -2) -> Array:
        stages = jnp.arange(leaf.shape[axis])
        stages = jnp.minimum(stages + jnp.asarray(samples, stages.dtype), stages[-1])
        return jnp.take(leaf, stages, axis=axis)

    def stages(parts: Multipliers | Violations) -> dict[str, Array]:
        last = {name for name, kind in KINDS.items() if kind.place == "end"}
        return {name: later(of) for name, of in parts._asdict().items() if name not in last}

    gains = Gains(later(solution.gains.feedforward), later(solution.gains.feedback, -3))
    return dataclasses.replace(
        solution,
        states=later(solution.states),
        controls=later(solution.controls),
        costates=later(solution.costates),
        gains=gains,
        multipliers=solution.multipliers._replace(**stages(solution.multipliers)),
        violations=solution.violations._replace(**stages(solution.violations)),
    )
