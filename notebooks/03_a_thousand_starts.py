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
# # A thousand starts at once
#
# One swing-up of a pendulum takes a few milliseconds. How do we plan it from a thousand states, on
# all cores, and how do we measure honestly how long that takes?
#
# You should have read [lesson 1](01_swing_up_a_pendulum.ipynb).

# %%
import tempfile
import time

import jax

jax.config.update("jax_num_cpu_devices", 2)  # first of all: before any array is made
jax.config.update("jax_enable_x64", True)
CACHE = tempfile.TemporaryDirectory()  # of this at the end
jax.config.update("jax_compilation_cache_dir", CACHE.name)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import jaxmpc

DT, T = 0.05, 50  # s, and the horizon: 2.5 s
traced = 0  # how often JAX has read our dynamics


def dynamics(x, u, t, params):
    global traced
    traced += 1
    theta, omega = x
    omega = omega + DT * (15 / params["length"] * jnp.sin(theta) + 3 * u[0])
    return jnp.stack([theta + DT * omega, omega])


def stage_cost(x, u, t, params):
    return (1 - jnp.cos(x[0])) + 0.01 * x[1] ** 2 + 0.2 * u[0] ** 2


def terminal_cost(x, params):
    return 50 * (1 - jnp.cos(x[0])) + x[1] ** 2


problem = jaxmpc.Problem(
    dynamics, stage_cost, terminal_cost, horizon=T, control_dim=1, control_bounds=(-3.0, 3.0)
)
PARAMS, SOLVER = {"length": 1.0}, jaxmpc.ILQR()
angles, speeds = jnp.linspace(-jnp.pi, jnp.pi, 40), jnp.linspace(-6.0, 6.0, 25)
starts = jnp.stack(jnp.meshgrid(angles, speeds), axis=-1).reshape(-1, 2)

# %%
plans = jaxmpc.solve_batch(problem, starts, PARAMS, solver=SOLVER)
figure, axes = plt.subplots(1, 2, figsize=(7.5, 3.4), sharey=True, layout="constrained")
pictures = {"cost of the plan": plans.cost, "iterations": plans.iterations}
for axis, (name, values) in zip(axes, pictures.items(), strict=True):
    mesh = axis.pcolormesh(angles, speeds, values.reshape(25, 40), cmap="Blues")
    figure.colorbar(mesh, ax=axis, label=name)
    axis.set_xticks([-np.pi, 0, np.pi], ["-π", "upright", "π"])
    axis.set_xlabel("angle at the start")
_ = axes[0].set_ylabel("speed at the start [rad/s]")

# %% [markdown]
# Each of the thousand points is a start, and its colour on the left is what the plan from there
# costs. Along the light bands the rod's own swing carries it to the top, straight or through the
# bottom. The two dark points at the sides of the left picture hang still, and stay so after no
# iteration at all: that is the trap of lesson 1. Single points unlike their neighbours are other
# local minima.
#
# ## How do I solve from many states at once?
#
# `jaxmpc.solve_batch` takes initial states `[B, n]`, and returns a `Solution` with a leading axis
# of length `B` on everything in it. Each element has a status of its own: one that fails does not
# harm the others.

# %%
print(jaxmpc.describe(plans))
assert plans.controls.shape == (1000, T, 1)

# %% [markdown]
# `solve` is a JAX function, so `jax.vmap` makes it work on many states too. Why another function,
# then? Look at the right picture: some starts need many more iterations than others. Under `vmap`
# all elements go through one loop together, and it ends when the last has finished. `solve_batch`
# works on a few dozen at a time, and whenever one has finished, the next start takes its place. So
# the time of `vmap` follows the largest number of iterations, that of `solve_batch` the mean.

# %%
figure, axis = plt.subplots(figsize=(7.5, 2.8), layout="constrained")
counts = np.asarray(plans.iterations)
axis.hist(counts, bins=np.arange(counts.max() + 2) - 0.5, color="tab:blue")
axis.axvline(counts.mean(), color="black", label=f"mean: {counts.mean():.0f}")
axis.axvline(counts.max(), color="tab:red", ls="--", label=f"the slowest: {counts.max()}")
axis.set(xlabel="iterations", ylabel="starts")
_ = axis.legend()

# %% [markdown]
# ## How do I measure time in JAX?
#
# Three mistakes are easy to make.
#
# - **The first call compiles.** JAX reads (*traces*) the Python code once and translates it into a
#   program for the machine, for the shapes that came. Only later calls show the time of the
#   program.
# - **A call returns before the work is done.** JAX hands out arrays that are still being computed.
#   `jax.block_until_ready` waits for them.
# - **One measurement is an anecdote.** Other programs use the machine too. Take the median of
#   several (here of three, as this lesson has to be short).


# %%
def measure(function, *args, repeats=3):
    """The time of the first call, and the median of the later ones [s]."""
    times = []
    for _ in range(1 + repeats):
        start = time.perf_counter()
        jax.block_until_ready(function(*args))
        times.append(time.perf_counter() - start)
    return times[0], np.median(times[1:])


def by_batch(starts):
    return jaxmpc.solve_batch(problem, starts, PARAMS, solver=SOLVER)


def one(start):
    return jaxmpc.solve(problem, start, PARAMS, solver=SOLVER)


by_vmap = jax.jit(jax.vmap(one), compiler_options=jaxmpc.compiler_options())
figures = {"vmap": measure(by_vmap, starts), "solve_batch": measure(by_batch, starts)}
print(f"{'':12} {'first call':>12} {'later calls':>12}")
for name, (first, later) in figures.items():
    print(f"{name:12} {first:10.1f} s {later * 1e3:9.0f} ms")

# %% [markdown]
# (`solve_batch` had been compiled already, for the picture; so its first call is like the others.)
# The plans are the same, and the time is not. The ratio is larger than that of the iterations,
# which explain only a part. And this is the second mistake, made on purpose:

# %%
start = time.perf_counter()
answer = by_vmap(starts)
returned = time.perf_counter() - start
jax.block_until_ready(answer)
finished = time.perf_counter() - start
print(f"returned after {returned * 1e3:.0f} ms, finished after {finished * 1e3:.0f} ms")
same = jnp.abs(answer.cost - plans.cost) < 1e-3 * plans.cost
print(f"{int(same.sum())} of {len(starts)} costs are the same within a thousandth")
assert same.mean() > 0.98

# %% [markdown]
# ## How do I use all cores?
#
# A program of such small matrices uses one core. The first cell told JAX to see two *devices* in
# this CPU. A **mesh** is a set of devices with names for its axes; `solve_batch` spreads the starts
# over it. The devices do not speak with each other until all is done, so two take *up to* half the
# time off, where each has a core to itself. On a busy machine they gain nothing, and can even be
# slower: look at the figures that you get. With GPUs or several machines it is the same call.

# %%
auto = jax.sharding.AxisType.Auto
mesh = jax.make_mesh((len(jax.devices()),), ("starts",), axis_types=(auto,))


def by_mesh(starts):
    return jaxmpc.solve_batch(problem, starts, PARAMS, solver=SOLVER, mesh=mesh)


_, on_one = measure(by_batch, starts)
_, on_two = measure(by_mesh, starts)
print(f"one device {on_one * 1e3:.0f} ms, {len(jax.devices())} devices {on_two * 1e3:.0f} ms")

# %% [markdown]
# ## When is something compiled again?
#
# Our dynamics count how often JAX reads them. Other *values* of states and params compile nothing:
# the program takes them as inputs. Other *shapes* do, and so does a new `Problem` with a new
# function in it, even if it says the same: JAX knows functions by identity.


# %%
def readings(function, *args):
    before = traced
    jax.block_until_ready(function(*args))
    return traced - before


def with_length(length):
    return jaxmpc.solve_batch(problem, starts, {"length": length}, solver=SOLVER)


print("the same again:  ", readings(by_batch, starts))
print("other states:    ", readings(by_batch, 0.9 * starts))
print("another length:  ", readings(with_length, 1.2))
print("500 starts:      ", readings(by_batch, starts[:500]))
assert readings(with_length, 1.3) == 0

# %% [markdown]
# So make a `Problem` once, outside of the loop, and keep shapes fixed (pad a batch rather than let
# it shrink). In a `jit` of your own, hand over `jaxmpc.compiler_options()` as above: compilation
# takes about half as long ([measured](guides/compile_time.md)).
#
# ## How do I keep compiled programs on the disk?
#
# JAX can write what it compiled into a folder, and the next process reads it there. The first cell
# chose a folder for this lesson; yours would be one that stays. `jax.clear_caches()` makes JAX
# forget what it has in memory, as a new process would:

# %%
first, later = figures["vmap"]
jax.clear_caches()
start = time.perf_counter()
lowered = by_vmap.lower(starts)
read = time.perf_counter() - start
lowered.compile()
loaded = time.perf_counter() - start - read
print(f"with an empty folder: {first - later:.1f} s to read the code and compile it")
print(f"with a full one: {read:.1f} s to read the code, {loaded:.1f} s to find the program")

# %% [markdown]
# `lower` and `compile` are the two halves of what `jit` does at its first call. A program that must
# be quick from its first call on does them beforehand.
#
# ## Exercises
#
# **1.** `chunk_size` is how many starts `solve_batch` works on at once. What do you expect of
# `chunk_size=1000`, and what of `chunk_size=1`? Count iterations instead of seconds.
#
# <details><summary>Answer</summary>
#
# With 1000 all are in one loop: that is `vmap`, and each of its turns works on a thousand starts.
# With 1 nothing waits for anything, but nothing is done side by side either.
#
# ```python
# counts = np.asarray(plans.iterations)
# print("turns of one start:", len(starts) * counts.max(), "under vmap,", counts.sum(), "needed")
# assert counts.sum() < 0.7 * len(starts) * counts.max()
# ```
# The rest of the turns are made for starts that have finished already.
#
# </details>
#
# **2.** A thousand rods of different lengths hang, moving at 0.5 rad/s. Plan for all with one call.
# (`params_axes` says which params have a value for each element.) Do longer rods cost more?
#
# <details><summary>Answer</summary>
#
# ```python
# lengths = jnp.linspace(0.8, 1.2, 1000)
# hanging = jnp.tile(jnp.array([jnp.pi, 0.5]), (1000, 1))
# rods = jaxmpc.solve_batch(
#     problem, hanging, {"length": lengths}, params_axes={"length": 0}, solver=SOLVER
# )
# print(np.round(rods.cost[::100], 1))
# assert rods.converged.mean() > 0.95
# assert rods.cost[600] < rods.cost[0]
# ```
# They cost less: in our dynamics a longer rod falls more slowly. Then the cost jumps: from some
# length on the search ends in another local minimum, upright after a swing to the other side.
#
# </details>

# %% [markdown]
# ## What to read next
#
# - [Lesson 4](04_gradient_of_a_solution.ipynb) differentiates a solution. All that is said here
#   holds for gradients too: `jax.grad` of a function of `solve_batch(...)` costs little more
#   ([measured](../bench/README.md#beside-the-peers)).
# - [Lesson 11](11_without_derivatives.ipynb) uses many rollouts at once for *one* problem.
# - The guides [many problems](guides/batches.md), also on several machines, and [compile
#   time](guides/compile_time.md).
# - Frostig, Johnson and Leary (2018), *Compiling machine learning programs via high-level tracing*:
#   what `jit` does.
