"""The iteration tables of `verbose=True`."""

import jax
import jax.numpy as jnp

from jaxmpc.solvers.loop import RUNNING, iterations_after

_HEADER = f"{'iteration':>9} {'cost':>16} {'stationarity':>13} {'step size':>10} {'mu':>9}  model"


def print_iteration(state, search):
    """Print a row for an ILQR state and the step that is about to be taken."""

    def row(iteration, cost, stationarity, step_size, mu, curvature):
        if iteration == 0:
            print(_HEADER)
        step = "-" if step_size == 0 else f"{step_size:.4g}"
        model = "exact" if curvature else "Gauss-Newton"
        print(f"{iteration:9d} {cost:16.9g} {stationarity:13.3e} {step:>10} {mu:9.1e}  {model}")

    taken = search.accepted & (state.status == RUNNING)
    jax.debug.callback(
        row,
        iterations_after(state.steps),
        state.nominal.cost,
        state.conditions.residuals.stationarity,
        jnp.where(taken, search.step_size, 0.0),
        state.regularization.mu,
        state.regularization.curvature,
        ordered=False,
    )


_SQP = (
    f"{'iteration':>9} {'cost':>16} {'stationarity':>13} {'infeasible by':>14} "
    f"{'step size':>10} {'proximal':>9}"
)


def print_sqp(state, cost, residuals, proximal, step_size):
    """Print a row for an SQP's state and the step that is about to be taken."""

    def row(iteration, cost, residuals, proximal, step_size):
        if iteration == 0:
            print(_SQP)
        step = "-" if step_size == 0 else f"{step_size:.4g}"
        print(
            f"{iteration:9d} {cost:16.9g} {residuals.stationarity:13.3e} "
            f"{residuals.feasibility:14.3e} {step:>10} {proximal:9.1e}"
        )

    jax.debug.callback(row, state.steps, cost, residuals, proximal, step_size, ordered=False)


_INTERIOR_POINT = (
    f"{'iteration':>9} {'cost':>16} {'stationarity':>13} {'infeasible by':>14} "
    f"{'step size':>10} {'barrier':>9}"
)


def print_interior_point(state, cost, residuals, infeasibility, mu, step_size):
    """Print a row for an interior point's state and the step that is about to be taken."""

    def row(iteration, cost, stationarity, infeasibility, step_size, mu, restoring):
        if iteration == 0:
            print(_INTERIOR_POINT)
        step = "-" if step_size == 0 else f"{step_size:.4g}"
        restoration = "  restoration" if restoring else ""
        print(
            f"{iteration:9d} {cost:16.9g} {stationarity:13.3e} {infeasibility:14.3e} "
            f"{step:>10} {mu:9.1e}{restoration}"
        )

    jax.debug.callback(
        row,
        state.steps,
        cost,
        residuals.stationarity,
        infeasibility,
        step_size,
        mu,
        state.restoring,
        ordered=False,
    )
