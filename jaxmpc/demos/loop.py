"""A pendulum in a loop: late controls, lost measurements, a deadline.

The controller knows a shorter rod than there is. Its torque acts two samples after it was computed,
what it measures is noisy and now and then nothing at all, and a push comes from outside.
"""

import jax
import jax.numpy as jnp
import numpy as np

import jaxmpc
from jaxmpc import control, plot
from jaxmpc.demos.options import Options, draw
from jaxmpc.demos.report import Report, statuses

DT, LATE, DEADLINE = 0.05, 2, 0.010  # s, samples, s
SAMPLES, PUSHED, LOST = 160, 100, (40, 80, 81, 120)
MODEL, REAL = {"length": 1.0}, {"length": 1.15}
NOISE, PUSH, START = (0.01, 0.05), 2.0, (3.0, 0.0)  # rad and rad/s; rad/s


def dynamics(x, u, t, params):
    """Angle (0 is upright) and rate of a rod, by steps of 0.05 s."""
    rate = x[1] + DT * (9.81 / params["length"] * jnp.sin(x[0]) + u[0])
    return jnp.stack([x[0] + DT * rate, rate])


def stage_cost(x, u, t, params):
    """Upright, calm, without much torque."""
    return 1 - jnp.cos(x[0]) + 0.05 * x[1] ** 2 + 0.001 * u[0] ** 2


PROBLEM = jaxmpc.Problem(
    dynamics, stage_cost, horizon=40, control_dim=1, control_bounds=(-8.0, 8.0)
)


def plant(x, u, t):
    """The real pendulum, and the push."""
    return dynamics(x, u, t, REAL).at[1].add(jnp.where(t == PUSHED, PUSH, 0.0))


def disturbance(key, x, t):
    """Of what is measured; NaN where the measurement is lost."""
    noise = jnp.array(NOISE) * jax.random.normal(key, (2,))
    return jnp.where(jnp.any(t == jnp.array(LOST, t.dtype)), jnp.nan, noise)


def run(report: Report, options: Options) -> bool:
    """Whether the pendulum is upright at the end of the first loop."""
    report.heading("A pendulum in a loop that goes wrong in four ways")
    report.say(
        f"A torque acts {LATE} samples of {DT:g} s late, the rod is 15 % longer than the model's, "
        f"measurements are noisy and {len(LOST)} of {SAMPLES} are lost, a push comes at "
        f"{DT * PUSHED:g} s."
    )
    controller = jaxmpc.RecedingHorizon(PROBLEM, delay=LATE)
    x0 = jnp.array(START)
    with report.waiting("compiling the loop, and simulating it"):
        loop = jaxmpc.simulate(
            controller,
            plant,
            x0,
            SAMPLES,
            MODEL,
            key=jax.random.key(1),
            measurement_noise=disturbance,
            delay=LATE,
        )
    failed = np.flatnonzero(np.asarray(loop.failures))
    angle = np.degrees(np.abs(_wrapped(loop.states[:, 0])))
    report.facts(
        {
            "upright": f"{DT * np.sum(angle < 10):.1f} of {DT * SAMPLES:.0f} s within 10 degrees",
            "the push": f"tips it by {angle[PUSHED:].max():.0f} degrees; at most "
            f"{angle[-20:].max():.1f} in the last second",
            "statuses": statuses(loop.statuses),
            "on the last plan": f"samples {', '.join(map(str, failed)) or 'none'}: its gains "
            "stand in for a plan that was not found",
        }
    )
    report.heading(f"The same pendulum against a clock: {1e3 * DEADLINE:g} ms a step")
    timing, last = _against_a_clock(report, 80 if options.quick else SAMPLES)
    words = ("median", "p99", "worst")
    report.table(
        ("steps", *words, "deadline", "missed"),
        [
            (
                str(len(timing.seconds)),
                *(f"{1e3 * getattr(timing, word):.2f} ms" for word in words),
                f"{1e3 * DEADLINE:g} ms",
                str(timing.missed),
            )
        ],
    )
    report.say(f"Each step ends with the best plan so far; {last:.1f} degrees off at the end.")
    draw(
        report,
        options,
        {
            "loop.png": lambda: _picture(loop),
            "loop_times.png": lambda: plot.plot_timing(timing, bins=25),
        },
    )
    return bool(angle[-20:].max() < 10.0)  # what happens against a clock is the machine's


def _wrapped(angle) -> np.ndarray:
    return (np.asarray(angle) + np.pi) % (2 * np.pi) - np.pi


def _against_a_clock(report: Report, samples: int) -> tuple[control.TimingReport, float]:
    """The times, and the last angle [deg]; the plant answers at once and is not disturbed."""
    real_time = control.RealTime(jaxmpc.RecedingHorizon(PROBLEM), deadline=DEADLINE)
    x = jnp.array(START)
    with report.waiting("compiling its three functions"):
        plan = real_time.init(x, MODEL)
        move = jax.jit(lambda x, u: dynamics(x, u, 0, REAL))
        move(x, plan.control)
    for _ in report.progress(range(samples), "samples"):
        u, plan = real_time.step(x, plan, MODEL)
        x = move(x, u)
    return real_time.report(), float(np.degrees(np.abs(_wrapped(x[0]))))


def _picture(loop: jaxmpc.Simulation):
    names = ("angle [rad]", "rate [rad/s]", "torque [N m]")
    axes = plot.plot_closed_loop(loop, DT, names, 8, problem=PROBLEM)
    axes[0].figure.suptitle(
        f"Controls late, measurements noisy and now and then lost, a push at {DT * PUSHED:g} s"
    )
    return axes
