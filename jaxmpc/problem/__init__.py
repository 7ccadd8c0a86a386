"""What to solve: the problem, its soft constraints, and functions that have arrays in them.

Nothing here knows how a problem is solved.
"""

from jaxmpc.problem.problem import Problem as Problem, terminal_cost as terminal_cost
from jaxmpc.problem.soft import Soft as Soft
