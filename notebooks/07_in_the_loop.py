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
# # In the loop
#
# [Lesson 1](01_swing_up_a_pendulum.ipynb) planned how a rod swings up, and followed the plan with
# its feedback gains. Now somebody pushes the rod when it has just come to stand, so hard that it
# falls. The plan knows nothing of falling. What should the motor do?

# %%
import gymnasium
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import jaxmpc
from jaxmpc import plot, spaces
from jaxmpc.interop.gymnasium import run_episode

jax.config.update("jax_enable_x64", True)

DT, HORIZON, SAMPLES = 0.05, 60, 200  # s, steps of a plan, steps of the loop
PARAMS = {"gravity": 10.0, "mass": 1.0, "length": 1.0}  # m/s^2, kg, m
REAL = {**PARAMS, "mass": 1.05}  # what nobody told the planner
PUSH_STEP, PUSH = 90, 3.0  # at 4.5 s, rad/s


def dynamics(x, u, t, params):
    theta, omega = x
    g, m, l = params["gravity"], params["mass"], params["length"]
    omega = omega + DT * (3 * g / (2 * l) * jnp.sin(theta) + 3 / (m * l**2) * u[0])
    return jnp.stack([theta + DT * omega, omega])


def stage_cost(x, u, t, params):
    return (1 - jnp.cos(x[0])) + 0.01 * x[1] ** 2 + 0.2 * u[0] ** 2


def terminal_cost(x, params):
    return 50 * (1 - jnp.cos(x[0])) + x[1] ** 2


def plant(x, u, t):  # the real rod, and the push
    x = x + jnp.where(t == PUSH_STEP, jnp.array([0.0, PUSH]), 0.0)
    return dynamics(x, u, t, REAL)


# %%
problem = jaxmpc.Problem(
    dynamics,
    stage_cost,
    terminal_cost,
    horizon=HORIZON,
    control_dim=1,
    control_bounds=(-2.0, 2.0),
    state_space=spaces.Product(spaces.Circle(), spaces.Euclidean(1)),  # an angle and a speed
)
controller = jaxmpc.RecedingHorizon(problem)
hanging = jnp.array([jnp.pi, 0.0])
begin = controller.init(hanging, PARAMS, controls=jnp.full((HORIZON, 1), 0.1))  # a gentle push
_, first = controller.step(hanging, begin, PARAMS)  # the plan of lesson 1


class Follow:  # u* + K (x - x*) along that plan for ever, at its end with its last stage
    def init(self, x0, params):
        return jnp.array(0)

    def step(self, x, stage, params):
        u = controller.policy(x, first._replace(stage=stage))
        return u, stage + 1


followed = jaxmpc.simulate(Follow(), plant, hanging, SAMPLES)
loop = jaxmpc.simulate(controller, plant, hanging, SAMPLES, PARAMS, plan=begin)

figure, axes = plt.subplots(2, 1, sharex=True, figsize=(7.5, 4.0), layout="constrained")
for run, look, name in (
    (followed, {"color": "tab:red", "ls": "--"}, "one plan and its gains"),
    (loop, {"color": "tab:blue"}, "a new plan at every sample"),
):
    axes[0].plot(DT * np.arange(SAMPLES + 1), jnp.cos(run.states[:, 0]), label=name, **look)
    axes[1].plot(DT * np.arange(SAMPLES), run.controls[:, 0], drawstyle="steps-post", **look)
for axis in axes:
    axis.axvline(DT * PUSH_STEP, color="0.6", ls=":")
axes[0].text(DT * PUSH_STEP - 0.05, -0.9, "push", color="0.4", ha="right")
axes[0].set_ylabel("height (1 is upright)")
axes[0].legend(frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
_ = axes[1].set(xlabel="time [s]", ylabel="torque [N m]")
assert jnp.cos(loop.states[-1, 0]) > 0.99 > jnp.cos(followed.states[-20:, 0]).min()

# %% [markdown]
# For three seconds the two are alike. Then the old plan has run out. What remains are the gains of
# its last stage, made for a plan that ends there and too weak to hold a rod up: its torque creeps
# up before anybody pushes. After the push the rod falls, and the old plan goes on doing what is
# right near the top. The other
# controller plans again from where the rod is: it lets the rod go round, five times, brakes it on
# the way, and it stands again.
#
# ## How to close the loop
#
# That is **model predictive control**, which lesson 1 promised. At every **sample** (here every
# 0.05 s) it measures the state, plans the next 3 s from there, applies the first torque of that
# plan, and forgets the rest. The time that a plan covers moves along with the clock, hence the
# other name, **receding horizon**. The feedback is in the planning: whatever pushed the rod, the
# next plan starts from where it is.
#
# Two names did it above. `jaxmpc.RecedingHorizon(problem)` is the controller: `init` makes a plan
# to begin with, and `u, plan = controller.step(x, plan, params)` is one sample. `jaxmpc.simulate`
# plays it against a **plant**: the real thing, or a model of it. This plant is 5 % heavier than
# the controller believes.
#
# Each thin line below is a plan, drawn for every tenth sample.

# %%
LABELS = ["angle [rad]", "speed [rad/s]", "torque [N m]"]
_ = plot.plot_closed_loop(loop, DT, LABELS, every=10, problem=problem)
print(f"{int(loop.converged.sum())} of {SAMPLES} plans converged")

# %% [markdown]
# Look at the plans just after the push: they are of a quite different kind from those before. And
# a plan made in peace agrees with what then happened, for nothing surprised it.
#
# Are five turns the best that one can do? Hardly. All plans converged, but `converged` means that
# no small change is better (lesson 1), and to turn round once less is no small change.
#
# The angle is a `Circle` in this problem (`state_space=`): a rod that has gone round once is
# where it was, and an environment may well say so by a jump from $\pi$ to $-\pi$.
#
# ## How to drive a Gymnasium environment
#
# Gymnasium's Pendulum-v1 is this rod, with a mass of 1 kg. `run_episode` resets an environment
# and lets the controller act in it until it ends. It begins somewhere at random, and it pays
# by its own rule, minus the squared angle and a little for speed and torque; our controller
# minimises its own cost.

# %%
env = gymnasium.make("Pendulum-v1")
episodes = [run_episode(env, controller, PARAMS, seed=seed) for seed in range(3)]
env.close()
for seed, episode in enumerate(episodes):
    upright = np.cos(episode.states[-1, 0])
    print(f"seed {seed}: return {episode.total:7.1f}, at the end {upright:+.3f} (1 is upright)")
    assert upright > 0.99

# %% [markdown]
# An environment that simulates by MuJoCo works in the same way
# ([lesson 9](09_your_own_robot.ipynb) makes the model); for others you say by an `Adapter` how
# to read the state.
#
# ## How to start from the plan before
#
# Planning 20 times a second sounds expensive. But the plan of a moment ago is nearly right: drop
# its first torque, repeat its last one, and improve from there. This is a **warm start**, and
# `RecedingHorizon` makes one at every sample. A **cold start** begins from a fixed guess. How many
# iterations do the two need from the same states?

# %%
cold, asked = [], range(0, SAMPLES, 5)
guess = jnp.full((HORIZON, 1), 0.1)
for t in asked:
    x = loop.states[t]
    _, plan = controller.step(x, controller.init(x, PARAMS, controls=guess), PARAMS)
    cold.append(int(plan.iterations))

figure, axis = plt.subplots(figsize=(7.5, 3.0), layout="constrained")
axis.plot(DT * np.array(asked), cold, "x", color="tab:red", label="cold")
axis.step(DT * np.arange(SAMPLES), loop.iterations, color="tab:blue", where="post", label="warm")
axis.axvline(DT * PUSH_STEP, color="0.6", ls=":")
axis.set(xlabel="time [s]", ylabel="iterations of the solver", ylim=(0, None))
axis.legend(frameon=False)
warm = float(loop.iterations[np.array(asked)].mean())
print(f"mean iterations: {warm:.1f} warm, {np.mean(cold):.1f} cold")
assert warm < 0.6 * np.mean(cold)

# %% [markdown]
# The start and the push are the exceptions. There the plan before is no help.
#
# A warm start does more than save time. There are often two good plans, to swing left or right.
# A cold start may pick another one at every sample, and get nowhere; a warm one stays with what
# it has begun. That is also its weakness: it stays with five turns.
#
# ## How to keep a deadline
#
# A simulation waits for the solver. A rod does not: after 0.05 s the next torque is due, ready or
# not. `control.RealTime` looks at a clock. It iterates while there is time, then gives the best
# that it has. As this is about real time it is a loop in Python, without `simulate`.


# %%
def in_real_time(deadline):
    clocked = jaxmpc.control.RealTime(controller, deadline)
    x = hanging
    plan = clocked.init(x, PARAMS, controls=guess)  # compiles, and takes its time
    states, failures = [x], []
    for t in range(SAMPLES):
        u, plan = clocked.step(x, plan, PARAMS)
        x = plant(x, u, t)
        states.append(x)
        failures.append(int(plan.failures))
    return np.stack(states), np.array(failures), clocked.report()


states, failures, report = in_real_time(DT)
_ = plot.plot_timing(report)
print(str(report).replace(";", "\n "))
print(f"samples without a new plan: {(failures > 0).sum()} of {SAMPLES}")

# %% [markdown]
# The median is what one is told; the worst is what one has to live with. (p99: 99 of 100 steps are
# quicker. These are the times of
# the machine that ran this lesson, with others at work on it.)
#
# ## What happens when a deadline is missed
#
# Now a deadline that nobody can keep, of ten microseconds. Not a single iteration fits.

# %%
hopeless, without, late = in_real_time(1e-5)
print(str(late).replace(";", "\n "))
print(f"samples without a new plan: {(without > 0).sum()} of {SAMPLES}")
assert (without > 0).all()

figure, axis = plt.subplots(figsize=(7.5, 3.0), layout="constrained")
clock = DT * np.arange(SAMPLES + 1)
axis.plot(clock, np.cos(states[:, 0]), color="tab:blue", label="deadline 50 ms")
axis.plot(clock, np.cos(hopeless[:, 0]), color="tab:red", ls="--", label="deadline 10 µs")
axis.plot(clock, jnp.cos(followed.states[:, 0]), color="0.6", lw=4, zorder=0, label="one plan")
axis.axvline(DT * PUSH_STEP, color="0.6", ls=":")
axis.set(xlabel="time [s]", ylabel="height (1 is upright)")
_ = axis.legend(frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
assert np.allclose(hopeless, followed.states, atol=1e-3)

# %% [markdown]
# Every sample is late, and still there is a torque at every sample: that of the last good plan at
# its stage, with its gains, $u_t^* + K_t (x - x_t^*)$. This is the grey curve, the one plan of our
# first picture, and so it stands up, begins to lean when the plan has run out, and falls after the
# push.
#
# The same happens when a solve fails, or when a sensor says `nan`: what cannot be relied on is
# never fed back. `plan.failures` counts the samples in a row for which no new plan was found.
# A robot should look at it, and brake when it grows.
#
# ## Exercises
#
# **1.** How much must one iterate? `RecedingHorizon(problem, iterations=1)` improves the plan by
# one iteration a sample, and goes on from there at the next one. Does the rod stand at the end?
#
# <details><summary>Answer</summary>
#
# ```python
# once = jaxmpc.RecedingHorizon(problem, iterations=1)
# quick = jaxmpc.simulate(once, plant, hanging, SAMPLES, PARAMS, plan=begin, predictions=False)
# for run in (quick, loop):
#     print(jnp.cos(run.states[-1, 0]), run.costs.sum(), run.states[-1, 0] / (2 * jnp.pi))
# assert jnp.cos(quick.states[-1, 0]) > 0.99
# ```
# It does. This is the *real-time iteration*: the problem changes little from sample to sample, so
# one step of Newton's method keeps up with it. (The very first plan is solved to the end.) After
# the push it even came upon a cheaper way than the plans that were solved to the end: which local
# minimum one falls into is luck.
#
# </details>
#
# **2.** A sensor fails for one sample, and says `nan`. What does the controller do?
#
# <details><summary>Answer</summary>
#
# ```python
# x, plan = loop.states[-1], loop.plan
# u, plan = controller.step(jnp.array([jnp.nan, 0.0]), plan, PARAMS)
# print(u, jaxmpc.Status(int(plan.status)).name, int(plan.failures))
# assert jnp.isfinite(u).all() and plan.failures == 1
# u, plan = controller.step(x, plan, PARAMS)
# assert plan.failures == 0
# ```
# It follows the plan before for a sample and says so by `status` and `failures`. With the next
# good measurement there is a new plan.
#
# </details>
#
# ## What to read next
#
# [Lesson 8](08_a_network_as_the_model.ipynb): here the model was right up to 5 % of a mass. What
# if there is no model, but a log of what the machine did?
#
# The guide [control loops](guides/control_loops.md) is about delays, noise, half steps and what to
# do on a robot.
# Diehl, Bock and Schlöder (2005), *A real-time iteration scheme for nonlinear optimization in
# optimal feedback control*; Rawlings, Mayne and Diehl (2017), *Model Predictive Control: Theory,
# Computation, and Design*.
