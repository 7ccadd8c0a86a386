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
# # An MPC layer in a policy
#
# A plan of a quarter of a second is made in no time, and it is far too short to swing up a rod: it
# does not see what the effort is good for. Can it learn what comes after its end?

# %%
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import jaxmpc
from jaxmpc import control

jax.config.update("jax_enable_x64", True)
DT, T, DISCOUNT, LIMIT = 0.05, 5, 0.98, 2.0  # s, steps, per step, N m
STARTS_KEY, SPREAD = jax.random.key(7), jnp.array([1.0, 2.0])
starts = jnp.array([jnp.pi, 0.0]) + SPREAD * jax.random.uniform(STARTS_KEY, (8, 2), minval=-1.0)
GUESSES = jnp.array([-1.5, 0.0, 1.5])[:, None, None] * jnp.ones((T, 1))  # [3, T, 1]
CALM, GUST = jnp.array(0.0), jnp.array(0.6)  # N m, of the wind
SOLVER = jaxmpc.ILQR(max_iterations=30)
QUICKER: dict[str, Any] = {"compiler_options": jaxmpc.compiler_options()}  # to compile


def jit(function):
    return eqx.filter_jit(function, **QUICKER)


def dynamics(x, u, t, params):
    omega = x[1] + DT * (15 * jnp.sin(x[0]) + 3 * (u[0] + params["wind"]))  # wind: later
    return jnp.stack([x[0] + DT * omega, omega])


def stage_cost(x, u, t, params):
    return (1 - jnp.cos(x[0])) + 0.01 * x[1] ** 2 + 0.05 * u[0] ** 2


def features(x):
    return jnp.stack([jnp.cos(x[0]), jnp.sin(x[0]), x[1] / 8])


def network(width, key):  # its last layer is zero at first: it says nothing yet
    net = eqx.nn.MLP(3, "scalar", width, 2, jnp.tanh, key=key)
    return eqx.tree_at(
        lambda net: (net.layers[-1].weight, net.layers[-1].bias), net, replace_fn=jnp.zeros_like
    )


def opinion(critic, x):  # what the critic expects from x onwards
    return 20 * critic(features(x))


short = jaxmpc.Problem(
    dynamics,
    stage_cost,
    lambda x, params: opinion(params["critic"], x),
    horizon=T,
    control_dim=1,
    control_bounds=(-LIMIT, LIMIT),
)
problem = control.discounted(short, DISCOUNT)


def policy(params, x):
    """The first torque of the best of three plans."""
    plans = jax.vmap(lambda guess: jaxmpc.solve(problem, x, params, solver=SOLVER, controls=guess))(
        GUESSES
    )
    return plans.controls[jnp.argmin(plans.cost), 0]


def expects(actor, x):  # the wind that the plan should reckon with: later
    return 2 * actor(features(x))


@jit
def episodes(critic, actor, gust, known):
    """States and costs of five seconds of the policy on the rod, from eight starts."""

    def step(x, _):
        wind = expects(actor, x) + known * jnp.cos(x[0])
        u = policy({"critic": critic, "wind": wind}, x)
        real = {"wind": gust * jnp.cos(x[0])}
        return dynamics(x, u, 0, real), (x, stage_cost(x, u, 0, real))

    return jax.vmap(lambda x: jax.lax.scan(step, x, None, length=100)[1])(starts)


@jit
def values(critic, xs):
    """What the best of three plans costs, from each state."""
    params = {"critic": critic, "wind": 0.0}

    def value(x, guess):
        return control.value(problem, x, params, solver=SOLVER, controls=guess)

    many = jax.vmap(value, in_axes=(None, 0))
    return jnp.nanmin(jax.lax.map(lambda x: many(x, GUESSES), xs, batch_size=100), axis=1)


@jit
def regress(critic, xs, targets, key):
    """The critic with its opinion moved to the targets."""
    weights, rest = eqx.partition(critic, eqx.is_array)
    adam = optax.adam(optax.cosine_decay_schedule(1e-2, 600))

    def loss(weights, rows):
        says = jax.vmap(lambda x: opinion(eqx.combine(weights, rest), x))(xs[rows])
        return jnp.mean(jnp.where(jnp.isnan(targets[rows]), 0.0, says - targets[rows]) ** 2)

    def update(carry, key):
        weights, memory = carry
        rows = jax.random.randint(key, (500,), 0, len(xs))
        change, memory = adam.update(jax.grad(loss)(weights, rows), memory)
        return (optax.apply_updates(weights, change), memory), None

    keys = jax.random.split(key, 600)
    (weights, _), _ = jax.lax.scan(update, (weights, adam.init(weights)), keys)
    return eqx.combine(weights, rest)


# %%
box = jnp.array([jnp.pi, 9.0])  # states to learn from: any angle, up to 9 rad/s
actor, critic = network(16, jax.random.key(1)), network(48, jax.random.key(0))
before = after = episodes(critic, actor, CALM, CALM)
costs, seen, said = [float(before[1].sum(axis=1).mean())], [], []
for iteration in range(8):
    draw, key = jax.random.split(jax.random.key(iteration))
    seen.append(box * jax.random.uniform(draw, (800, 2), minval=-1.0))
    said.append(values(critic, seen[-1]))
    critic = regress(critic, jnp.concatenate(seen[-4:]), jnp.concatenate(said[-4:]), key)
    after = episodes(critic, actor, CALM, CALM)
    costs.append(float(after[1].sum(axis=1).mean()))

figure, axes = plt.subplots(1, 2, figsize=(7.5, 3.2), layout="constrained")
for (states, _), look, style in ((before, "0.6", "--"), (after, "tab:blue", "-")):
    axes[0].plot(DT * np.arange(100), jnp.cos(states[..., 0]).T, color=look, ls=style, lw=1)
axes[0].set(xlabel="time [s]", title="grey: before, blue: after", yticks=[-1, 1])
axes[0].set_yticklabels(["hanging", "upright"])
axes[1].plot(costs, "o-", color="tab:blue")
axes[1].set(xlabel="iteration", ylabel="cost of five seconds", ylim=(0, None))
assert not jnp.any(jnp.cos(before[0][:, -1, 0]) > 0.9)
assert jnp.all(jnp.cos(after[0][:, -1, 0]) > 0.9)
assert costs[-1] < 0.5 * costs[0]

# %% [markdown]
# Eight starts about hanging, five seconds each. Without knowing what comes after its end (grey) the
# short plan never gets the rod up; after a few iterations of learning it does, from all of them.
#
# ## How do I put a plan in a policy?
#
# A **policy** is a function from the state to the control. Here it is `policy`: make a plan of five
# steps from where the rod is, and play the first torque of it. Everything in `params` that the plan
# depends on can be learned. What we learn first is the **critic**, a small network of Equinox that
# says what is still to come after the end of the plan. It is the terminal cost of the problem. (A
# network of Flax would do as well: any pytree of weights.)
#
# The rod is never finished, so we count a cost that comes $t$ steps later by $0.98^t$ only.
# `control.discounted(problem, 0.98)` does that to the costs of a problem, the terminal one too.
#
# A local solver needs a guess, as in [lesson 1](01_swing_up_a_pendulum.ipynb). So there are three
# guesses each time, and the best plan counts.
#
# ## How does the critic learn?
#
# The **value** of a state is the least cost from there. `control.value` solves the problem and
# returns it. If the critic were right about the end of a plan, it would be right about its
# beginning. So the critic is fitted to what the plans say:
#
# $$V(x) \leftarrow \min_{u_0 \dots u_4} \; \sum_{t=0}^{4} 0.98^t \, \text{stage cost}(x_t, u_t)
#   + 0.98^5 \, V(x_5).$$
#
# That is **fitted value iteration**. In each iteration 800 random states get their plans
# (`values`), and a regression with Optax moves the critic to them and to those of the last three
# iterations (`regress`). Each time it sees a quarter of a second further. Where no plan converged
# the value is `nan`, and the regression leaves it out: what is no minimum teaches nothing.
#
# ## What are values and action values?
#
# The **action value** $Q(x, u)$ is the least cost from $x$ if the first control is $u$, wise or
# not: `control.action_value`. The lowest point of $Q$ is the value, and the control there is what
# the policy plays (red).


# %%
@jit
def action_values(critic, x, torques):
    params = {"critic": critic, "wind": 0.0}

    def q(u, guess):
        return control.action_value(problem, x, u[None], params, solver=SOLVER, controls=guess)

    every = jax.vmap(jax.vmap(q, in_axes=(None, 0)), in_axes=(0, None))
    return jnp.nanmin(every(torques, GUESSES), axis=1)


figure, axes = plt.subplots(1, 2, figsize=(7.5, 3.4), layout="constrained")
angles, speeds = jnp.linspace(-jnp.pi, jnp.pi, 81), jnp.linspace(-9, 9, 61)
grid = jnp.stack(jnp.meshgrid(angles, speeds), axis=-1)
level = jax.vmap(jax.vmap(lambda x: opinion(critic, x)))(grid)
figure.colorbar(axes[0].contourf(angles, speeds, level, 12, cmap="Blues"), ax=axes[0])
axes[0].set(xlabel="angle [rad]", ylabel="speed [rad/s]", title="the critic's V")
axes[0].set_xticks([-np.pi, 0, np.pi], ["-π", "upright", "π"])
torques = jnp.linspace(-LIMIT, LIMIT, 41)
places = {"near upright": (0.05, 0.3), "on its way": (1.6, -3.0), "near hanging": (3.0, 0.5)}
for (name, place), style in zip(places.items(), ("-", "--", ":"), strict=True):
    x = jnp.array(place)
    q = action_values(critic, x, torques)
    axes[1].plot(torques, q - q.min(), ls=style, color="tab:blue", label=name)
    axes[1].plot(torques[q.argmin()], 0, "o", color="tab:red")
    axes[0].plot(*place, "o", color="tab:red")
    side = {"near hanging": "right"}.get(name, "center")
    axes[0].annotate(name, place, (0, 5), textcoords="offset points", ha=side, fontsize=8)
axes[1].set(xlabel="first torque [N m]", title="Q - V", ylim=(-0.1, 3))
_ = axes[1].legend(fontsize="small")

# %% [markdown]
# Near upright the best torque is between the bounds, and $Q$ is flat there. On its way to the top
# (dashed) the motor pushes as hard as it may, and $Q$ is not flat at its lowest point: it would
# like to push harder still. Remember that.
#
# ## How do I train a policy by its gradient?
#
# Now there is a wind, which pushes the rod with $0.6 \cos\theta$ N m, and the plans know nothing of
# it. Let a second network, the **actor**, tell the plan at each state which wind to reckon with.
# How does it learn, if nobody has measured a wind?
#
# By trying on the critic what comes of it. The action value of the real rod is
# $Q(x, u) = \text{stage cost}(x, u) + 0.98 \, V(x')$, where $x'$ is where the rod arrives *in the
# wind*. The gradient goes from there through the torque, and through the plan
# ([lesson 4](04_gradient_of_a_solution.ipynb)), into the actor:
#
# $$\frac{\partial Q}{\partial \text{weights}} =
#   \frac{\partial Q}{\partial u} \;
#   \underbrace{\frac{\partial u}{\partial \text{wind}}}_{\text{of the solution}} \;
#   \frac{\partial \text{wind}}{\partial \text{weights}}.$$
#
# This is the **deterministic policy gradient**. `feel` computes the first two factors for each
# state, `improve` the third, and Adam does the rest. (Our rod is a program that can be
# differentiated. For one of which there are only samples, one learns a network for $Q$, too.)


# %%
@jit
def feel(critic, actor, xs):
    """For each state: the torque, and dQ / dwind, through the plan."""

    def judged(wind, x):
        u = policy({"critic": critic, "wind": wind}, x)
        arrived = dynamics(x, u, 0, {"wind": GUST * jnp.cos(x[0])})
        return stage_cost(x, u, 0, None) + DISCOUNT * opinion(critic, arrived), u[0]

    winds = jax.vmap(lambda x: expects(actor, x))(xs)
    (_, torques), slopes = jax.vmap(jax.value_and_grad(judged, has_aux=True))(winds, xs)
    return torques, slopes


adam = optax.adam(1e-2)


@jit
def improve(actor, memory, slopes, xs):
    def loss(actor):  # its gradient is the chain rule
        return jnp.mean(slopes * jax.vmap(lambda x: expects(actor, x))(xs))

    change, memory = adam.update(eqx.filter_grad(loss)(actor), memory)
    return eqx.apply_updates(actor, change), memory


trained, memory = actor, adam.init(eqx.filter(actor, eqx.is_array))
for flight in range(3):
    visited = episodes(critic, trained, GUST, CALM)[0].reshape(-1, 2)  # learn where it goes
    for key in jax.random.split(jax.random.key(flight), 30):
        xs = jax.random.choice(key, visited, (64,))
        _, slopes = feel(critic, trained, xs)
        trained, memory = improve(trained, memory, slopes, xs)

print(f"{'':24}cost of 5 s   of the last 2 s")
costs_in_wind = {}
for name, run in {
    "knows of no wind": episodes(critic, actor, GUST, CALM),
    "has learned": episodes(critic, trained, GUST, CALM),
    "is told the wind": episodes(critic, actor, GUST, GUST),
}.items():
    whole, last = run[1].sum(axis=1).mean(), run[1][:, 60:].sum(axis=1).mean()
    costs_in_wind[name] = float(last)
    print(f"{name:24}{whole:11.1f}{last:18.2f}")
assert costs_in_wind["has learned"] < 0.5 * costs_in_wind["knows of no wind"]

# %% [markdown]
# The swing-up hardly notices the wind. But then it pushes the rod out of balance, and the plans
# that know of none leave it leaning. The trained policy leans less, and comes near one that is
# told what the wind is. (Nobody asked it for the wind. It learned to say whatever makes the
# *torque* right, with a critic that was learned in calm air.)
#
# To set the whole cost of the plan by a network, at each state anew, is the *actor-critic MPC* of
# Romero and others (2024). There is a larger experiment after them in `bench/README.md`: a
# quadrotor hovers in a wind after 20,000 to 41,000 samples with a plan in its policy, and after
# 215,000 to 246,000 without. But that took 278 to 466 s, and 2 s without: plans are slower than a
# network, and where samples cost nothing that counts.
#
# ## Why does a policy not learn at its bounds?
#
# Here are the slopes of 64 states from all over the box, before anything was learned, and beside
# them what the actor has learned.

# %%
anywhere = box * jax.random.uniform(jax.random.key(5), (64, 2), minval=-1.0)
torques, slopes = feel(critic, actor, anywhere)
bound = jnp.abs(torques) > LIMIT - 1e-6
figure, axes = plt.subplots(1, 2, figsize=(7.5, 3.2), layout="constrained")
for mark, look, which in (("o", "tab:blue", ~bound), ("x", "tab:red", bound)):
    axes[0].plot(torques[which], slopes[which], mark, color=look, ms=4)
axes[0].set(xlabel="first torque [N m]", ylabel="dQ / dwind, through the plan")
still = jax.vmap(lambda angle: expects(trained, jnp.array([angle, 0.0])))(angles)
axes[1].plot(angles, GUST * jnp.cos(angles), color="0.6", lw=4, label="true")
axes[1].plot(angles, still, color="tab:blue", label="what the actor says")
axes[1].set(xlabel="angle [rad]", ylabel="wind [N m]")
axes[1].set_xticks([-np.pi, 0, np.pi], ["-π", "upright", "π"])
axes[1].legend(fontsize="small")
print(f"at a bound: {bound.mean():.0%} of the states, the slope zero in all of them")
assert jnp.all(slopes[bound] == 0)
assert jnp.all(slopes[~bound] != 0)

# %% [markdown]
# At a bound (red crosses) the best torque is the bound, whatever the wind: $\partial u / \partial
# \text{wind} = 0$, exactly. This is no error of the gradient. A little more wind changes nothing
# there. But a policy that is at its bounds almost always has next to nothing to learn from. On
# Gymnasium's pendulum the experiment in `bench/README.md` counts 94 % of the states at a bound, and
# the plan's returns are no better after training than before.
#
# The actor (on the right) has roughly found the shape of the wind, best where the rod balances. It
# is wrong elsewhere: the rod passes there quickly and often at full torque, where no slope corrects
# it.
#
# What helps: learn the *critic*, which needs no such gradient (the first half of this lesson); let
# the torque cost more; or `ImplicitAdjoint(smoothing=...)`, which feels a bound from afar
# ([lesson 4](04_gradient_of_a_solution.ipynb)).
#
# ## Exercises
#
# **1.** How does the value of a plan change with the weights of the critic? The **envelope
# theorem** says: as if the plan stayed what it is. Check it.
#
# <details><summary>Answer</summary>
#
# ```python
# def value(critic):
#     params = {"critic": critic, "wind": 0.0}
#     plan = jaxmpc.solve(problem, jnp.array([0.05, 0.3]), params, solver=SOLVER)
#     return plan.cost, plan.states[-1]
#
#
# gradient, end = eqx.filter_jit(eqx.filter_grad(value, has_aux=True))(critic)
# by_hand = eqx.filter_grad(lambda critic: DISCOUNT**T * opinion(critic, end))(critic)
# pairs = zip(jax.tree.leaves(gradient), jax.tree.leaves(by_hand), strict=True)
# worst = max(float(jnp.abs(one - other).max()) for one, other in pairs)
# print(f"largest difference {worst:.0e}")
# assert worst < 1e-6
# ```
# The gradient of a value costs one look at the end of the plan: no derivative of the solution.
#
# </details>
#
# **2.** How far is the trained critic from obeying its own equation, on states that it never saw?
#
# <details><summary>Answer</summary>
#
# ```python
# fresh = box * jax.random.uniform(jax.random.key(99), (800, 2), minval=-1.0)
# error = values(critic, fresh) - jax.vmap(lambda x: opinion(critic, x))(fresh)
# print(f"median error {jnp.nanmedian(jnp.abs(error)):.2f}, of values about {level.mean():.0f}")
# assert jnp.nanmedian(jnp.abs(error)) < 0.1 * level.mean()
# ```
# It is not exact: a network is smooth, and the true value has kinks where the best swing changes.
#
# </details>

# %% [markdown]
# ## What to read next
#
# - [Lesson 5](05_learn_from_an_expert.ipynb): where there is an expert, imitation is quicker than
#   reinforcement.
# - [Lesson 7](07_in_the_loop.ipynb): plans in a loop, with warm starts in place of three guesses.
# - "An actor that plans" in `bench/README.md`; `jaxmpc.interop.gymnasium` for environments.
# - Romero, Song and Scaramuzza (2024), *Actor-critic model predictive control*; Gros and Zanon
#   (2020), *Data-driven economic NMPC using reinforcement learning*; Lowrey and others (2019),
#   *Plan online, learn offline*.
