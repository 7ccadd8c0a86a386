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
# # Obstacles and limits
#
# A drone has to fly four metres in three seconds, around a ball that hangs in its way, with
# rotors that can only push so hard. How does one say "must not", and what comes back when it
# cannot be done?

# %%
import dataclasses
import textwrap

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Circle

import jaxmpc
from jaxmpc import free_parameters, models

jax.config.update("jax_enable_x64", True)

STEPS, DT = 30, 0.1  # 3 s
HOVER = 0.486 * 9.81 / 2  # N a rotor: half the weight
MOST = 4.0  # N a rotor
TILT = 0.35  # rad
GOAL, BALL = jnp.array([4.0, 0, 0, 0, 0, 0]), jnp.array([2.0, -0.2])


def step(x, u, duration):
    """One Runge-Kutta step; u is the thrust beyond hovering."""

    def rate(x):
        return models.planar_quadrotor(x, u + HOVER)

    k1 = rate(x)
    k2 = rate(x + duration / 2 * k1)
    k3 = rate(x + duration / 2 * k2)
    return x + duration / 6 * (k1 + 2 * k2 + 2 * k3 + rate(x + duration * k3))


def effort(x, u, t, params):
    return DT * (u @ u + 0.1 * x[5] ** 2)


def outside_the_ball(x, u, t, params):
    return jnp.stack([params["radius"] ** 2 - jnp.sum((x[:2] - BALL) ** 2)])  # <= 0


def say(report):
    """Print sentences, folded to the width of the page."""
    for line in report.splitlines():
        print(textwrap.fill(line, 79, subsequent_indent="  "))


def at_the_goal(x, params):
    return x - GOAL  # = 0


tilt = np.array([np.inf, np.inf, TILT, np.inf, np.inf, np.inf])
hard = jaxmpc.Problem(
    lambda x, u, t, params: step(x, u, DT),
    effort,
    horizon=STEPS,
    control_dim=2,
    control_bounds=(-HOVER, MOST - HOVER),
    state_bounds=(-tilt, tilt),
    stage_inequality=outside_the_ball,
    terminal_equality=at_the_goal,
)
start, ball = jnp.zeros(6), {"radius": 0.6}
around = jaxmpc.solve(hard, start, ball)

# %%


def draw(axis, states, color, label, style="-"):
    """The path, and the drone as a bar at every third stage."""
    y, z, phi = np.asarray(states)[:, :3].T
    axis.plot(y, z, style, color=color, lw=1.5, label=label)
    for k in range(0, len(y), 3):
        arm = 0.2 * np.array([np.cos(phi[k]), np.sin(phi[k])])
        axis.plot([y[k] - arm[0], y[k] + arm[0]], [z[k] - arm[1], z[k] + arm[1]], color=color, lw=3)


def scene(radius=0.6):
    _, axis = plt.subplots(figsize=(7.5, 3.2), layout="constrained")
    axis.add_patch(Circle((2.0, -0.2), radius, color="0.8"))
    axis.set(aspect="equal", xlabel="y [m]", ylabel="z [m]", xlim=(-0.4, 4.4), ylim=(-0.9, 1.3))
    return axis


axis = scene()
draw(axis, around.states, "tab:blue", "the plan")
_ = axis.legend(loc="upper right", frameon=False)

# %% [markdown]
# The drone is the planar quadrotor of `jaxmpc.models`: a bar with a rotor at each end. Its state is
# the place $(y, z)$, the tilt $\phi$ and their three rates; its controls are the two thrusts. As
# control we take the thrust *beyond hovering*. So zero controls hover, which is a far better guess
# to start from than zero thrust, with which it falls.
#
# ## Say what must not happen
#
# There are three ways, all of them **constraints**: conditions that a plan has to meet, whatever
# they cost.
#
# - **Bounds** on controls and states: `control_bounds`, `state_bounds`. Here each rotor pushes with
#   0 to 4 N, and the tilt stays within 0.35 rad (20 degrees).
# - **Inequalities**, functions that must be $\le 0$: `stage_inequality` at every stage,
#   `terminal_inequality` at the end. The ball is one: $r^2 - |p - c|^2 \le 0$. Written with the
#   square it has a derivative everywhere, which a distance has not.
# - **Equalities**, functions that must be $= 0$: here the last state is the goal, at rest.
#
# ## Read what came back
#
# `describe` gives the status first, and then numbers that say how true it is.

# %%
print(jaxmpc.describe(around))

# %% [markdown]
# *Stationarity* is how fast the cost still falls in the best direction. *Feasibility* is the
# largest violation of any constraint. *Complementarity* is about inequalities: each is either at
# its limit, or has no influence on the plan; the number says how far from that it is. All are
# scaled by the sizes that the problem itself has, so that metres or millimetres make no difference,
# and all have to be below the tolerance.
#
# *Active bounds* counts the controls that are at a bound. Here there are none: this flight is easy
# for the motors. What limits it then? Ask the **multipliers**. Each constraint has one: it is what
# the cost would fall by, per unit, if that constraint gave way a little. It is zero where the
# constraint does not matter.

# %%
pressure = around.multipliers
print(f"ball      {float(pressure.stage_inequality.max()):.3f}")
print(f"tilt      {float(jnp.maximum(pressure.state_lower, pressure.state_upper).max()):.3f}")
touched = np.flatnonzero(np.asarray(pressure.stage_inequality[:, 0]) > 1e-4)
print(f"stages at the ball: {touched}")

# %% [markdown]
# Is that true? The ball's constraint is $r^2 - |p - c|^2$, so a ball whose $r^2$ is larger by
# $\epsilon$ should cost $\epsilon$ times the sum of its multipliers. We can solve again and look.

# %%
epsilon = 1e-4
larger = jaxmpc.solve(hard, start, {"radius": float(np.sqrt(0.6**2 + epsilon))})
measured = float(larger.cost - around.cost) / epsilon
predicted = float(pressure.stage_inequality.sum())
print(f"price of a larger ball: {predicted:.4f} by the multipliers, {measured:.4f} measured")
assert abs(measured - predicted) < 0.01 * predicted

# %% [markdown]
# ## When it cannot be done
#
# Give the drone weaker rotors: 2.5 N each, hardly more than the 2.38 N with which it hovers.

# %%
weak = dataclasses.replace(hard, control_bounds=(-HOVER, 2.5 - HOVER))
failed = jaxmpc.solve(weak, start, ball)
print(jaxmpc.describe(failed))
assert failed.status == jaxmpc.Status.infeasible

# %% [markdown]
# `infeasible`: no plan nearby meets all constraints. What comes back is the plan that violates them
# least, and the last line says which one is violated most, and by how much.
# `terminal_equality[4]` is row 4 of our `at_the_goal`: the vertical speed at the end.
# `diagnose` takes more time and says more.

# %%
say(jaxmpc.diagnose(weak, start, ball, failed))

# %% [markdown]
# It has solved the problem once more, with the terminal equality **soft**: it may be violated, at a
# price. And there is a plan then, so the other constraints can be met. (It misses by more in this
# row, since now all the others hold; the point above also violated another one.)
#
# One caution. The solver looks for feasible points as it looks for everything: nearby. If
# constraints are not convex (a ball is not), `infeasible` means that it got stuck where the
# violation has a local minimum. Another guess may succeed: [lesson 10](10_when_it_fails.ipynb) has
# such a case.
#
# ## Hard or soft?
#
# A plan that misses the goal a little is often better than none. `Soft(linear, quadratic)` sets
# the price of a violation $v$: $\text{linear} \cdot v + \tfrac12 \, \text{quadratic} \cdot v^2$.
# Let the ball be soft (a balloon, say), at several prices. `Soft(inf)` is hard.

# %%
flights = {}
print("  price     cost   into the balloon")
for price in (0.02, 0.1, 0.4, 1.0, jnp.inf):
    balloon = dataclasses.replace(hard, soft={"stage_inequality": jaxmpc.Soft(price)})
    flight = flights[price] = jaxmpc.solve(balloon, start, ball)
    assert flight.converged
    depth = 0.6 - float(jnp.linalg.norm(flight.states[:, :2] - BALL, axis=1).min())
    print(f"{price:7g} {float(flight.cost):8.4f} {max(depth, 0):8.3f} m")

# %%
axis = scene()
for price, color, style in ((0.02, "tab:red", "--"), (jnp.inf, "tab:blue", "-")):
    draw(axis, flights[price].states, color, f"price {price:g}", style)
_ = axis.legend(loc="upper right", frameon=False)

# %% [markdown]
# At low prices it cuts the corner. At a high price the balloon is not touched at all, and the plan
# is the one with a hard ball: a linear price can be *exact*. Such a constraint is met wherever it
# can be met, and where it cannot, there still is a plan.
#
# How high is high enough? At least the largest multiplier that we printed above (0.33), for that
# is what the plan would pay to give way. But a multiplier knows only the neighbourhood of its
# plan. Look at the price 0.4, which is above it: the plan still goes 6 cm or so into the balloon
# at one stage, and it is cheaper than going around. So take a price *well* above the multipliers,
# ten times say.
#
# And: hard for what must never be (what would be the use of a plan through a wall?), soft for what
# you would rather have. In a control loop, where a gust can push the drone past a limit before any
# plan is made, soft state limits are a must.

# %%
assert flights[0.4].violations.stage_inequality.max() > 1e-3
assert flights[0.4].cost < around.cost
assert pressure.stage_inequality.max() < 0.4
assert flights[1.0].violations.stage_inequality.max() < 1e-6

# %% [markdown]
# ## As fast as possible
#
# How soon can it be there? The time is then unknown as well. `free_parameters` makes any parameter
# one more unknown: the number of steps stays, their length is free. The cost is the time, and a
# little effort, so that the thrusts are unique.

# %%
quick = dataclasses.replace(
    hard,
    dynamics=lambda x, u, t, params: step(x, u, params["time"] / STEPS),
    stage_cost=lambda x, u, t, params: params["time"] / STEPS + 1e-4 * u @ u,
)
fastest = free_parameters.optimize_parameters(
    quick, lambda params, p: {**params, "time": p[0]}, jnp.array([0.5]), jnp.array([6.0])
)
states, controls = free_parameters.augment_guess(around.states, around.controls, [3.0])
augmented = free_parameters.augment_state(start, [3.0])
race = jaxmpc.solve(fastest, augmented, ball, states=states, controls=controls)
states, controls, (time,) = free_parameters.split_trajectory(race.states, race.controls, 1)
print(jaxmpc.describe(race))
print(f"\nit takes {float(time):.2f} s")
assert race.converged
assert time < 3.0

# %%
axis = scene()
draw(axis, states, "tab:red", f"fastest: {float(time):.2f} s", "--")
draw(axis, around.states, "tab:blue", "least effort: 3 s")
axis.legend(loc="upper right", frameon=False)
_, axes = plt.subplots(2, 1, sharex=True, figsize=(7.5, 4.2), layout="constrained")
clock = float(time) / STEPS * np.arange(STEPS + 1)
axes[0].plot(clock, states[:, 2], color="tab:blue")
axes[0].set_ylabel("tilt [rad]")
for rotor, style in ((0, "-"), (1, "--")):
    thrust = np.append(controls[:, rotor], controls[-1, rotor]) + HOVER
    axes[1].step(clock, thrust, style, where="post", color="tab:blue", label=f"rotor {rotor + 1}")
axes[1].set(ylabel="thrust [N]", xlabel="time [s]")
axes[1].legend(frameon=False, loc="lower right")
for axis, limits in zip(axes, ((-TILT, TILT), (0.0, MOST)), strict=True):
    for limit in limits:
        axis.axhline(limit, color="0.5", ls=":", lw=1)

# %% [markdown]
# Now the limits (dotted) decide everything: the tilt is at one limit while the drone speeds up, at
# the other while it brakes. This is what time-optimal plans look like; engineers call it
# *bang-bang*.
#
# ## Exercises
#
# **1.** Which limit costs the most time? Solve the race with a tilt of up to 0.5 rad instead of
# 0.35, and again with rotors of 5 N instead of 4 N.
#
# <details><summary>Answer</summary>
#
# ```python
# def race_time(tilt_limit, most):
#     lower, upper = fastest.state_bounds
#     given = jnp.asarray(upper).at[..., 2].set(tilt_limit)
#     bound = fastest.control_bounds[1].at[..., :2].set(most - HOVER)
#     changed = dataclasses.replace(
#         fastest, state_bounds=(-given, given), control_bounds=(fastest.control_bounds[0], bound)
#     )
#     found = jaxmpc.solve(changed, augmented, ball, states=race.states, controls=race.controls)
#     assert found.converged
#     return float(found.controls[0, 2])
#
# by_tilt, by_thrust = race_time(0.5, MOST), race_time(TILT, 5.0)
# print(f"{float(time):.2f} s; more tilt {by_tilt:.2f} s; more thrust {by_thrust:.2f} s")
# assert by_tilt < by_thrust
# ```
# The tilt: more thrust helps little where it may not be pointed forwards. Bounds are numbers in a
# compiled program, so nothing compiles again.
#
# </details>
#
# **2.** The weak drone cannot do it in three seconds. How large may the ball be for rotors of
# 2.7 N?
#
# <details><summary>Answer</summary>
#
# ```python
# lifting = dataclasses.replace(hard, control_bounds=(-HOVER, 2.7 - HOVER))
# found = {}
# for radius in (0.6, 0.8, 1.0, 1.2):
#     tried = jaxmpc.solve(lifting, start, {"radius": radius})
#     found[radius] = jaxmpc.Status(int(tried.status)).name
# largest = max(radius for radius, status in found.items() if status == "converged")
# print(found, "so at least", largest, "m")
# assert found[0.6] == "converged"
# ```
# At least as large as the largest that says `converged`; beyond it another guess might still find a
# plan.
#
# </details>
#
# ## What to read next
#
# [Lesson 7](07_in_the_loop.ipynb) puts such plans into a control loop, where limits meet
# disturbances. [Lesson 10](10_when_it_fails.ipynb) is what to read when a solve fails. README's
# [quick start](../README.md#quick-start) has the shortest problem with constraints, the guide
# [options](guides/options.md) the solvers for them.
#
# E. C. Kerrigan and J. M. Maciejowski (2000), *Soft constraints and exact penalty functions in
# model predictive control*; J. T. Betts (2010), *Practical Methods for Optimal Control and
# Estimation Using Nonlinear Programming*, on free final times.
