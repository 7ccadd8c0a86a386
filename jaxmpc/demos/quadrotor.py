"""A quadrotor that lies upside down turns upright and hovers.

Thirteen states, of which four are a quaternion: `state_space` says so, and the solver's steps are
turns. Rotors only push up, so upside down it has to fall while it turns.
"""

import jax.numpy as jnp
import numpy as np

import jaxmpc
from jaxmpc import integrators, models, plot
from jaxmpc.demos.options import Options, draw
from jaxmpc.demos.report import Report, milliseconds

DT, LARGEST = 0.025, 4.0  # s, N
HOVER = models.QUADROTOR["mass"] * models.QUADROTOR["gravity"] / 4
SPACE = models.QUADROTOR_SPACE


def stage_cost(x, u, t, params):
    """Thrusts near those of hovering, and no haste."""
    return 0.02 * jnp.sum((u - HOVER) ** 2) + 0.02 * jnp.sum(x[7:] ** 2)


def terminal_cost(x, params):
    """The distance, along the space, to hovering level at the origin."""
    return 50 * jnp.sum(SPACE.difference(models.quadrotor_state(jnp.zeros(3)), x) ** 2)


PROBLEM = jaxmpc.Problem(
    integrators.rk4(models.quadrotor, DT),
    stage_cost,
    terminal_cost,
    horizon=60,
    control_dim=4,
    control_bounds=(0.0, LARGEST),
    state_space=SPACE,
)


def run(report: Report, options: Options) -> bool:
    """Whether the plan converged and ends level."""
    report.heading("A quadrotor turns upright")
    report.say(
        f"From rest upside down to hovering at the same place in {DT * PROBLEM.horizon:g} s; each "
        f"rotor pushes with 0 to {LARGEST:g} N, {HOVER:.2f} N hover."
    )
    upside_down = models.quadrotor_state(jnp.zeros(3)).at[3:7].set(jnp.array([0.0, 1.0, 0.0, 0.0]))
    solve = report.compiled("the solver", lambda x0: jaxmpc.solve(PROBLEM, x0), upside_down)
    found = solve(upside_down)
    states, thrusts = np.asarray(found.states), np.asarray(found.controls)
    tilt, lengths = _tilt(states), np.linalg.norm(states[:, 3:7], axis=1)
    level = DT * (int(np.max(np.flatnonzero(tilt > 10.0), initial=-1)) + 1)
    limits = np.mean((thrusts < 1e-3) | (thrusts > LARGEST - 1e-3))
    report.facts(
        {
            "status": f"{jaxmpc.Status(int(found.status)).name}, {int(found.iterations)} "
            f"iterations, KKT residual {float(found.residuals.largest()):.0e}",
            "level": f"within 10 degrees after {level:.2f} s, {tilt[-1]:.2f} degrees at the end",
            "place": f"falls {-states[:, 2].min():.2f} m on the way, ends "
            f"{1e3 * np.linalg.norm(states[-1, :3]):.0f} mm from where it began",
            "rotors": f"at a limit for {limits:.0%} of the time",
            "quaternions": f"of length one within {np.abs(lengths - 1).max():.0e}",
            "solve": f"{milliseconds(solve, upside_down):.0f} ms",
        }
    )
    draw(
        report,
        options,
        {
            "quadrotor.png": lambda: _picture(states, tilt, thrusts),
            "quadrotor.gif": lambda: plot.animate(
                models.quadrotor,
                states,
                DT,
                controls=thrusts,
                slowdown=2.0,
                frames_per_second=options.frames_per_second,
            ),
        },
    )
    return bool(found.converged) and bool(tilt[-1] < 10.0)


def _tilt(states: np.ndarray) -> np.ndarray:
    """Degrees between the rotors' axis and up."""
    _, x, y, _ = states[:, 3:7].T
    return np.degrees(np.arccos(np.clip(1 - 2 * (x**2 + y**2), -1, 1)))


def _picture(states: np.ndarray, tilt: np.ndarray, thrusts: np.ndarray):
    series = {
        "tilt [deg]": tilt,
        "height [m]": states[:, 2],
        "sideways [m]": np.linalg.norm(states[:, :2], axis=1),
        **{f"thrust {i + 1} [N]": thrust for i, thrust in enumerate(thrusts.T)},
    }
    axes = plot.plot_series(series, DT)
    for axis in axes[3:]:
        for limit in (0.0, LARGEST):
            axis.axhline(limit, color="0.4", lw=1, ls="--")
    axes[0].set_yticks(range(0, 181, 45))
    axes[0].figure.suptitle("A quadrotor turns upright")
    return axes
