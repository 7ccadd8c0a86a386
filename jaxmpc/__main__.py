"""`python -m jaxmpc`: plan for 120 cart-poles at once, then learn their dynamics back.

The experts of Amos, Jimenez, Sacks, Boots and Kolter (2018), 'Differentiable MPC for end-to-end
planning and control': their 120 initial states, dynamics and cost, and the wrong parameters from
which their learner starts. Only the experts' controls are seen by the learner, and the gradient
goes through the solver.
"""

import argparse
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

import jaxmpc
from jaxmpc import integrators, learning, models, plot

PAPER_COST = 22.085  # mean over the 120 experts
PAPER_TEST_LOSS = 1.6e-4  # cart-pole, dynamics learned from 100 experts (the thesis' figure 5.5)
WRONG = {"gravity": 9.8, "masscart": 3.0, "masspole": 0.1, "length": 1.0}
UNITS = {"gravity": "m/s^2", "masscart": "kg", "masspole": "kg", "length": "m"}
TRAIN, TEST = 100, 10  # the first and the last of the 120
FRESH_START = 20  # steps between returns to the experts' controls as the guess


def _problem(horizon: int, largest_force: float) -> jaxmpc.Problem:
    return jaxmpc.Problem(
        integrators.discrete(models.cartpole),
        models.cartpole_cost,
        horizon=horizon,
        control_dim=1,
        control_bounds=(-largest_force, largest_force),
    )


PROBLEM = _problem(20, models.CARTPOLE_MAX_FORCE)


def main(arguments: list[str] | None = None) -> int:
    """Run the demonstration; 1 if an expert did not converge, else 0."""
    options = _options(arguments)
    jax.config.update("jax_enable_x64", True)  # a program of its own may choose
    x0 = jnp.asarray(models.paper_initial_states("cartpole"))
    print(f"jaxmpc on {jax.devices()[0].platform}, jax {jax.__version__}, {x0.dtype}\n")

    print(f"1. Plan for {len(x0)} cart-poles at once")
    print("   The experts of Amos et al. (2018): 20 steps of 0.05 s, force within +-100 N.\n")
    params = {name: jnp.asarray(value, x0.dtype) for name, value in models.CARTPOLE.items()}
    guess = jnp.zeros((len(x0), PROBLEM.horizon, 1), x0.dtype)
    seconds, solve = _compiled(_solve, x0, params, guess)
    experts = jax.block_until_ready(solve(x0, params, guess))
    _print_report(experts, seconds, _median_seconds(lambda: solve(x0, params, guess)))

    print("\n2. Learn the dynamics back from the controls of 100 experts, through the solver\n")
    learned = _learn(jax.tree.map(lambda leaf: leaf[:TRAIN], experts), options.steps)
    found = solve(x0, learned, guess)
    test_loss = jnp.mean((found.controls - experts.controls)[-TEST:] ** 2)
    _print_parameters(learned)
    print(
        f"\n   Loss on {TEST} starts never seen: {test_loss:.1e} N^2 "
        f"(the paper, in float32: {PAPER_TEST_LOSS:.1e})."
    )
    if options.plot:
        _write_plots(experts, options.plot)
    return 0 if bool(jnp.all(experts.converged)) else 1


def _options(arguments) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m jaxmpc", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--plot", type=Path, metavar="DIR", help="write two PNGs and a GIF there")
    parser.add_argument("--steps", type=int, default=300, help="of learning (default: 300)")
    options = parser.parse_args(arguments)
    if options.steps < 1:
        parser.error(f"--steps must be at least 1, got {options.steps}")
    if options.plot:  # now, not after a minute of work
        try:
            plot.require_matplotlib().switch_backend("Agg")
        except ImportError as error:
            parser.exit(1, f"{error}\n")
    return options


def _solve(x0, params, controls):
    return jaxmpc.solve_batch(PROBLEM, x0, params, controls=controls)


def _compiled(function, *arguments):
    """Seconds to trace and compile, and the compiled function."""
    start = time.perf_counter()
    compiled = jax.jit(function).lower(*arguments).compile()
    return time.perf_counter() - start, compiled


def _median_seconds(function, repeats: int = 5) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(function())
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def _print_report(experts: jaxmpc.Solution, compile_seconds: float, seconds: float):
    batch = len(experts.status)
    statuses = np.bincount(experts.status, minlength=len(jaxmpc.Status))
    words = ", ".join(f"{statuses[s]} {s.name}" for s in jaxmpc.Status if statuses[s])
    iterations = np.asarray(experts.iterations)
    rows = {
        "status": words,
        "iterations": f"median {np.median(iterations):.0f}, at most {iterations.max()}",
        "upright": f"{np.sum(_upright(experts))} of {batch} within their one second",
        "mean cost": f"{jnp.mean(experts.cost):.3f} (the paper: {PAPER_COST})",
        "worst KKT residual": f"{jnp.max(experts.residuals.largest()):.1e}",
        "compile": f"{compile_seconds:.1f} s, once",
        "solve": f"{1e3 * seconds:.0f} ms for {batch}, {1e3 * seconds / batch:.2f} ms each",
    }
    for name, value in rows.items():
        print(f"   {name:<20}{value}")


def _upright(experts: jaxmpc.Solution) -> np.ndarray:
    """Which ones pass within 8 degrees of upright."""
    return np.max(experts.states[..., 2], axis=-1) > 0.99


def _learn(experts: jaxmpc.Solution, steps: int) -> dict[str, Float[Array, ""]]:
    """The parameters that make the solver's controls equal the experts', by Adam."""
    # A larger rate than usual, and a short memory of squares: the four logarithms have gradients
    # that differ by orders of magnitude, and these change quickly.
    optimizer = optax.adam(optax.cosine_decay_schedule(0.1, steps), b2=0.95)
    # Each solve starts from the last one, and so stays in its local minimum. Now and then each
    # starts from its expert's controls again, so that none stays in the wrong one.
    loss = learning.Imitation(PROBLEM, from_examples=True)
    examples = learning.Examples(experts.states, experts.controls)
    wrong = {name: learning.Positive(value) for name, value in WRONG.items()}
    fitted = learning.fit(
        loss, wrong, examples, optimizer=optimizer, epochs=steps, fresh_every=FRESH_START
    )
    history = fitted.history
    seconds = float(np.median(history.seconds))
    compiled = float(history.seconds[0]) - seconds
    print(f"   {'compile':<20}{compiled:.1f} s, once (solve, gradient and Adam)")
    print(f"   {'step':<20}{1e3 * seconds:.0f} ms for {TRAIN} solves and their gradient")
    print(f"   {'did not converge':<20}{history.unsolved.sum()} of {steps * TRAIN} solves")
    return learning.plain(fitted.params)


def _print_parameters(learned):
    print(f"\n   {'':<18}{'before':>10}{'learned':>12}{'true':>8}{'relative error':>17}")
    for name, true in models.CARTPOLE.items():
        error = abs(learned[name] / true - 1)
        label = f"{name} [{UNITS[name]}]"
        print(f"   {label:<18}{WRONG[name]:>10}{learned[name]:>12.6f}{true:>8}{error:>17.1e}")


def _write_plots(experts: jaxmpc.Solution, folder: Path):
    folder.mkdir(parents=True, exist_ok=True)
    upright = _upright(experts)
    title = f"{len(upright)} experts, angle 0 upright; in red the {upright.sum()} that come upright"
    _write_series(experts, folder / "experts.png", title, highlight=upright)
    # A weaker cart with more time: it must swing, from hanging at rest.
    problem = _problem(80, 10.0)
    x0 = models.cartpole_state(0.0, 0.0, jnp.pi)
    push = jnp.sin(0.25 * jnp.arange(80, dtype=x0.dtype))[:, None]  # zeros would keep it hanging
    swing = jaxmpc.solve(problem, x0, models.CARTPOLE, controls=push)
    title = "Swinging up from hanging at rest, force within 10 N either way"
    _write_series(swing, folder / "swing_up.png", title)
    film = plot.animate_cartpole(swing.states, models.CARTPOLE_DT, controls=swing.controls)
    film.save(folder / "swing_up.gif", writer="pillow", dpi=80)
    print(f"\n   Wrote experts.png, swing_up.png and swing_up.gif in {folder}.")


def _write_series(solution: jaxmpc.Solution, path: Path, title: str, highlight=None):
    states = np.asarray(solution.states)
    angle = np.degrees(np.unwrap(np.arctan2(states[..., 3], states[..., 2])))
    series = {
        "angle [deg]": angle,
        "position [m]": states[..., 0],
        "force [N]": np.asarray(solution.controls)[..., 0],
    }
    figure = plot.plot_series(series, models.CARTPOLE_DT, highlight=highlight)
    turns = [180 * k for k in range(-2, 3) if angle.min() - 20 < 180 * k < angle.max() + 20]
    figure.axes[0].set_yticks(turns)
    figure.suptitle(title)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    sys.exit(main())
