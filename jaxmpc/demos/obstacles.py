"""A robot among discs that it must not touch, and a goal out of reach.

The discs are hard constraints at every stage, the goal is one at the last. Then the goal is put
farther away than the robot can drive: the status says so, and which constraint it is.
"""

import jax.numpy as jnp
import numpy as np

import jaxmpc
from jaxmpc import integrators, models, plot
from jaxmpc.demos.options import Options, draw
from jaxmpc.demos.report import Report, milliseconds

DT, HORIZON = 0.1, 50
FASTEST, SHARPEST = 1.0, 2.0  # m/s, rad/s
CENTRES = np.array([[1.0, 0.6], [2.2, 1.1], [1.6, -0.4], [3.0, 2.2]])
RADII = np.array([0.5, 0.4, 0.35, 0.5])
START = np.zeros(3)
GOALS = {"within reach": np.array([3.4, 1.4]), "out of reach": np.array([5.5, 1.4])}


def stage_cost(x, u, t, params):
    """Slow, and with little steering."""
    return u[0] ** 2 + 0.1 * u[1] ** 2


def outside(x, u, t, params):
    """Positive inside of a disc."""
    return RADII - jnp.linalg.norm(x[None, :2] - CENTRES, axis=1)


PROBLEM = jaxmpc.Problem(
    integrators.rk4(models.unicycle, DT),
    stage_cost,
    horizon=HORIZON,
    control_dim=2,
    control_bounds=(np.array([0.0, -SHARPEST]), np.array([FASTEST, SHARPEST])),
    stage_inequality=outside,
    terminal_equality=lambda x, params: x[:2] - params["goal"],
)


def run(report: Report, options: Options) -> bool:
    """Whether the first plan converged clear of all discs, and the second one is infeasible."""
    report.heading("A robot among four discs, by an interior point")
    report.say(f"At most {FASTEST:g} m/s for {DT * HORIZON:g} s; the goal is 3.7 m away.")

    def solve(goal, states, controls):
        return jaxmpc.solve(
            PROBLEM, jnp.asarray(START), {"goal": goal}, states=states, controls=controls
        )

    goal, far = jnp.asarray(GOALS["within reach"]), jnp.asarray(GOALS["out of reach"])
    compiled = report.compiled("the solver", solve, goal, *_guess(goal))
    found = compiled(goal, *_guess(goal))
    clearance = _clearance(found.states)
    report.facts(
        {
            "status": f"{jaxmpc.Status(int(found.status)).name}, {int(found.iterations)} "
            f"iterations, KKT residual {float(found.residuals.largest()):.0e}",
            "way": f"{_length(found.states):.2f} m, {1e3 * clearance:.3f} mm from the nearest disc",
            "goal": f"missed by {1e3 * float(jnp.linalg.norm(found.states[-1, :2] - goal)):.3f} mm",
            "solve": f"{milliseconds(compiled, goal, *_guess(goal)):.0f} ms",
        }
    )
    report.heading("The same with a goal 5.7 m away, which 5 s at 1 m/s cannot reach")
    failed = compiled(far, *_guess(far))
    with report.waiting("asking jaxmpc.diagnose what is wrong"):
        sentences = str(jaxmpc.diagnose(PROBLEM, jnp.asarray(START), {"goal": far}, failed))
    report.say(sentences)
    draw(report, options, {"obstacles.png": lambda: _picture(found, failed)})
    infeasible = int(failed.status) == jaxmpc.Status.infeasible
    return bool(found.converged) and clearance > -1e-6 and infeasible


def _guess(goal):
    """Straight to the goal, through whatever is there."""
    way = jnp.linspace(0.0, 1.0, HORIZON + 1)[:, None] * goal[None]
    heading = jnp.full((HORIZON + 1, 1), jnp.arctan2(goal[1], goal[0]))
    speed = jnp.full((HORIZON, 1), 0.8)
    states = jnp.concatenate([way, heading], axis=1).at[0].set(START)
    return states, jnp.concatenate([speed, jnp.zeros_like(speed)], axis=1)


def _clearance(states) -> float:
    """The least distance to a disc at a stage, negative inside [m]."""
    gaps = np.asarray(states)[:, None, :2] - CENTRES
    return float(np.min(np.linalg.norm(gaps, axis=-1) - RADII))


def _length(states) -> float:
    return float(np.sum(np.linalg.norm(np.diff(np.asarray(states)[:, :2], axis=0), axis=1)))


def _picture(found: jaxmpc.Solution, failed: jaxmpc.Solution):
    _, axis = plot.require_matplotlib().subplots(figsize=(7.5, 4.4), layout="constrained")
    for centre, radius in zip(CENTRES, RADII, strict=True):
        disc = plot.require_matplotlib().Circle(centre, radius, color="0.82", zorder=0)
        axis.add_patch(disc)
    lines = ((found, "-", "tab:blue", "within reach"), (failed, "--", "tab:red", "out of reach"))
    for solution, style, color, name in lines:
        x, y = np.asarray(solution.states)[:, :2].T
        axis.plot(x, y, style, color=color, lw=1.8, label=f"goal {name}")
        axis.plot(*GOALS[name], "*", color=color, ms=12)
        axis.plot(x[::5], y[::5], ".", color=color, ms=6)
    axis.plot(*START[:2], "o", color="0.3", ms=7)
    axis.set(aspect="equal", xlabel="x [m]", ylabel="y [m]")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, loc="upper left", fontsize="small")
    axis.set_title("Discs are hard constraints; a dot each half second")
    return axis
