# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Without derivatives
#
# In [lesson 1](01_swing_up_a_pendulum.ipynb) the rod hung still when the search began from zero
# torque: there was no slope to follow. Can one find a plan without slopes, just by trying?

# %%
import time

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import jaxmpc

jax.config.update("jax_enable_x64", True)
DT, T, BOUNDS = 0.05, 80, (-2.0, 2.0)  # s, steps, N m
KNOTS = 12  # torques to choose; what is between them lies on straight lines


def dynamics(x, u, t, params):
    omega = x[1] + DT * (15 * jnp.sin(x[0]) + 3 * u[0])
    return jnp.stack([x[0] + DT * omega, omega])


def stage_cost(x, u, t, params):
    return (1 - jnp.cos(x[0])) + 0.01 * x[1] ** 2 + 0.2 * u[0] ** 2


def terminal_cost(x, params):
    return 50 * (1 - jnp.cos(x[0])) + x[1] ** 2


problem = jaxmpc.Problem(
    dynamics, stage_cost, terminal_cost, horizon=T, control_dim=1, control_bounds=BOUNDS
)
hanging = jnp.array([jnp.pi, 0.0])


def torques(values):  # [KNOTS] -> [T, 1]
    between = jnp.interp(jnp.linspace(0, 1, T), jnp.linspace(0, 1, KNOTS), values)
    return jnp.clip(between, *BOUNDS)[:, None]


def tried(values):
    """The angles, and the cost, of one sample."""

    def step(x, u):
        return dynamics(x, u, 0, None), (x[0], stage_cost(x, u, 0, None))

    last, (angles, costs) = jax.lax.scan(step, hanging, torques(values))
    return jnp.append(angles, last[0]), jnp.sum(costs) + terminal_cost(last, None)


@jax.jit
def iterate(mean, deviation, key):
    """Sample, roll out, keep the best 32 of 256, and fit a normal distribution to them."""
    samples = mean + deviation * jax.random.normal(key, (256, KNOTS))
    angles, costs = jax.vmap(tried)(samples)
    elites = jnp.argsort(costs)[:32]
    chosen = samples[elites]
    return chosen.mean(axis=0), chosen.std(axis=0), angles, costs, elites


# %%
mean, deviation = jnp.zeros(KNOTS), jnp.full(KNOTS, 2.0)
figure, axes = plt.subplots(1, 4, figsize=(7.5, 3.0), sharey=True, layout="constrained")
seconds, panels, progress = DT * np.arange(T + 1), iter(axes), []
for iteration in range(20):
    key = jax.random.key(iteration)
    mean, deviation, angles, costs, elites = iterate(mean, deviation, key)
    progress.append(float(costs.min()))
    if iteration in (0, 2, 5, 19):
        axis = next(panels)
        axis.plot(seconds, angles[:100].T, color="0.8", lw=0.5)
        axis.plot(seconds, angles[elites[:16]].T, color="tab:blue", lw=0.8)
        axis.plot(seconds, angles[elites[0]], color="black", lw=1.5)
        axis.set(title=f"iteration {iteration + 1}", xlabel="time [s]", ylim=(-4, 10))
        axis.text(0.2, 9, f"best {costs.min():.0f}", va="center")
for axis in axes:
    for upright in (0, 2 * np.pi):
        axis.axhline(upright, color="tab:red", ls="--", lw=1)
axes[0].set_yticks([0, np.pi, 2 * np.pi], ["upright", "hanging", "upright"])
assert jnp.cos(angles[elites[0], -1]) > 0.9
assert progress[-1] < 0.6 * progress[0]

# %% [markdown]
# Each grey line is a try: 4 seconds of random torques. Blue are the best of them, black the very
# best. At first they are all over the place; then the tries narrow onto a swing-up. No derivative
# was taken.
#
# ## How does CEM work?
#
# This is the **cross-entropy method** (CEM), and all of it is in the five lines of `iterate`:
#
# 1. **Sample** 256 plans from a normal distribution: a mean and a standard deviation for each
#    torque.
# 2. **Roll them out**, and add up what each costs. All that is asked of the model is to be run.
# 3. Keep the 32 best, the **elites**.
# 4. Fit the next distribution to them: their mean, their standard deviation. Then again.
#
# How far we try is where the elites differ: the distribution becomes narrow where they agree.
#
# **MPPI** (model-predictive path integral control) keeps all samples, but with weights
# $e^{-\text{excess cost} / \text{temperature}}$, so that the good ones count most: a soft choice in
# place of the elites.
#
# ## How do I sample with jaxmpc?
#
# `CEM`, `ICEM`, `MPPI` and `MaximumEntropy` are solvers like the others. They need a random key.

# %%
cem = jaxmpc.CEM(knots=KNOTS, noise=2.0)
sampled = jaxmpc.solve(problem, hanging, solver=cem, key=jax.random.key(0))
print(jaxmpc.describe(sampled))
assert sampled.status == jaxmpc.Status.sampled
assert jnp.cos(sampled.states[-1, 0]) > 0.9

# %% [markdown]
# The status is `sampled`, and not `converged`: it is the best of what was tried, and nobody knows
# whether that is a minimum. So its derivative ([lesson 4](04_gradient_of_a_solution.ipynb)) is zero
# by definition.
#
# ## What noise should I sample?
#
# The noise is the whole search: what it never tries is never found. Independent torques at each of
# the 80 steps (**white** noise) cancel out before the rod has moved: a random trembling. Slow
# torques move it. There are two ways to have them: `knots=12`, as we did by hand, and `color=1.0`,
# noise in which slow waves are larger than quick ones. And `noise`, the first standard deviation,
# should be as large as the torques that we may need. We try 20 random keys with each:

# %%
SEEDS = 20
starts = jnp.tile(hanging, (SEEDS, 1))


def trials(problem, solvers):
    """Success, cost and time of each solver, from 20 keys or 20 random guesses."""
    guesses = jax.random.uniform(jax.random.key(3), (SEEDS, T, 1), minval=-2.0, maxval=2.0)
    found = {}
    print(f"{'':24} upright   least  median cost    ms each")
    for name, solver in solvers.items():
        given = {"key": jax.random.key(0)}
        if isinstance(solver, jaxmpc.SQP):
            given = {"controls": guesses}
        jaxmpc.solve_batch(problem, starts, solver=solver, **given)  # compiles
        before = time.perf_counter()
        plans = jax.block_until_ready(
            jaxmpc.solve_batch(problem, starts, solver=solver, **given)
        )
        each = 1e3 * (time.perf_counter() - before) / SEEDS
        upright = int(jnp.sum(jnp.cos(plans.states[:, -1, 0]) > 0.9))
        costs = f"{plans.cost.min():7.1f} {jnp.median(plans.cost):12.1f}"
        print(f"{name:24} {upright:4d}/{SEEDS} {costs} {each:10.0f}")
        found[name] = upright, float(plans.cost.min()), float(jnp.median(plans.cost))
    return found


samplers = {
    "CEM, white": jaxmpc.CEM(noise=2.0),
    "CEM, knots": cem,
    "ICEM, coloured": jaxmpc.ICEM(color=1.0, noise=2.0),
    "MPPI, white": jaxmpc.MPPI(noise=2.0),
    "MPPI, knots": jaxmpc.MPPI(knots=KNOTS, noise=2.0),
}
by_sampling = trials(problem, samplers)
assert by_sampling["CEM, knots"][0] >= 18
assert by_sampling["MPPI, knots"][2] < by_sampling["MPPI, white"][2]
