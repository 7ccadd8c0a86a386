"""Gradients of rows with general constraints against differences, with respect to everything.

That is x0, all parameters, and each entry of the bounds of controls and states at once.
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest
from jax.flatten_util import ravel_pytree

import jaxmpc
from jaxmpc import ILQR, InteriorPoint

OUTPUTS = ("controls", "states", "cost", "multipliers")
STEP = 1e-5  # relative; the differences are of fourth order


class Inputs(NamedTuple):
    """All that the gradients are with respect to; bounds are full arrays, with infinite entries."""

    x0: Any
    params: dict[str, Any]
    control_bounds: Any  # [T, m] twice, or None
    state_bounds: Any  # [T, n] twice, or None


def inputs_of(case, size):
    """Those of a case, its x0 moved by a random `size` so that nothing is symmetric or weak."""
    problem, n = case.problem, len(case.x0)
    x0 = case.x0 + size * np.random.RandomState(0).randn(n)
    bounds = problem.limits(np.float64), problem.state_limits(n, np.float64)
    given = problem.control_bounds, problem.state_bounds
    control_bounds, state_bounds = (b if g else None for b, g in zip(bounds, given, strict=True))
    inputs = Inputs(x0, case.params, control_bounds, state_bounds)
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, float), inputs)


def direction_of(inputs, rng, alike):
    """Random, in units of each input (of one where it is zero); equal bounds stay equal.

    Where `alike`, the bounds of a state move by the same amount at all stages.
    """

    def scaled(leaf, shape=None):
        leaf = np.asarray(leaf)
        scale = np.where(leaf == 0, 1.0, np.abs(leaf))
        drawn = rng.randn(*(leaf.shape if shape is None else shape))
        return np.where(np.isfinite(leaf), scale, 0.0) * drawn

    drawn = jax.tree.map(scaled, inputs)
    if inputs.control_bounds is not None:
        (lower, upper), (down, up) = inputs.control_bounds, drawn.control_bounds
        drawn = drawn._replace(control_bounds=(down, np.where(lower == upper, down, up)))
    if alike:
        shape = inputs.x0.shape
        moves = jax.tree.map(lambda leaf: scaled(leaf, shape), inputs.state_bounds)
        drawn = drawn._replace(state_bounds=moves)
    return drawn


def blocks_of(direction):
    """The parts of a direction, one for each input, each beside zeros for the others."""
    zero = jax.tree.map(np.zeros_like, direction)
    for name in ("x0", "control_bounds", "state_bounds"):
        if getattr(direction, name) is not None:
            yield name, zero._replace(**{name: getattr(direction, name)})
    for name, value in direction.params.items():
        yield name, zero._replace(params={**zero.params, name: value})


def weights_of(solution, outputs):
    """Random weights, in units of the largest entry of each output; zero if it is not asked for."""
    rng = np.random.RandomState(1)

    def drawn(leaf):
        return rng.randn(*leaf.shape) / max(1.0, np.max(np.abs(leaf), initial=0.0))

    weights = {name: jax.tree.map(drawn, getattr(solution, name)) for name in OUTPUTS}
    return {
        name: value if name in outputs else jax.tree.map(np.zeros_like, value)
        for name, value in weights.items()
    }


def problem_of(case, inputs):
    bounds = inputs.control_bounds, inputs.state_bounds
    return dataclasses.replace(case.problem, control_bounds=bounds[0], state_bounds=bounds[1])


def solve(case, solver, inputs, guess):
    problem = problem_of(case, inputs)
    return jaxmpc.solve(problem, inputs.x0, inputs.params, warm_start=guess, solver=solver)


def loss(case, solver, inputs, weights, guess):
    solution = solve(case, solver, inputs, guess)
    parts = jax.tree.map(jnp.vdot, weights, {name: getattr(solution, name) for name in OUTPUTS})
    return sum(jax.tree.leaves(parts)), solution


class Check(NamedTuple):
    """A row at hand: its loss and gradient, compiled once, at a point that is solved tightly."""

    inputs: Inputs
    solution: jaxmpc.Solution
    weights: dict
    evaluate: Any  # (inputs, weights, guess) -> ((loss, solution), gradient)

    def moved(self, direction, steps):
        """Loss, and gradient, at some steps along a direction, with the same constraints active."""
        for step in steps:
            inputs = jax.tree.map(lambda at, d, s=step: at + s * d, self.inputs, direction)
            (value, solution), gradient = self.evaluate(inputs, self.weights, self.solution)
            assert solution.converged
            np.testing.assert_array_equal(active(solution), active(self.solution))
            yield float(value), gradient


@functools.cache
def check(name, size, tolerance, outputs=OUTPUTS) -> Check:
    case, solver = problems.load(name), InteriorPoint(tolerance=tolerance)
    inputs = inputs_of(case, size)
    # The guess as a solution that did not converge, of which only the trajectory is used: so
    # that cold and warm solves are one program.
    shapes = jax.eval_shape(functools.partial(solve, case, solver, guess=None), inputs)
    blank = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    controls = blank.controls if case.controls is None else jnp.asarray(case.controls)
    guess = dataclasses.replace(blank, controls=controls, states=jnp.asarray(case.states))
    evaluate = jax.jit(jax.value_and_grad(functools.partial(loss, case, solver), has_aux=True))
    (_, first), _ = evaluate(inputs, weights_of(guess, ()), guess)
    weights = weights_of(first, outputs)
    (_, solution), _ = evaluate(inputs, weights, first)
    assert solution.converged
    return Check(inputs, solution, weights, evaluate)


def inequality_multipliers(solution):
    m = solution.multipliers._replace(stage_equality=(), terminal_equality=())
    return np.concatenate([np.ravel(z) for z in m])


def active(solution):
    return inequality_multipliers(solution) > 1e-7


def inner(gradient, direction):
    return float(ravel_pytree(gradient)[0] @ ravel_pytree(direction)[0])


def slope(at: Check, direction):
    values = [value for value, _ in at.moved(direction, STEP * np.array([-2.0, -1.0, 1.0, 2.0]))]
    return (8 * (values[2] - values[1]) - (values[3] - values[0])) / (12 * STEP)


def assert_agrees(at: Check, alike=False):
    """1e-5 relative, along three directions of everything and along one of each input alone."""
    z = inequality_multipliers(at.solution)
    assert np.any(active(at.solution))
    assert not np.any((z > 1e-9) & (z < 1e-7))  # nothing is weakly active
    rng = np.random.RandomState(2)
    directions = [direction_of(at.inputs, rng, alike) for _ in range(4)]
    _, gradient = next(at.moved(directions[0], (0.0,)))
    for direction in directions[:3]:
        np.testing.assert_allclose(inner(gradient, direction), slope(at, direction), rtol=1e-5)
    blocks = {name: (inner(gradient, d), slope(at, d)) for name, d in blocks_of(directions[3])}
    floor = 1e-3 * max(abs(slope) for _, slope in blocks.values())  # for those that are zero
    for name, (computed, expected) in blocks.items():
        atol = 1e-5 * max(abs(expected), floor)
        np.testing.assert_allclose(computed, expected, rtol=0, atol=atol, err_msg=name)


# How far x0 is moved, and the solver's tolerance: on the complementarity, which is in units of
# cost, and what an active bound is missed by is that over its multiplier (3e-5 on the pendulum).
ROWS = {
    "dint_altro": (0.02, 1e-13),
    "vdp_bounded": (0.02, 1e-13),
    "pendulum_altro": (0.02, 1e-13),
    "dubins_3obs_altro": (0.02, 1e-13),
    "rocket_soc_altro": (0.02, 1e-11),
    "oscillating_masses_wang_boyd": (0.02, 1e-12),
    "hourglass_mintime_acados": (0.02, 1e-12),
    "quadrotor_2columns": (0.0, 1e-13),
}
QUICK = ("dint_altro", "rocket_soc_altro")
CURVED = ("rocket_soc_altro", "dubins_3obs_altro", "hourglass_mintime_acados")  # their constraints


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in ROWS]
)
def test_gradient(name):
    at = check(name, *ROWS[name])
    assert_agrees(at)


@pytest.mark.slow
def test_gradient_of_a_trajectory_whose_active_rows_depend_on_each_other():
    """The car turns in two corners of its box: there v = 0, and neither x nor y moves by itself.

    So its 70 multipliers are not unique (one of them may be zero), and bounds that move apart at
    single stages have no feasible point. The trajectory and its cost are differentiable all the
    same, with respect to bounds that stay alike.
    """
    at = check("dubins_parallel_park_altro", 0.002, 1e-14, ("controls", "states", "cost"))
    problem = problem_of(problems.load("dubins_parallel_park_altro"), at.inputs)
    theta = problem, at.inputs.x0, at.inputs.params
    assert np.sum(active(at.solution)) in (69, 70)
    assert not jaxmpc.gradient_diagnostics(*theta, at.solution).reliable
    assert_agrees(at, alike=True)


@pytest.mark.parametrize(
    "name",
    ["dint_altro", *(pytest.param(n, marks=pytest.mark.slow) for n in CURVED)],
)
def test_second_order(name):
    """grad of a slope, which is the Hessian times a direction, against differences of grad."""
    at = check(name, *ROWS[name])
    direction = direction_of(at.inputs, np.random.RandomState(3), alike=False)
    solver = InteriorPoint(tolerance=ROWS[name][1])
    function = functools.partial(loss, problems.load(name), solver)

    @jax.jit
    @jax.grad
    def computed(inputs, guess):
        gradient = jax.grad(function, has_aux=True)(inputs, at.weights, guess)[0]
        return sum(jax.tree.leaves(jax.tree.map(jnp.vdot, gradient, direction)))

    steps = STEP * np.array([-2.0, -1.0, 1.0, 2.0])
    a, b, c, d = (gradient for _, gradient in at.moved(direction, steps))
    expected = jax.tree.map(lambda a, b, c, d: (8 * (c - b) - (d - a)) / (12 * STEP), a, b, c, d)
    for new, old in zip(
        jax.tree.leaves(computed(at.inputs, at.solution)), jax.tree.leaves(expected), strict=True
    ):
        largest = np.max(np.abs(old))
        np.testing.assert_allclose(new, old, rtol=0, atol=1e-4 * max(largest, 1e-6))


@pytest.mark.slow
def test_acados_cartpole():
    """The numbers that four other programs agree on, at the optimum that ILQR leads to.

    (From the guess of the case the interior point itself finds the other one, 5627.963.)
    """
    case = problems.load("cartpole_acados")
    x0 = jnp.asarray(case.x0)
    start = jaxmpc.solve(case.problem, x0, case.params, solver=ILQR())
    assert abs(start.cost - 6216.178632646) < 1e-4

    def first_control(x0, params, controls, states):
        solution = jaxmpc.solve(
            case.problem,
            x0,
            params,
            controls=controls,
            states=states,
            solver=InteriorPoint(tolerance=1e-10),
        )
        return solution.controls[0, 0], solution

    function = jax.jit(jax.value_and_grad(first_control, (0, 1), has_aux=True))
    (_, solution), (d_x0, d_params) = function(x0, case.params, start.controls, start.states)
    assert solution.converged
    np.testing.assert_allclose(solution.cost, 6216.178632646, rtol=1e-10)
    assert np.sum(active(solution)) == 26
    # 1e-6 relative, and half of the last digit that is listed.
    np.testing.assert_allclose(d_x0, problems.CARTPOLE_DU0_DX0, rtol=1e-6, atol=5e-7)
    for name, expected in problems.CARTPOLE_DU0_DPARAMS.items():
        digit = 5e-10 if name == "q_theta" else 5e-7
        np.testing.assert_allclose(d_params[name], expected, rtol=1e-6, atol=digit, err_msg=name)
