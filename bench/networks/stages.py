"""One step, several steps, through the controller: a residual network in three stages."""

from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

import jaxmpc
from bench.networks.residual import ResidualDynamics, dynamics, residual_dynamics
from bench.networks.systems import SOLVER, System, experts, rollouts, starts
from jaxmpc import learning
from jaxmpc.learning import Examples
from jaxmpc.trajectory import rollout

STEPS = 10  # of the multi-step prediction
DECAY = 1e-3  # of the weights: less curvature where there are no data
NOISE = 0.02  # of the sensors, relative to a step's largest correction
ANCHOR = 1e-3  # weight of the prediction where both losses are minimised
STAGES = ("prior", "one step", "several steps", "controller", "controller, anchored")


class Effort(NamedTuple):
    """How much is done: examples of each kind, and the epochs of the three stages."""

    examples: int
    width: int
    epochs: tuple[int, int, int]


class Material(NamedTuple):
    """What is learned from, and what is judged by, which nothing is learned from."""

    recorded: Examples  # noisy rollouts of the true system
    unseen: Examples  # others, without noise
    taught: Examples  # optimal trajectories
    tasks: Examples  # others
    best: Float[Array, " N"]  # what these cost


@eqx.filter_jit
def plans(problem: jaxmpc.Problem, model: Any, x0s: Array, guess: Array) -> jaxmpc.Solution:
    """One program for the data, for every stage's judgement and for the closed loop."""
    return jaxmpc.solve_batch(problem, x0s, model, controls=guess, solver=SOLVER)


def material(system: System, untrained: ResidualDynamics, number: int, seed: int) -> Material:
    """Rollouts around the prior's plans, and experts."""
    keys = jax.random.split(jax.random.key(seed), 4)
    problem = system.problem()
    blank = jnp.zeros((number, problem.horizon, problem.control_dim))

    def recorded(key, noise):
        x0s = starts(system, key, number)
        controls = plans(problem, untrained, x0s, blank).controls
        return rollouts(system, key, x0s, controls, noise)

    x0s = starts(system, keys[2], 2 * number)
    known = experts(system, x0s)
    if not bool(jnp.all(known.converged)):
        raise RuntimeError(f"{system.name}: an expert was not found.")
    whole = Examples(known.states, known.controls)
    return Material(
        recorded(keys[0], NOISE),
        recorded(keys[1], 0.0),
        whole[:number],
        whole[number:],
        known.cost[number:],
    )


def prediction(system: System, steps: int) -> learning.Prediction:
    """Errors in units of a step's correction, so that all states count."""
    weights = 1 / jnp.asarray(system.scale) ** 2
    return learning.Prediction(dynamics, steps, weights)


def imitation(system: System) -> learning.Imitation:
    """Controls relative to the width of their bounds."""
    low, high = system.bounds
    return learning.Imitation(system.problem(), on_controls=1 / (high - low) ** 2, solver=SOLVER)


def train(system: System, model, given: Material, epochs: tuple[int, int, int]):
    """The model after each stage [4], and what each fit went through."""
    size = min(32, len(given.taught.controls))

    def fit(loss, model, examples, epochs, rate):
        steps = epochs * -(-len(given.taught.controls) // size)
        schedule = optax.cosine_decay_schedule(rate, steps)
        optimizer = optax.chain(
            optax.clip_by_global_norm(1.0), optax.adamw(schedule, weight_decay=DECAY)
        )
        return learning.fit(
            loss, model, examples, optimizer=optimizer, epochs=epochs, batch_size=size
        )

    several, imitated = prediction(system, STEPS), imitation(system)
    one = fit(prediction(system, 1), model, given.recorded, epochs[0], 5e-3)
    more = fit(several, one.last, given.recorded, epochs[1], 1e-3)
    alone = fit(imitated, more.last, given.taught, epochs[2], 5e-4)
    both = learning.WeightedSum((imitated, several), (1.0, ANCHOR))
    anchored = fit(both, more.last, (given.taught, given.recorded), epochs[2], 5e-4)
    fits = [one, more, alone, anchored]
    return [model, *(fit.last for fit in fits)], [fit.history for fit in fits]


def judge(system: System, model, given: Material) -> dict[str, float]:
    """What a model is worth on what it has not seen."""
    problem, tasks = system.problem(), given.tasks

    def error(steps):
        outcome = eqx.filter_jit(prediction(system, steps))(model, given.unseen)
        return float(jnp.sqrt(jnp.mean(outcome.losses)))

    blank = jnp.zeros_like(tasks.controls)
    found = plans(problem, model, tasks.states[:, 0], blank)
    open_loop = jax.vmap(partial(true_cost, system, feedback=False))(found)
    policy = jax.vmap(partial(true_cost, system, feedback=True))(found)
    width = system.bounds[1] - system.bounds[0]
    losses = jnp.mean((found.controls - tasks.controls) ** 2, axis=(1, 2)) / width**2
    return {
        "one_step_error": error(1),
        "several_step_error": error(STEPS),
        "imitation_loss": float(jnp.mean(losses)),
        "median_imitation_loss": float(jnp.median(losses)),
        "open_loop_regret": float(jnp.mean(open_loop - given.best)),
        "feedback_regret": float(jnp.mean(policy - given.best)),
        "unsolved": int(jnp.sum(~found.converged)),
        "iterations": float(jnp.mean(found.iterations)),
    }


def true_cost(system: System, plan: jaxmpc.Solution, feedback: bool) -> Float[Array, ""]:
    """Of a plan on the true system, alone or with the feedback gains that come with it."""

    def law(x, given):
        expected, u, K = given
        return jnp.clip(u + K @ (x - expected) if feedback else u, *system.bounds)

    given = plan.states[:-1], plan.controls, plan.gains.feedback
    return rollout(system.problem(), plan.states[0], system.truth, law, given).cost


class Study(NamedTuple):
    """A system's numbers, and what they are of."""

    row: dict[str, Any]
    models: list[ResidualDynamics]  # after each stage
    given: Material


def study(system: System, effort: Effort, seed: int = 0) -> Study:
    """All stages of a system."""
    untrained = residual_dynamics(
        system.prior,
        system.features,
        system.scale,
        system.sizes[1],
        key=jax.random.key(seed),
        width=effort.width,
    )
    given = material(system, untrained, effort.examples, seed)
    models, histories = train(system, untrained, given, effort.epochs)
    rows = [
        {"stage": name, **judge(system, model, given)}
        for name, model in zip(STAGES, models, strict=True)
    ]
    row = {
        "system": system.name,
        "effort": effort._asdict(),
        "stages": rows,
        "losses": {
            name: history.loss.tolist() for name, history in zip(STAGES[1:], histories, strict=True)
        },
        "fit_seconds": [float(history.seconds.sum()) for history in histories],
        "fit_unsolved": [int(history.unsolved.sum()) for history in histories],
        "expert_cost": float(jnp.mean(given.best)),
    }
    return Study(row, models, given)
