"""Pictures of trajectories. Needs matplotlib: `pip install 'jaxmpc[plots]'`."""

from jaxmpc.plot.animation import animate_cartpole as animate_cartpole
from jaxmpc.plot.attitudes import plot_attitudes as plot_attitudes
from jaxmpc.plot.axes import require_matplotlib as require_matplotlib
from jaxmpc.plot.loops import (
    plot_closed_loop as plot_closed_loop,
    plot_fan as plot_fan,
    plot_timing as plot_timing,
)
from jaxmpc.plot.series import plot_series as plot_series, plot_solution as plot_solution
from jaxmpc.plot.training import plot_history as plot_history
