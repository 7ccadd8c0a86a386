"""A cart-pole swings up and stays up, pushed and with wrong masses.

A controller plans 1.5 seconds ahead, 20 times a second and with one iteration each time; the cart
and the pole are a fifth heavier than it believes, and are pushed on the way. First from hanging,
and then from 200 random starts: all of them in one program, by `jax.vmap`.
"""

import time

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import jaxmpc
from jaxmpc import integrators, models, plot
from jaxmpc.demos.options import Options, draw
from jaxmpc.demos.report import Report

DT = 0.05  # s
PIECE, PIECES, PUSHED = 20, 10, 6  # samples, and which piece begins with the push
PUSH = 1.0  # m/s, of the cart
MODEL = models.CARTPOLE_ACADOS
HEAVIER = {"mass_cart": 1.2, "mass_pole": 0.12}  # the model says 1.0 and 0.1
UPRIGHT = 10.0  # degrees
_STEP = integrators.rk4(models.cartpole_acados, DT)


def stage_cost(x, u, t, params):
    """Upright, near the middle, calm, without much force."""
    position, angle, velocity, rate = x
    calm = 0.01 * (velocity**2 + rate**2)
    return 1 - jnp.cos(angle) + 0.5 * position**2 + calm + 0.001 * u[0] ** 2


def terminal_cost(x, params):
    """The same, for what lies beyond the horizon."""
    position, angle, velocity, rate = x
    return 20 * (1 - jnp.cos(angle)) + 5 * position**2 + velocity**2 + rate**2


PROBLEM = jaxmpc.Problem(
    _STEP, stage_cost, terminal_cost, horizon=30, control_dim=1, control_bounds=(-20.0, 20.0)
)
CONTROLLER = jaxmpc.RecedingHorizon(PROBLEM, iterations=1)


def run(report: Report, options: Options) -> bool:
    """Whether the pole that hung is upright at the end."""
    report.heading("A pole on a cart swings up, and stays up")
    report.say(
        "Model predictive control: 20 plans a second, each 1.5 s long. The cart and the pole "
        f"are 20 % heavier than the model, and after 6 s the cart is pushed by {PUSH:g} m/s."
    )
    count = 8 if options.quick else 200
    starts = jnp.concatenate([jnp.array([[0.0, jnp.pi, 0.0, 0.0]]), _random_starts(count)])
    states, controls, failures, seconds = simulate(report, starts)
    angle = degrees_from_upright(states)
    _report_hanging(report, angle[0], states[0])
    report.heading(f"The same from {count} random starts, in one call")
    _report_all(report, angle[1:], failures, 1e3 * seconds / controls[..., 0].size)
    draw(
        report,
        options,
        {
            "cartpole.png": lambda: _picture(states, controls),
            "cartpole.gif": lambda: plot.animate(
                models.cartpole_acados,
                states[0],
                DT,
                controls=controls[0],
                frames_per_second=options.frames_per_second,
            ),
        },
    )
    return bool(np.all(_last(angle[0], 3.0) < UPRIGHT))


def _random_starts(count: int) -> Float[Array, "B 4"]:
    largest = jnp.array([[1.0, jnp.pi, 2.0, 5.0]])
    return largest * jax.random.uniform(jax.random.key(0), (count, 4), minval=-1.0, maxval=1.0)


def simulate(report: Report, starts: Float[Array, "B 4"]):
    """States [B, S+1, 4] and controls [B, S, 1] of the loops, failed plans, and seconds."""

    def piece(x, plan, push):
        def plant(x, u, t):
            pushed = x.at[2].add(jnp.where(t == 0, push, 0.0))
            return _STEP(pushed, u, t, {**MODEL, **HEAVIER})

        return jaxmpc.simulate(CONTROLLER, plant, x, PIECE, MODEL, plan=plan, predictions=False)

    nudge = jnp.full((PROBLEM.horizon, 1), 0.1)  # zeros would keep it hanging
    first_plans = jax.vmap(lambda x: CONTROLLER.init(x, MODEL, controls=nudge))
    plans = jax.jit(first_plans, compiler_options=jaxmpc.compiler_options())(starts)
    pieces = jax.vmap(piece, in_axes=(0, 0, None))
    advance = report.compiled("the closed loop", pieces, starts, plans, jnp.array(PUSH))
    begin, states, controls, failures = time.perf_counter(), [starts[:, None]], [], 0
    for number in report.progress(range(PIECES), "seconds simulated"):
        push = jnp.array(PUSH if number == PUSHED else 0.0)
        loops = advance(states[-1][:, -1], plans, push)
        plans = loops.plan
        states.append(loops.states[:, 1:])
        controls.append(loops.controls)
        failures += int(np.sum(np.asarray(loops.failures) > 0))
    seconds = time.perf_counter() - begin
    return np.concatenate(states, 1), np.concatenate(controls, 1), failures, seconds


def degrees_from_upright(states) -> np.ndarray:
    """[..., S+1], from 0 to 180."""
    return np.degrees(np.abs((states[..., 1] + np.pi) % (2 * np.pi) - np.pi))


def swing_up_times(angle: np.ndarray) -> np.ndarray:
    """When each [B, S+1] came upright for good, but for the push [s]; inf if it did not."""
    before = angle[..., : PIECE * PUSHED + 1] > UPRIGHT
    outside = before.shape[-1] - np.argmax(before[..., ::-1], axis=-1)  # since when inside
    samples = np.where(np.any(before, axis=-1), outside, 0)
    return np.where(before[..., -1], np.inf, DT * samples)


def _last(angle: np.ndarray, seconds: float) -> np.ndarray:
    return angle[..., -round(seconds / DT) :]


def _report_hanging(report: Report, angle: np.ndarray, states: np.ndarray):
    after = angle[PIECE * PUSHED :]
    settled = DT * np.max(np.flatnonzero(after > 2.0), initial=-1) + DT
    total = DT * PIECE * PIECES
    report.facts(
        {
            "upright": f"{DT * np.sum(angle[1:] < UPRIGHT):.1f} of {total:.0f} s within "
            f"{UPRIGHT:.0f} degrees; swung up in {swing_up_times(angle[None])[0]:.2f} s",
            "the push": f"tips it by {after.max():.1f} degrees; "
            f"within 2 degrees again after {settled:.1f} s",
            "last 3 seconds": f"at most {_last(angle, 3.0).max():.2f} degrees off",
            "cart": f"at most {np.abs(states[:, 0]).max():.2f} m from the middle",
        }
    )


def _report_all(report: Report, angle: np.ndarray, failures: int, each: float):
    times = swing_up_times(angle)
    up, stay = np.isfinite(times), np.all(_last(angle, 3.0) < UPRIGHT, axis=1)
    half, most = (np.median(times[up]), times[up].max()) if up.any() else (np.inf, np.inf)
    report.facts(
        {
            "upright and stay": f"{stay.sum()} of {len(stay)}, pushed and all",
            "swung up": f"{up.sum()} before the push; half in {half:.1f} s, all in {most:.1f} s",
            "plans": f"{PIECE * PIECES * (len(angle) + 1)}, of which {failures} failed",
            "time": f"{each:.2f} ms a plan",
        }
    )


def _picture(states: np.ndarray, controls: np.ndarray):
    """The one that hung over a tenth of the others, each by as many turns that it ends at 0."""
    some = slice(0, 21)
    turns = np.round(states[some, -1:, 1] / (2 * np.pi))
    series = {
        "angle [deg]": np.degrees(states[some, :, 1]) - 360 * turns,
        "position [m]": states[some, :, 0],
        "force [N]": controls[some, :, 0],
    }
    axes = plot.plot_series(series, DT, highlight=0)
    lowest, highest = axes[0].get_ylim()
    axes[0].set_yticks([turn for turn in range(-1080, 1081, 180) if lowest < turn < highest])
    axes[0].figure.suptitle("From hanging (red) and from 20 random starts; pushed at 6 s")
    return axes
