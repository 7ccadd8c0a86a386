"""A cost learned from experts whose cost is convex, and not quadratic."""

import time
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

import jaxmpc
from bench.networks.cost import ConvexCost, FreeCost, QuadraticCost
from bench.networks.systems import CARTPOLE, SOLVER, starts
from jaxmpc import learning
from jaxmpc.learning import Examples, plain

_SIZES = (1.0, 1.0, 1.0, 2.0, 10.0)  # of position, angle, speed, rate and force
_LIMIT = 0.6  # m/s, beyond which the expert does not like to go


def scaled(x: Float[Array, " n"], u: Float[Array, " m"]) -> Float[Array, " k"]:
    """z, affine in (x, u) and of order one."""
    return jnp.concatenate([x, u]) / jnp.asarray(_SIZES, x.dtype)


def expert_cost(x, u, t, params) -> Array:
    """A position that is disliked linearly, and a soft limit of the speed."""
    far = jnp.sqrt(x[0] ** 2 + 0.01)
    fast = 0.1 * jax.nn.softplus((jnp.abs(x[2]) - _LIMIT) / 0.05)
    return far + fast + 2 * x[1] ** 2 + 0.05 * x[3] ** 2 + 0.005 * u[0] ** 2


def learned(x, u, t, cost) -> Array:
    """The network as the cost of a `Problem` whose params are the network."""
    return cost(scaled(x, u))


def cart(stage_cost) -> jaxmpc.Problem:
    """The nominal cart-pole, which both sides know."""
    return jaxmpc.Problem(
        lambda x, u, t, params: CARTPOLE.prior(x, u),
        stage_cost,
        horizon=20,
        control_dim=1,
        control_bounds=CARTPOLE.bounds,
    )


def balancing(number: int) -> Float[Array, "N n"]:
    """Starts with the pole within 0.4 rad, where the dynamics are nearly linear."""
    return starts(CARTPOLE, jax.random.key(7), number) * jnp.array([2.0, 0.5, 1.0, 0.5])


def costs(width: int) -> dict[str, Any]:
    """Untrained ones."""
    key, size = jax.random.key(0), len(_SIZES)
    return {
        "quadratic": QuadraticCost(size),
        "convex network": ConvexCost(size, width, key),
        "any network": FreeCost(size, width, key),
    }


def least_curvature(cost) -> Float[Array, ""]:
    """The smallest eigenvalue of the cost's Hessian in z over 1000 points, |z_i| < 2."""
    z = jax.random.uniform(jax.random.key(1), (1000, len(_SIZES)), minval=-2.0, maxval=2.0)
    return jnp.min(jnp.linalg.eigvalsh(jax.vmap(jax.hessian(plain(cost)))(z)))


def measure(number: int, epochs: int, width: int = 16) -> list[dict[str, Any]]:
    """Imitation before and after, of experts that were not seen, for each kind of cost."""
    solve = partial(jaxmpc.solve_batch, cart(expert_cost), solver=SOLVER)
    known = jax.jit(solve)(balancing(2 * number))
    whole = Examples(known.states, known.controls)[known.converged]
    taught, unseen = whole[:number], whole[number:]
    low, high = CARTPOLE.bounds
    loss = learning.Imitation(cart(learned), on_controls=1 / (high - low) ** 2, solver=SOLVER)
    judge = eqx.filter_jit(lambda cost, plans: loss(plain(cost), unseen, plans))
    rows = []
    for name, cost in costs(width).items():
        clock = time.perf_counter()
        done = learning.fit(loss, cost, taught, optimizer=_optimizer(epochs), epochs=epochs)
        plans = loss.first_plans(plain(cost), unseen)
        before, after = judge(cost, plans), judge(done.last, plans)
        rows.append(
            {
                "cost": name,
                "loss_before": float(jnp.mean(before.losses)),
                "loss": float(jnp.mean(after.losses)),
                "unsolved": int(jnp.sum(~after.solved)),
                "of": len(unseen.controls),
                "iterations": float(jnp.mean(after.plans.iterations)),
                "least_curvature": float(least_curvature(done.last)),
                "losses": done.history.loss.tolist(),
                "fit_unsolved": int(done.history.unsolved.sum()),
                "seconds": time.perf_counter() - clock,
            }
        )
    return rows


def _optimizer(epochs: int) -> optax.GradientTransformation:
    return optax.chain(
        optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(0.1, epochs))
    )
