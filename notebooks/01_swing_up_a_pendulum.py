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
# # Swinging up a pendulum
#
# A rod hangs from a motor that is too weak to lift it. How can it stand up all the same? Nobody
# will tell it how. We only say what we want and what is possible, and let an optimiser find the
# torques.
#
# You need to know Python and a little calculus; no control theory.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import jaxmpc
from jaxmpc import plot

jax.config.update("jax_enable_x64", True)  # 64-bit numbers; optional
DT, T, MAX_TORQUE = 0.05, 80, 2.0  # s, steps, N m
PARAMS = {"gravity": 10.0, "mass": 1.0, "length": 1.0}  # m/s^2, kg, m


def dynamics(x, u, t, params):  # what happens
    theta, omega = x
    g, m, l = params["gravity"], params["mass"], params["length"]
    acceleration = 3 * g / (2 * l) * jnp.sin(theta) + 3 / (m * l**2) * u[0]
    omega = omega + DT * acceleration
    return jnp.stack([theta + DT * omega, omega])


def stage_cost(x, u, t, params):  # what we want on the way
    theta, omega = x
    return (1 - jnp.cos(theta)) + 0.01 * omega**2 + 0.2 * u[0] ** 2


def terminal_cost(x, params):  # and at the end
    theta, omega = x
    return 50 * (1 - jnp.cos(theta)) + omega**2


bounds = (-MAX_TORQUE, MAX_TORQUE)  # what is possible
problem = jaxmpc.Problem(
    dynamics, stage_cost, terminal_cost, horizon=T, control_dim=1, control_bounds=bounds
)
hanging = jnp.array([jnp.pi, 0.0])
push = jnp.full((T, 1), 0.1)  # where the search starts: a gentle push
solution = jaxmpc.solve(problem, hanging, PARAMS, controls=push)

# %%
figure, axes = plt.subplots(2, 1, sharex=True, figsize=(7.5, 3.6), layout="constrained")
for i in range(0, T + 1, 8):  # the rod every 0.4 s, its motor drawn at that time
    theta = float(solution.states[i, 0])
    tip = DT * i + 0.4 * np.sin(theta), np.cos(theta)
    axes[0].plot([DT * i, tip[0]], [0, tip[1]], color="tab:blue", lw=3, solid_capstyle="round")
    axes[0].plot(DT * i, 0, "o", color="black", ms=4)
axes[0].set(xlim=(-0.3, DT * T + 0.3), ylim=(-1.2, 1.2), yticks=[-1, 1])
axes[0].set_yticklabels(["hanging", "upright"])
torque = np.append(solution.controls[:, 0], solution.controls[-1, 0])
axes[1].step(DT * np.arange(T + 1), torque, where="post", color="tab:blue")
for bound in bounds:
    axes[1].axhline(bound, color="tab:red", ls="--", lw=1)
axes[1].set(xlabel="time [s]", ylabel="torque [N m]")
assert jnp.cos(solution.states[-1, 0]) > 0.99

# %% [markdown]
# Nobody told it to, yet it swings: it pushes one way as hard as it may, then the other way, and at
# the right moment it lets go and arrives at the top slowly. (Red: the limits of the motor.)
#
# ## What do I have to say of a system?
#
# The **state** $x$ is all that one must know now in order to predict the future: here the angle
# $\theta$ (0 is upright, $\pi$ is hanging) and the angular velocity $\omega$.
# The **control** $u$ is what we may choose: the motor's torque, at most 2 N m either way.
# The **dynamics** say what the state will be a moment later. Time goes in steps of 0.05 s, and in
# each of them the torque is held:
#
# $$\omega' = \omega + \Delta t \left(\frac{3 g}{2 l} \sin\theta + \frac{3}{m l^2} u\right), \qquad
#   \theta' = \theta + \Delta t \, \omega'.$$
#
# That is the function `dynamics` above. The masses and lengths are *parameters*: jaxmpc hands
# whatever you give it (any nest of dicts, tuples and arrays) on to your functions.
#
# Can the motor lift the rod? Held level, gravity's torque is $m g l / 2 = 5$ N m, the motor has 2.
# So it must swing.
#
# ## How do I say what I want?
#
# With a **cost**: a number for how much we dislike each moment. In `stage_cost`, not being upright
# costs $1 - \cos\theta$, which is 2 when hanging and 0 when upright. Speed and torque cost a
# little, so that the rod comes to rest and the motor is not used for nothing. The state at the end
# has a cost of its own, the **terminal cost**.
#
# How far ahead do we plan? The **horizon** is the number of steps: 80 of them are 4 seconds. So
# there are 80 torques to choose, and the sum of the costs along the way is to be as small as
# possible:
#
# $$\min_{u_0, \dots, u_{79}} \; \sum_{t=0}^{79} \text{stage cost}(x_t, u_t)
#   + \text{terminal cost}(x_{80}) \quad \text{with} \quad x_{t+1} = \text{dynamics}(x_t, u_t),
#   \quad -2 \le u_t \le 2.$$
#
# `Problem` holds all of that, and `solve` finds the torques from an initial state. What it returns
# has the plan as arrays, and much more; `plot_solution` draws the plan, with the stages shaded at
# which a control is at its bound.

# %%
labels = ["angle [rad]", "speed [rad/s]", "torque [N m]"]
panels = plot.plot_solution(solution, DT, labels, problem=problem)
panels[0].figure.set_size_inches(7.5, 4.5)

# %% [markdown]
# ## How do I know that it worked?
#
# The solver improves its plan until the slope of the cost is zero. It then says `converged`, and
# shows by how much that is not quite true (the *stationarity*: how fast the cost still falls in the
# best direction). If it was stopped before, it says so too. Always look at the **status** before
# you use the answer. (`SQP` is the solver that `solve` picks here. *KKT residual* is how far the
# conditions of a minimum are from met, [lesson 4](04_gradient_of_a_solution.ipynb); *feasibility*
# and *complementarity* are about constraints, [lesson 6](06_obstacles_and_limits.ipynb).)

# %%
print(jaxmpc.describe(solution))
three = jaxmpc.SQP(max_iterations=3)
hurried = jaxmpc.solve(problem, hanging, PARAMS, controls=push, solver=three)
print(f"\nafter three iterations: {jaxmpc.Status(int(hurried.status)).name}")
assert solution.converged
assert not hurried.converged

# %% [markdown]
# ## Why does the rod not move at all?
#
# What does `converged` *not* mean? That there is no better plan of a very different kind. If the
# search starts from "do nothing", the rod hangs still. There the cost does not care, to first
# order, which way one pushes: there is no slope to follow, and so nothing to do for the solver.

# %%
lazy = jaxmpc.solve(problem, hanging, PARAMS)  # starts from zero torque
print(jaxmpc.describe(lazy))
print(f"\ncost of hanging still: {lazy.cost:.1f}, of swinging up: {solution.cost:.1f}")
assert lazy.converged
assert lazy.cost > solution.cost

# %% [markdown]
# This is why there was a gentle push to start from: `controls=` is the **initial guess**. The
# solvers here are *local*: they stop where the slope is zero. Mostly that is a **local minimum**, a
# plan that is better than all that are near it; hanging still is a *saddle*, which any small push
# leaves ([lesson 10](10_when_it_fails.ipynb)). Where they stop depends on the guess.
#
# ## How do I use a plan when reality differs?
#
# The real rod is a little heavier than we thought, and somebody bumps into it after one second. If
# we play the planned torques back blindly (*open loop*), it will be somewhere else than planned,
# and the torques are wrong there.
#
# The solution knows better. Besides the plan it has **feedback gains**, `solution.gains.feedback`:
# matrices $K_t$ that say how the best torque changes when the state is not the planned one. So a
# *feedback* controller plays
#
# $$u_t = u_t^* + K_t (x_t - x_t^*),$$
#
# clipped to what the motor can do. ($u^*$ and $x^*$ are the plan.)

# %%
REAL = {**PARAMS, "mass": 1.05}
BUMP_STEP, BUMP = 20, jnp.array([0.0, 0.3])  # at 1 s, 0.3 rad/s


def play(feedback):
    def step(x, plan):
        t, x_planned, u_planned, gain = plan
        x = x + jnp.where(t == BUMP_STEP, BUMP, 0.0)
        u = u_planned + feedback * gain @ (x - x_planned)
        u = jnp.clip(u, -MAX_TORQUE, MAX_TORQUE)
        x_next = dynamics(x, u, t, REAL)
        return x_next, (x_next, u)

    plan = (jnp.arange(80), solution.states[:-1], solution.controls, solution.gains.feedback)
    _, (states, controls) = jax.lax.scan(step, hanging, plan)
    return jnp.concatenate([hanging[None], states]), controls


figure, axes = plt.subplots(2, 1, sharex=True, figsize=(7.5, 4.2), layout="constrained")
time = DT * np.arange(81)
axes[0].plot(time, solution.states[:, 0], color="0.6", lw=4, label="plan")
looks = ((0, "tab:red", "--", "open loop"), (1, "tab:blue", "-", "feedback"))
for feedback, color, style, name in looks:
    states, controls = play(feedback)
    axes[0].plot(time, states[:, 0], color=color, ls=style, label=name)
    axes[1].step(time[:-1], controls[:, 0], where="post", color=color, ls=style)
    print(f"{name}: at the end {float(jnp.cos(states[-1, 0])):+.3f} (1 is upright, -1 hanging)")
axes[0].axvline(DT * BUMP_STEP, color="0.8", ls=":")
axes[0].set_ylabel("angle [rad]")
axes[0].legend()
axes[1].set_ylabel("torque [N m]")
_ = axes[1].set_xlabel("time [s]")

# %% [markdown]
# ## What if reality differs a lot?
#
# The gains are right only near the plan: a larger bump would leave them helpless. For that one
# plans again, from wherever the rod is, many times a second, and plays only the beginning of each
# plan. This is **model predictive control** (MPC), and what this package is named after. [Lesson
# 7](07_in_the_loop.ipynb) does it.
#
# ## Exercises
#
# **1.** With 8 N m the motor could lift the rod straight up. Does the best plan do that?
#
# <details><summary>Answer</summary>
#
# ```python
# strong = jaxmpc.Problem(
#     dynamics, stage_cost, terminal_cost, horizon=T, control_dim=1, control_bounds=(-8, 8)
# )
# plan = jaxmpc.solve(strong, hanging, PARAMS, controls=push)
# print(f"cost {plan.cost:.1f}, largest torque {jnp.abs(plan.controls).max():.1f} N m")
# assert plan.cost < solution.cost
# assert jnp.abs(plan.controls).max() < 5
# ```
# No: it never uses the 5 N m that it would take. To swing is slower and cheaper, at this price of
# torque. The cost says what we want, and this is what it said.
#
# </details>
#
# **2.** Start the search from a push the other way. Which plan comes out, and what does it cost?
#
# <details><summary>Answer</summary>
#
# ```python
# other = jaxmpc.solve(problem, hanging, PARAMS, controls=-push)
# print(f"{other.states[-1, 0]:.2f} rad at the end, cost {other.cost:.4f}")
# assert abs(other.cost - solution.cost) < 1e-6
# ```
# The mirror image, upright at the other side (0 and $2\pi$ are both upright), for the same cost.
#
# </details>

# %% [markdown]
# ## What to read next
#
# - [Lesson 2](02_how_ilqr_works.ipynb) opens the solver: what happens in one iteration.
# - [Lesson 3](03_a_thousand_starts.ipynb) solves from a thousand states at once.
# - [Lesson 7](07_in_the_loop.ipynb) closes the loop: it plans again at every sample.
# - README's [quick start](../README.md#quick-start), and the guide [options](guides/options.md).
# - Kelly (2017), *An introduction to trajectory optimization: how to do your own direct
#   collocation*, a tutorial of the wider field.
