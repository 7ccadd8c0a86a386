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
# A rod hangs from a motor. We want it to stand upright, but the motor is too weak to lift it: it
# has to swing it back and forth first, and to know when to push which way. Nobody will tell it
# how. We only say what we want and what is possible, and let an optimiser find the pushes.
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

# %% [markdown]
# ## State, control, dynamics
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
# The masses and lengths are *parameters*: jaxmpc hands whatever you give it (any nest of dicts,
# tuples and arrays) on to your functions.

# %%
DT, MAX_TORQUE = 0.05, 2.0  # s, N m
PARAMS = {"gravity": 10.0, "mass": 1.0, "length": 1.0}  # m/s^2, kg, m


def dynamics(x, u, t, params):
    theta, omega = x
    g, m, l = params["gravity"], params["mass"], params["length"]
    acceleration = 3 * g / (2 * l) * jnp.sin(theta) + 3 / (m * l**2) * u[0]
    omega = omega + DT * acceleration
    return jnp.stack([theta + DT * omega, omega])


# %% [markdown]
# Can the motor lift the rod? Held level, gravity's torque is $m g l / 2 = 5$ N m, the motor has 2.
# So it must swing.
#
# ## What we want: a cost
#
# We put a number on how much we dislike each moment. Not being upright costs $1 - \cos\theta$,
# which is 2 when hanging and 0 when upright. Speed and torque cost a little, so that the rod comes
# to rest and the motor is not used for nothing. The state at the end has a cost of its own, the
# **terminal cost**.

# %%


def stage_cost(x, u, t, params):
    theta, omega = x
    return (1 - jnp.cos(theta)) + 0.01 * omega**2 + 0.2 * u[0] ** 2


def terminal_cost(x, params):
    theta, omega = x
    return 50 * (1 - jnp.cos(theta)) + omega**2


# %% [markdown]
# ## The problem
#
# How far ahead do we plan? The **horizon** is the number of steps: 80 of them are 4 seconds. So
# there are 80 torques to choose, and the sum of the costs along the way is to be as small as
# possible:
#
# $$\min_{u_0, \dots, u_{79}} \; \sum_{t=0}^{79} \text{stage cost}(x_t, u_t)
#   + \text{terminal cost}(x_{80}) \quad \text{with} \quad x_{t+1} = \text{dynamics}(x_t, u_t),
#   \quad -2 \le u_t \le 2.$$

# %%
problem = jaxmpc.Problem(
    dynamics,
    stage_cost,
    terminal_cost,
    horizon=80,
    control_dim=1,
    control_bounds=(-MAX_TORQUE, MAX_TORQUE),
)
hanging = jnp.array([jnp.pi, 0.0])
push = jnp.full((80, 1), 0.1)  # where the search starts: a gentle push
solution = jaxmpc.solve(problem, hanging, PARAMS, controls=push)
print(jaxmpc.describe(solution))

# %%
LABELS = ["angle [rad]", "speed [rad/s]", "torque [N m]"]
figure = plot.plot_solution(solution, DT, LABELS)
angle_axis, _, torque_axis = figure.axes
for turn in (-1, 0, 1):
    angle_axis.axhline(2 * np.pi * turn, color="tab:green", ls=":", lw=1)
angle_axis.set_ylim(float(solution.states[:, 0].min()) - 1, float(solution.states[:, 0].max()) + 1)
for bound in (-MAX_TORQUE, MAX_TORQUE):
    torque_axis.axhline(bound, color="tab:red", ls=":", lw=1)
_ = angle_axis.set_title("Green: upright. Red: the limits of the motor.")

# %% [markdown]
# Nobody told it to, yet it swings: it pushes one way as hard as it may, then the other way, and at
# the right moment it lets go and arrives at the top slowly.
#
# ## What a status is
#
# The solver improves its plan until no small change would improve it further. It then says
# `converged`, and shows by how much that is not quite true (the *stationarity* above: how fast the
# cost still falls in the best direction). If it was stopped before, it says so too. Always look at
# the status before you use the answer:

# %%
hurried = jaxmpc.solve(
    problem, hanging, PARAMS, controls=push, solver=jaxmpc.ILQR(max_iterations=3)
)
print(jaxmpc.describe(hurried))

# %% [markdown]
# And what does `converged` *not* mean? That there is no better plan of a very different kind. If
# the search starts from "do nothing", the rod hangs still. There the cost does not care, to first
# order, which way one pushes: there is no slope to follow, and so nothing to do for the solver.

# %%
lazy = jaxmpc.solve(problem, hanging, PARAMS)  # starts from zero torque
print(jaxmpc.describe(lazy))
print(f"\ncost of hanging still: {lazy.cost:.1f}, of swinging up: {solution.cost:.1f}")

# %% [markdown]
# This is why there was a gentle push to start from: `controls=` is the initial guess.
#
# ## Plans meet reality: feedback gains
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
# clipped to what the motor can do.

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


figure, axes = plt.subplots(2, 1, sharex=True, figsize=(7.5, 4.5), layout="constrained")
time = DT * np.arange(81)
axes[0].plot(time, solution.states[:, 0], color="0.6", lw=4, label="plan")
for feedback, color, name in ((0, "tab:red", "open loop"), (1, "tab:blue", "feedback")):
    states, controls = play(feedback)
    axes[0].plot(time, states[:, 0], color=color, label=name)
    axes[1].plot(time[:-1], controls[:, 0], color=color, drawstyle="steps-post")
    print(f"{name}: at the end {float(jnp.cos(states[-1, 0])):+.3f} (1 is upright, -1 hanging)")
axes[0].axvline(DT * BUMP_STEP, color="0.8", ls="--")
axes[0].set_ylabel("angle [rad]")
axes[0].legend()
axes[1].set_ylabel("torque [N m]")
_ = axes[1].set_xlabel("time [s]")

# %% [markdown]
# The gains are exact only near the plan. For larger disturbances one plans again from wherever the
# rod is, many times a second: this is *model predictive control*.
#
# ## Many at once
#
# `solve` is an ordinary JAX function, so `jax.vmap` solves for many initial states at once. Each
# has its own status and its own number of iterations; none disturbs its neighbours.
#
# A plan depends on where the search starts, as we have seen. So let us search from three guesses
# for each initial state (push one way, push the other way, hardly push) and keep the cheapest plan.

# %%
angles = jnp.linspace(-jnp.pi, jnp.pi, 15)
speeds = jnp.linspace(-6.0, 6.0, 9)
starts = jnp.stack(jnp.meshgrid(angles, speeds), axis=-1).reshape(-1, 2)
guesses = jnp.array([-1.0, 0.1, 1.0])[:, None, None] * jnp.ones((80, 1))


def cheapest(x0):
    plans = jax.vmap(lambda guess: jaxmpc.solve(problem, x0, PARAMS, controls=guess))(guesses)
    best = jnp.argmin(jnp.where(plans.converged, plans.cost, jnp.inf))
    return jax.tree.map(lambda leaf: leaf[best], plans)


many = jax.jit(jax.vmap(cheapest))(starts)
print(jaxmpc.describe(many))

# %%
figure, axis = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
upright = np.asarray(jnp.cos(many.states[:, -1, 0]) > 0.99)
for good, color in ((True, "tab:blue"), (False, "tab:red")):
    chosen = many.states[upright == good]
    axis.plot(chosen[..., 0].T, chosen[..., 1].T, color=color, lw=0.8, alpha=0.5)
    axis.plot(chosen[:, 0, 0], chosen[:, 0, 1], ".", color=color)
turns = range(-4, 5)
axis.set_xticks([np.pi * k for k in turns], [f"{k}π" if k else "0" for k in turns])
axis.set(xlim=(-4 * np.pi, 4 * np.pi), xlabel="angle [rad]", ylabel="speed [rad/s]")
_ = axis.set_title(
    f"{upright.sum()} of {len(starts)} end upright (blue): at 0, or a full turn away"
)

# %% [markdown]
# ## Where to go from here
#
# The next notebook differentiates such a solution: how does the plan change when the rod gets
# longer? With that one can *learn* the rod's length, or the cost, from watching somebody else
# swing it up.
