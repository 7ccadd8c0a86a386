"""Which scale is off: states, controls or costs of very different sizes."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxmpc.compilation import compiled
from jaxmpc.diagnosis.case import Case
from jaxmpc.problem import terminal_cost

_APART = 1e6  # scales of states, or of controls
_COSTS_APART = 1e8  # the stage costs' sum and the terminal cost


def scales_apart(case: Case) -> list[str]:
    """Sentences that name the states, controls or costs whose sizes are far apart."""
    scales, solution = case.solution.scales, case.solution
    states = case.problem.directed(solution.states, 1.0)
    controls = [f"u[{i}]" for i in range(case.problem.control_dim)]
    lines = _apart(case.directions(), np.asarray(scales.states), np.asarray(states))
    lines += _apart(controls, np.asarray(scales.controls), np.asarray(solution.controls))
    return lines + _costs_apart(case)


def _apart(names: list[str], scale: np.ndarray, values: np.ndarray) -> list[str]:
    # One is what an entry has of which nothing is known; it is no finding if that never moves.
    known = np.flatnonzero((scale != 1) | np.any(values != 0, axis=0))
    if not known.size:
        return []
    small, large = known[np.argmin(scale[known])], known[np.argmax(scale[known])]
    if not scale[large] > _APART * scale[small]:
        return []
    return [
        f"The scales of {names[large]} ({scale[large]:.2g}) and {names[small]} "
        f"({scale[small]:.2g}) differ by a factor of {scale[large] / scale[small]:.1g}: choose "
        "units in which both are near one."
    ]


def _costs_apart(case: Case) -> list[str]:
    if case.problem.terminal_cost is None:
        return []
    stage, terminal = (float(size) for size in _sizes(case))
    if not (np.isfinite(stage + terminal) and stage > 0 and terminal > 0):
        return []
    names = {"terminal_cost": terminal, "the sum of stage_cost": stage}
    (small, least), (large, most) = sorted(names.items(), key=lambda item: item[1])
    if most <= _COSTS_APART * least:
        return []
    return [
        f"{large} ({most:.2g}) is {most / least:.1g} times {small} ({least:.2g}), which is lost "
        "beside it: weigh them anew, or make a constraint of the larger one."
    ]


@compiled
def _sizes(case: Case):
    """The stage costs' absolute sum and the absolute terminal cost.

    The larger one of standing still at x0 and of the returned point: either may be where one of
    them has its minimum.
    """
    problem, x0, params, solution = case
    times = problem.times
    still = jnp.tile(x0, (problem.horizon + 1, 1))
    sizes = []
    for states, controls in (
        (still, jnp.zeros_like(solution.controls)),
        (solution.states, solution.controls),
    ):
        stage = jax.vmap(problem.stage_cost, (0, 0, 0, None))(states[:-1], controls, times, params)
        end = jnp.abs(terminal_cost(problem, states[-1], params))
        sizes.append(jnp.stack([jnp.sum(jnp.abs(stage)), end]))
    return jnp.max(jnp.stack(sizes), axis=0)
