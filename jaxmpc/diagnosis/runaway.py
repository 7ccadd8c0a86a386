"""What runs away where the cost falls without limit."""

import numpy as np

from jaxmpc.diagnosis.case import Case, joined

_FAR = 1e-3  # of the one that is farthest away: those that run with it
_MOST_NAMED = 3


def unbounded(case: Case) -> list[str]:
    """A sentence that names the controls or states farthest away, in units of their scales."""
    solution = case.solution
    far = {}
    states = case.problem.directed(solution.states, 0.0)  # attitudes and angles cannot
    controls = [f"u[{i}]" for i in range(case.problem.control_dim)]
    for names, values, scale in (
        (controls, solution.controls, solution.scales.controls),
        (case.directions(), states, solution.scales.states),
    ):
        largest = np.max(np.abs(np.asarray(values)), axis=0)
        relative = np.where(np.isfinite(largest), largest, np.inf) / np.asarray(scale)
        far |= dict(zip(names, zip(relative, largest, strict=True), strict=True))
    most = max(relative for relative, _ in far.values())
    # The controls first: states follow from them.
    running = {name: pair for name, pair in far.items() if pair[0] >= _FAR * most and pair[0] > 1}
    controls = {name: pair for name, pair in running.items() if name.startswith("u")}
    named = sorted((running or far).items(), key=lambda item: -item[1][0])[:_MOST_NAMED]
    words = [
        f"{name} (up to {size:.2g}, {relative:.1g} times its scale)"
        for name, (relative, size) in named
    ]
    what = "control" if controls else "state"
    field = "control_bounds" if controls else "state_bounds"
    least = f"The cost has fallen to {float(solution.cost):.3g}. "
    verb = "runs" if len(named) == 1 else "run"
    return [
        f"{least}{joined(words)} {verb} away: give the {what}s bounds ({field}), or a quadratic "
        "cost that holds them back."
    ]
