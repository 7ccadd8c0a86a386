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


def run(problem, controls):
    """The angles, and what it costs."""

    def step(x, u):
        return problem.dynamics(x, u, 0, None), (x[0], problem.stage_cost(x, u, 0, None))

    last, (angles, costs) = jax.lax.scan(step, hanging, controls)
    return jnp.append(angles, last[0]), jnp.sum(costs) + problem.terminal_cost(last, None)


@jax.jit
def iterate(mean, deviation, key):
    """Sample, roll out, keep the best 32 of 256, and fit a normal distribution to them."""
    samples = mean + deviation * jax.random.normal(key, (256, KNOTS))
    angles, costs = jax.vmap(lambda values: run(problem, torques(values)))(samples)
    elites = jnp.argsort(costs)[:32]
    chosen = samples[elites]
    return chosen.mean(axis=0), chosen.std(axis=0), angles, costs, elites


# %%
mean, deviation = jnp.zeros(KNOTS), jnp.full(KNOTS, 2.0)
best = hanging[:1]  # the angles of the best try
figure, axes = plt.subplots(1, 4, figsize=(7.5, 3.0), sharey=True, layout="constrained")
seconds, panels, progress = DT * np.arange(T + 1), iter(axes), []
for iteration in range(20):
    key = jax.random.key(iteration)
    mean, deviation, angles, costs, elites = iterate(mean, deviation, key)
    best = angles[elites[0]]
    progress.append(float(costs[elites].mean()))
    if iteration in (0, 2, 5, 19):
        axis = next(panels)
        axis.plot(seconds, angles[:100].T, color="0.8", lw=0.5)
        axis.plot(seconds, angles[elites[:16]].T, color="tab:blue", lw=0.8)
        axis.plot(seconds, best, color="black", lw=1.5)
        axis.set(title=f"iteration {iteration + 1}", xlabel="time [s]", ylim=(-2, 9.5))
        axis.text(0.2, 8.6, f"cost {progress[-1]:.0f}", va="center")
for axis in axes:
    for goal in (0, 2 * np.pi):
        axis.axhline(goal, color="tab:red", ls="--", lw=1)
axes[0].set_yticks([0, np.pi, 2 * np.pi], ["upright", "hanging", "upright"])
assert jnp.cos(best[-1]) > 0.9
assert progress[-1] < 0.9 * progress[0]

# %% [markdown]
# Each grey line is a try: 4 seconds of random torques. Blue are the best of them, black the very
# best; the number is what the best cost on average. At first they are all over the place; then the
# tries narrow onto a swing-up. No derivative was taken.
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
# The distribution stays wide where the elites differ, and becomes narrow where they agree.
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
# the 80 steps (**white** noise) are a trembling that mostly cancels out. Slow torques move the rod.
# There are two ways to have them: `knots=12`, as we did by hand, and `color=1.0`, noise in which
# slow waves are larger than quick ones. And `noise`, the first standard deviation, should be as
# large as the torques that we may need. (`ICEM`, the improved CEM, keeps some elites for the next
# iteration, and draws fewer samples later.) We try 20 random keys with each:

# %%
SEEDS = 20
starts = jnp.tile(hanging, (SEEDS, 1))
GUESSES = jax.random.uniform(jax.random.key(3), (SEEDS, T, 1), minval=-2.0, maxval=2.0)


def solve_all(problem, solver):
    if solver == SQP:
        return jaxmpc.solve_batch(problem, starts, solver=solver, controls=GUESSES)
    return jaxmpc.solve_batch(problem, starts, solver=solver, key=jax.random.key(0))


def trials(problem, solvers):
    """Each solver from 20 keys, or 20 random guesses: how many are upright, their costs."""
    found = {}
    print(f"{'':22}upright   least cost   median   ms each")
    for name, solver in solvers.items():
        solved = solve_all(problem, solver)  # compiles
        before = time.perf_counter()
        solved = solve_all(problem, solver)
        jax.block_until_ready(solved)
        each = 1e3 * (time.perf_counter() - before) / SEEDS
        least, median = solved.cost.min(), jnp.median(solved.cost)
        print(f"{name:22}{upright(solved).sum():4}/{SEEDS}{least:13.1f}{median:9.1f}{each:10.1f}")
        found[name] = solved
    return found


def upright(plans):
    return jnp.cos(plans.states[:, -1, 0]) > 0.9


SQP = jaxmpc.SQP()
MPPI = jaxmpc.MPPI(knots=KNOTS, noise=2.0)
samplers = {
    "CEM, white": jaxmpc.CEM(noise=2.0),
    "CEM, knots": cem,
    "ICEM, coloured": jaxmpc.ICEM(color=1.0, noise=2.0),
    "MPPI, knots": MPPI,
}
swings = trials(problem, samplers)
assert jnp.median(swings["CEM, knots"].cost) < swings["CEM, white"].cost.min()

# %% [markdown]
# From the same number of samples, slow noise finds cheaper swings. That is knowledge about the
# problem, put in by hand: one that needs quick controls is searched in vain with slow ones. (The
# time is that of one solve in a batch, after it was compiled.)
#
# ## How do I polish what sampling found?
#
# A sampler comes near the bottom of a valley and then spends its samples on the last percents, or
# has become too narrow to go on. A solver with derivatives goes down in a few iterations, but only
# in the valley in which it starts. So take one after the other:

# %%
chain = jaxmpc.Chain(cem, SQP)
swings |= trials(problem, {"CEM, then SQP": chain})
rough, polished = swings["CEM, knots"], swings["CEM, then SQP"]
figure, axes = plt.subplots(2, 1, sharex=True, figsize=(7.5, 3.6), layout="constrained")
for plans, look, name in ((rough, "0.6", "sampled"), (polished, "tab:blue", "polished")):
    axes[0].plot(seconds, plans.states[0, :, 0], color=look, label=name)
    axes[1].step(seconds[:-1], plans.controls[0, :, 0], where="post", color=look)
axes[0].set_yticks([0, np.pi, 2 * np.pi], ["upright", "hanging", "upright"])
axes[0].legend()
for bound in BOUNDS:
    axes[1].axhline(bound, color="tab:red", ls="--", lw=1)
axes[1].set(xlabel="time [s]", ylabel="torque [N m]")
assert polished.converged.all()
assert (polished.cost < rough.cost).all()

# %% [markdown]
# What a `Chain` returns is what its last solver returns: it is `converged`, and it has a derivative
# as any other solution. (The guess of zero torque, from which `SQP` alone would hang, never
# mattered.)
#
# ## Did we need the sampler?
#
# An honest count must ask what the derivatives do if they too may try: `SQP` from 20 random
# guesses, drawn evenly between the bounds.

# %%
swings |= trials(problem, {"SQP, random guesses": SQP})
guessed = swings["SQP, random guesses"].cost
assert upright(swings["SQP, random guesses"]).all()
assert jnp.median(guessed) < min(
    plans.cost.min() for name, plans in swings.items() if name in samplers
)

# %% [markdown]
# No. Each of the random guesses leads to a swing-up, most of them to one that is better than all
# that were sampled, at less than twice the time. Only the guess of exactly zero was a trap.
# The larger count in the README's benchmarks agrees: with derivatives at hand, many random guesses
# of a good solver succeed at least as often as any sampler.
#
# ## What if the cost has steps?
#
# Then it is the other way around. Let the rod be seen by a coarse sensor, which says no more of its
# height than the third it is in; that is all that the cost knows of the angle. And let the joint
# have **dry friction**: it sticks until something pulls hard enough.


# %%
def sticky(x, u, t, params):
    free = x[1] + DT * (15 * jnp.sin(x[0]) + 3 * u[0])
    omega = jnp.sign(free) * jnp.maximum(jnp.abs(free) - 3 * DT * 0.3, 0.0)  # up to 0.3 N m
    return jnp.stack([x[0] + DT * omega, omega])


def coarse(x):  # 0 when upright, 2 when hanging, in steps of a third
    return jnp.round(3 * (1 - jnp.cos(x[0]))) / 3


stepped = jaxmpc.Problem(
    sticky,
    lambda x, u, t, params: coarse(x) + 0.02 * u[0] ** 2,
    lambda x, params: 50 * coarse(x),
    horizon=T,
    control_dim=1,
    control_bounds=BOUNDS,
)
jumps = trials(stepped, {"CEM, knots": cem, "MPPI, knots": MPPI, "SQP, random guesses": SQP})
assert not upright(jumps["SQP, random guesses"]).any()
assert jumps["SQP, random guesses"].converged.all()
assert upright(jumps["CEM, knots"]).mean() > 0.5
assert upright(jumps["MPPI, knots"]).mean() > 0.5

# %% [markdown]
# Every sampler finds a swing-up at least in most of its tries, and `SQP` in none. Why? Take a plan,
# and play a share of its torques only, from nothing to all. What does that cost?

# %%
shares = jnp.linspace(0.0, 1.0, 400)
polished_one, seen = polished.controls[0], jumps["MPPI, knots"].controls[0]
figure, axes = plt.subplots(1, 2, figsize=(7.5, 3.0), layout="constrained")
run_shares = jax.vmap(lambda one, share, plan: run(one, share * plan), in_axes=(None, 0, None))
for name, one, plan, look, style in (
    ("smooth", problem, polished_one, "tab:blue", "--"),
    ("with steps", stepped, seen, "tab:red", "-"),
):
    angles, line = run_shares(one, shares, plan)
    axes[0].plot(shares, line, ls=style, lw=1, color=look, label=name)
    axes[1].plot(seconds, angles[-1], ls=style, color=look, label=name)
axes[0].set(xlabel="share of the torques that is played", ylabel="cost")
axes[0].legend(loc="lower left")
axes[1].set_xlabel("time [s]")
_ = axes[1].set_yticks([0, np.pi, 2 * np.pi], ["upright", "hanging", "upright"])

# %% [markdown]
# On the left the costs, on the right the two swings. The red cost is flat, and then jumps: wherever
# it has a derivative, all that this says is to use less torque. `SQP` follows it, from every one of
# its guesses, to the rod that hangs still, and says `converged`. Nothing warns you but the cost.
# The samplers do not care: they only ask which of two plans is the cheaper one.
#
# ## When does sampling pay?
#
# - There are useful derivatives: a solver with derivatives, from several guesses (`solve_batch`
#   with `controls=`). It is cheaper, and ends at a minimum.
# - There are derivatives, but of many valleys most are bad, or nobody knows a sensible guess:
#   `Chain(ICEM(iterations=5), SQP())`, or again many guesses.
# - Steps, dry friction, contacts, a simulator that is a black box to JAX's derivatives: a sampler
#   alone. Is the step only a model of something smooth, then smooth it, and you are back in the
#   first line.
# - Many controls over long horizons: samplers suffer most, since the chance that a random plan is a
#   good one falls with each number to be guessed. Knots and colour make it fewer numbers.
#
# `MaximumEntropy` stands in between: it samples around a Newton step, and so it needs derivatives
# of the model, but few samples.
#
# ## Exercises
#
# **1.** Make the sensor worse still: the rod costs 1 unless it is within 26 degrees of upright.
# Does CEM find a plan, and which noise does it take?
#
# <details><summary>Answer</summary>
#
# ```python
# def blind(x):
#     return jnp.where(jnp.cos(x[0]) > 0.9, 0.0, 1.0)
#
#
# no_hint = jaxmpc.Problem(
#     sticky,
#     lambda x, u, t, params: blind(x) + 0.02 * u[0] ** 2,
#     lambda x, params: 20 * blind(x),
#     horizon=T,
#     control_dim=1,
#     control_bounds=BOUNDS,
# )
# found = trials(no_hint, {"CEM, white": jaxmpc.CEM(noise=2.0), "CEM, knots": cem})
# assert upright(found["CEM, white"]).sum() < upright(found["CEM, knots"]).sum()
# ```
# White noise never gets there, so that all its tries cost the same but for their torque, and there
# is nothing to choose by. Slow noise gets there by luck, from about half of the keys, and goes on
# from that. A sampler needs no slope, but it needs some tries that are better than others.
#
# </details>
#
# **2.** Use MPPI in the loop ([lesson 7](07_in_the_loop.ipynb)), on the rod with dry friction, with
# three iterations at each sample.
#
# <details><summary>Answer</summary>
#
# ```python
# few = jaxmpc.MPPI(knots=KNOTS, noise=2.0, iterations=3)
# controller = jaxmpc.RecedingHorizon(stepped, solver=few)
# plant = lambda x, u, t: sticky(x, u, t, None)
# plan = controller.init(hanging, key=jax.random.key(0))
# loop = jaxmpc.simulate(controller, plant, hanging, 100, plan=plan)
# print(f"height after 5 s: {jnp.cos(loop.states[-1, 0]):.2f}")
# assert jnp.cos(loop.states[-1, 0]) > 0.8
# ```
# Each plan starts from the one before, moved by one step, so that three iterations are enough.
#
# </details>

# %% [markdown]
# ## What to read next
#
# - [Lesson 12](12_mpc_in_a_policy.ipynb): a plan inside of a policy that learns.
# - [Lesson 10](10_when_it_fails.ipynb): what to do when a solver with derivatives fails.
# - The guide *Sampling* (`notebooks/guides/sampling.md`), and "Sampling" in `bench/README.md`: five
#   tasks, 100 keys each.
# - Williams and others (2017), *Information theoretic MPC for model-based reinforcement learning*
#   (MPPI); Pinneri and others (2020), *Sample-efficient cross-entropy method for real-time
#   planning* (ICEM).
