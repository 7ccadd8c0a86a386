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
# # Your own robot
#
# You have a robot, and its description in a file, as MuJoCo reads it. How does one get from the
# file to a controller, without writing a single equation of motion?

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import jaxmpc
from jaxmpc.interop.mujoco import robot

jax.config.update("jax_enable_x64", True)

pole = robot(
    """<mujoco>
      <option timestep="0.04"/>
      <worldbody>
        <body name="cart">
          <joint name="rail" type="slide" axis="1 0 0" range="-1 1" limited="true"/>
          <geom type="box" size="0.1 0.05 0.05" mass="1"/>
          <body name="pole">
            <joint name="hinge" axis="0 1 0" damping="0.005"/>
            <geom type="capsule" fromto="0 0 0 0 0 -0.5" size="0.02" mass="0.2"/>
            <site name="tip" pos="0 0 -0.5"/>
          </body>
        </body>
      </worldbody>
      <actuator><motor joint="rail" ctrlrange="-12 12" ctrllimited="true"/></actuator>
    </mujoco>""",
    backend="c",
)
cart, tip = pole.body("cart"), pole.site("tip")

# %%
swing = jaxmpc.Problem(
    pole.dynamics,
    lambda x, u, t, params: 1e-3 * u @ u + 0.1 * x[0] ** 2 + 0.1 * (0.5 - tip(x)[2]),
    lambda x, params: 20 * (0.5 - tip(x)[2]) + x[2:] @ x[2:],
    horizon=50,
    control_dim=pole.control_dim,
    control_bounds=pole.control_bounds,
)
derivatives = jaxmpc.SQP(hessian="gauss_newton", tolerance=1e-5)
push = 3.0 * jnp.sin(0.3 * jnp.arange(50.0))[:, None]  # where the search starts
up = jaxmpc.solve(swing, pole.x0, controls=push, solver=derivatives)

tips, carts = jax.vmap(tip)(up.states), jax.vmap(cart)(up.states)
figure, axis = plt.subplots(figsize=(7.5, 3.6), layout="constrained")
for k in range(0, 51, 2):
    shade = str(0.85 - 0.85 * k / 50)
    axis.plot([carts[k, 0], tips[k, 0]], [0, tips[k, 2]], "o-", color=shade, ms=4, lw=1.5)
axis.axhline(0, color="0.8", zorder=0)
axis.set(aspect="equal", xlabel="x [m]", ylabel="z [m]", ylim=(-0.65, 0.65))
_ = axis.set_title(f"{pole.dt * 50:.0f} s of cart and pole, from light to black")
assert up.converged
assert tips[-1, 2] > 0.49

# %% [markdown]
# ## How to make a problem of an MJCF file
#
# `robot(...)` takes the path of a file, or its text as here. What it returns has all that a
# `Problem` asks for: `dynamics`, one step of MuJoCo; `control_dim` and `control_bounds`, of the
# file's actuators; `x0`, where the file puts the robot. The state is MuJoCo's own: positions of
# all joints (`qpos`), then their velocities (`qvel`). Here: rail, hinge, and their rates.
#
# `pole.site("tip")` is a function of the state, the place of the tip in the world. `body`,
# `center_of_mass` and `distance` are others. They are differentiable: that is how the cost could
# say "the tip up there" without an equation.

# %%
print(f"state {pole.x0.shape}, a step of {pole.dt} s, force from {pole.control_bounds[0][0]:.0f} N")
print(jaxmpc.describe(up))

# %% [markdown]
# ## Which backend to choose
#
# `backend="c"` calls MuJoCo itself, on the CPU: exact, nothing to compile. It knows its derivatives
# by differences, right to some nine digits. Therefore the solver was told not to ask for second
# derivatives (`hessian="gauss_newton"`), nor for more digits than there are (`tolerance=1e-5`).
# `backend="mjx"`, MuJoCo in JAX, has derivatives of every order and runs on a GPU, but compiles
# for long.
#
# ## How to plan with a body that turns freely
#
# A body in the air has three directions to turn in, but MuJoCo stores its attitude as a
# **quaternion**, four numbers $(w, x, y, z)$ of length one. Take a step in each of the four as if
# they were free, and the length is wrong. `state_space` says which numbers are a quaternion; the
# solver then steps along the attitudes: 13 numbers, 12 directions.
#
# Here is a quadrotor: a box with a free joint, and four rotors that push upwards at its corners
# and turn it a little about its axis. It begins upside down.

# %%
ROTORS = ((0.15, 0.0, 1), (0.0, 0.15, -1), (-0.15, 0.0, 1), (0.0, -0.15, -1))
sites = "".join(f'<site name="rotor{i}" pos="{x} {y} 0"/>' for i, (x, y, _) in enumerate(ROTORS))
motors = "".join(
    f'<motor site="rotor{i}" gear="0 0 1 0 0 {0.03 * s}" ctrlrange="0 4" ctrllimited="true"/>'
    for i, (_, _, s) in enumerate(ROTORS)
)
quad = robot(
    f"""<mujoco>
      <option timestep="0.025"/>
      <worldbody><body name="frame" pos="0 0 2">
        <freejoint/><geom type="box" size="0.1 0.1 0.02" mass="0.5"/>{sites}
      </body></worldbody>
      <actuator>{motors}</actuator>
    </mujoco>""",
    backend="c",
)
level, upside_down = quad.x0, quad.x0.at[3:7].set(jnp.array([0.0, 1.0, 0.0, 0.0]))
print(quad.state_space)


def away(x):  # from hovering at 2 m, a step along the space [12]
    return quad.state_space.difference(level, x)


flip = jaxmpc.Problem(
    quad.dynamics,
    lambda x, u, t, params: 0.02 * jnp.sum((u - 1.23) ** 2) + 0.01 * x[7:] @ x[7:],
    lambda x, params: 50 * away(x) @ away(x),
    horizon=50,
    control_dim=4,
    control_bounds=quad.control_bounds,
    state_space=quad.state_space,
)
turned = jaxmpc.solve(flip, upside_down, solver=derivatives)
print(jaxmpc.describe(turned))
print("quaternion at the end:", np.round(turned.states[-1, 3:7], 2))

# %%
rotors = [quad.site(f"rotor{i}") for i in range(4)]
places = jnp.stack([jax.vmap(rotor)(turned.states) for rotor in rotors], axis=1)  # [T+1, 4, 3]
figure, axes = plt.subplots(2, 1, figsize=(7.5, 4.5), layout="constrained")
for k in range(0, 51, 5):
    y, z = places[k, jnp.array([1, 3]), 1], places[k, jnp.array([1, 3]), 2]
    shift = 0.35 * k / 5
    axes[0].plot(y + shift, z, "-", color="0.3", lw=2)
    axes[0].plot(y[0] + shift, z[0], "o", color="tab:red", ms=5)
axes[0].set(aspect="equal", xlabel="y [m], each picture further right", ylabel="z [m]")
axes[0].set_title("a picture every 0.125 s; red: always the same rotor")
lengths = jnp.linalg.norm(turned.states[:, 3:7], axis=1)
for number, (name, look) in enumerate(zip("wxyz", ("-", "--", ":", "-."), strict=True)):
    axes[1].plot(quad.dt * np.arange(51), turned.states[:, 3 + number], "k" + look, label=name)
axes[1].plot(quad.dt * np.arange(51), lengths, color="tab:blue", label="length")
axes[1].set(xlabel="time [s]", ylabel="quaternion")
_ = axes[1].legend(frameon=False, ncols=5, loc="lower right", bbox_to_anchor=(1, 1))
assert turned.converged
assert jnp.allclose(lengths, 1.0)
assert abs(turned.states[-1, 3]) > 0.99

# %% [markdown]
# The quaternion's length is one all the way, and the cost is a function of `difference`, the step
# from one state to another: so it does not matter that $q$ and $-q$ are the same attitude.
#
# ## What derivatives know of contact
#
# Most robots touch things. A finger stands 10 cm from a puck, and is to shove it to the green line.

# %%
shove = robot(
    """<mujoco>
      <option timestep="0.002" integrator="implicitfast" gravity="0 0 0"/>
      <default><geom type="sphere" size="0.02"/></default>
      <worldbody>
        <body name="finger" pos="-0.1 0 0">
          <joint name="finger" type="slide" axis="1 0 0" damping="0.5"/><geom mass="0.2"/>
        </body>
        <body name="puck">
          <joint name="puck" type="slide" axis="1 0 0" damping="1"/><geom mass="0.3"/>
        </body>
      </worldbody>
      <actuator><motor joint="finger" ctrlrange="-2 2" ctrllimited="true"/></actuator>
    </mujoco>""",
    backend="c",
    substeps=10,
)
GOAL, STEPS = 0.25, 40  # m, of 20 ms
shoving = jaxmpc.Problem(
    shove.dynamics,
    lambda x, u, t, params: 0.0025 * u @ u,
    lambda x, params: 100 * (x[1] - GOAL) ** 2 + x[3] ** 2,  # the puck there, at rest
    horizon=STEPS,
    control_dim=1,
    control_bounds=shove.control_bounds,
)
still = jaxmpc.solve(shoving, shove.x0, solver=derivatives)
print(jaxmpc.describe(still))

# %% [markdown]
# `converged`, with nothing done. It is the hanging rod of lesson 1 again, but worse: until the
# finger touches the puck, where the puck ends does not depend on the force at all. Every
# derivative is exactly zero, and a gentle push does not help unless it reaches the puck.
#
# ## How to plan through contact
#
# Try it out. A **sampling** solver draws random forces, simulates all of them, keeps the best few,
# and draws again around those. It needs no derivative, only luck and many simulations: `ICEM`, the
# improved cross-entropy method. `Chain` gives its plan to another solver, here the one with
# derivatives, for 30 iterations: where finger and puck touch, derivatives are no longer zero.

# %%
sampler = jaxmpc.ICEM(samples=64, elites=8, iterations=8, noise=0.7)
polisher = jaxmpc.SQP(hessian="gauss_newton", tolerance=1e-5, max_iterations=30)
plans = {"derivatives alone": still}
for name, solver in (
    ("samples", sampler),
    ("samples, then derivatives", jaxmpc.Chain(sampler, polisher)),
):
    plans[name] = jaxmpc.solve(shoving, shove.x0, solver=solver, key=jax.random.key(0))
for name, plan in plans.items():
    miss = 1e3 * abs(plan.states[-1, 1] - GOAL)
    status = jaxmpc.Status(int(plan.status)).name
    print(f"{name:26} {status:15} cost {plan.cost:6.3f}, misses by {miss:5.1f} mm")
costs = [float(plan.cost) for plan in plans.values()]
assert max(costs[1:]) < 0.2 * costs[0]

figure, axes = plt.subplots(2, 1, sharex=True, figsize=(7.5, 4.2), layout="constrained")
time = shove.dt * np.arange(STEPS + 1)
looks = ({"color": "0.6", "ls": ":"}, {"color": "tab:red", "ls": "--"}, {"color": "tab:blue"})
for (name, plan), look in zip(plans.items(), looks, strict=True):
    axes[0].plot(time, plan.states[:, 1], label=name, **look)
    axes[1].plot(time[:-1], plan.controls[:, 0], drawstyle="steps-post", **look)
axes[0].axhline(GOAL, color="tab:green", lw=1)
axes[0].set_ylabel("puck [m]")
axes[0].legend(frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
_ = axes[1].set(xlabel="time [s]", ylabel="force [N]")

# %% [markdown]
# A sampled plan ends with the status `sampled`: it is the best that was seen, and nobody knows how
# far from the best there is. And derivatives had not converged from there after 30 iterations,
# though they had a good plan to begin with. The moment of the impact moves with every change of the
# forces, and the derivative at one plan says little of what happens at the next. Where a thing
# bounces or tumbles it is worse still. So: samples for finding a contact, derivatives for smooth
# motion, and always look at the status.
#
# ## How to make a controller of it
#
# As in [lesson 7](07_in_the_loop.ipynb): `jaxmpc.RecedingHorizon(problem, solver)`, with any of the
# solvers of this lesson. What samples takes a key, `init(x, key=key)`. An environment of
# Gymnasium's hands its model over by `robot(env.unwrapped.model, substeps=...)`.
#
# ## Exercises
#
# **1.** Is it true that the derivative is exactly zero? Where does the puck end, under a constant
# force of 0.02 N and of 0.5 N, and what is the derivative in the force at each of them?
#
# <details><summary>Answer</summary>
#
# ```python
# def end(force):
#     pushed = lambda x, _: (shove.dynamics(x, force[None]), None)
#     return jax.lax.scan(pushed, shove.x0, None, STEPS)[0][1]
#
#
# gentle, firm = jnp.array(0.02), jnp.array(0.5)
# slope = jax.jit(jax.jacfwd(end))
# for force in (gentle, firm):
#     print(float(force), float(end(force)), float(slope(force)))
# assert slope(gentle) == 0.0 and slope(firm) > 0.0
# ```
# With 0.02 N the finger does not get there in time: zero. With 0.5 N it does, and from there on
# there is something to follow.
#
# </details>
#
# **2.** The pole in the file weighs 0.2 kg. Make it a parameter, and play the planned forces with a
# pole that is 10 % heavier. (`parameters=("body_mass",)` in `robot`; `params` is then a dict with
# the masses of all bodies: the world, the cart, the pole.)
#
# <details><summary>Answer</summary>
#
# ```python
# known = robot(pole.model, backend="c", parameters=("body_mass",))
# heights = []
# for factor in (1.0, 1.1):
#     masses = {"body_mass": known.params["body_mass"].at[2].mul(factor)}
#     step = lambda x, u: (known.dynamics(x, u, None, masses), None)
#     heights.append(float(tip(jax.lax.scan(step, pole.x0, up.controls)[0])[2]))
# print(f"the tip ends at {heights[0]:.2f} m, with the heavier pole at {heights[1]:.2f} m")
# assert heights[0] > 0.49 > heights[1]
# ```
# The plan alone does not get that one up. A loop would (lesson 7).
#
# </details>
#
# ## What to read next
#
# [Lesson 11](11_without_derivatives.ipynb) is about solvers that sample; [lesson
# 10](10_when_it_fails.ipynb) about what to do when none of this works.
#
# The guides [simulators](guides/simulators.md) and [spaces](guides/spaces.md); a hopper and a
# humanoid are among the [benchmarks](../bench/README.md#robots).
# Todorov, Erez and Tassa (2012), *MuJoCo: a physics engine for model-based control*; Pinneri and
# others (2020), *Sample-efficient cross-entropy method for real-time planning*.
