"""Gradients of rows with general constraints, along random directions, against differences.

With respect to everything that a solution depends on at once: x0, all parameters, and each entry
of the bounds of controls and states.
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest
import reference
from jax.flatten_util import ravel_pytree

import jaxmpc
from jaxmpc import InteriorPoint

OUTPUTS = ("controls", "states", "cost", "multipliers")


class Inputs(NamedTuple):
    """All that the gradients are with respect to; bounds are full arrays, with infinite entries."""

    x0: Any
    params: Any
    control_bounds: Any  # [T, m] twice, or None
    state_bounds: Any  # [T, n] twice, or None


def inputs_of(case, size):
    """Those of a case, its x0 moved by a random `size` so that nothing is symmetric or weak."""
    problem, n = case.problem, len(case.x0)
    rng = np.random.RandomState(0)
    x0 = case.x0 + size * rng.randn(n)
    bounds = problem.limits(np.float64), problem.state_limits(n, np.float64)
    given = problem.control_bounds, problem.state_bounds
    control_bounds, state_bounds = (b if g else None for b, g in zip(bounds, given, strict=True))
    inputs = Inputs(x0, case.params, control_bounds, state_bounds)
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, float), inputs)


def direction_of(inputs, rng):
    """Random, in units of each input (of one where it is zero); equal bounds stay equal."""

    def scaled(leaf):
        leaf = np.asarray(leaf)
        scale = np.where(leaf == 0, 1.0, np.abs(leaf))
        return np.where(np.isfinite(leaf), scale, 0.0) * rng.randn(*leaf.shape)

    drawn = jax.tree.map(scaled, inputs)
    if inputs.control_bounds is not None:
        lower, upper = inputs.control_bounds
        moved = np.where(lower == upper, drawn.control_bounds[0], drawn.control_bounds[1])
        drawn = drawn._replace(control_bounds=(drawn.control_bounds[0], moved))
    return drawn


def weights_of(solution):
    """Random weights, of each output in units of its largest entry."""
    rng = np.random.RandomState(1)

    def drawn(leaf):
        return rng.randn(*leaf.shape) / max(1.0, np.max(np.abs(leaf), initial=0.0))

    return {name: jax.tree.map(drawn, getattr(solution, name)) for name in OUTPUTS}


def solve(case, solver, inputs, guess):
    problem = dataclasses.replace(
        case.problem, control_bounds=inputs.control_bounds, state_bounds=inputs.state_bounds
    )
    return jaxmpc.solve(problem, inputs.x0, inputs.params, warm_start=guess, solver=solver)


def loss(case, solver, inputs, weights, guess):
    solution = solve(case, solver, inputs, guess)
    parts = jax.tree.map(jnp.vdot, weights, {name: getattr(solution, name) for name in OUTPUTS})
    return sum(jax.tree.leaves(parts)), solution


def guessed(case, solver, inputs):
    """The guess of a case as a solution that did not converge: only its trajectory is used."""
    shapes = jax.eval_shape(functools.partial(solve, case, solver, guess=None), inputs)
    blank = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    controls = blank.controls if case.controls is None else jnp.asarray(case.controls)
    return dataclasses.replace(blank, controls=controls, states=jnp.asarray(case.states))


def inequality_multipliers(solution):
    m = solution.multipliers
    parts = m.lower, m.upper, m.state_lower, m.state_upper, m.stage_inequality
    return np.concatenate([np.ravel(part) for part in (*parts, m.terminal_inequality)])
