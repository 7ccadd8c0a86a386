"""Pictures of trajectories. Needs matplotlib: `pip install 'jaxmpc[plots]'`.

All functions draw into the axes that they are given, or into those of a new figure, and return the
axes: one, or an array of them.
"""

from jaxmpc.plot.animation.film import animate as animate
from jaxmpc.plot.animation.html import Film as Film, html as html
from jaxmpc.plot.attitudes import plot_attitudes as plot_attitudes
from jaxmpc.plot.axes import require_matplotlib as require_matplotlib
from jaxmpc.plot.convergence import plot_convergence as plot_convergence
from jaxmpc.plot.fan import plot_fan as plot_fan
from jaxmpc.plot.gains import plot_gains as plot_gains
from jaxmpc.plot.loops import plot_closed_loop as plot_closed_loop
from jaxmpc.plot.names import labels as labels
from jaxmpc.plot.phase import plot_phase as plot_phase
from jaxmpc.plot.series import plot_series as plot_series, plot_solution as plot_solution
from jaxmpc.plot.timing import plot_timing as plot_timing
from jaxmpc.plot.training import plot_history as plot_history
from jaxmpc.presentation.names import present

present(__name__)
