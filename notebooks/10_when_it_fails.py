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
# # When it fails
#
# The plan does not converge, or it does and makes no sense, or its gradient is zero, or enormous.
# What is wrong, and what helps? Each section below is a symptom. It is reproduced in a few lines,
# diagnosed with what the package has for that, and cured.

# %%
import dataclasses
import textwrap
import time

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Circle

import jaxmpc
from jaxmpc import ILQR, ImplicitAdjoint, Status, plot

jax.config.update("jax_enable_x64", True)

STEPS, DT = 40, 0.05  # 2 s


def pendulum(x, u, t, params):
    return x + DT * jnp.stack([x[1], 15 * jnp.sin(x[0]) + 3 * u[0]])  # 0 is upright


def say(report):
    """Print sentences, folded to the width of the page."""
    for line in report.splitlines():
        print(textwrap.fill(line, 79, subsequent_indent="  "))


def not_upright(x, u, t, params):
    return 1 - jnp.cos(x[0]) + 0.01 * x[1] ** 2 + 0.2 * u[0] ** 2


rod = jaxmpc.Problem(
    pendulum,
    not_upright,
    lambda x, params: 50 * (1 - jnp.cos(x[0])) + x[1] ** 2,
    horizon=STEPS,
    control_dim=1,
    control_bounds=(-2.0, 2.0),
)
hanging, gentle = jnp.array([jnp.pi, 0.0]), jnp.full((STEPS, 1), 0.1)
lazy = jaxmpc.solve(rod, hanging)
swinging = jaxmpc.solve(rod, hanging, controls=gentle)

# %%
figure, axis = plt.subplots(figsize=(7.5, 3.0), layout="constrained")
clock = DT * np.arange(STEPS + 1)
axis.plot(clock, lazy.states[:, 0], "--", color="tab:red", label="from zero torque")
axis.plot(clock, swinging.states[:, 0], color="tab:blue", label="from a gentle push")
for turn in (0, 2):
    axis.axhline(np.pi * turn, color="0.6", ls=":", lw=1)
axis.set(xlabel="time [s]", ylabel="angle [rad]", title="Both say converged. Dotted: upright.")
_ = axis.legend(frameon=False)

# %% [markdown]
# ## Four things to ask
#
# - `jaxmpc.describe(solution)`: the status, and how far the plan is from optimal. Always.
# - `jaxmpc.diagnose(problem, x0, params, solution)`: what went wrong, where, and what helps, in
#   sentences. It compiles programs of its own: call it when something is wrong.
# - `jaxmpc.gradient_diagnostics(problem, x0, params, solution)`: whether the derivative of a
#   solution can be relied on.
# - `jaxmpc.convergence(...)`, called like `solve`: the course of the iterations, for
#   `plot.plot_convergence`.
#
# The status leads to the section:
#
# - `converged`, and yet wrong: [nothing moves](#converged,-but-nothing-moves),
#   [another local minimum](#It-is-in-another-local-minimum),
#   [a large constant](#converged-at-once:-a-large-constant-in-the-cost),
#   [float32 stops early](#float32-stops-early),
#   [it jumps through the wall](#It-jumps-through-the-wall).
# - `max_iterations`: [it needs more](#max_iterations:-it-needs-more),
#   [a corner](#max_iterations,-however-many:-a-cost-with-a-corner).
# - `line_search_failed`, `regularization_limit`: the same corner,
#   [a long horizon](#The-horizon-is-too-long).
# - `non_finite`: [which function, which stage](#non_finite:-which-function,-which-stage).
# - `infeasible`: [although it is not](#infeasible,-although-it-is-not), and
#   [lesson 6](06_obstacles_and_limits.ipynb) where it is.
# - `unbounded`: [the cost falls without limit](#unbounded:-the-cost-falls-without-limit).
#
# ## `converged`, but nothing moves
#
# The rod above hangs, and the plan is to go on hanging.

# %%
say(jaxmpc.diagnose(rod, hanging, None, lazy))

# %% [markdown]
# **Cause.** At the guess the slope of the cost is zero: whichever way one pushes, to first order
# nothing is gained. A point without slope is what the solver looks for, so it stops at once. Here
# it is a *saddle*: along some direction the cost curves downwards.
# **Cure.** Another guess, however little it differs.

# %%
print(f"cost {float(lazy.cost):.1f} and {float(swinging.cost):.1f}")
assert lazy.converged
assert swinging.converged
assert swinging.cost < 0.5 * lazy.cost

# %% [markdown]
# ## It is in another local minimum
#
# A different start, and a plan that looks clumsy. Nothing is wrong with it by any diagnosis: it is
# a minimum, and there is a better one elsewhere. Only other guesses tell.

# %%
falling = jnp.array([2.0, 2.0])
pushes = (0.1, 1.0, -1.0)
plans = [jaxmpc.solve(rod, falling, controls=jnp.full((STEPS, 1), push)) for push in pushes]
for push, plan in zip(pushes, plans, strict=True):
    turns = float(plan.states[-1, 0]) / (2 * np.pi)
    print(f"from {push:4.1f} N m: cost {float(plan.cost):5.1f}, ends at {turns:.2f} turns")

# %% [markdown]
# **Cause.** A local method finds the valley in which it starts. The first plan brakes and pulls the
# rod back; the second lets it go on over the other side.
# **Cure.** Several guesses, and the cheapest plan that converged; [lesson
# 3](03_a_thousand_starts.ipynb) does it in one call. Where no guess comes to mind, `ICEM` samples
# some ([guide](guides/sampling.md)).

# %%
best = min((plan for plan in plans if plan.converged), key=lambda plan: float(plan.cost))
assert best.cost < 0.7 * plans[0].cost

# %% [markdown]
# ## `max_iterations`: it needs more

# %%
hurried = jaxmpc.solve(rod, hanging, controls=gentle, solver=jaxmpc.SQP(max_iterations=8))
say(jaxmpc.diagnose(rod, hanging, None, hurried))

# %% [markdown]
# **Cause.** The limit was ours. How many does it take? `convergence` looks at each one.
# **Cure.** A higher limit, or go on from where it stopped with `warm_start=`.

# %%
course = jaxmpc.convergence(rod, hanging, controls=gentle)
_, axes = plt.subplots(3, 1, sharex=True, figsize=(7.5, 4.5), layout="constrained")
_ = plot.plot_convergence(course, axes=axes)

# %%
continued = jaxmpc.solve(rod, hanging, warm_start=hurried)
assert hurried.status == Status.max_iterations
assert continued.converged

# %% [markdown]
# The picture is typical. At first the residual does not fall, or rises: the solver leaves the
# saddle. Once it is near a minimum each iteration doubles the number of right digits. A residual
# that crawls along, hundreds of iterations, is another illness: see [a
# corner](#max_iterations,-however-many:-a-cost-with-a-corner).
#
# ## The horizon is too long
#
# The same rod over 20 seconds instead of 2, from 1 rad.

# %%
LONG = 400
long = dataclasses.replace(rod, horizon=LONG)
start = jnp.array([1.0, 0.0])
still, nothing = jnp.tile(start, (LONG + 1, 1)), jnp.zeros((LONG, 1))
lost = jaxmpc.solve(long, start, states=still, controls=nothing)
states, controls = jaxmpc.receding_guess(long, start, None)
found = jaxmpc.solve(long, start, states=states, controls=controls)
for name, plan in (("at rest", lost), ("receding_guess", found)):
    status = Status(int(plan.status)).name
    print(f"from {name:15} {status}: cost {float(plan.cost):6.1f}, {plan.iterations} iterations")

# %% [markdown]
# **Cause.** Over many stages a guess is far from any good plan, and errors grow from stage to
# stage. There are more local minima, too.
# **Cure.** `receding_guess` plans a few stages at a time and puts the pieces together. Or
# ask whether the horizon must be that long: a control loop plans again anyway.

# %%
assert found.converged
assert found.cost < 30
assert not lost.converged

# %% [markdown]
# ## `non_finite`: which function, which stage
#
# A mass on a line. Its cost is the distance to the origin, $\sqrt{x^2 + r^2}$, which with $r = 0$
# is $|x|$. It starts at the origin.

# %%


def distance(x, u, t, params):
    away = jnp.sqrt(x[0] ** 2 + params["round"] ** 2)
    energy = params["price"] * u[0] + params["effort"] * u[0] ** 2
    return away + energy + params["constant"]


mass = jaxmpc.Problem(
    lambda x, u, t, params: x + DT * jnp.stack([x[1], u[0]]),
    distance,
    horizon=STEPS,
    control_dim=1,
    control_bounds=(-2.0, 2.0),
)
usual = {"round": 0.1, "price": 0.0, "effort": 0.1, "constant": 0.0}
sharp = {**usual, "round": 0.0}
origin, away = jnp.zeros(2), jnp.array([1.0, 0.0])
broken = jaxmpc.solve(mass, origin, sharp)
say(jaxmpc.diagnose(mass, origin, sharp, broken))

# %% [markdown]
# **Cause.** The value is fine: $\sqrt 0 = 0$. Its slope is infinite. (The file named is this
# notebook's cell.) The same happens with
# `jnp.linalg.norm`, `arccos` at 1, `log` and divisions at 0, powers below 2.
# **Cure.** Round the function off where it has no derivative, as the sentence says.

# %%
mended = jaxmpc.solve(mass, origin, usual)
assert broken.status == Status.non_finite
assert mended.converged

# %% [markdown]
# ## `max_iterations`, however many: a cost with a corner
#
# The same mass and the same sharp cost, from 1 m away. All is finite there.

# %%
zigzag = jaxmpc.solve(mass, away, sharp)
say(jaxmpc.diagnose(mass, away, sharp, zigzag))

# %%
rounded = jaxmpc.solve(mass, away, usual)
figure, axis = plt.subplots(figsize=(7.5, 2.8), layout="constrained")
for plan, name, color, style in (
    (zigzag, "sharp: not converged", "tab:red", "--"),
    (rounded, "rounded over 0.1 m", "tab:blue", "-"),
):
    axis.step(clock[:-1], plan.controls[:, 0], style, where="post", color=color, label=name)
axis.set(xlabel="time [s]", ylabel="control")
_ = axis.legend(frameon=False)
assert not zigzag.converged
assert rounded.converged
assert rounded.iterations < 30

# %% [markdown]
# **Cause.** The solver models the cost by a parabola. At a corner ($|x|$, `max`, `where`, `round`)
# no parabola fits, and the best plan lies exactly there, as the mass is to rest at 0. The status
# may also be `line_search_failed` or `regularization_limit`.
# The plan itself may be nearly right, as here; but nobody vouches for it, and its gradient is zero.
# **Cure.** Round it off, at the scale at which it does not matter to you. Where the corner is meant
# (fuel, say), a slack control with an inequality says the same without one.
#
# ## `unbounded`: the cost falls without limit
#
# Energy has a price, paid back when the control is negative; and nobody has bounded the control.

# %%
free = dataclasses.replace(mass, control_bounds=(-jnp.inf, jnp.inf))
paid = {**usual, "price": 1.0, "effort": 0.0}
rich = jaxmpc.solve(free, away, paid)
say(jaxmpc.diagnose(free, away, paid, rich))

# %% [markdown]
# **Cause.** There is no minimum. **Cure.** A bound, or a cost that grows quadratically.

# %%
assert rich.status == Status.unbounded
assert jaxmpc.solve(mass, away, paid).converged
assert jaxmpc.solve(free, away, {**paid, "effort": 0.1}).converged

# %% [markdown]
# ## `converged` at once: a large constant in the cost

# %%
heavy = {**usual, "constant": 1e12}
blind = jaxmpc.solve(mass, away, heavy)
print(jaxmpc.describe(blind))

# %% [markdown]
# **Cause.** No iteration, and yet `converged`: all controls are zero. Residuals are measured in
# units of the cost, and beside $10^{12}$ everything else is nothing. Rounding would drown it
# anyway: a number of 64 bits has 16 digits, one of 32 bits has 7. Weights that differ by $10^{12}$
# do the same.
# **Cure.** Leave constants out; keep the parts of a cost within a few powers of ten of each other.

# %%
assert blind.converged
assert blind.iterations == 0
assert jnp.max(jnp.abs(blind.controls - rounded.controls)) > 1.0

# %% [markdown]
# ## Units of 1e-6
#
# Is it the units? Hardly ever. The solver measures the scales of states, controls and cost along
# the way, so metres or micrometres are the same to it. The same mass, with lengths in units a
# million times larger:

# %%
micro = 1e-6
small = dataclasses.replace(mass, control_bounds=(-2.0 * micro, 2.0 * micro))
tiny = {**usual, "round": 0.1 * micro, "effort": 0.1 / micro}
scaled = jaxmpc.solve(small, away * micro, tiny)
error = float(jnp.max(jnp.abs(scaled.controls / micro - rounded.controls)))
print(f"{Status(int(scaled.status)).name}, controls differ by {error:.0e}")
assert scaled.converged
assert error < 1e-6

# %% [markdown]
# What does matter is numbers of very different size *in one vector or one sum*, as above;
# `diagnose` names those whose scales are far apart. And rules of your own that know a unit, such as
# `x > 1e-3` or `+ 1e-6` under a root.
#
# ## `float32` stops early

# %%
single = jaxmpc.SQP(tolerance=1e-9)
rough = jaxmpc.solve(
    rod, hanging.astype("float32"), controls=gentle.astype("float32"), solver=single
)
print(jaxmpc.describe(rough))

# %% [markdown]
# **Cause.** The tolerance was $10^{-9}$, the residual is far above it, and the solver stopped as no
# step could lower it any more: "met to working precision". With 7 digits that is all there is.
# **Cure.** If it is enough (for control it mostly is), nothing: the default tolerance in float32 is
# $10^{-4}$. Else float64: `jax.config.update("jax_enable_x64", True)`, and states of that type.

# %%
fine = jaxmpc.solve(rod, hanging, controls=gentle, solver=single)
assert rough.residuals.largest() > 1e-9 > fine.residuals.largest()
assert abs(float(rough.cost) - float(fine.cost)) < 1e-3

# %% [markdown]
# ## `infeasible`, although it is not
#
# A point has to get past two columns, which stand so close that there is no way between them.

# %%
COLUMNS = jnp.array([[0.0, 0.3], [0.0, -0.3]])


def outside_columns(x, u, t, params):
    return 0.5**2 - jnp.sum((x - COLUMNS) ** 2, axis=1)


columns = jaxmpc.Problem(
    lambda x, u, t, params: x + 0.1 * u,
    lambda x, u, t, params: 0.5 * u @ u,
    horizon=20,
    control_dim=2,
    control_bounds=(-2.0, 2.0),
    stage_inequality=outside_columns,
    terminal_equality=lambda x, params: x - jnp.array([1.0, 0.0]),
)
left, still = jnp.array([-1.0, 0.05]), jnp.zeros((20, 2))
stuck = jaxmpc.solve(columns, left, states=jnp.tile(left, (21, 1)), controls=still)
print(jaxmpc.describe(stuck))

# %% [markdown]
# **Cause.** Straight ahead is a dead end: from there each small change of the plan violates more.
# `infeasible` speaks of the neighbourhood, not of the whole plane.
# **Cure.** A guess that has chosen a side, however roughly. It need not obey the dynamics.

# %%
along = jnp.linspace(-1.0, 1.0, 21)
side = jnp.stack([along, 1 - along**2], axis=1)
past = jaxmpc.solve(columns, left, states=side, controls=still)
figure, axis = plt.subplots(figsize=(7.5, 3.6), layout="constrained")
for height in (0.3, -0.3):
    axis.add_patch(Circle((0.0, height), 0.5, color="0.85"))
axis.plot(*stuck.states.T, "x--", color="tab:red", label="from standing still")
axis.plot(*side.T, ":", color="0.4", label="a guess with a side")
axis.plot(*past.states.T, "o-", color="tab:blue", ms=3, label="from that guess")
axis.set(aspect="equal", xlim=(-1.3, 2.4), ylim=(-0.9, 1.1))
_ = axis.legend(frameon=False, loc="center right")
assert stuck.status == Status.infeasible
assert past.converged

# %% [markdown]
# ## It jumps through the wall
#
# The same columns, without a limit on the speed.

# %%
fast = dataclasses.replace(columns, control_bounds=(-jnp.inf, jnp.inf))
jump = jaxmpc.solve(fast, left, states=jnp.tile(left, (21, 1)), controls=still)
strides = jnp.linalg.norm(jnp.diff(jump.states, axis=0), axis=1)
inside = float(jump.violations.stage_inequality.max())
print(f"{Status(int(jump.status)).name}, constraints violated by {inside:.0e}")
print(f"its longest step is {float(strides.max()):.2f} m")

# %% [markdown]
# **Cause.** Constraints are looked at where the stages are. Between two of them the point steps
# over the whole wall. **Cure.** A step shorter than what it must not miss: a bound on the speed,
# or more stages; and again a guess that goes around.

# %%
assert inside < 1e-6
assert strides.max() > 0.6
assert jnp.linalg.norm(jnp.diff(past.states, axis=0), axis=1).max() < 0.3

# %% [markdown]
# ## The gradient is zero
#
# The smallest problem there is: one control $u$ between -1 and 1, with the cost
# $\tfrac12 w u^2 + \tfrac14 q u^4 - p \, u$. How does the best $u$ change with the pull $p$?

# %%
one = jaxmpc.Problem(
    lambda x, u, t, params: x + u,
    lambda x, u, t, p: 0.5 * p["w"] * u[0] ** 2 + 0.25 * p["q"] * u[0] ** 4 - p["p"] * u[0],
    horizon=1,
    control_dim=1,
    control_bounds=(-1.0, 1.0),
)
zero = jnp.zeros(1)


def solve_one(pull, w, q, adjoint=ImplicitAdjoint()):
    return jaxmpc.solve(one, zero, {"p": pull, "w": w, "q": q}, solver=ILQR(), adjoint=adjoint)


def slope(pull, w, q, adjoint):
    return jax.grad(lambda pull: solve_one(pull, w, q, adjoint).controls[0, 0])(pull)


def slopes_at(pulls, w=1.0, q=0.0, adjoint=ImplicitAdjoint()):
    return slopes_compiled(pulls, w, q, adjoint)


def check(pull, w=1.0, q=0.0):
    params = {"p": pull, "w": w, "q": q}
    return jaxmpc.gradient_diagnostics(one, zero, params, solve_one(pull, w, q))


batched = jax.vmap(slope, (0, None, None, None))
slopes_compiled = jax.jit(batched, compiler_options=jaxmpc.compiler_options())
pulls = jnp.linspace(0.0, 2.0, 41)
slopes = slopes_at(pulls)
print("active bounds at p = 0.5 and 2:", *(int(check(p).active) for p in (0.5, 2.0)))
print(f"slopes there: {float(slopes[10]):.2f} and {float(slopes[40]):.2f}")

# %% [markdown]
# **Cause.** At $p = 2$ the control is at its bound, and stays there if $p$ changes a little. Zero
# is right, and of no use to a learner. The other cause is a solution that did not converge: its
# gradient is zero by default (`ImplicitAdjoint(on_failure="zero")`), so that it cannot spoil a
# batch. Look at `solution.converged` first.
# **Cure.** At a bound, `smoothing`: the bound is felt a little before it is touched, and a little
# after.

# %%
smoothed = slopes_at(pulls, adjoint=ImplicitAdjoint(smoothing=1e-2))
figure, axis = plt.subplots(figsize=(7.5, 2.8), layout="constrained")
axis.plot(pulls, slopes, "--", color="tab:red", label="exact")
axis.plot(pulls, smoothed, color="tab:blue", label="smoothing=0.01")
axis.set(xlabel="p", ylabel="derivative of the best control")
_ = axis.legend(frameon=False)
assert slopes[40] == 0
assert smoothed[40] > 1e-3

# %% [markdown]
# ## The gradient jumps at a kink
#
# At $p = 1$, in the picture. From the left the derivative is 1, from the right 0.

# %%
kink = check(1.0)
print(f"reliable: {bool(kink.reliable)}; weakly active: {int(kink.weakly_active)}")

# %% [markdown]
# **Cause.** The bound has just become active: *weakly active*, at the bound with no force on it.
# **Cure.** The same smoothing. An optimiser that takes small random steps hardly ever meets such
# a point; a check by finite differences across it does.

# %%
assert not kink.reliable
assert check(0.5).reliable
assert jnp.max(jnp.abs(jnp.diff(smoothed))) < 0.5 < jnp.max(jnp.abs(jnp.diff(slopes)))

# %% [markdown]
# ## The gradient explodes
#
# Now $w$ is nearly zero and $q = 1$: the cost is as good as flat around its minimum.

# %%
flat = check(1e-6, 1e-6, 1.0)
print(f"smallest curvature {float(flat.smallest_pivot):.1e}")
wild = float(slopes_at(jnp.full(41, 1e-6), 1e-6, 1.0)[0])
print(f"gradient {wild:.0f}")

# %% [markdown]
# **Cause.** The derivative of a minimum is divided by its curvature. Along a flat direction the
# smallest change of a parameter moves the minimum far. (Where the curvature is zero the gradient
# means nothing, and `reliable` is False.) Long predictions of unstable systems explode for another
# reason: errors grow with every step. There shorter windows help.
# **Cure.** A small quadratic cost on the controls is the honest one: it makes the solution itself
# better determined. `ImplicitAdjoint(damping=...)` only bounds the gradient.

# %%
damped = slopes_at(jnp.full(41, 1e-6), 1e-6, 1.0, ImplicitAdjoint(damping=0.01))
regular = slopes_at(jnp.full(41, 1e-6), 0.01, 1.0)
print(f"damped {float(damped[0]):.0f}, with w = 0.01: {float(regular[0]):.0f}")
assert wild > 1000
assert damped[0] < 101
assert regular[0] < 101

# %% [markdown]
# ## It compiles again at each call

# %%
traced = 0


def counted(x, u, t, params):
    global traced
    traced += 1  # Python runs this only while JAX traces
    return x + 0.1 * u


def cost(x, u, t, params):
    return params * x @ x + u @ u


for weight in (1.0, 2.0):
    began, before = time.perf_counter(), traced
    problem = jaxmpc.Problem(lambda x, u, t, p: counted(x, u, t, p), cost, horizon=2, control_dim=1)
    jaxmpc.solve(problem, jnp.ones(1), weight, solver=ILQR())
    slow = time.perf_counter() - began
    assert traced > before  # traced, and compiled, again

# %% [markdown]
# **Cause.** A new `lambda` is a new function to JAX, even if its text is the same. So a `Problem`
# that is built inside of a loop is compiled in each pass. The same goes for shapes that change, and
# for numbers that a function closes over instead of getting them by `params`.
# **Cure.** Build it once, outside, and hand over what changes: states, params, guesses, bounds.

# %%
for weight in (2.0, 3.0):
    began, before = time.perf_counter(), traced
    jaxmpc.solve(problem, jnp.ones(1), weight, solver=ILQR())
    quick = time.perf_counter() - began
    assert traced == before
print(f"more than three times as fast: {slow > 3 * quick}")

# %% [markdown]
# ## Exercises
#
# **1.** A mass whose control costs nothing (`effort` = 0) and is bounded. `diagnose` has something
# to say about it. What, and where?
#
# <details><summary>Answer</summary>
#
# ```python
# idle = {**usual, "effort": 0.0}
# plan = jaxmpc.solve(mass, away, idle)
# say(jaxmpc.diagnose(mass, away, idle, plan))
# assert plan.converged
# assert not jaxmpc.gradient_diagnostics(mass, away, idle, plan).reliable
# ```
# The last controls are *singular*: the position cannot feel them before the end, so any value is as
# good. The plan is fine, its derivative is not. A small quadratic cost cures it.
#
# </details>
#
# **2.** A start that is NaN, because a sensor failed. What does the status say, and `diagnose`?
#
# <details><summary>Answer</summary>
#
# ```python
# unknown = jnp.array([jnp.nan, 0.0])
# plan = jaxmpc.solve(rod, unknown)
# say(jaxmpc.diagnose(rod, unknown, None, plan))
# assert plan.status == Status.non_finite
# ```
# It names the entry of x0. In a control loop `RecedingHorizon` follows its last good plan then.
#
# </details>
#
# ## What to read next
#
# [Lesson 6](06_obstacles_and_limits.ipynb) is about constraints that really cannot be met, [lesson
# 4](04_gradient_of_a_solution.ipynb) about what a gradient is before it fails. In the README:
# "What is differentiable", "Compile time" and "Limits".
#
# J. Nocedal and S. J. Wright (2006), *Numerical Optimization*, chapter 12 on what makes a minimum
# well determined, chapter 16 and 18 on how constrained ones are found; A. Waechter and L. T.
# Biegler (2006), *On the implementation of an interior-point filter line-search algorithm for
# large-scale nonlinear programming*, on what a solver does when no step helps.
