"""How a solution ended, in a few words, where its numbers are known."""

from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from jaxmpc.presentation.status import Status


def has_numbers(part: Any) -> bool:
    """Whether an array's numbers can be looked at: it is not traced, and is here."""
    if isinstance(part, jax.Array) and not isinstance(part, Tracer):
        return part.is_fully_addressable and not part.is_deleted()
    return isinstance(part, np.ndarray | np.generic)


def ending(solution: Any) -> str:
    """The status, cost and iterations of one, or how many of a batch converged; else nothing."""
    if not all(has_numbers(part) for part in (solution.status, solution.cost, solution.iterations)):
        return ""
    status = np.asarray(solution.status)
    if status.ndim:
        return f"{np.sum(status == Status.converged)} of {status.size} converged, "
    known = int(status) in list(Status)
    name = Status(int(status)).name if known else str(int(status))
    cost, iterations = float(np.asarray(solution.cost)), int(np.asarray(solution.iterations))
    return f"{name}, cost {cost:.6g}, {iterations} iterations, "
