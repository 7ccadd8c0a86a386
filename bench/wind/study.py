"""One seed: tune, fly, learn, and fly where nobody has been."""

import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bench.wind import closed_loop
from bench.wind.closed_loop import Flight, Task
from bench.wind.disturbance import NOTHING, Network, constant_and_drag, learned
from bench.wind.situations import Situation, hindsight, prediction_error, situations
from bench.wind.training import Training

METHODS = {
    "none": "no model",
    "hand_tuned": "constant and drag,\nhand-tuned",
    "prediction": "network,\nprediction error",
    "end_to_end": "network,\nend to end",
    "informed": "true wind field\n(not available)",
}
_GRID = {"drag": (0.5, 0.7, 0.9, 1.1), "memory": (0.0, 0.15), "gain": (1.0, 0.9, 1.1)}


class Size(NamedTuple):
    """How much is flown and learned from."""

    flights: int  # in each set
    sets: int  # to train on
    through_solver: int  # situations to train on end to end
    judging: int  # held-out situations to select an end-to-end network by


class Seed(NamedTuple):
    """What came of one: numbers, and the flights for a picture."""

    row: dict[str, Any]
    task: Task
    flights: dict[str, Flight]


def tuned(task: Task) -> tuple[dict[str, Any], Flight]:
    """The constant-and-drag model that tracks best on a task, and its flights.

    One coordinate at a time, each from the best so far.
    """
    best = jax.tree.map(jnp.asarray, {name: values[0] for name, values in _GRID.items()})
    flight = closed_loop.fly(constant_and_drag, best, task)
    for name, values in _GRID.items():
        for value in values[1:]:
            tried = {**best, name: jnp.asarray(value)}
            flown = closed_loop.fly(constant_and_drag, tried, task)
            if _mean(flown, task) < _mean(flight, task):
                best, flight = tried, flown
    return best, flight


def run(seed: int, size: Size, predict: Training, through_solver: Training) -> Seed:
    """Everything with one seed."""
    clock = time.perf_counter()
    keys = jax.random.split(jax.random.key(seed), size.sets + 4)
    tasks = [closed_loop.draw(key, size.flights) for key in keys[: size.sets + 2]]
    *training, judging, held_out = tasks
    hand, first = tuned(training[0])
    moments = [situations(first, training[0])]
    for task in [*training[1:], judging]:
        moments.append(situations(closed_loop.fly(constant_and_drag, hand, task), task))
    examples = jax.tree.map(lambda *parts: jnp.concatenate(parts), *moments[:-1])
    _say(seed, clock, f"{len(examples.state)} situations recorded")
    network, predicted = predict(Network(keys[-2]), examples, moments[-1], seed)
    _say(seed, clock, f"prediction loss {predicted[0]:.3f} -> {min(predicted):.3f}")
    chosen, judged = _some(keys[-1], examples, size.through_solver), moments[-1]
    judged = hindsight(_some(keys[-1], judged, size.judging))
    trained, imitated = through_solver(network, hindsight(chosen), judged, seed)
    _say(seed, clock, f"imitation loss {imitated[0]:.2e} -> {min(imitated):.2e}")
    nothing = jax.tree.map(jnp.asarray, NOTHING)
    models: dict[str, tuple[Any, Any]] = {
        "none": (constant_and_drag, nothing),
        "hand_tuned": (constant_and_drag, hand),
        "prediction": (learned, network),
        "end_to_end": (learned, trained),
        "informed": (None, None),
    }
    flights = {name: closed_loop.fly(*of, held_out) for name, of in models.items()}
    met = situations(flights["end_to_end"], held_out)
    row = {
        "seed": seed,
        "tracking_rms_m": {name: _mean(flight, held_out) for name, flight in flights.items()},
        "prediction_rms_m_per_s2": {
            name: _prediction_rms(*model, met) for name, model in models.items() if model[0]
        },
        "unsolved": {name: int(jnp.sum(~f.converged)) for name, f in flights.items()},
        "hand_tuned": {name: float(value) for name, value in hand.items()},
        "held_out_prediction_loss": predicted,
        "held_out_imitation_loss": imitated,
        "seconds": time.perf_counter() - clock,
    }
    return Seed(row, held_out, flights)


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Over the seeds: errors, and how much lower than another method's, with their spread."""
    errors = {m: np.array([row["tracking_rms_m"][m] for row in rows]) for m in METHODS}
    pairs = [("prediction", "hand_tuned"), ("end_to_end", "hand_tuned")]
    pairs += [("informed", "hand_tuned"), ("end_to_end", "prediction")]
    lower = {f"{a} than {b}": 100 * (1 - errors[a] / errors[b]) for a, b in pairs}
    return {
        "tracking_rms_m": {name: _spread(values) for name, values in errors.items()},
        "percent_lower": {name: _spread(values) for name, values in lower.items()},
    }


def _spread(values: np.ndarray) -> dict[str, float]:
    return {
        "mean": float(values.mean()),
        "standard_deviation": float(values.std(ddof=1)) if len(values) > 1 else 0.0,
        "min": float(values.min()),
        "max": float(values.max()),
    }


def _say(seed: int, clock: float, text: str):
    print(f"seed {seed}, {time.perf_counter() - clock:.0f} s: {text}", flush=True)


def _mean(flight: Flight, task: Task) -> float:
    return float(jnp.mean(closed_loop.tracking_error(flight, task)))


def _some(key, moments: Situation, number: int) -> Situation:
    chosen = jax.random.permutation(key, len(moments.state))[:number]
    return jax.tree.map(lambda leaf: leaf[chosen], moments)


def _prediction_rms(model, params, moments: Situation) -> float:
    errors = jax.vmap(lambda moment: prediction_error(model, params, moment))(moments)
    return float(jnp.sqrt(jnp.mean(errors)))
