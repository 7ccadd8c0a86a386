"""Plans for 120 cart-poles at once, then learns their dynamics back.

The experts of Amos, Jimenez, Sacks, Boots and Kolter (2018), 'Differentiable MPC for end-to-end
planning and control': their 120 initial states, dynamics and cost, and the wrong parameters from
which their learner starts. Only the experts' controls are seen by the learner, and the gradient
goes through the solver.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

import jaxmpc
from jaxmpc import integrators, learning, models, plot
from jaxmpc.demos.options import Options, draw
from jaxmpc.demos.report import Report, milliseconds, statuses

PAPER_COST = 22.085  # mean over the 120 experts
PAPER_TEST_LOSS = 1.6e-4  # cart-pole, dynamics learned from 100 experts (the thesis' figure 5.5)
WRONG = {"gravity": 9.8, "masscart": 3.0, "masspole": 0.1, "length": 1.0}
UNITS = {"gravity": "m/s^2", "masscart": "kg", "masspole": "kg", "length": "m"}
TRAIN, TEST = 100, 10  # the first and the last of the 120
FRESH_START = 20  # steps between returns to the experts' controls as the guess
PROBLEM = jaxmpc.Problem(
    integrators.discrete(models.cartpole),
    models.cartpole_cost,
    horizon=20,
    control_dim=1,
    control_bounds=(-models.CARTPOLE_MAX_FORCE, models.CARTPOLE_MAX_FORCE),
)


def run(report: Report, options: Options) -> bool:
    """Whether all experts converged."""
    x0 = jnp.asarray(models.paper_initial_states("cartpole"))
    steps = min(options.steps, 10) if options.quick else options.steps
    report.heading(f"The 2018 paper: plan for {len(x0)} cart-poles at once")
    report.say("The experts of Amos et al.: 20 steps of 0.05 s, force within +-100 N.")
    params = {name: jnp.asarray(value, x0.dtype) for name, value in models.CARTPOLE.items()}
    guess = jnp.zeros((len(x0), PROBLEM.horizon, 1), x0.dtype)
    solve = report.compiled("the batch of solves", _solve, x0, params, guess)
    experts = jax.block_until_ready(solve(x0, params, guess))
    _report_experts(report, experts, milliseconds(solve, x0, params, guess))

    report.heading(f"Learn the dynamics back from the controls of {TRAIN}, through the solver")
    learned = _learn(report, jax.tree.map(lambda leaf: leaf[:TRAIN], experts), steps)
    found = solve(x0, learned, guess)
    test_loss = jnp.mean((found.controls - experts.controls)[-TEST:] ** 2)
    _report_parameters(report, learned)
    report.say(
        f"Loss on {TEST} starts never seen: {test_loss:.1e} N^2 "
        f"(the paper, in float32: {PAPER_TEST_LOSS:.1e})."
    )
    draw(report, options, {"paper.png": lambda: _picture(experts)})
    return bool(jnp.all(experts.converged))


def _solve(x0, params, controls):
    return jaxmpc.solve_batch(PROBLEM, x0, params, controls=controls)


def _report_experts(report: Report, experts: jaxmpc.Solution, solve: float):
    batch, iterations = len(experts.status), np.asarray(experts.iterations)
    report.facts(
        {
            "status": statuses(experts),
            "iterations": f"median {np.median(iterations):.0f}, at most {iterations.max()}",
            "mean cost": f"{jnp.mean(experts.cost):.3f} (the paper: {PAPER_COST})",
            "worst KKT residual": f"{jnp.max(experts.residuals.largest()):.1e}",
            "upright": f"{np.sum(_upright(experts))} of {batch} within their one second",
            "solve": f"{solve:.0f} ms for {batch}, {solve / batch:.2f} ms each",
        }
    )


def _upright(experts: jaxmpc.Solution) -> np.ndarray:
    """Which ones pass within 8 degrees of upright."""
    return np.max(experts.states[..., 2], axis=-1) > 0.99


def _learn(report: Report, experts: jaxmpc.Solution, steps: int) -> dict[str, Float[Array, ""]]:
    """The parameters that make the solver's controls equal the experts', by Adam."""
    # A larger rate than usual, and a short memory of squares: the four logarithms have gradients
    # that differ by orders of magnitude, and these change quickly.
    optimizer = optax.adam(optax.cosine_decay_schedule(0.1, steps), b2=0.95)
    # Each solve starts from the last one, and so stays in its local minimum. Now and then each
    # starts from its expert's controls again, so that none stays in the wrong one.
    loss = learning.Imitation(PROBLEM, from_examples=True)
    examples = learning.Examples(experts.states, experts.controls)
    wrong = {name: learning.Positive(value) for name, value in WRONG.items()}
    report.say(f"Compiling solve, gradient and Adam, then {steps} steps ...")
    fitted = learning.fit(
        loss,
        wrong,
        examples,
        optimizer=optimizer,
        epochs=steps,
        fresh_every=FRESH_START,
        progress=report.watched,
    )
    history = fitted.history
    seconds = float(np.median(history.seconds))
    report.facts(
        {
            "compile": f"{float(history.seconds[0]) - seconds:.1f} s, once",
            "step": f"{1e3 * seconds:.0f} ms for {TRAIN} solves and their gradient",
            "did not converge": f"{history.unsolved.sum()} of {steps * TRAIN} solves",
        }
    )
    return learning.plain(fitted.params)


def _report_parameters(report: Report, learned: dict[str, Float[Array, ""]]):
    rows = []
    for name, true in models.CARTPOLE.items():
        error = f"{abs(learned[name] / true - 1):.1e}"
        label = f"{name} [{UNITS[name]}]"
        rows.append((label, WRONG[name], f"{learned[name]:.6f}", true, error))
    report.table(("", "before", "learned", "true", "relative error"), rows)


def _picture(experts: jaxmpc.Solution):
    states, upright = np.asarray(experts.states), _upright(experts)
    angle = np.degrees(np.unwrap(np.arctan2(states[..., 3], states[..., 2])))
    series = {
        "angle [deg]": angle,
        "position [m]": states[..., 0],
        "force [N]": np.asarray(experts.controls)[..., 0],
    }
    axes = plot.plot_series(series, models.CARTPOLE_DT, highlight=upright)
    turns = [180 * k for k in range(-2, 3) if angle.min() - 20 < 180 * k < angle.max() + 20]
    axes[0].set_yticks(turns)
    axes[0].figure.suptitle(
        f"{len(upright)} experts, angle 0 upright; in red the {upright.sum()} that come upright"
    )
    return axes
