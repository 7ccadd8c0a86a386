"""The paper's pendulum and cart-pole, as problems whose cost and dynamics are parameters."""

import json
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxmpc
from jaxmpc import models
from jaxmpc.learning import Bounded, Examples, Positive

INITS = json.loads(Path(__file__).with_name("inits.json").read_text())  # the authors' draws
HORIZON = 20
# Short horizons and stable dynamics in large batches: what ILQR is quickest at.
SOLVER = jaxmpc.ILQR()
TRAIN, VALIDATION = 100, 10  # the first of the 120 experts; the last 10 are for the test


class Task(NamedTuple):
    """What an environment is, and where a learner starts."""

    name: Literal["pendulum", "cartpole"]
    problem: jaxmpc.Problem
    expert: dict[str, Any]  # dynamics, q, p
    wrong_dynamics: dict[str, float]


class Data(NamedTuple):
    """The experts, as the paper splits them."""

    train: Examples
    validation: Examples
    test: Examples


def task(name: Literal["pendulum", "cartpole"]) -> Task:
    """ "pendulum" or "cartpole"."""
    if name == "pendulum":
        true, wrong = models.PENDULUM, {"gravity": 15.0, "mass": 3.0, "length": 0.5}
        return Task(
            name, _problem(models.pendulum, 2.0), _expert(true, models.PENDULUM_COST), wrong
        )
    true = models.CARTPOLE
    wrong = {"gravity": 9.8, "masscart": 3.0, "masspole": 0.1, "length": 1.0}
    return Task(name, _problem(models.cartpole, 100.0), _expert(true, models.CARTPOLE_COST), wrong)


def experts(which: Task) -> Data:
    """The 120 experts' plans, from zero controls."""
    starts = jnp.asarray(models.paper_initial_states(which.name))
    solution = jaxmpc.solve_batch(which.problem, starts, which.expert, solver=SOLVER)
    if not bool(jnp.all(solution.converged)):
        raise RuntimeError(f"{which.name}: not all experts converged")
    examples = Examples(solution.states, solution.controls)
    ends = TRAIN, TRAIN + VALIDATION
    return Data(examples[: ends[0]], examples[ends[0] : ends[1]], examples[ends[1] :])


def start(which: Task, learned: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Where a learner of "dx", "cost" or "cost.dx" starts, and the mask of what it learns.

    The cost is 1/2 z' diag(q) z + (sqrt(q) p)' z with q between 0 and 1, from q = 1/2 and p = 0.
    """
    size = len(which.expert["q"])
    parts = learned.split(".")
    dynamics, cost = "dx" in parts, "cost" in parts
    expert = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), which.expert)
    params = {
        "dynamics": {
            name: Positive(value)
            for name, value in (which.wrong_dynamics if dynamics else expert["dynamics"]).items()
        },
        "q": Bounded(jnp.full(size, 0.5), 0.0, 1.0) if cost else expert["q"],
        "p": jnp.zeros(size) if cost else expert["p"],
    }
    return params, {"dynamics": dynamics, "q": cost, "p": cost}


def _problem(step, limit: float) -> jaxmpc.Problem:
    def stage_cost(x, u, t, params):
        q = params["q"]
        return models.diagonal_cost(x, u, q, jnp.sqrt(q) * params["p"])

    return jaxmpc.Problem(
        lambda x, u, t, params: step(x, u, params["dynamics"]),
        stage_cost,
        horizon=HORIZON,
        control_dim=1,
        control_bounds=(-limit, limit),
    )


def _expert(dynamics: dict[str, float], cost: dict[str, Any]) -> dict[str, Any]:
    q, p = np.asarray(cost["q"]), np.asarray(cost["p"])
    return {"dynamics": dict(dynamics), "q": q, "p": p / np.sqrt(q)}
