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
# # How iLQR works
#
# [Lesson 1](01_swing_up_a_pendulum.ipynb) handed a pendulum to `solve` and got a plan back. What
# happened in between? Here is the same rod, with a motor that is strong enough to lift it, and
# every plan that the solver had on its way.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import jaxmpc
from jaxmpc import lq

jax.config.update("jax_enable_x64", True)  # so that two ways to the same number can be compared
DT, T = 0.05, 60  # s, and the horizon: 3 s


def dynamics(x, u, t, params):
    theta, omega = x  # 0 is upright, pi is hanging
    omega = omega + DT * (15 * jnp.sin(theta) + 3 * u[0])
    return jnp.stack([theta + DT * omega, omega])


def stage_cost(x, u, t, params):
    return 0.5 * (x[0] ** 2 + 0.1 * x[1] ** 2 + 0.1 * u[0] ** 2)


def terminal_cost(x, params):
    return 0.5 * (100 * x[0] ** 2 + 10 * x[1] ** 2)


problem = jaxmpc.Problem(dynamics, stage_cost, terminal_cost, horizon=T, control_dim=1)
hanging = jnp.array([jnp.pi, 0.0])


def iterates(problem, solver):
    """All points that a solver comes through, the guess first: `solve` with the loop outside."""
    state = jaxmpc.initialize(problem, hanging, None, solver=solver)
    step, points = jax.jit(solver.step), []
    while solver.terminate(state) == -1:
        state = step(problem, None, state)
        points.append(jaxmpc.finalize(problem, hanging, None, state, solver=solver))
    return points


library = iterates(problem, jaxmpc.ILQR(hessian="gauss_newton"))

# %%
time = DT * np.arange(T + 1)
figure, axis = plt.subplots(figsize=(7.5, 3.4), layout="constrained")
styles = {0: ("guess: no torque", ":"), 1: ("1", "--"), 2: ("2", "-."), 3: ("3", (0, (5, 1)))}
for i, point in enumerate(library[:-1]):
    name, style = styles.get(i, (None, "-"))
    axis.plot(time, point.states[:, 0], color=plt.cm.Blues(0.35 + 0.05 * i), ls=style, label=name)
axis.plot(
    time, library[-1].states[:, 0], color="tab:red", lw=2, label=f"{len(library) - 1}: the end"
)
axis.set(xlabel="time [s]", ylabel="angle [rad], 0 is upright", xlim=(0, DT * T))
axis.legend(title="iteration", fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
print(f"cost of the guess: {library[0].cost:.1f}, at the end: {library[-1].cost:.2f}")

# %% [markdown]
# The first few iterations do nearly all of the work. This lesson builds the method, the *iterative
# linear-quadratic regulator* (iLQR), from plain JAX, and ends with the same iterates to the last
# digits. Each **iteration** has three parts:
#
# 1. a **rollout**: simulate, and see what that costs;
# 2. a **backward pass**: from the last stage to the first, find out how each control should change;
# 3. a **line search**: find out how much of that change to make.
#
# ## How do I roll a plan out?
#
# A rollout simulates the dynamics under a rule for the controls. The rule here has a *nominal*
# trajectory, the one that we have, and changes it: by a **feedforward** $k_t$ that is fixed, of
# which a part $s$ is applied, and by a **feedback gain** $K_t$ that answers to how far the state
# has come from the nominal one,
#
# $$u_t = \bar u_t + s \, k_t + K_t (x_t - \bar x_t).$$


# %%
def rollout(states, controls, k, K, size, x0=hanging):
    def step(x, stage):
        x_nominal, u_nominal, k, K = stage
        u = u_nominal + size * k + K @ (x - x_nominal)
        return dynamics(x, u, 0, None), (x, u)

    last, (xs, us) = jax.lax.scan(step, x0, (states[:-1], controls, k, K))
    return jnp.concatenate([xs, last[None]]), us


def cost(states, controls):
    stages = jax.vmap(lambda x, u: stage_cost(x, u, 0, None))(states[:-1], controls)
    return jnp.sum(stages) + terminal_cost(states[-1], None)


no_feedforward, no_feedback = jnp.zeros((T, 1)), jnp.zeros((T, 1, 2))
guess = jnp.zeros((T, 1))
states, controls = rollout(jnp.zeros((T + 1, 2)), guess, no_feedforward, no_feedback, 1.0)
evaluated = jax.jit(jaxmpc.evaluate)(problem, hanging, None, guess)  # the package's own
assert jnp.allclose(states, evaluated.states)
assert jnp.allclose(cost(states, controls), evaluated.cost)

# %% [markdown]
# ## What is the backward pass?
#
# Suppose somebody tells us $V_{t+1}(x)$, the best cost from stage $t+1$ on: the **value function**.
# Then stage $t$ is easy. What a control costs there, with the best that can follow, is the
# **Q-function**
#
# $$Q_t(x, u) = \text{stage cost}(x, u) + V_{t+1}(\text{dynamics}(x, u)),$$
#
# and its minimum over $u$ is $V_t(x)$. At the end $V_T$ is the terminal cost, so one can go
# backwards from there. This is *dynamic programming*.
#
# No computer can keep a function of all states. So near the nominal trajectory iLQR replaces the
# dynamics by a linear function, and the costs by quadratic ones. Then each $Q_t$ is quadratic in
# the changes $z = (\delta x, \delta u)$, with a gradient $q$ and a Hessian $H$,
#
# $$q = \nabla \ell + F^\top v, \qquad H = \nabla^2 \ell + F^\top V F,$$
#
# where $\ell$ is the stage cost, $F$ the Jacobian of the dynamics, $v$ and $V$ the gradient and the
# Hessian of $V_{t+1}$. The minimum of a quadratic over $\delta u$ is linear in $\delta x$:
#
# $$\delta u = k + K \delta x, \qquad k = -H_{uu}^{-1} q_u, \qquad K = -H_{uu}^{-1} H_{ux},$$
#
# and putting that in gives $v$ and $V$ of stage $t$. This is the *Riccati recursion*.


# %%
def expand(states, controls):
    """Jacobian of the dynamics, gradient and Hessian of the cost in z = (x, u), at all stages."""

    def after(z):
        return dynamics(z[:2], z[2:], 0, None)

    def spent(z):
        return stage_cost(z[:2], z[2:], 0, None)

    z = jnp.concatenate([states[:-1], controls], axis=1)
    return tuple(jax.vmap(f)(z) for f in (jax.jacfwd(after), jax.grad(spent), jax.hessian(spent)))


def at_the_end(states):
    gradient, hessian = jax.grad(terminal_cost), jax.hessian(terminal_cost)
    return gradient(states[-1], None), hessian(states[-1], None)


@jax.jit
def backward(states, controls):
    def stage(value, expansion):
        v, V = value
        F, gradient, hessian = expansion
        q, H = gradient + F.T @ v, hessian + F.T @ V @ F
        k, K = -jnp.linalg.solve(H[2:, 2:], q[2:]), -jnp.linalg.solve(H[2:, 2:], H[2:, :2])
        decrease = -q[2:] @ k  # what the model promises at first, for each unit of step size
        return (q[:2] + H[:2, 2:] @ k, H[:2, :2] + H[:2, 2:] @ K), (q, H, k, K, decrease)

    _, found = jax.lax.scan(stage, at_the_end(states), expand(states, controls), reverse=True)
    return found


q, H, k, K, decrease = backward(states, controls)

# %% [markdown]
# The backward pass solves a problem with linear dynamics and quadratic costs: a *linear-quadratic*
# (LQ) problem, in the changes of states and controls. `jaxmpc.lq` is a library of just that. It
# finds the same policy:

# %%
F, gradient, hessian = expand(states, controls)
v_end, V_end = at_the_end(states)
model = lq.LQProblem(
    Q=jnp.concatenate([hessian[:, :2, :2], V_end[None]]),
    S=hessian[:, 2:, :2],
    R=hessian[:, 2:, 2:],
    q=jnp.concatenate([gradient[:, :2], v_end[None]]),
    r=gradient[:, 2:],
    A=F[:, :, :2],
    B=F[:, :, 2:],
    c=jnp.zeros((T, 2)),
    x0=jnp.zeros(2),
)
policy = lq.solve(model)
assert jnp.allclose(policy.feedforward, k)
assert jnp.allclose(policy.feedback, K)
print(f"first feedforward {k[0, 0]:.3f} N m, first gain {np.round(K[0, 0], 2)}")

# %% [markdown]
# ## How do I read a Q-function?
#
# Here is one, of iteration 4, stage 20. Left: the Q-function over a change of the angle and a
# change of the torque. Its valley floor is the policy $k + K \delta x$. Right: three cuts through
# it, and (dashed) what really happens, when the torque of this stage is changed and the rest of
# the plan follows the policy.

# %%
point, t = library[4], 20
x, u = point.states, point.controls
q, H, k, K, decrease = backward(x, u)
later = slice(t + 1, None)
promised_later = 0.5 * jnp.sum(decrease[later])  # what the later stages will save


def quadratic(dtheta, du):
    z = jnp.stack([dtheta, jnp.zeros_like(dtheta), du])
    return q[t] @ z + 0.5 * z @ H[t] @ z - promised_later


@jax.jit
@jax.vmap
def really(dtheta, du):
    x_t, u_t = x[t] + jnp.array([dtheta, 0.0]), u[t] + du
    x_next = dynamics(x_t, u_t, 0, None)
    xs, us = rollout(x[later], u[later], k[later], K[later], 1.0, x_next)
    return stage_cost(x_t, u_t, 0, None) + cost(xs, us) - cost(x[t:], u[t:])


figure, axes = plt.subplots(1, 2, figsize=(7.5, 3.4), layout="constrained")
dthetas, dus = jnp.linspace(-0.3, 0.3, 41), jnp.linspace(-5.0, 3.0, 41)
values = jax.vmap(lambda du: jax.vmap(lambda dtheta: quadratic(dtheta, du))(dthetas))(dus)
lines = axes[0].contour(dthetas, dus, values, 12, colors="0.6", linewidths=0.8)
axes[0].clabel(lines, fontsize=7)
axes[0].plot(dthetas, k[t, 0] + K[t, 0, 0] * dthetas, color="tab:red", lw=2, label="policy")
axes[0].set(xlabel="change of the angle [rad]", ylabel="change of the torque [N m]")
axes[0].set_ylim(-5, 3)
axes[0].legend()
for dtheta, color in ((-0.2, "tab:blue"), (0.0, "black"), (0.2, "tab:orange")):
    angle = jnp.full_like(dus, dtheta)
    cut = jax.vmap(quadratic)(angle, dus)
    axes[1].plot(dus, cut, color=color)
    axes[1].plot(dus, really(angle, dus), color=color, ls="--")
    lowest = k[t, 0] + K[t, 0, 0] * dtheta
    axes[1].plot(lowest, quadratic(jnp.asarray(dtheta), lowest), "o", color="tab:red")
    name = f"{dtheta:+.1f} rad" if dtheta else "as planned"
    axes[1].text(3.1, cut[-1], name, color=color, va="center", fontsize=8)
_ = axes[1].set(xlabel="change of the torque [N m]", ylabel="change of the cost", xlim=(-5, 5.4))

# %% [markdown]
# Read the right picture so: with the state as planned (black), one newton metre less is best, and
# that is $k$. With an angle that is 0.2 rad more, it is three newton metres less, and $K$ says so.
#
# ## Why is a step rejected?
#
# The quadratics are right near the nominal trajectory. Nobody promises that the policy stays near.
# Look at iteration 2: what does the cost do along the **step size** $s$, and what did the backward
# pass promise?

# %%
x, u = library[2].states, library[2].controls
_, _, k, K, decrease = backward(x, u)
before = cost(x, u)


@jax.jit
@jax.vmap
def along(size):
    return rollout(x, u, k, K, size)


fine = jnp.linspace(0.0, 1.0, 101)
sizes = 0.5 ** jnp.arange(8)  # 1, 1/2, 1/4, ...
true_costs = jax.vmap(cost)(*along(fine))
tried = jax.vmap(cost)(*along(sizes))
promised = (fine - 0.5 * fine**2) * jnp.sum(decrease)
figure, axes = plt.subplots(1, 2, figsize=(7.5, 3.4), layout="constrained")
axes[0].plot(fine, before - promised, color="0.6", ls="--", label="promised")
axes[0].plot(fine, true_costs, color="tab:blue", label="true")
axes[0].plot(sizes, tried, "o", color="tab:blue")
axes[0].axhline(before, color="0.6", lw=0.8, ls=":")
axes[0].plot(sizes[0], tried[0], "X", color="tab:red", ms=11, label="rejected")
axes[0].set(xlabel="step size", ylabel="cost")
axes[0].legend(fontsize="small")
best = int(jnp.argmin(tried))
axes[1].plot(time, x[:, 0], color="0.6", lw=3, label="iteration 2")
axes[1].plot(time, along(sizes)[0][0, :, 0], color="tab:red", ls="--", label="full step")
name = f"step size {sizes[best]:g}"
axes[1].plot(time, along(sizes)[0][best, :, 0], color="tab:blue", label=name)
axes[1].set(xlabel="time [s]", ylabel="angle [rad]", xlim=(0, DT * T))
axes[1].legend(fontsize="small")
assert tried[0] > before > tried[best]

# %% [markdown]
# The full step would be worse than doing nothing. It goes to where the rod's $\sin\theta$ has
# nothing to do any more with the straight line that the backward pass took for it. A shorter step
# in the same direction is good.
#
# The **line search** tries eight step sizes side by side, and takes the best of those that lower
# the cost by a fair part of what was promised. (Should none of them do, `ILQR` adds a penalty on
# changes of the controls, larger each time, and runs the backward pass again.)
#
# ## How do I put the parts together?


# %%
@jax.jit
def improve(states, controls):
    """One iteration: the next trajectory, its cost, and the step size that led there."""
    _, _, k, K, decrease = backward(states, controls)
    trials = jax.vmap(lambda size: rollout(states, controls, k, K, size))(sizes)
    costs, now = jax.vmap(cost)(*trials), cost(states, controls)
    promised = (sizes - 0.5 * sizes**2) * jnp.sum(decrease)
    rounding = 10 * jnp.finfo(now.dtype).eps * now  # smaller changes of the cost say nothing
    fair = now - costs + rounding >= 1e-4 * promised
    best = jnp.argmin(jnp.where(fair, costs, jnp.inf))
    # At the very end no cost can tell steps apart any more: there the full one is right.
    best = jnp.where((promised[0] < 10 * rounding) & fair[0], 0, best)
    return trials[0][best], trials[1][best], costs[best], sizes[best]


x, u = states, controls  # the guess
print("iteration       cost  step size  stationarity  from the library's")
for i, point in enumerate(library[1:], start=1):
    x, u, c, size = improve(x, u)
    apart = float(jnp.max(jnp.abs(u - point.controls)))
    if i <= 7 or i == len(library) - 1:
        slope = point.residuals.stationarity
        print(f"{i:9d} {c:10.4f} {size:10.3g} {slope:13.0e} {apart:19.0e}")
    assert apart < 1e-8

# %% [markdown]
# These are the iterates of `jaxmpc.ILQR(hessian="gauss_newton")`. The loop ends when the
# **stationarity** (how fast the cost still falls in the steepest direction, without units) is
# below a tolerance.
#
# ## Why are the last iterations slow?
#
# In the table the cost has its final digits long before the end. From there on each iteration makes
# the stationarity smaller by about the same factor. The reason: we took straight lines for the
# dynamics, and their curvature is missing from $H$. Methods that do so are called *Gauss-Newton*.
# With the term $\sum_i \lambda_i \nabla^2 f_i$ added ($f$ the dynamics, $\lambda$ the gradient of
# what is still to come, the **costate**) each step is Newton's, and at the end the number of right
# digits doubles. But far away from the end such a $H_{uu}$ need not be positive, and then the
# Q-function has no minimum. So `jaxmpc.ILQR()` takes Gauss-Newton steps until they succeed, tries
# exact ones from then on, and goes back where these fail.

# %%
automatic = iterates(problem, jaxmpc.ILQR())
figure, axis = plt.subplots(figsize=(7.5, 3.0), layout="constrained")
named = (
    (library, 'ILQR(hessian="gauss_newton")', "tab:red", "o-"),
    (automatic, "ILQR()", "tab:blue", "s--"),
)
for points, name, color, style in named:
    residuals = [float(point.residuals.stationarity) for point in points]
    axis.semilogy(residuals, style, color=color, ms=4, label=name)
axis.set(xlabel="iteration", ylabel="stationarity", xticks=range(0, len(library), 2))
axis.legend()
assert len(automatic) < len(library)

# %% [markdown]
# A step that fails, and is tried again otherwise, shows as a level piece of the blue line.
#
# ## Exercises
#
# **1.** Leave the line search out: from iteration 2 on take the full step always. What does the
# cost do, and does the method still arrive?
#
# <details><summary>Answer</summary>
#
# ```python
# x, u = library[2].states, library[2].controls
# costs = [float(cost(x, u))]
# for _ in range(20):
#     _, _, k, K, _ = backward(x, u)
#     x, u = rollout(x, u, k, K, 1.0)
#     costs.append(float(cost(x, u)))
# print(np.round(costs[:10], 1), "at last", round(costs[-1], 1))
# assert costs[1] > costs[0]
# ```
# The cost rises and falls and rises again, up to 263, and then the method arrives all the same.
# That is luck: only a cost that falls in every iteration cannot wander about forever.
#
# </details>
#
# **2.** Replace $\sin\theta$ by $\theta$. How many iterations are needed now, and why?
#
# <details><summary>Answer</summary>
#
# ```python
# def straight(x, u, t, params):
#     omega = x[1] + DT * (15 * x[0] + 3 * u[0])
#     return jnp.stack([x[0] + DT * omega, omega])
#
#
# linear = jaxmpc.Problem(straight, stage_cost, terminal_cost, horizon=T, control_dim=1)
# points = iterates(linear, jaxmpc.ILQR(hessian="gauss_newton"))
# print([f"{point.cost:.6g}" for point in points])
# assert abs(points[1].cost / points[-1].cost - 1) < 1e-9
# ```
# One: the dynamics are linear and the costs quadratic, so the model is the problem itself. (Another
# one may clean up the rounding: the first rollout falls over, to states of a hundred thousand.)
#
# </details>
#
# **3.** Let the motor have at most 6 N m. What must change in the backward pass, and what in the
# rollout? (With one control the minimum of a Q-function within limits is simple.)
#
# <details><summary>Answer</summary>
#
# A minimum outside of the limits moves to the limit, and does not answer to the state there:
# $K = 0$. The value function is then that of this policy, in the form that does not assume a
# minimum. The rollout stays within the limits too.
#
# ```python
# @jax.jit
# def limited_iteration(x, u, limit=6.0):
#     def stage(value, given):
#         (v, V), (expansion, u) = value, given
#         F, gradient, hessian = expansion
#         q, H = gradient + F.T @ v, hessian + F.T @ V @ F
#         free = -q[2:] / H[2, 2]
#         k = jnp.clip(free, -limit - u, limit - u)
#         K = jnp.where(k == free, -H[2:, :2] / H[2, 2], 0.0)
#         v = q[:2] + K.T @ (H[2:, 2:] @ k + q[2:]) + H[:2, 2:] @ k
#         V = H[:2, :2] + K.T @ H[2:, 2:] @ K + K.T @ H[2:, :2] + H[:2, 2:] @ K
#         return (v, V), (k, K)
#
#     _, (k, K) = jax.lax.scan(stage, at_the_end(x), (expand(x, u), u), reverse=True)
#
#     def trial(size):
#         def step(x, given):
#             x_nominal, u_nominal, k, K = given
#             u = u_nominal + size * k + K @ (x - x_nominal)
#             u = jnp.clip(u, -limit, limit)
#             return dynamics(x, u, 0, None), (x, u)
#
#         last, (xs, us) = jax.lax.scan(step, hanging, (x[:-1], u, k, K))
#         return jnp.concatenate([xs, last[None]]), us
#
#     trials = jax.vmap(trial)(sizes)
#     best = jnp.argmin(jax.vmap(cost)(*trials))
#     return trials[0][best], trials[1][best]
#
#
# x, u = states, controls
# for _ in range(40):
#     x, u = limited_iteration(x, u)
# limited = jaxmpc.Problem(
#     dynamics, stage_cost, terminal_cost, horizon=T, control_dim=1, control_bounds=(-6, 6)
# )
# found = jaxmpc.solve(limited, hanging, solver=jaxmpc.ILQR(hessian="gauss_newton"))
# print(f"{cost(x, u):.4f} {found.cost:.4f}")
# assert abs(cost(x, u) - found.cost) < 1e-6
# ```
# The same cost as the library's.
#
# </details>

# %% [markdown]
# ## What to read next
#
# - [Lesson 3](03_a_thousand_starts.ipynb): such a solver is an ordinary JAX function, so it can
#   work on a thousand problems at once.
# - [Lesson 6](06_obstacles_and_limits.ipynb): limits on states, and obstacles, for which other
#   solvers are made. `solve` picks one by itself; the guide [options](guides/options.md) lists
#   them, [own the loop](guides/own_the_loop.md) has `initialize`, `step` and `finalize`.
# - Li and Todorov (2004), *Iterative linear quadratic regulator design for nonlinear biological
#   movement systems*; Tassa, Mansard and Todorov (2014), *Control-limited differential dynamic
#   programming*.
