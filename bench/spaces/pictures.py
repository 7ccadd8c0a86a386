"""A quadrotor that turns upright and an arm that goes across the seam, as pictures.

    python -m bench.spaces.pictures

Writes bench/results/spaces-flip.png, spaces-flip-angles.png and spaces-arm.png.
"""

from pathlib import Path

import jax
import jax.numpy as jnp

import jaxmpc
from jaxmpc import integrators, models, plot, spaces

_RESULTS = Path(__file__).parents[1] / "results"
_ARM = spaces.Product(spaces.Circle(), spaces.Circle(), spaces.Euclidean(2))


def flip() -> jaxmpc.Solution:
    """From upside down to level hovering, at the same place."""
    space = models.QUADROTOR_SPACE
    level = models.quadrotor_state(jnp.zeros(3))
    problem = jaxmpc.Problem(
        integrators.rk4(models.quadrotor, 0.025),
        lambda x, u, t, _: 0.02 * jnp.sum((u - 1.23) ** 2) + 0.02 * jnp.sum(x[7:] ** 2),
        lambda x, _: 50 * jnp.sum(space.difference(level, x) ** 2),
        horizon=60,
        control_dim=4,
        control_bounds=(0.0, 4.0),
        state_space=space,
    )
    return jaxmpc.solve(problem, level.at[3:7].set(jnp.array([0.0, 1.0, 0.0, 0.0])))


def arm(start, goal) -> jaxmpc.Solution:
    """Two links in the plane without gravity, joints without limits, moved by bounded torques."""

    def rates(x, u, params):
        bend, first, second = x[1], x[2], x[3]
        cosine, pull = jnp.cos(bend), jnp.sin(bend)
        mass = jnp.stack([3.0 + 2.0 * cosine, 1.0 + cosine, 1.0 + cosine, 1.0]).reshape(2, 2)
        whirl = pull * jnp.stack([-second * (2 * first + second), first**2])
        return jnp.concatenate([x[2:], jnp.linalg.solve(mass, u - whirl)])

    problem = jaxmpc.Problem(
        integrators.rk4(rates, 0.05),
        lambda x, u, t, goal: 0.025 * jnp.sum(u**2),
        lambda x, goal: 50 * jnp.sum(_ARM.difference(goal, x) ** 2),
        horizon=40,
        control_dim=2,
        control_bounds=(-4.0, 4.0),
        state_space=_ARM,
    )
    return jaxmpc.solve(problem, start, goal)


def main():
    """Solve and draw."""
    jax.config.update("jax_enable_x64", True)
    turned = flip()
    print("flip:", turned.status, turned.iterations, turned.cost)
    axes = plot.plot_attitudes(turned.states[:, 3:7], turned.states[:, :3], every=3, size=0.25)
    axes.figure.savefig(_RESULTS / "spaces-flip.png", dpi=110)
    angles = plot.plot_solution(turned, 0.025, state_space=models.QUADROTOR_SPACE)
    angles[0].figure.savefig(_RESULTS / "spaces-flip-angles.png", dpi=60)
    start, goal = jnp.array([2.8, 0.5, 0.0, 0.0]), jnp.array([-2.6, -0.5, 0.0, 0.0])
    moved = arm(start, goal)
    print("arm:", moved.status, moved.iterations, moved.cost, moved.states[-1])
    labels = ["shoulder [rad]", "elbow [rad]", "its rate", "its rate ", "torque", "torque "]
    picture = plot.plot_solution(moved, 0.05, labels, state_space=_ARM)
    picture[0].figure.savefig(_RESULTS / "spaces-arm.png", dpi=80)


if __name__ == "__main__":
    main()
