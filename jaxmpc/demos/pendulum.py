"""A pendulum swings up with a motor too weak to lift it.

One plan of five seconds from hanging at rest: the torque is at most 2 N m, a fraction of what
would hold the rod level, so it has to swing back and forth first. The picture is a phase portrait.
"""

import jax.numpy as jnp
import numpy as np

import jaxmpc
from jaxmpc import integrators, models, plot
from jaxmpc.demos.options import Options, draw
from jaxmpc.demos.report import Report, milliseconds

DT, TORQUE = models.PENDULUM_DT, models.PENDULUM_MAX_TORQUE
UPRIGHT = 10.0  # degrees
PROBLEM = jaxmpc.Problem(
    integrators.discrete(models.pendulum),
    models.pendulum_cost,
    horizon=100,
    control_dim=1,
    control_bounds=(-TORQUE, TORQUE),
)


def run(report: Report, options: Options) -> bool:
    """Whether the plan converged and ends upright."""
    p = models.PENDULUM
    level = p["mass"] * p["gravity"] * p["length"] / 2
    report.heading("A pendulum swings up with a weak motor")
    report.say(
        f"Torque of at most {TORQUE:g} N m; to hold the rod level takes {level:g}. From hanging at "
        "rest, a plan of 100 steps of 0.05 s."
    )
    x0 = models.pendulum_state(jnp.pi)
    nudge = jnp.full((PROBLEM.horizon, 1), 0.1)  # zeros would keep it hanging

    def solve(x0, params, controls):
        return jaxmpc.solve(PROBLEM, x0, params, controls=controls)

    given = (x0, {name: jnp.asarray(value) for name, value in p.items()}, nudge)
    compiled = report.compiled("the solver", solve, *given)
    found = compiled(*given)
    angle, rate = _angle(found.states), np.asarray(found.states)[:, 2]
    off = np.degrees(np.abs((angle + np.pi) % (2 * np.pi) - np.pi))
    since = int(np.max(np.flatnonzero(off > UPRIGHT), initial=-1)) + 1
    up = since < len(off)
    turns = int(np.sum(np.diff(np.sign(rate[1:since])) != 0))
    saturated = float(np.mean(np.abs(found.controls) > 0.999 * TORQUE))
    report.facts(
        {
            "status": f"{jaxmpc.Status(int(found.status)).name}, {int(found.iterations)} "
            f"iterations, KKT residual {float(found.residuals.largest()):.0e}",
            "upright": f"after {DT * since:.2f} s, to the end" if up else "not at the end",
            "on the way": f"{turns} swings back; at its largest torque for {saturated:.0%}",
            "at the end": f"{off[-1]:.2f} degrees off, {abs(rate[-1]):.2f} rad/s",
            "solve": f"{milliseconds(compiled, *given):.0f} ms",
        }
    )
    draw(
        report,
        options,
        {
            "pendulum.png": lambda: _portrait(angle, rate, np.asarray(found.controls)),
            "pendulum.gif": lambda: plot.animate(
                models.pendulum,
                found.states,
                DT,
                controls=found.controls,
                frames_per_second=options.frames_per_second,
            ),
        },
    )
    return bool(found.converged) and up


def _angle(states) -> np.ndarray:
    """[T+1], without jumps, by as many turns that it ends near 0, which is upright."""
    angle = np.unwrap(np.arctan2(np.asarray(states)[:, 1], np.asarray(states)[:, 0]))
    return angle - 2 * np.pi * np.round(angle[-1] / (2 * np.pi))


def _portrait(angle: np.ndarray, rate: np.ndarray, controls: np.ndarray):
    """Rate over angle, beside the angle and the torque over time."""
    figure, axes = plot.require_matplotlib().subplot_mosaic(
        [["phase", "angle"], ["phase", "torque"]], figsize=(9.0, 4.2), layout="tight"
    )
    states = np.stack([np.degrees(angle), rate], axis=1)
    names = ("angle [deg], 0 is upright", "rate [rad/s]")
    plot.plot_phase(states, labels=names, axes=axes["phase"])
    series = {"angle [deg]": states[:, 0], "torque [N m]": controls[:, 0]}
    plot.plot_series(series, DT, axes=[axes["angle"], axes["torque"]])
    for limit in (-TORQUE, TORQUE):
        axes["torque"].axhline(limit, color="0.4", lw=1, ls="--")
    lowest, highest = states[:, 0].min(), states[:, 0].max()
    turns = [turn for turn in range(-720, 721, 90) if lowest - 9 < turn < highest + 9]
    axes["phase"].set_xticks(turns)
    axes["angle"].set_yticks(turns)
    figure.suptitle("A pendulum swings up with a weak motor")
    return figure
