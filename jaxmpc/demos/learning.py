"""Learns a pendulum's mass and length through the solver.

Sixteen plans of an expert are all that is seen. The gradient of the distance between its torques
and the solver's says how mass and length should change; the paper's demonstration does it at size.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

import jaxmpc
from jaxmpc import learning, models, plot
from jaxmpc.demos.options import Options, draw
from jaxmpc.demos.report import Report

TRUE = {name: models.PENDULUM[name] for name in ("mass", "length")}
WRONG, UNITS = {"mass": 1.4, "length": 0.7}, {"mass": "kg", "length": "m"}
EXPERTS, EPOCHS, RATE = 16, 120, 0.1


def dynamics(x, u, t, params):
    """The paper's pendulum, whose gravity is known."""
    gravity = models.PENDULUM["gravity"]
    return models.pendulum(x, u, {"gravity": gravity, **params})


PROBLEM = jaxmpc.Problem(
    dynamics, models.pendulum_cost, horizon=15, control_dim=1, control_bounds=(-2.0, 2.0)
)


class _Outcome(NamedTuple):
    examples: learning.Examples
    fitted: learning.Fit
    learned: dict[str, Array]


def run(report: Report, options: Options) -> bool:
    """Whether mass and length were found (of `quick`, whether they came nearer)."""
    report.heading("Learn a pendulum from an expert's torques, through the solver")
    epochs = 10 if options.quick else EPOCHS
    report.say(f"{EXPERTS} plans of {PROBLEM.horizon} steps of {models.PENDULUM_DT} s are seen.")
    found = _learn(report, epochs)
    history, learned = found.fitted.history, found.learned
    errors = {name: abs(float(learned[name]) / true - 1) for name, true in TRUE.items()}
    report.table(
        ("", "before", "learned", "true", "relative error"),
        [
            (f"{name} [{UNITS[name]}]", WRONG[name], f"{learned[name]:.5f}", true, f"{error:.0e}")
            for (name, true), error in zip(TRUE.items(), errors.values(), strict=True)
        ],
    )
    report.facts(
        {
            "loss": f"{history.loss[0]:.1e} N^2 m^2 at first, {history.loss[-1]:.1e} at the end",
            "did not converge": f"{history.unsolved.sum()} of {epochs * EXPERTS} solves",
            "step": f"{1e3 * np.median(history.seconds):.0f} ms for {EXPERTS} solves and their "
            "gradient",
        }
    )
    draw(report, options, {"learning.png": lambda: _picture(found)})
    if options.quick:
        return bool(history.loss[-1] < history.loss[0])
    return max(errors.values()) < 1e-2


def _learn(report: Report, epochs: int) -> _Outcome:
    angles = jnp.linspace(-jnp.pi, jnp.pi, EXPERTS, endpoint=False)
    rates = jax.random.normal(jax.random.key(0), (EXPERTS,))
    starts = jax.vmap(models.pendulum_state)(angles, rates)
    true = {name: jnp.asarray(value) for name, value in TRUE.items()}
    with report.waiting("compiling and solving the experts"):
        experts = jax.block_until_ready(jaxmpc.solve_batch(PROBLEM, starts, true))
    examples = learning.Examples(experts.states, experts.controls)
    report.say(f"Compiling the solver's gradient, then {epochs} steps of Adam ...")
    fitted = learning.fit(
        learning.Imitation(PROBLEM),
        {name: learning.Positive(value) for name, value in WRONG.items()},
        examples,
        optimizer=optax.adam(optax.cosine_decay_schedule(RATE, epochs)),
        epochs=epochs,
        progress=report.watched,
    )
    return _Outcome(examples, fitted, learning.plain(fitted.params))


def _picture(found: _Outcome):
    axes = plot.plot_history(found.fitted.history)
    axes[1].set_ylim(0, max(1, found.fitted.history.unsolved.max()))
    axes[0].set_title("Distance between the expert's torques and the solver's")
    return axes
