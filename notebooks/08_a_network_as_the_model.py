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
# # A network as the model
#
# The rod of [lesson 1](01_swing_up_a_pendulum.ipynb) again, but its joint rubs, and nobody has an
# equation for that. There is a log of what the rod did under some random torques. Can one plan
# with a network that was fitted to the log?
#
# (Equinox is for neural networks in JAX, diffrax for differential equations, Optax for optimisers.)

# %%
import functools

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import jaxmpc
from jaxmpc import control, integrators, learning, models

jax.config.update("jax_enable_x64", True)
DT = 0.05  # s


def rod(x, u, friction):
    speed = x[1] + DT * (15 * jnp.sin(x[0]) + 3 * u[0] - friction)
    return jnp.stack([x[0] + DT * speed, speed])


def real(x, u):  # what nobody knows: dry friction, and drag
    return rod(x, u, 0.6 * jnp.tanh(x[1] / 0.3) + 0.03 * x[1] * jnp.abs(x[1]))


def rollout(step, x0, controls):
    _, states = jax.lax.scan(lambda x, u: (step(x, u),) * 2, x0, controls)
    return jnp.concatenate([x0[None], states])


def network(inputs, outputs, key):  # its last layer is zero at first: it says nothing yet
    net = eqx.nn.MLP(inputs, outputs, 24, 2, activation=jnp.tanh, key=key)
    return eqx.tree_at(lambda net: net.layers[-1], net, replace_fn=lambda w: jax.tree.map(zero, w))


def zero(leaf):
    return jnp.zeros_like(leaf) if eqx.is_array(leaf) else leaf


def learned(x, u, t, net):  # the physics that we know, and a network for the rest
    seen = jnp.stack([jnp.sin(x[0]), jnp.cos(x[0]), x[1] / 5, u[0] / 2])
    return rod(x, u, 5 * net(seen)[0])


keys = jax.random.split(jax.random.key(0), 4)
pushes = jax.random.uniform(keys[0], (40, 40, 1), minval=-2.0, maxval=2.0)
begins = jax.random.normal(keys[1], (40, 2)) * jnp.array([2.0, 3.0])
log = learning.Examples(jax.vmap(functools.partial(rollout, real))(begins, pushes), pushes)


# %%
def fit(dynamics, net, log, epochs):
    adam = optax.adam(optax.cosine_decay_schedule(1e-2, epochs * 5))
    given = {"optimizer": adam, "epochs": epochs, "batch_size": 8, "progress": False}
    return learning.fit(learning.Prediction(dynamics), net, log, **given).last


nothing = network(4, 1, keys[2])
friction = fit(learned, nothing, log, epochs=150)
problem = jaxmpc.Problem(
    learned,
    lambda x, u, t, net: (1 - jnp.cos(x[0])) + 0.01 * x[1] ** 2 + 0.2 * u[0] ** 2,
    lambda x, net: 50 * (1 - jnp.cos(x[0])) + x[1] ** 2,
    horizon=80,
    control_dim=1,
    control_bounds=(-2.0, 2.0),
)
hanging, push = jnp.array([jnp.pi, 0.0]), jnp.full((80, 1), 0.1)


def played(plan):  # to the real rod, with the feedback gains of lesson 1
    def step(x, stage):
        expected, u, gain = stage
        x = real(x, jnp.clip(u + gain @ (x - expected), -2.0, 2.0))
        return x, x

    along = (plan.states[:-1], plan.controls, plan.gains.feedback)
    return jnp.concatenate([hanging[None], jax.lax.scan(step, hanging, along)[1]])


figure, axes = plt.subplots(1, 2, sharey=True, figsize=(7.5, 3.0), layout="constrained")
ends, names = [], ("physics alone", "with a network")
for axis, net, name in zip(axes, (nothing, friction), names, strict=True):
    plan = jaxmpc.solve(problem, hanging, net, controls=push)
    happened = played(plan)
    ends.append(float(jnp.cos(happened[-1, 0])))
    time = DT * np.arange(81)
    axis.plot(time, jnp.cos(plan.states[:, 0]), color="0.6", lw=4, label="planned")
    axis.plot(time, jnp.cos(happened[:, 0]), color="tab:blue", label="happened")
    axis.set(title=name, xlabel="time [s]")
axes[0].set_ylabel("height (1 is upright)")
axes[0].legend(frameon=False, loc="upper left")
assert ends[0] < 0.9 < ends[1]

# %% [markdown]
# Both plans are followed with their feedback gains. The one that knows of no friction does not get
# the real rod to the top. The one with the network does, and what happened is what was planned.
#
# ## How to make a network the dynamics
#
# A network is a function with many numbers in it, its **weights**. Here it is a module of Equinox,
# and it is the `params` of the problem: `jaxmpc.solve(problem, x0, net)`. Nothing else is special.
# Another set of weights is another value, and compiles nothing anew.
#
# Three things make it work:
#
# - It learns only what is missing. The physics stays, and the network adds a friction: a
#   **residual** model. Its last layer starts at zero, so untrained it is the physics alone.
# - Its activation is `tanh`. The solver uses second derivatives, which those of a ReLU are not.
# - Angles go in as sine and cosine, and all inputs are of order one.
#
# It was fitted by `learning.Prediction`, the squared error of one step, on the transitions in the
# log. How good is its friction where the log has been?

# %%
speeds = jnp.linspace(-8.0, 8.0, 161)
inputs = jnp.stack([jnp.zeros_like(speeds), -jnp.ones_like(speeds), speeds / 5, 0 * speeds], 1)
figure, axis = plt.subplots(figsize=(7.5, 2.8), layout="constrained")
true = 0.6 * jnp.tanh(speeds / 0.3) + 0.03 * speeds * jnp.abs(speeds)
axis.plot(speeds, true, color="0.6", lw=4, label="true")
axis.plot(speeds, 5 * jax.vmap(friction)(inputs)[:, 0], color="tab:blue", label="network")
axis.set(xlabel="speed when hanging [rad/s]", ylabel="friction [rad/s²]")
_ = axis.legend(frameon=False)

# %% [markdown]
# Right in size, not in shape: the true friction rises steeply within 0.3 rad/s of rest and bends
# upwards at high speeds; the network draws nearly a straight line through. For this swing-up that
# is enough. For a robot that creeps it would not be.
#
# ## How to learn a wind
#
# The planar quadrotor, a bar with two rotors, is to fly a figure of eight in a wind that pushes
# differently at each place. A network of the place learns the push, from the log of flights
# through the same air. Then a controller plans with it ([lesson 7](07_in_the_loop.ipynb)).

# %%
HOVER = models.PLANAR_QUADROTOR["mass"] * 9.81 / 2  # N, each rotor
SAMPLES, AHEAD = 120, 12


def wind(place):  # the push of the air [m/s^2]
    y, z = place
    return jnp.stack([3.0 * jnp.sin(2 * y + 1.0), 2.0 * jnp.cos(2 * y - 2 * z)])


def flying(x, u, push):
    rate = models.planar_quadrotor(x, u)
    return rate.at[3:5].add(push(x[:2]))


step_in = {
    name: integrators.rk4(lambda x, u, params, air=air: flying(x, u, air or params), DT)
    for name, air in (("wind", wind), ("network", None))
}


def in_wind(x, u, t=None):
    return step_in["wind"](x, u)


def flight_model(x, u, t, params):
    return step_in["network"](x, u, t, params)


x0s = jax.random.uniform(keys[0], (40, 6), minval=-1.0) * jnp.array([1.5, 1, 0.3, 1, 1, 1])
thrusts = HOVER + 0.3 * jax.random.normal(keys[1], (40, 8, 2))
flights = learning.Examples(jax.vmap(functools.partial(rollout, in_wind))(x0s, thrusts), thrusts)
calm = network(2, 2, keys[3])
air = fit(flight_model, calm, flights, epochs=150)

# %%
angle = 2 * jnp.pi * jnp.arange(SAMPLES + AHEAD + 1) / 80
track = jnp.stack([jnp.sin(angle), 0.5 * jnp.sin(2 * angle)], axis=1)


def off_track(x, u, t, params):
    miss = x[:2] - params["track"][t]
    return 20 * miss @ miss + 0.1 * x[2:] @ x[2:] + 0.05 * jnp.sum((u - HOVER) ** 2)


tracking = jaxmpc.Problem(
    lambda x, u, t, params: flight_model(x, u, t, params["air"]),
    off_track,
    lambda x, params: off_track(x, HOVER * jnp.ones(2), AHEAD, params),
    horizon=AHEAD,
    control_dim=2,
    control_bounds=(0.0, 6.0),
)


@functools.partial(jax.jit, compiler_options=jaxmpc.compiler_options())
def flown(weights):
    air = eqx.combine(weights, calm)

    def params(t):
        return {"air": air, "track": control.window(track, t, AHEAD)}

    controller = jaxmpc.RecedingHorizon(tracking, iterations=1)
    return jaxmpc.simulate(controller, in_wind, jnp.zeros(6), SAMPLES, params).states[:, :2]


figure, axis = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
places = jnp.stack(jnp.meshgrid(jnp.linspace(-1.4, 1.4, 15), jnp.linspace(-1, 1, 9)), -1)
blows = jax.vmap(jax.vmap(wind))(places)
axis.quiver(*jnp.moveaxis(places, -1, 0), *jnp.moveaxis(blows, -1, 0), color="0.75", width=0.002)
axis.plot(*track[: SAMPLES + 1].T, color="0.6", lw=4, label="track")
misses = []
for net, name, look in ((calm, "no wind", "r--"), (air, "a network", "b-")):
    path = flown(eqx.filter(net, eqx.is_array))
    miss = jnp.linalg.norm(path - track[: SAMPLES + 1], axis=1)[20:]
    misses.append(float(jnp.sqrt(jnp.mean(miss**2))))
    axis.plot(*path.T, look, lw=1.2, label=f"plans with {name}: {1e3 * misses[-1]:.0f} mm off")
axis.set(aspect="equal", xlabel="y [m]", ylabel="z [m]")
axis.legend(frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0, 1), fontsize="small")
assert misses[1] < 0.5 * misses[0]

# %% [markdown]
# A controller that knows of no wind is off the track where the wind blows, however often it plans:
# each plan is wrong in the same way. (The distances are root mean squares after the first second.
# The cost also asks for low speeds, so that none is quite on the track.)
#
# A plan is differentiable in the weights too, as in
# [lesson 4](04_gradient_of_a_solution.ipynb). So a network that predicts well may be trained on,
# through the controller, towards what matters for the task (`learning.Imitation`).
#
# ## How to step a stiff model with diffrax
#
# Some models have equations, and these are the trouble. A torque needs a current, and a coil
# lets a current rise within half a millisecond, while the rod takes a second to fall. An equation
# with a fast part that dies out at once beside a slow one is **stiff**: an explicit method must
# take steps as short as the fast part, or it explodes.

# %%
PARAMS = {"length": jnp.array(1.0)}


def with_coil(x, u, params):  # angle, speed, current; the control is a voltage
    theta, omega, current = x
    l = params["length"]
    acceleration = 15 / l * jnp.sin(theta) + 3 / l**2 * current
    return jnp.stack([omega, acceleration, (u[0] - current - 0.3 * omega) / 5e-4])


tilted = jnp.array([1.0, 0.0, 0.0])
for substeps in (10, 20, 40):
    step = integrators.rk4(with_coil, DT, substeps)
    print(f"RK4, {substeps} substeps: current {step(tilted, jnp.ones(1), None, PARAMS)[2]:.4g} A")

# %% [markdown]
# An **implicit** method solves an equation in each step and may take long ones. The package
# diffrax has them, with step sizes that adapt. But a differentiable solver in the loop of another
# asks for more than a number. jaxmpc takes derivatives of `dynamics` forward (for its Jacobians)
# and backward (for the gradient of the solution), and derivatives of these. diffrax's default, made
# for backward alone, refuses the first; its `ForwardMode` refuses the second.
#
# The simple recipe is one word, `adjoint=diffrax.DirectAdjoint()`, which has both: it finds the
# gradient of the recipe below to some 13 digits, but compiles half as long again (31 CPU-seconds
# where the other takes 20).
#
# The quicker one: let diffrax go forward and hand on its Jacobian $J$ as a matrix. A
# product with $J$ can be transposed, hence the backward mode. $J$ itself is a function of the same
# kind, hence all higher derivatives.


# %%
@functools.cache  # the same function again is traced once
def both_modes(function):
    """A function [k] -> array that JAX can only differentiate forward, for both modes."""
    function = jax.jit(function)

    @jax.custom_jvp
    def known(z):
        return function(z)

    @known.defjvp
    def rule(z, dz):
        return known(*z), both_modes(jax.jacfwd(function))(*z) @ dz[0]

    return known


def flow(z):  # state, control and parameter in one vector
    term = diffrax.ODETerm(lambda t, x, u: with_coil(x, u, {"length": z[4]}))
    found = diffrax.diffeqsolve(
        term,
        diffrax.Kvaerno5(),
        0.0,
        DT,
        None,
        z[:3],
        z[3:4],
        stepsize_controller=diffrax.PIDController(rtol=1e-6, atol=1e-6),
        saveat=diffrax.SaveAt(t1=True),
        adjoint=diffrax.ForwardMode(),
        max_steps=64,
        throw=False,
    )
    return jnp.where(found.result == diffrax.RESULTS.successful, found.ys[0], jnp.nan)


def stiff(x, u, t, params):
    return both_modes(flow)(jnp.concatenate([x, u, params["length"][None]]))


coil = jaxmpc.Problem(
    stiff,
    lambda x, u, t, params: (1 - jnp.cos(x[0])) + 0.01 * x[1] ** 2 + 0.2 * u[0] ** 2,
    lambda x, params: 50 * (1 - jnp.cos(x[0])) + x[1] ** 2,
    horizon=30,
    control_dim=1,
    control_bounds=(-3.0, 3.0),
)
solver = jaxmpc.SQP(hessian="gauss_newton", tolerance=1e-6)


def effort(length):
    plan = jaxmpc.solve(coil, tilted, {"length": length}, solver=solver)
    return jnp.sum(plan.controls**2), plan


differentiate = jax.value_and_grad(effort, has_aux=True)
differentiate = jax.jit(differentiate, compiler_options=jaxmpc.compiler_options())
(_, plan), slope = differentiate(PARAMS["length"])
print(jaxmpc.describe(plan))
(more, _), _ = differentiate(PARAMS["length"] + 1e-4)
(less, _), _ = differentiate(PARAMS["length"] - 1e-4)
difference = (more - less) / 2e-4
print(f"\nd effort / d length: {slope:.5f}, by central differences {difference:.5f}")
assert plan.converged
assert abs(slope / difference - 1) < 1e-4

# %% [markdown]
# Four details matter:
#
# - `max_steps` with `throw=False`: an exception has no place within a solver. But then diffrax
#   returns the last state that it came to, as if it were the end. The `jnp.where` says `nan`
#   instead, which jaxmpc reports as `non_finite`.
# - `hessian="gauss_newton"` in the *solver*: it then asks for $J$ alone. The gradient of the
#   solution is exact all the same, as the differences say.
# - The tolerances go together: diffrax's 1e-6 is not enough for a solver that asks for 1e-8.
# - All that is to be differentiated goes through `z`: the rule sees nothing else.
#
# ## Exercises
#
# **1.** What does the network of the friction say at a speed that the log never saw, of 30 rad/s?
#
# <details><summary>Answer</summary>
#
# ```python
# fastest = jnp.abs(log.states[..., 1]).max()
# said = 5 * friction(jnp.array([0.0, -1.0, 30.0 / 5, 0.0]))[0]
# print(f"up to {fastest:.0f} in the log; it says {said:.1f}, true is {0.6 + 0.03 * 900:.1f}")
# assert fastest < 30 and abs(said - 27.6) > 5
# ```
# Something, and wrong. Outside of its data a network is a guess. A plan may go there, because
# it is good there *for the network*: bound the states, or collect data where the plans go.
#
# </details>
#
# **2.** Give `both_modes` a function whose derivatives you know, and check the second one.
#
# <details><summary>Answer</summary>
#
# ```python
# cube = both_modes(lambda z: z**3)
# second = jax.hessian(lambda z: jnp.sum(cube(z)))(jnp.array([1.0, 2.0]))
# print(second)
# assert jnp.allclose(second, jnp.diag(jnp.array([6.0, 12.0])))
# ```
#
# </details>
#
# ## What to read next
#
# [Lesson 9](09_your_own_robot.ipynb): the model comes from a file, and touches things.
#
# The guide [learning](guides/learning.md#networks-as-dynamics), and the
# [benchmarks](../bench/README.md#the-2018-paper-and-a-wind) of the wind. Shi and others (2019),
# *Neural Lander: stable drone landing control using learned dynamics*; Kidger (2021), *On Neural
# Differential Equations*, on how diffrax differentiates.
