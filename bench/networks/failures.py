"""What goes wrong with networks, provoked, and what each knob does about it."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree

import jaxmpc
from bench.networks import learned_cost
from bench.networks.residual import residual_dynamics
from bench.networks.stages import Effort, Material, Study, judge, prediction
from bench.networks.systems import CARTPOLE, SOLVER, simulate, starts
from jaxmpc import learning
from jaxmpc.learning import Examples, plain

Row = dict[str, Any]


def norm(gradient) -> jax.Array:
    """Of all weights together."""
    return jnp.linalg.norm(ravel_pytree(gradient)[0])


def long_windows(model, steps=(1, 5, 10, 20, 40, 80)) -> list[Row]:
    """The gradient of a prediction error grows with the window: the pole falls.

    Records of 80 steps from near upright; each window length has its own mean squared error.
    """
    x0s = 0.1 * starts(CARTPOLE, jax.random.key(11), 32)
    controls = 2.0 * jax.random.normal(jax.random.key(12), (32, max(steps), 1))
    states = jax.jit(jax.vmap(lambda x0, u: simulate(CARTPOLE, x0, u)))(x0s, controls)
    examples, rows = Examples(states, controls), []
    for length in steps:
        loss = prediction(CARTPOLE, length)

        def mean(model, loss=loss):
            return jnp.mean(loss(model, examples).losses)

        value, gradient = jax.jit(jax.value_and_grad(mean))(model)
        rows.append({"steps": length, "loss": float(value), "gradient_norm": float(norm(gradient))})
    return rows


def _gradients(problem: jaxmpc.Problem, adjoint: jaxmpc.ImplicitAdjoint) -> Callable:
    """(model, x0s) -> each start's gradient of its effort in the weights, and the plans."""

    def of_one(model, x0):
        plan = jaxmpc.solve(problem, x0, model, solver=SOLVER, adjoint=adjoint)
        return jnp.mean(plan.controls**2), plan

    def of_all(model, x0s):
        gradients, plans = jax.vmap(jax.grad(of_one, has_aux=True), (None, 0))(model, x0s)
        return jax.vmap(lambda gradient: ravel_pytree(gradient)[0])(gradients), plans

    return jax.jit(of_all)


def large_gradients(model, dampings=(0.0, 0.01, 0.1)) -> list[Row]:
    """Swing-ups from anywhere: a few starts have gradients far larger than the others'.

    The diagnostics tell whether that is a nearly singular Hessian. `damping` bounds the gradient;
    what it costs is the angle to the exact one.
    """
    problem, rows, exact = CARTPOLE.problem(), [], None
    x0s = starts(CARTPOLE, jax.random.key(5), 128) * jnp.array([1.0, 3.9, 3.0, 3.0])
    for damping in dampings:
        adjoint = jaxmpc.ImplicitAdjoint(damping=damping)
        gradients, plans = _gradients(problem, adjoint)(model, x0s)
        norms = jnp.where(plans.converged, jnp.linalg.norm(gradients, axis=1), jnp.nan)
        mean = jnp.mean(gradients, axis=0)
        exact = mean if exact is None else exact
        row = {
            "damping": damping,
            "unsolved": int(jnp.sum(~plans.converged)),
            "of": len(x0s),
            "median_norm": float(jnp.nanmedian(norms)),
            "largest_norm": float(jnp.nanmax(norms)),
            "cosine_to_exact": float(mean @ exact / jnp.linalg.norm(mean) / jnp.linalg.norm(exact)),
        }
        rows.append(row | (_told(problem, model, plans, norms) if damping == 0 else {}))
    return rows


def _told(problem: jaxmpc.Problem, model, plans: jaxmpc.Solution, norms) -> Row:
    """What the diagnostics say of all plans, and of the one with the largest gradient."""

    def one(plan):
        return jaxmpc.gradient_diagnostics(problem, plan.states[0], model, plan)

    told, worst = jax.jit(jax.vmap(one))(plans), int(jnp.nanargmax(norms))
    return {
        "reliable": int(jnp.sum(told.reliable)),
        "median_pivot": float(jnp.median(told.smallest_pivot)),
        "pivot_of_largest": float(told.smallest_pivot[worst]),
        "median_condition": float(jnp.median(told.condition)),
        "condition_of_largest": float(told.condition[worst]),
    }


def kinks(given: Material, width: int, epochs: int) -> list[Row]:
    """ReLU in place of tanh: the same data, the same training in one step."""
    rows = []
    for name, activation in (("tanh", jnp.tanh), ("relu", jax.nn.relu)):
        model = residual_dynamics(
            CARTPOLE.prior,
            CARTPOLE.features,
            CARTPOLE.scale,
            1,
            key=jax.random.key(0),
            width=width,
            activation=activation,
        )
        done = learning.fit(
            prediction(CARTPOLE, 1),
            model,
            given.recorded,
            optimizer=optax.adam(2e-3),
            epochs=epochs,
            batch_size=32,
        )
        rows.append({"activation": name, **judge(CARTPOLE, done.last, given)})
    return rows


def not_convex() -> list[Row]:
    """A cost with a network in it that nothing keeps convex, under each Hessian of the steps."""
    size = len(learned_cost.scaled(jnp.zeros(4), jnp.zeros(1)))
    cost = plain(learned_cost.FreeCost(size, 16, jax.random.key(5)))
    first, *_, last = cost.network.layers
    cost = eqx.tree_at(
        lambda cost: (cost.network.layers[0].weight, cost.network.layers[-1].weight),
        cost,
        (3 * first.weight, 10 * last.weight),
    )
    problem, x0s, rows = learned_cost.cart(learned_cost.learned), learned_cost.balancing(48), []
    for hessian in ("exact", "gauss_newton", "auto"):
        solver = jaxmpc.ILQR(hessian=hessian, max_iterations=100)

        def solve(cost, solver=solver):
            return jaxmpc.solve_batch(problem, x0s, cost, solver=solver)

        plans = jax.jit(solve)(cost)
        rows.append(
            {
                "hessian": hessian,
                "unsolved": int(jnp.sum(~plans.converged)),
                "of": len(x0s),
                "iterations": float(jnp.mean(plans.iterations)),
                "cost": float(jnp.mean(plans.cost)),
                "least_curvature": float(learned_cost.least_curvature(cost)),
            }
        )
    return rows


def measure(study: Study) -> dict[str, list[Row]]:
    """All of them, on the cart-pole, with the model of its last stage."""
    model, effort = study.models[-1], Effort(**study.row["effort"])
    return {
        "long windows": long_windows(model),
        "large gradients": large_gradients(model),
        "kinks": kinks(study.given, effort.width, effort.epochs[0]),
        "not convex": not_convex(),
    }
