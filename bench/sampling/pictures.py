"""Samples fading to elites over the iterations, and the distribution's width over time."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import jaxmpc
from bench.sampling.tasks import CENTRES, Task, acrobot, obstacles
from jaxmpc.solvers.loop import Guess
from jaxmpc.trajectory import open_loop

_SHOWN = (0, 3, 8, 20)


def draw(path: Path) -> list[str]:
    """Write the two pictures beside a result; their names."""
    names = []
    for name, task, plane in (
        ("obstacles", obstacles(), (0, 1, "x [m]", "y [m]")),
        ("acrobot", acrobot(), (None, 0, "stage", "shoulder [rad]")),
    ):
        figure = _fading(task, plane)
        file = path.with_name(f"{path.stem}-{name}.png")
        figure.savefig(file, dpi=100)
        names.append(file.name)
    return names


def _fading(task: Task, plane):
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    from matplotlib.patches import Circle

    horizontal, vertical, *labels = plane
    solver = jaxmpc.ICEM(samples=256, iterations=20, noise=task.noise)
    lower, upper = task.problem.limits(task.x0.dtype)
    guess = Guess(jnp.zeros_like(lower), key=jax.random.key_data(jax.random.key(0)))
    state = solver.init(task.problem, task.x0, task.params, guess)
    step = jax.jit(lambda state: solver.step(task.problem, task.params, state))
    figure, axes = plt.subplots(2, len(_SHOWN), figsize=(14, 6.5), layout="constrained")
    for iteration in range(max(_SHOWN) + 1):
        if iteration in _SHOWN:
            column = axes[:, _SHOWN.index(iteration)]
            noise = jax.random.normal(jax.random.key(iteration), (60, *state.mean.shape))
            controls = jnp.clip(state.mean[None] + state.deviation[None] * noise, lower, upper)
            states = np.asarray(
                jax.vmap(lambda u: open_loop(task.problem, task.x0, task.params, u).states)(
                    controls
                )
            )
            best = open_loop(task.problem, task.x0, task.params, state.best).states
            time = np.arange(states.shape[1])
            for rollout in states:
                x = time if horizontal is None else rollout[:, horizontal]
                column[0].plot(x, rollout[:, vertical], color="#4477aa", lw=0.6, alpha=0.25)
            x = time if horizontal is None else best[:, horizontal]
            column[0].plot(x, best[:, vertical], color="#cc3311", lw=1.8, label="best so far")
            for centre in CENTRES if horizontal is not None else ():
                column[0].add_patch(Circle(tuple(centre), 0.2, color="0.85", zorder=0))
            column[0].set(title=f"after {iteration} iterations", xlabel=labels[0])
            middle, width = np.asarray(state.mean[:, 0]), np.asarray(state.deviation[:, 0])
            stages = np.arange(len(middle))
            column[1].fill_between(stages, middle - width, middle + width, color="#bbccee")
            column[1].plot(stages, middle, color="#4477aa", lw=1.2)
            column[1].set(xlabel="stage", ylim=(float(lower.min()), float(upper.max())))
        state = step(state)
    axes[0, 0].set_ylabel(labels[1])
    axes[1, 0].set_ylabel("first control: mean, deviation")
    axes[0, 0].legend(frameon=False, fontsize="small")
    for axis in axes[0]:
        axis.sharey(axes[0, -1])
    return figure
