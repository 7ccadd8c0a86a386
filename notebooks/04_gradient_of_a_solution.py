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
# `jaxmpc.solve` finds the best controls. They depend on what the problem depends on: the initial
# state, the parameters of dynamics and cost, the bounds. This notebook differentiates that
# dependence, and checks the derivative against finite differences, the one referee that needs no
# theory: change the parameter a little, solve again, see what changed.
#
# The problem is the cart-pole of *Differentiable MPC for End-to-end Planning and Control* (Amos,
# Jimenez, Sacks, Boots, Kolter, 2018): 20 steps of 0.05 s. The force is limited to 20 N here, so
# that some bounds are active.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import jaxmpc
from jaxmpc import ILQR, ImplicitAdjoint, integrators, models

jax.config.update("jax_enable_x64", True)  # finite differences need the digits


def cartpole_problem(limit):
    return jaxmpc.Problem(
        integrators.discrete(models.cartpole),
        models.cartpole_cost,
        horizon=20,
        control_dim=1,
        control_bounds=(-limit, limit),
    )


x0 = models.cartpole_state(position=0.2, velocity=0.3, theta=0.9, angular_velocity=-0.5)
params = {name: jnp.asarray(value) for name, value in models.CARTPOLE.items()}
tight = ILQR(tolerance=1e-11)  # a solution that is not exact has no exact derivative
solution = jaxmpc.solve(cartpole_problem(20.0), x0, params, solver=tight)
print(jaxmpc.describe(solution))

# %% [markdown]
# ## One call of `jax.grad`
#
# Any function of the solution can be differentiated. Let us take the sum of the squared forces,
# and ask how it changes with the four parameters of the dynamics and with the largest force that
# is allowed.
#
# Nothing is unrolled: at the optimum the gradient of the Lagrangian is zero, and remains so when
# the parameters change. Differentiating *that* is one more linear-quadratic problem, which costs
# about as much as one iteration of the solver, however many it needed.

# %%


def effort(theta, adjoint=ImplicitAdjoint()):
    problem = cartpole_problem(theta["limit"])
    found = jaxmpc.solve(problem, x0, theta["dynamics"], solver=tight, adjoint=adjoint)
    return jnp.sum(found.controls**2)


theta = {"dynamics": params, "limit": jnp.asarray(20.0)}
gradient = jax.jit(jax.grad(effort))(theta)


def central_differences(function, theta, relative_step=1e-5):
    """d function / d theta, one entry at a time, each by two values of the function."""
    function = jax.jit(function)
    leaves, tree = jax.tree.flatten(theta)
    slopes = []
    for i, leaf in enumerate(leaves):
        h = relative_step * float(leaf)
        plus, minus = (
            function(jax.tree.unflatten(tree, [*leaves[:i], leaf + d, *leaves[i + 1 :]]))
            for d in (h, -h)
        )
        slopes.append((plus - minus) / (2 * h))
    return jax.tree.unflatten(tree, slopes)


truth = central_differences(effort, theta)

# %% [markdown]
# ## The paper's gradient
#
# The 2018 paper approximates the dynamics by a linear model at the solution, and differentiates
# the problem with that model. The curvature of the dynamics is left out (as Gauss-Newton methods
# do when they *search* for the solution, where it is harmless). jaxmpc keeps it as an option, to
# reproduce the paper. Beside the truth:

# %%
paper = jax.jit(jax.grad(lambda theta: effort(theta, ImplicitAdjoint(hessian="gauss_newton"))))
rows = zip(
    ["gravity", "length", "masscart", "masspole", "limit"],
    *(jax.tree.leaves(value) for value in (truth, gradient, paper(theta))),
    strict=True,
)
print(f"{'':10}{'differences':>14}{'jaxmpc':>14}{'error':>10}{'Gauss-Newton':>16}{'error':>8}")
for name, d, exact, approximate in rows:
    print(
        f"{name:10}{d:14.6f}{exact:14.6f}{abs(exact / d - 1):10.0e}"
        f"{approximate:16.6f}{abs(approximate / d - 1):8.0%}"
    )

# %% [markdown]
# jaxmpc's gradient agrees with the differences to their own accuracy. The Gauss-Newton gradient
# does not, and no smaller tolerance will mend it.
#
# How far off is it elsewhere? The same for 120 initial states, those of the paper's experts: the
# relative error of the whole gradient, $\lVert g - g_\text{differences} \rVert /
# \lVert g_\text{differences} \rVert$.

# %%
starts = jnp.asarray(models.paper_initial_states("cartpole"))
problem = cartpole_problem(models.CARTPOLE_MAX_FORCE)


def solve_from(values, x0, guess=None, adjoint=ImplicitAdjoint()):
    dynamics = dict(zip(params, values, strict=True))
    return jaxmpc.solve(problem, x0, dynamics, controls=guess, solver=tight, adjoint=adjoint)


values = jnp.stack(list(params.values()))
experts = jax.jit(jax.vmap(solve_from, in_axes=(None, 0)))(values, starts)


@jax.jit
def efforts(values):  # starting from the experts, so that each stays in its local minimum
    found = jax.vmap(solve_from, in_axes=(None, 0, 0))(values, starts, experts.controls)
    return jnp.sum(found.controls**2, axis=(1, 2))


def gradients(adjoint):
    def effort_from(values, x0, guess):
        return jnp.sum(solve_from(values, x0, guess, adjoint).controls ** 2)

    gradient = jax.vmap(jax.grad(effort_from), in_axes=(None, 0, 0))
    return jax.jit(gradient)(values, starts, experts.controls)


steps = jnp.diag(1e-5 * values)
columns = [(efforts(values + h) - efforts(values - h)) / (2 * jnp.sum(h)) for h in steps]
reference = jnp.stack(columns, axis=1)


def relative_error(g):
    return jnp.linalg.norm(g - reference, axis=1) / jnp.linalg.norm(reference, axis=1)


errors = {
    "jaxmpc": relative_error(gradients(ImplicitAdjoint())),
    "Gauss-Newton": relative_error(gradients(ImplicitAdjoint(hessian="gauss_newton"))),
}
figure, axis = plt.subplots(figsize=(7.5, 3.2), layout="constrained")
bins = np.geomspace(1e-11, 1e1, 61)
for (name, error), color in zip(errors.items(), ("tab:blue", "tab:red"), strict=True):
    axis.hist(np.asarray(error), bins, color=color, label=f"{name}: median {np.median(error):.1e}")
axis.set(xscale="log", xlabel="relative error of the gradient", ylabel="initial states")
_ = axis.legend()

# %% [markdown]
# ## Second derivatives
#
# The gradient is a JAX function like any other, so it can be differentiated again.

# %%


def effort_of_length(length):
    return effort({**theta, "dynamics": {**params, "length": length}})


slope = jax.jit(jax.grad(effort_of_length))
curvature = jax.jit(jax.grad(jax.grad(effort_of_length)))(params["length"])
h = 1e-5
by_differences = (slope(params["length"] + h) - slope(params["length"] - h)) / (2 * h)
print(f"second derivative {curvature:.6f}, by differences of the first {by_differences:.6f}")

# %% [markdown]
# ## A kink, and how to smooth it
#
# When a bound becomes active, the solution turns a corner: from there on the control stays at the
# bound, whatever the parameters do. At the corner there is a derivative to the left and another to
# the right. A smaller problem shows it best: push a mass on a line to a goal in one step.

# %%


def push(x, u, t, params):
    return x + u


def distance(x, params):
    return 0.5 * (x[0] - params) ** 2


def effort_cost(x, u, t, params):
    return 0.05 * u[0] ** 2


line = jaxmpc.Problem(
    push, effort_cost, distance, horizon=1, control_dim=1, control_bounds=(-1.0, 1.0)
)


def first_push(goal, adjoint=ImplicitAdjoint()):
    return jaxmpc.solve(line, jnp.zeros(1), goal, adjoint=adjoint).controls[0, 0]


goals = jnp.linspace(0.0, 2.2, 221)
figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
axes[0].plot(goals, jax.vmap(first_push)(goals), color="tab:blue")
axes[0].set(xlabel="goal", ylabel="the best push, at most 1")
slopes = jax.jit(jax.vmap(jax.grad(first_push), in_axes=(0, None)))
for smoothing, color in ((0.0, "tab:blue"), (1e-3, "tab:orange"), (1e-2, "tab:red")):
    slope = slopes(goals, ImplicitAdjoint(smoothing=smoothing))
    axes[1].plot(goals, slope, color=color, label=f"smoothing={smoothing:g}")
axes[1].set(xlabel="goal", ylabel="its derivative")
_ = axes[1].legend()

# %% [markdown]
# The smoothed gradient is not the exact one; it is that of a bound which starts to be felt a little
# before it is touched, and still gives a hint a little after. A learner that would otherwise see a
# gradient of zero wherever a bound is active may need just that.
#
# Whether a solution is close to a kink can be asked:

# %%
for goal in (0.5, 1.099, 2.0):
    at = jaxmpc.solve(line, jnp.zeros(1), jnp.asarray(goal))
    report = jaxmpc.gradient_diagnostics(line, jnp.zeros(1), jnp.asarray(goal), at)
    print(
        f"goal {goal:5.3f}: margin to the kink {report.complementarity_margin:.3f}, "
        f"{report.active} active"
    )

# %% [markdown]
# ## What to remember
#
# - `jax.grad` of anything made from a solution; with respect to initial states, parameters, bounds.
# - It is the gradient of a *converged* solution. An element of a batch that did not converge gets a
#   gradient of zero by default: look at `solution.converged`.
# - Near a kink it is one-sided; `ImplicitAdjoint(smoothing=...)` smooths it.
