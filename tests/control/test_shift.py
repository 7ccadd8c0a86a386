"""A solution some samples later."""

import jax
import jax.numpy as jnp
import loops
import numpy as np

import jaxmpc


def test_every_stage_moves_and_the_end_stays():
    problem = loops.problem(
        stage_inequality=lambda x, u, t, p: jnp.stack([x[1] - 0.8, -x[1] - 0.8]),
        terminal_equality=lambda x, p: x[1:],
    )
    solution = jaxmpc.solve(problem, loops.X0, loops.PARAMS)
    assert solution.converged

    def moved(rows, axis=0):
        rows = np.moveaxis(np.asarray(rows), axis, 0)
        return np.moveaxis(np.concatenate([rows[1:], rows[-1:]]), 0, axis)

    later = jaxmpc.shift(solution)
    for name in ("states", "controls", "costates"):
        np.testing.assert_array_equal(getattr(later, name), moved(getattr(solution, name)))
    jax.tree.map(
        lambda a, b: np.testing.assert_array_equal(a, moved(b)), later.gains, solution.gains
    )
    for part in ("multipliers", "violations"):
        for name, rows in getattr(solution, part)._asdict().items():
            expected = rows if name.startswith("terminal") else moved(rows)
            np.testing.assert_array_equal(getattr(getattr(later, part), name), expected)
    for name in ("cost", "status", "iterations", "residuals", "scales"):
        jax.tree.map(np.testing.assert_array_equal, getattr(later, name), getattr(solution, name))
    twice = jaxmpc.shift(later)
    jax.tree.map(
        np.testing.assert_array_equal, jax.jit(jaxmpc.shift)(solution, jnp.array(2)), twice
    )
    jax.tree.map(np.testing.assert_array_equal, jaxmpc.shift(solution, 0), solution)
    batch = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), solution)
    for element in range(2):
        one = jax.tree.map(lambda leaf, k=element: leaf[k], jaxmpc.shift(batch))
        jax.tree.map(np.testing.assert_array_equal, one, later)
