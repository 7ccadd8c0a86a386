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
# # The gradient of a solution
#
# A plan balances a pole on a cart. Then somebody mounts a longer pole. How does the best plan
# change, and must we solve the problem again to know?
#
# You should have read [lesson 1](01_swing_up_a_pendulum.ipynb), and know what a derivative is.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import jaxmpc
from jaxmpc import ILQR, ImplicitAdjoint, integrators, models

jax.config.update("jax_enable_x64", True)  # the comparisons below need the digits
T = 20  # steps of 0.05 s
TIGHT = ILQR(tolerance=1e-11)  # a solution that is not exact has no exact derivative


def plan(theta, x0, guess, adjoint=ImplicitAdjoint()):
    """The best 20 forces for a cart-pole with these parameters and this largest force."""
    problem = jaxmpc.Problem(
        integrators.discrete(models.cartpole),
        models.cartpole_cost,
        horizon=T,
        control_dim=1,
        control_bounds=(-theta["limit"], theta["limit"]),
    )
    params = {name: theta[name] for name in models.CARTPOLE}
    return jaxmpc.solve(problem, x0, params, controls=guess, solver=TIGHT, adjoint=adjoint)


def effort(theta, x0, guess, adjoint=ImplicitAdjoint()):
    """The sum of the squared forces; and the plan itself, of which no gradient is asked."""
    best = plan(theta, x0, guess, adjoint)
    return jnp.sum(best.controls**2), best


def batched(function):
    return jax.jit(jax.vmap(function), compiler_options=jaxmpc.compiler_options())


B = 60  # problems side by side
effort_and_gradient = batched(jax.value_and_grad(effort, has_aux=True))
THETA = {
    name: jnp.full(B, value, float) for name, value in {**models.CARTPOLE, "limit": 20.0}.items()
}
x0 = models.cartpole_state(position=0.2, velocity=0.3, theta=0.9, angular_velocity=-0.5)
same_start, no_guess = jnp.tile(x0, (B, 1)), jnp.zeros((B, T, 1))
lengths = jnp.linspace(0.45, 1.0, B)  # half the length of the pole, in m
poles = {**THETA, "length": lengths}
(efforts, plans), gradient = effort_and_gradient(poles, same_start, no_guess)

# %%
figure, axes = plt.subplots(1, 2, figsize=(7.5, 3.4), layout="constrained")
time = 0.05 * np.arange(T + 1)
for i, style in ((0, ":"), (24, "--"), (B - 1, "-")):
    forces = np.append(plans.controls[i, :, 0], plans.controls[i, -1, 0])
    name, slope = f"{lengths[i]:.2f} m", gradient["length"][i]
    axes[0].step(time, forces, where="post", color="tab:blue", ls=style, label=name)
    near = lengths[i] + jnp.array([-0.1, 0.1])
    axes[1].plot(near, efforts[i] + slope * (near - lengths[i]), color="tab:red", zorder=3)
axes[0].axhline(20, color="0.6", ls="--", lw=0.8)
axes[0].set(xlabel="time [s]", ylabel="best force [N], at most 20", xlim=(0, 1))
axes[0].legend(title="half length", fontsize="small")
axes[1].plot(lengths, efforts, color="tab:blue")
axes[1].set(xlabel="half length of the pole [m]", ylabel="effort [N²]")
_ = axes[1].set_title("red: what one solution says", fontsize="medium")

# %% [markdown]
# On the left three best plans. On the right their **effort**, the sum of the squared forces: the
# blue line took 60 solutions. Each red line took one: it is the *derivative* of a solution.
#
# ## How do I differentiate a solution?
#
# With `jax.grad`, as anything else in JAX. `effort` calls `solve`, and makes one number of what
# comes back; `jax.grad(effort)` is its gradient with respect to everything in `theta`: the four
# parameters of the dynamics, and the largest force. (Here are 60 plans from different states at
# once, as in [lesson 3](03_a_thousand_starts.ipynb); we look at the first.)

# %%
starts = jnp.concatenate([x0[None], models.paper_initial_states("cartpole")[1:B]])
(_, known), exact = effort_and_gradient(THETA, starts, no_guess)
for name, values in exact.items():
    print(f"d effort / d {name:9} {values[0]:10.3f}")

# %% [markdown]
# ## Where does the derivative come from?
#
# Not from the iterations: nobody cares how the solver got there. It comes from what is *true at the
# solution*. Take the smallest problem there is: push a mass from 0 to a goal $g$ in one step. The
# push $u$ costs something too,
#
# $$\min_u \; 0.05\,u^2 + 0.5\,(u - g)^2.$$
#
# At the best $u$ the slope is zero: $F(u, g) = 0.1\,u + (u - g) = 0$. When the goal moves, $u$
# moves along so that this *remains* true:
#
# $$F_u \, du + F_g \, dg = 0, \qquad \frac{du}{dg} = -\frac{F_g}{F_u} = \frac{1}{1.1}.$$
#
# No minimum was searched for, only a linear equation solved. (This is the *implicit function
# theorem*.) Now a bound, $u \le 1$. If it holds the push back, there is a force that does so, the
# **multiplier** $\mu \ge 0$, and the conditions are
#
# $$0.1\,u + (u - g) + \mu = 0, \qquad \mu \, (1 - u) = 0, \qquad u \le 1, \; \mu \ge 0.$$
#
# These are the **KKT conditions** (Karush, Kuhn and Tucker). Either the bound is inactive,
# $\mu = 0$, and all is as above; or it is active, $u = 1$ and $du/dg = 0$.
#
# A whole plan is the same with more letters: the slope of the total cost is zero in each control
# that is not at a bound, and the others stay where they are. By hand, for our 20 forces:

# %%
first = {name: values[0] for name, values in THETA.items()}
params = {name: first[name] for name in models.CARTPOLE}
u = known.controls[0, :, 0]
free = jnp.abs(u) < first["limit"]


def total_cost(controls, length):
    def step(x, u):
        return models.cartpole(x, u, {**params, "length": length}), models.cartpole_cost(x, u)

    _, costs = jax.lax.scan(step, x0, controls)
    return jnp.sum(costs)


def conditions(u, length):
    return jax.grad(lambda u: total_cost(u[:, None], length))(u)


def change_of_conditions(u, length):
    return jax.jacfwd(conditions, argnums=(0, 1))(u, length)


slope_in_u = jax.jit(conditions)(u, first["length"])
F_u, F_length = jax.jit(change_of_conditions)(u, first["length"])
F_u, F_length = F_u[free][:, free], F_length[free]
du = jnp.zeros(T).at[free].set(-jnp.linalg.solve(F_u, F_length))
by_hand = jnp.sum(2 * u * du)  # the chain rule: effort = sum of u^2
by_jaxmpc = exact["length"][0]
print(f"{T - int(free.sum())} of {T} forces at the bound")
print(f"slope of the cost in the free ones: at most {jnp.abs(slope_in_u[free]).max():.0e}")
print(f"d effort / d length: by hand {by_hand:.8f}, by jaxmpc {by_jaxmpc:.8f}")
assert abs(by_hand / by_jaxmpc - 1) < 1e-8

# %% [markdown]
# jaxmpc does the same without the 20 x 20 matrix: with states and **costates** (the multipliers of
# the dynamics) as unknowns beside the controls, the linear equation is a linear-quadratic problem
# again. One backward pass as in [lesson 2](02_how_ilqr_works.ipynb) solves it, for about the price
# of one iteration, however many the solver needed.
#
# ## How do I check a gradient?
#
# By **finite differences**: change a parameter a little, solve again, see what changed. They need
# no theory. Let us do that for the plan above and for the 59 others, from other states. Each search
# starts from the plan that is known, so that it stays in the same local minimum.


# %%
def difference(name, relative=1e-5):
    """d effort / d theta[name], of all plans."""

    def at(factor):
        changed = {**THETA, name: factor * THETA[name]}
        (efforts, _), _ = effort_and_gradient(changed, starts, known.controls)
        return efforts

    return (at(1 + relative) - at(1 - relative)) / (2 * relative * THETA[name])


truth = {name: difference(name) for name in THETA}


def relative_error(gradient):
    """Of the whole gradient, for each plan."""
    right = jnp.stack([truth[name] for name in THETA])
    found = jnp.stack([gradient[name] for name in THETA])
    return jnp.linalg.norm(found - right, axis=0) / jnp.linalg.norm(right, axis=0)


print(f"converged: {int(known.converged.sum())} of {len(starts)}")
print(f"relative error of the gradient, median: {np.median(relative_error(exact)):.0e}")
assert np.median(relative_error(exact)) < 1e-6

# %% [markdown]
# ## Where does the Gauss-Newton gradient go wrong?
#
# $F_u$ contains second derivatives of the cost *and of the dynamics*. When a solver searches, it
# may leave the dynamics' curvature out: its steps are a little worse then, and it arrives all the
# same. (Lesson 2 did so.) In a derivative nothing corrects that later: what is left out is missing.
#
# The paper that made this kind of derivative known (Amos and others, 2018) left it out. jaxmpc
# keeps that as an option. The first of our plans:


# %%
def effort_of_paper(theta, x0, guess):
    return effort(theta, x0, guess, ImplicitAdjoint(hessian="gauss_newton"))[0]


paper = batched(jax.grad(effort_of_paper))(THETA, starts, known.controls)
print(f"{'':10}{'differences':>13}{'jaxmpc':>13}{'Gauss-Newton':>15}{'off by':>8}")
for name in THETA:
    d, good, bad = (values[name][0] for values in (truth, exact, paper))
    print(f"{name:10}{d:13.4f}{good:13.4f}{bad:15.4f}{abs(bad / d - 1):8.0%}")

# %%
figure, axis = plt.subplots(figsize=(7.5, 3.2), layout="constrained")
bins = np.geomspace(1e-11, 1e1, 49).tolist()
looks = {"jaxmpc": (exact, "tab:blue", None), "Gauss-Newton": (paper, "tab:red", "///")}
for name, (gradient, color, hatch) in looks.items():
    error = np.asarray(relative_error(gradient))
    label = f"{name}: median {np.median(error):.0e}"
    axis.hist(error, bins, color=color, hatch=hatch, edgecolor="white", lw=0.3, label=label)
axis.set(xscale="log", xlabel="relative error of the gradient", ylabel="plans")
axis.legend()
assert np.median(relative_error(paper)) > 1e3 * np.median(relative_error(exact))

# %% [markdown]
# jaxmpc's gradient agrees with the differences to their own accuracy. The other one does not, and
# no tighter tolerance will mend it. (Where a fit can become perfect it does little harm: there both
# gradients vanish at the same place.)
#
# ## What happens at a bound?
#
# Back to the push on a line, with $|u| \le 1$. When the bound becomes active, the solution turns a
# corner, a **kink**: from there on the push stays at 1, whatever the goal does. At the corner there
# is a derivative to the left and another to the right. (The corners of the blue line in the first
# picture are kinks: there one more force leaves its bound.)


# %%
def push(x, u, t, params):
    return x + u


def push_cost(x, u, t, params):
    return 0.05 * u[0] ** 2


def distance(x, goal):
    return 0.5 * (x[0] - goal) ** 2


line = jaxmpc.Problem(
    push, push_cost, distance, horizon=1, control_dim=1, control_bounds=(-1.0, 1.0)
)


def best_push(goal, adjoint=ImplicitAdjoint()):
    return jaxmpc.solve(line, jnp.zeros(1), goal, solver=ILQR(), adjoint=adjoint).controls[0, 0]


goals = jnp.linspace(0.0, 2.2, 221)
push_and_slope = jax.jit(
    jax.vmap(jax.value_and_grad(best_push), in_axes=(0, None)),
    compiler_options=jaxmpc.compiler_options(),
)
figure, axes = plt.subplots(1, 2, figsize=(7.5, 3.2), layout="constrained")
for smoothing, color, style in ((0.0, "tab:blue", "-"), (0.01, "tab:red", "--")):
    pushes, slope = push_and_slope(goals, ImplicitAdjoint(smoothing=smoothing))
    axes[1].plot(goals, slope, color=color, ls=style, label=f"smoothing={smoothing:g}")
    if smoothing == 0.0:
        axes[0].plot(goals, pushes, color=color)
        assert jnp.allclose(slope[goals < 1.09], 1 / 1.1)
        assert jnp.allclose(slope[goals > 1.11], 0.0)
axes[0].set(xlabel="goal", ylabel="the best push, at most 1")
axes[1].set(xlabel="goal", ylabel="its derivative")
_ = axes[1].legend(fontsize="small")

# %% [markdown]
# ## How do I smooth a gradient?
#
# Whoever learns by such gradients hears nothing wherever a bound is active: zero. The option
# `ImplicitAdjoint(smoothing=...)` gives the derivative of a softened problem instead, whose bound
# is felt a little before it is touched, and still gives a hint a little after. It is not the exact
# gradient. The plan itself stays what it was.
#
# ## Can I rely on this gradient?
#
# Whether a solution is close to a kink can be asked:

# %%
for goal in (0.5, 1.099, 2.0):
    at = jaxmpc.solve(line, jnp.zeros(1), jnp.asarray(goal))
    report = jaxmpc.gradient_diagnostics(line, jnp.zeros(1), jnp.asarray(goal), at)
    margin = report.complementarity_margin
    print(f"goal {goal:5.3f}: margin to the kink {margin:.3f}, {report.active} active")

# %% [markdown]
# The margin is the smallest, over all bounds, of the larger of two numbers: the multiplier, and the
# distance to the bound times the curvature. Zero means a kink.
#
# And it is the gradient of a *converged* solution. One that did not converge has a gradient of zero
# by default, so that it teaches a learner nothing: look at `solution.converged`.
#
# ## Exercises
#
# **1.** The gradient is a function like any other. What is the *second* derivative of the effort
# with respect to the length, and does it agree with differences of the first?
#
# <details><summary>Answer</summary>
#
# ```python
# def effort_of_length(length):
#     return effort({**first, "length": length}, x0, no_guess[0])[0]
#
#
# slope = jax.grad(effort_of_length)
# options = jaxmpc.compiler_options()
# curvature = jax.jit(jax.grad(slope), compiler_options=options)(0.5)
# around = {**THETA, "length": jnp.linspace(0.5 - 1e-5, 0.5 + 1e-5, B)}
# sides = effort_and_gradient(around, same_start, no_guess)[1]["length"]
# by_differences = (sides[-1] - sides[0]) / 2e-5
# print(f"{curvature:.4f}, by differences {by_differences:.4f}")
# assert abs(curvature / by_differences - 1) < 1e-5
# ```
# They agree to five digits: `jax.grad` may be applied twice.
#
# </details>
#
# **2.** For a goal of 2 the best push is 1, and its derivative with respect to the goal is zero.
# With respect to what is it not?
#
# <details><summary>Answer</summary>
#
# With respect to the bound: the push is the bound.
#
# ```python
# def with_bound(bound):
#     bounded = jaxmpc.Problem(
#         push, push_cost, distance, horizon=1, control_dim=1, control_bounds=(-bound, bound)
#     )
#     return jaxmpc.solve(bounded, jnp.zeros(1), 2.0, solver=ILQR()).controls[0, 0]
#
#
# slope = jax.grad(with_bound)(1.0)
# print(slope)
# assert abs(slope - 1) < 1e-9
# ```
#
# </details>

# %% [markdown]
# ## What to read next
#
# - [Lesson 5](05_learn_from_an_expert.ipynb) puts the gradient to work: find the parameters of a
#   cost or of a model by watching somebody who knows them.
# - In the README: "What is differentiable" (the whole table), `jaxmpc.solution_jvp` for forward
#   mode.
# - Amos, Jimenez, Sacks, Boots and Kolter (2018), *Differentiable MPC for end-to-end planning and
#   control*; Fiacco (1983), *Introduction to sensitivity and stability analysis in nonlinear
#   programming*.
