"""Problems whose states live on a space: beside the same problem in the ambient numbers."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from rigid_body import PARAMS, SPACE, X0, dynamics, off_goal, slew

import jaxmpc
from jaxmpc import ILQR, SQP, ImplicitAdjoint, InteriorPoint, Status, integrators, models, spaces
from jaxmpc.reformulations import free_parameters, model_draws, slew_rate
from jaxmpc.spaces.quaternion import conjugate, exponential, logarithm
from jaxmpc.trajectory.tangent import within_reach

SOLVERS = {"sqp": SQP(), "interior_point": InteriorPoint(), "ilqr": ILQR()}
TIGHT = InteriorPoint(tolerance=1e-11)
ONE_OF_SOLVERS = [
    pytest.param(solver, id=name, marks=[] if name == "sqp" else pytest.mark.slow)
    for name, solver in SOLVERS.items()
]


def lengths(states):
    return np.linalg.norm(np.asarray(states)[..., :4], axis=-1)


def turned(step, x0=X0):
    """The state that a step leads to."""
    return SPACE.retract(jnp.asarray(x0), jnp.asarray(step))


@pytest.fixture(scope="module")
def best():
    return jaxmpc.solve(slew(), X0, PARAMS)


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
def test_the_solution_is_that_of_the_ambient_problem(solver):
    found = jaxmpc.solve(slew(), X0, PARAMS, solver=solver)
    ambient = jaxmpc.solve(slew(space=None), X0, PARAMS, solver=solver)
    assert found.converged
    assert ambient.converged
    assert found.iterations <= ambient.iterations + 1
    np.testing.assert_allclose(found.cost, ambient.cost, rtol=1e-9)
    np.testing.assert_allclose(found.controls, ambient.controls, atol=1e-7)
    np.testing.assert_allclose(found.states, ambient.states, atol=1e-7)
    np.testing.assert_allclose(lengths(found.states), 1.0, atol=4e-16)


def test_gains_costates_and_violations_are_of_directions(best):
    assert best.states.shape == (17, 7)
    assert best.costates.shape == (17, 6)
    assert best.gains.feedback.shape == (16, 3, 6)
    assert best.violations.dynamics.shape == (16, 6)


@pytest.mark.slow
def test_costates_and_gains_are_derivatives_along_the_space():
    """Of the cost and of the first control, by differences of solves from states nearby."""
    problem = slew()
    best = jaxmpc.solve(problem, X0, PARAMS, solver=TIGHT)

    def moved(steps):
        starts = jax.vmap(turned)(steps)
        found = jaxmpc.solve_batch(problem, starts, PARAMS, solver=TIGHT)
        return jnp.concatenate([found.cost[:, None], found.controls[:, 0]], axis=1)

    # A control that is free here meets its bound 1e-3 further on.
    slopes = reference.central_difference(moved, np.zeros(6), 1e-4)
    np.testing.assert_allclose(best.costates[0], slopes[:, 0], atol=1e-6)
    np.testing.assert_allclose(best.gains.feedback[0], slopes[:, 1:].T, atol=1e-5)


def outcomes(theta, adjoint=ImplicitAdjoint(), solver=TIGHT):
    """A number of everything that is differentiable, as a function of what a solve depends on."""
    inertia, x0, bound = theta[:3], theta[3:10], theta[10]
    params = {**PARAMS, "inertia": inertia}
    s = jaxmpc.solve(slew(bound, hard=True), x0, params, solver=solver, adjoint=adjoint)
    weights = jnp.linspace(1.0, 2.0, 17)[:, None]
    return jnp.stack(
        [
            jnp.sum(weights * jnp.sin(s.states)),
            jnp.sum(weights[1:] * s.controls**2),
            s.cost,
            jnp.sum(weights * jnp.cos(s.costates)),
            jnp.sum(s.multipliers.upper * weights[1:]),
            jnp.sum(s.multipliers.terminal_equality**2),
        ]
    )


# At this bound no control is near to where one becomes active, or free.
THETA = np.concatenate([PARAMS["inertia"], X0, [0.85]])


def along(free):
    """Theta moved along its space by inertia, a step and the bound."""
    return jnp.concatenate([THETA[:3] + free[:3], turned(free[3:9]), THETA[10:] + free[9:]])


@pytest.mark.slow
def test_gradients_are_those_of_differences():
    values = jax.jit(jax.vmap(lambda free: outcomes(along(free))))
    differences = reference.central_difference(values, np.zeros(10), 2e-3)
    found = jax.jit(jax.jacrev(lambda free: outcomes(along(free))))(jnp.zeros(10))
    size = np.maximum(1.0, np.abs(differences.T))
    np.testing.assert_allclose(found / size, differences.T / size, atol=1e-6)


@pytest.mark.slow
def test_gradients_of_gains_are_those_of_differences():
    def some(inertia):
        params = {**PARAMS, "inertia": inertia}
        return jaxmpc.solve(slew(), X0, params, solver=TIGHT).gains.feedback[3]

    inertia = jnp.asarray(PARAMS["inertia"])
    found = jax.jit(jax.jacrev(some))(inertia)
    differences = reference.central_difference(jax.jit(jax.vmap(some)), inertia, 2e-3)
    np.testing.assert_allclose(found, np.moveaxis(differences, 0, -1), atol=1e-6)


def test_a_gradient_in_x0_is_along_the_space():
    """There is none across: a longer quaternion is the same attitude."""

    def cost(x0):
        return jaxmpc.solve(slew(), x0, PARAMS).cost

    slope = jax.jit(jax.grad(cost))(jnp.asarray(X0))
    assert np.linalg.norm(slope[:4]) > 0.1
    np.testing.assert_allclose(slope[:4] @ X0[:4], 0.0, atol=1e-12)


@pytest.mark.slow
def test_second_derivatives_are_those_of_differences():
    def slopes(free):
        return jax.jacrev(lambda free: outcomes(along(free))[:4])(free)

    def some(free):
        return slopes(jnp.zeros(10).at[jnp.array([1, 4, 9])].set(free))[:, jnp.array([1, 4, 9])]

    differences = reference.central_difference(jax.jit(jax.vmap(some)), np.zeros(3), 2e-3)
    found = jax.jit(jax.jacrev(some))(jnp.zeros(3))
    wanted = np.moveaxis(differences, 0, -1)
    size = np.maximum(1.0, np.abs(wanted))
    np.testing.assert_allclose(found / size, wanted / size, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("smoothing", [0.0, 1e-2])
def test_forward_mode_is_reverse_mode(smoothing):
    adjoint = ImplicitAdjoint(smoothing=smoothing)
    problem = slew(jnp.asarray(0.6))
    rng = np.random.default_rng(0)
    x0_dot = jax.jvp(turned, (jnp.zeros(6),), (jnp.asarray(rng.normal(size=6)),))[1]
    params_dot = {"inertia": jnp.asarray(rng.normal(size=3)), "goal": None}
    bounds_dot = (jnp.asarray(-0.3), jnp.asarray(0.2))

    def parts(x0, inertia, lower, upper):
        given = dataclasses.replace(problem, control_bounds=(lower, upper))
        params = {**PARAMS, "inertia": inertia}
        s = jaxmpc.solve(given, x0, params, solver=TIGHT, adjoint=adjoint)
        return {"states": s.states, "controls": s.controls, "costates": s.costates, "cost": s.cost}

    given = (jnp.asarray(X0), jnp.asarray(PARAMS["inertia"]), *problem.control_bounds)
    dots = (x0_dot, params_dot["inertia"], *bounds_dot)
    solution = jaxmpc.solve(problem, X0, PARAMS, solver=TIGHT)
    tangent = jaxmpc.solution_jvp(
        problem, X0, PARAMS, solution, (x0_dot, params_dot, bounds_dot), adjoint=adjoint
    )
    values, pull = jax.vjp(jax.jit(parts), *given)
    for name in ("states", "controls", "costates", "cost"):
        w = rng.normal(size=values[name].shape)
        cotangent = {**jax.tree.map(jnp.zeros_like, values), name: jnp.asarray(w)}
        reverse = sum(jnp.sum(a * b) for a, b in zip(pull(cotangent), dots, strict=True))
        forward = jnp.sum(w * getattr(tangent, name))
        np.testing.assert_allclose(forward, reverse, rtol=1e-6, atol=1e-7, err_msg=name)


@pytest.mark.slow
def test_smoothed_gradients_are_those_of_the_ambient_problem():
    """Of the controls, which are the same numbers in both."""

    def slope(space):
        def first(inertia):
            params, adjoint = {**PARAMS, "inertia": inertia}, ImplicitAdjoint(smoothing=1e-2)
            return jaxmpc.solve(slew(space=space), X0, params, adjoint=adjoint).controls[0]

        return jax.jit(jax.jacrev(first))(jnp.asarray(PARAMS["inertia"]))

    np.testing.assert_allclose(slope(SPACE), slope(None), atol=1e-6)


@pytest.mark.slow
def test_unrolled_iterations_have_the_same_gradient():
    def cost(inertia, adjoint):
        params = {**PARAMS, "inertia": inertia}
        problem = slew(horizon=6)
        return jnp.sum(jaxmpc.solve(problem, X0, params, solver=SQP(), adjoint=adjoint).controls[0])

    inertia = jnp.asarray(PARAMS["inertia"])
    implicit = jax.grad(cost)(inertia, ImplicitAdjoint())
    unrolled = jax.grad(cost)(inertia, jaxmpc.UnrolledAdjoint(12))
    np.testing.assert_allclose(unrolled, implicit, rtol=1e-5)


# --- Bounds of states ---


def rate_limited(limit, **more):
    free = np.full(4, np.inf)
    bounds = (jnp.concatenate([-free, -limit]), jnp.concatenate([free, limit]))
    return slew(1.5, state_bounds=bounds, hard=True, **more)


def too_fast(x, u, t, params):
    return jnp.concatenate([x[4:] - 0.4, -0.4 - x[4:]])


@pytest.mark.parametrize("soft", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_bounds_of_plain_numbers_hold(soft):
    """They are the same as an inequality, and their multipliers are where the rates are."""
    limit = np.full(3, 0.4)
    price = np.array([9.0] * 4 + [0.3, 1.0, 2.0])
    prices = {"soft": {"state_bounds": jaxmpc.Soft(price)}} if soft else {}
    rows = {"soft": {"stage_inequality": jaxmpc.Soft(np.tile(price[4:], 2))}} if soft else {}
    found = jaxmpc.solve(rate_limited(limit, **prices), X0, PARAMS)
    same = slew(1.5, hard=True, stage_inequality=too_fast, **rows)
    wanted = jaxmpc.solve(same, X0, PARAMS)
    assert found.converged
    np.testing.assert_allclose(found.controls, wanted.controls, atol=1e-5)
    upper = found.multipliers.state_upper
    assert upper.shape == (16, 6)
    assert not np.any(upper[:, :3])
    np.testing.assert_allclose(
        upper[:-1, 3:], wanted.multipliers.stage_inequality[1:, :3], atol=1e-5
    )
    over = np.max(np.abs(found.states[:, 4:])) - 0.4
    assert over > 1e-2 if soft else over < 1e-7


@pytest.mark.slow
def test_gradients_in_bounds_of_states():
    def cost_and_turn(limit):
        s = jaxmpc.solve(rate_limited(limit), X0, PARAMS, solver=TIGHT)
        return jnp.stack([s.cost, jnp.sum(s.controls[2] ** 2), jnp.sum(s.multipliers.state_upper)])

    limit = np.array([0.4, 0.3, 0.4])
    found = jax.jit(jax.jacrev(cost_and_turn))(jnp.asarray(limit))
    differences = reference.central_difference(jax.jit(jax.vmap(cost_and_turn)), limit, 1e-4)
    size = np.maximum(1.0, np.abs(differences.T))
    np.testing.assert_allclose(found / size, differences.T / size, atol=1e-6)


# --- Batches, warm starts, loops ---


@pytest.mark.parametrize("faces", ["solve_batch", "vmap"])
def test_gradients_of_states_stay_in_their_element_of_a_batch(faces):
    def problem(space):
        return jaxmpc.Problem(
            lambda x, u, t, p: x + 0.1 * u,
            lambda x, u, t, p: p * (1 - jnp.cos(x[0] - 1)) + 0.1 * u[0] ** 2,
            horizon=3,
            control_dim=1,
            state_space=space,
        )

    def sums(space, x0s, price):
        if faces == "vmap":
            found = jax.vmap(lambda x0: jaxmpc.solve(problem(space), x0, price))(x0s)
        else:
            found = jaxmpc.solve_batch(problem(space), x0s, price)
        weights = jnp.array([1.0, -2.0, 3.0])
        return weights @ (found.states[:, -1, 0] + found.costates[:, 1, 0])

    given = jnp.array([[0.1], [0.5], [2.0]]), 1.3
    slopes = [
        jax.grad(sums, (1, 2))(space, *given) for space in (spaces.Circle(), spaces.Euclidean(1))
    ]
    np.testing.assert_allclose(slopes[0][0], slopes[1][0], rtol=1e-9)
    np.testing.assert_allclose(slopes[0][1], slopes[1][1], rtol=1e-9)


def test_an_initial_state_from_outside_of_a_transformation():
    start = jnp.array([0.3])
    problem = jaxmpc.Problem(
        lambda x, u, t, p: x + 0.1 * u,
        lambda x, u, t, p: p * (1 - jnp.cos(x[0])) + 0.1 * u[0] ** 2,
        horizon=3,
        control_dim=1,
        state_space=spaces.Product(spaces.Circle()),
    )
    found = jax.jit(jax.vmap(lambda p: jaxmpc.solve(problem, start, p).cost))(jnp.ones(2))
    np.testing.assert_allclose(found, jaxmpc.solve(problem, start, 1.0).cost, rtol=1e-12)
    turned, far = dataclasses.replace(problem, state_space=spaces.UnitQuaternion()), jnp.ones(4)
    with pytest.raises(ValueError, match="must be on the state_space"):
        jax.jit(lambda p: jaxmpc.solve(turned, far, p).cost)(1.0)


def test_a_batch_is_its_elements_and_a_bad_one_hurts_nobody():
    steps = np.random.default_rng(0).normal(size=(5, 6)) * np.array([1.0] * 3 + [0.1] * 3)
    starts = jax.vmap(turned)(jnp.asarray(steps))
    starts = starts.at[2].set(jnp.nan).at[3].set(0.0)

    def total(starts, solve):
        found = solve(slew(), starts, PARAMS)
        return jnp.sum(jnp.where(found.converged, found.cost, 0.0)), found

    batched = jax.jit(jax.grad(lambda s: total(s, jaxmpc.solve_batch), has_aux=True))
    mapped = jax.vmap(jaxmpc.solve, (None, 0, None))
    slope, found = batched(starts)
    other, alone = jax.jit(jax.grad(lambda s: total(s, mapped), has_aux=True))(starts)
    lost = np.array([2, 3])
    assert np.all(np.asarray(found.status)[lost] == Status.non_finite)
    assert np.sum(found.converged) == 3
    np.testing.assert_allclose(slope, other, atol=1e-9)
    np.testing.assert_array_equal(slope[lost], 0.0)
    np.testing.assert_allclose(found.controls, alone.controls, atol=1e-9)
    np.testing.assert_array_equal(found.iterations, alone.iterations)


@pytest.mark.parametrize("solver", ONE_OF_SOLVERS)
def test_warm_starts_go_on_where_the_solution_ended(solver, best):
    again = jaxmpc.solve(slew(), X0, PARAMS, solver=solver, warm_start=best)
    assert again.converged
    assert again.iterations <= (0 if isinstance(solver, SQP) else 6)
    guessed = jaxmpc.solve(slew(), X0, PARAMS, solver=solver, states=-best.states)
    assert guessed.converged
    np.testing.assert_allclose(guessed.cost, best.cost, rtol=1e-9)
    broken = np.array(best.states)
    broken[3, 1] = np.nan
    assert jaxmpc.solve(slew(), X0, PARAMS, solver=solver, states=broken).converged


def test_a_loop_by_hand_is_a_solve(best):
    problem, solver = slew(), SQP()
    state = jaxmpc.initialize(problem, X0, PARAMS, solver=solver)
    step = jax.jit(solver.step)
    while solver.terminate(state) == -1:
        state = step(problem, PARAMS, state)
    found = jaxmpc.finalize(problem, X0, PARAMS, state, solver=solver)
    assert found.converged
    np.testing.assert_allclose(found.controls, best.controls, atol=1e-12)


@pytest.mark.slow
def test_a_receding_horizon_on_a_space():
    """Noise is a step along the space, gains act on steps, and the loop ends at the goal."""
    controller = jaxmpc.RecedingHorizon(slew(), iterations=2)
    deviation = np.array([0.01] * 3 + [0.001] * 3)

    def far(inertia):
        def plant(x, u, t):
            return dynamics(x, u, t, {**PARAMS, "inertia": inertia})

        loop = jaxmpc.simulate(
            controller,
            plant,
            jnp.asarray(X0),
            30,
            PARAMS,
            key=jax.random.key(0),
            process_noise=0.1 * deviation,
            measurement_noise=deviation,
        )
        return jnp.sum(off_goal(loop.states[-1], PARAMS) ** 2), loop

    (end, loop), slope = jax.jit(jax.value_and_grad(far, has_aux=True))(
        1.1 * jnp.asarray(PARAMS["inertia"])
    )
    assert end < 0.01
    assert np.all(np.isfinite(slope))
    assert loop.measured.shape == (30, 7)
    np.testing.assert_allclose(lengths(loop.states), 1.0, atol=1e-12)
    np.testing.assert_allclose(lengths(loop.measured), 1.0, atol=1e-12)


def test_policies_between_samples_turn_along_the_space(best):
    controller = jaxmpc.RecedingHorizon(slew())
    plan = controller.init(X0, PARAMS, warm_start=best)
    _, plan = controller.step(X0, plan, PARAMS)
    there = SPACE.retract(best.states[0], 0.5 * SPACE.difference(best.states[0], best.states[1]))
    u = controller.policy(there, plan, 0.5)
    np.testing.assert_allclose(u, best.controls[0], atol=1e-7)
    other = there * jnp.array([-1.0] * 4 + [1.0] * 3)  # the same attitude
    np.testing.assert_allclose(controller.policy(other, plan, 0.5), u, atol=1e-12)
    nowhere = there.at[:4].set(0.0)  # no attitude at all: the plan's own control
    np.testing.assert_allclose(controller.policy(nowhere, plan), best.controls[0], atol=1e-7)


def test_searches_turn_no_attitude_too_far_at_once():
    """Two quaternions between numbers and an angle: the largest turn alone counts."""
    space = spaces.Product(
        spaces.Euclidean(2), spaces.UnitQuaternion(), spaces.Circle(), spaces.UnitQuaternion()
    )
    steps = jnp.zeros((3, 9)).at[:, jnp.array([0, 5])].set(100.0)
    assert within_reach(space, steps) == 1.0
    steps = steps.at[1, 8].set(-np.pi).at[2, 2].set(0.1)
    np.testing.assert_allclose(within_reach(space, steps), 1 / 8)
    assert within_reach(None, steps) == 1.0


@pytest.mark.slow
def test_a_quadrotor_is_not_led_through_whole_turns():
    """From where steps of several turns led to another minimum, thirty times as high."""
    far = jnp.array([10.0] * 3 + [0.0] + [10.0] * 3 + [1.0] * 6)
    problem = jaxmpc.Problem(
        integrators.rk4(models.quadrotor, 0.05),
        lambda x, u, t, p: 0.1 * jnp.sum((u - 1.22) ** 2) + 0.01 * jnp.sum(x[7:] ** 2),
        lambda x, p: jnp.sum(far * x**2),
        horizon=60,
        control_dim=4,
        control_bounds=(0.0, 4.0),
        state_space=models.QUADROTOR_SPACE,
    )
    start = np.random.default_rng(1).uniform(-2, 2, (8, 3))[1]
    x0 = models.quadrotor_state(jnp.asarray(start))
    costs = []
    for solver in SOLVERS.values():
        found = jaxmpc.solve(problem, x0, solver=solver)
        assert found.converged
        costs.append(found.cost)
    np.testing.assert_allclose(costs, 0.36607218, rtol=1e-6)


# --- Angles, and spaces of one's own ---


def arm(x, u, t, params):
    """Two joints without limits, each a double integrator."""
    return jnp.concatenate([x[:2] + 0.1 * x[2:], x[2:] + 0.1 * u])


ANGLES = spaces.Product(spaces.Circle(), spaces.Circle(), spaces.Euclidean(2))


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
def test_an_angle_goes_across_the_seam(solver):
    goal = jnp.array([-2.8, 2.9, 0.0, 0.0])
    problem = jaxmpc.Problem(
        arm,
        lambda x, u, t, _: 0.05 * jnp.sum(u**2),
        lambda x, _: 50 * jnp.sum(ANGLES.difference(goal, x) ** 2),
        horizon=20,
        control_dim=2,
        state_space=ANGLES,
    )
    found = jaxmpc.solve(problem, jnp.array([2.9, -2.8, 0.0, 0.0]), solver=solver)
    assert found.converged
    assert found.iterations <= 4
    angles = np.unwrap(np.asarray(found.states[:, :2]), axis=0)
    np.testing.assert_allclose(
        angles[-1] - angles[0], [2 * np.pi - 5.7, -(2 * np.pi - 5.7)], atol=0.1
    )
    assert np.all(np.abs(found.states[:, :2]) <= np.pi)


@dataclasses.dataclass(frozen=True)
class Sphere:
    """Directions in space: three numbers of length one, steps in two coordinates across them."""

    dim: int = 3
    tangent_dim: int = 2

    def frame(self, x):
        away = jnp.where(jnp.abs(x[0]) < 0.7, jnp.eye(3)[0], jnp.eye(3)[1])
        first = jnp.cross(x, away)
        first = first / jnp.sqrt(jnp.sum(first**2))
        return jnp.stack([first, jnp.cross(x, first)])

    def retract(self, x, dx):
        x = x / jnp.sqrt(jnp.sum(x**2))
        moved = x + dx @ self.frame(x)
        return moved / jnp.sqrt(jnp.sum(moved**2))

    def difference(self, x, y):
        return self.frame(x) @ y / (x @ y)


@pytest.mark.slow
def test_a_space_of_ones_own():
    sphere, goal = Sphere(), jnp.array([0.0, 0.6, 0.8])

    def turn(x, u, t, params):
        moved = x + params * jnp.cross(u, x)
        return moved / jnp.sqrt(jnp.sum(moved**2))

    def solve(params, space):
        problem = jaxmpc.Problem(
            turn,
            lambda x, u, t, _: 0.5 * jnp.sum(u**2),
            lambda x, _: 30 * jnp.sum((x - goal) ** 2),
            horizon=10,
            control_dim=3,
            control_bounds=(-1.5, 1.5),
            state_space=space,
        )
        return jaxmpc.solve(problem, jnp.array([1.0, 0, 0]), params)

    found, ambient = solve(0.1, sphere), solve(0.1, None)
    assert found.converged
    assert found.costates.shape == (11, 2)
    np.testing.assert_allclose(found.controls, ambient.controls, atol=1e-6)
    slope, other = (jax.grad(lambda p, s: solve(p, s).cost)(0.1, s) for s in (sphere, None))
    np.testing.assert_allclose(slope, other, rtol=1e-6)


@dataclasses.dataclass(frozen=True)
class SeenFromAbove:
    """Directions of three numbers, by steps across them: right for points of length one alone."""

    dim = 3
    tangent_dim = 2

    def _across(self, x):
        first = jnp.cross(x, jnp.array([0.1, 0.9, 0.4]))
        first = first / jnp.linalg.norm(first)
        return jnp.stack([first, jnp.cross(x, first)], axis=1)

    def retract(self, x, dx):
        x = x / jnp.linalg.norm(x)
        y = x * jnp.sqrt(1 - dx @ dx) + self._across(x) @ dx
        return y / jnp.linalg.norm(y)

    def difference(self, x, y):
        return self._across(x).T @ y


def test_dynamics_somewhat_off_a_space_of_ones_own_are_projected():
    """The same problem, whatever the length of what they return."""

    def solved(length):
        def dynamics(x, u, t, p):
            after = x + 0.1 * jnp.cross(u, x)
            return length * after / jnp.linalg.norm(after)

        problem = jaxmpc.Problem(
            dynamics,
            lambda x, u, t, p: p * (1 - x[2]) + 0.05 * u @ u,
            horizon=5,
            control_dim=3,
            state_space=SeenFromAbove(),
        )
        x0 = jnp.array([1.0, 0, 0])
        return jax.value_and_grad(lambda p: jaxmpc.solve(problem, x0, p).cost)(2.0)

    np.testing.assert_allclose(solved(1.04), solved(1.0), rtol=1e-9)


class WorldTurns(spaces.UnitQuaternion):
    """Steps in the frame of the world: a space that is derived from one has its own functions."""

    def retract(self, x, dx):
        turned = spaces.multiply(exponential(dx), x)
        return turned / jnp.linalg.norm(turned)

    def difference(self, x, y):
        return logarithm(spaces.multiply(y, conjugate(x)))


def test_a_space_that_is_derived_from_another():
    def cost(space):
        problem = jaxmpc.Problem(
            lambda x, u, t, p: spaces.UnitQuaternion().retract(x, 0.3 * u),
            lambda x, u, t, p: 0.1 * jnp.sum(u**2),
            lambda x, p: jnp.sum(x[1:] ** 2),
            horizon=5,
            control_dim=3,
            state_space=space,
        )
        found = jaxmpc.solve(problem, jnp.asarray(X0[:4]))
        assert found.converged
        return found.cost

    np.testing.assert_allclose(cost(WorldTurns()), cost(spaces.UnitQuaternion()), rtol=1e-9)


def test_euclidean_is_no_space_at_all():
    plain = slew(space=spaces.Euclidean(7))
    found, wanted = (jaxmpc.solve(p, X0, PARAMS) for p in (plain, slew(space=None)))
    np.testing.assert_allclose(found.states, wanted.states, atol=1e-9)
    np.testing.assert_allclose(found.costates, wanted.costates, atol=1e-7)


# --- What else is asked of a problem ---


@pytest.mark.slow
def test_other_faces_know_of_the_space(best):
    problem = slew()
    worth = jaxmpc.evaluate(problem, X0, PARAMS, best.controls)
    assert worth.converged
    np.testing.assert_allclose(worth.costates, best.costates, atol=1e-8)
    seen = jaxmpc.gradient_diagnostics(problem, X0, PARAMS, best)
    assert seen.reliable
    states, controls = jaxmpc.receding_guess(problem, jnp.asarray(X0), PARAMS, window=8)
    np.testing.assert_allclose(lengths(states), 1.0, atol=1e-12)
    assert jaxmpc.solve(problem, X0, PARAMS, states=states, controls=controls).converged
    stopped = jaxmpc.solve(problem, X0, PARAMS, solver=SQP(max_iterations=1))
    assert "Stopped" in jaxmpc.diagnose(problem, X0, PARAMS, stopped)
    sampled = jaxmpc.solve(
        problem, X0, PARAMS, solver=jaxmpc.Chain(jaxmpc.CEM(), SQP()), key=jax.random.key(0)
    )
    np.testing.assert_allclose(sampled.cost, best.cost, rtol=1e-8)
    shifted = jaxmpc.shift(best)
    np.testing.assert_array_equal(shifted.costates[0], best.costates[1])


@pytest.mark.slow
def test_reformulations_carry_the_space_along():
    slewed = slew_rate.penalize_slew_rate(slew(), 0.1)
    found = jaxmpc.solve(slewed, slew_rate.augment_state(X0, np.zeros(3)), PARAMS)
    assert found.converged
    assert found.costates.shape == (17, 9)

    def merge(params, p):
        return {**params, "inertia": params["inertia"] * p[0]}

    freed = free_parameters.optimize_parameters(slew(), merge, [0.5], [2.0])
    found = jaxmpc.solve(freed, free_parameters.augment_state(X0, [1.0]), PARAMS)
    assert found.converged
    np.testing.assert_allclose(found.states[1:, -1], 0.5)
    drawn = model_draws.over_draws(slew(), 2, params_axes={"inertia": 0, "goal": None})
    both = {**PARAMS, "inertia": np.stack([PARAMS["inertia"], 1.2 * PARAMS["inertia"]])}
    found = jaxmpc.solve(drawn, model_draws.augment_state(jnp.asarray(X0), 2), both)
    assert found.converged
    with pytest.raises(ValueError, match="problem has the state_space"):
        free_parameters.optimize_initial_state(slew(), lambda x, p: 0.0, state_dim=7)


# --- Bad input ---


def test_half_a_turn_is_solved():
    """The gradient of the guess does not know which way to turn; an honest status all the same."""
    for axis in np.eye(3):
        x0 = np.concatenate([[0.0], axis, np.zeros(3)])
        found = jaxmpc.solve(slew(2.0), x0, PARAMS)
        assert np.all(np.isfinite(found.states))
        assert found.converged
        assert found.residuals.largest() < 1e-7


def test_states_off_the_space_are_refused_with_their_distance():
    problem = slew()
    longer = X0 * np.array([1.1] * 4 + [1.0] * 3)
    with pytest.raises(ValueError, match=r"x0 must be on the state_space .* is 0\.0\d+ off"):
        jaxmpc.solve(problem, longer, PARAMS)
    with pytest.raises(ValueError, match="is no point of it"):
        jaxmpc.solve(problem, np.zeros(7), PARAMS)
    with pytest.raises(ValueError, match="states must be on the state_space"):
        jaxmpc.solve(problem, X0, PARAMS, states=np.tile(longer, (17, 1)))
    with pytest.raises(ValueError, match="x0 must be on the state_space"):
        jaxmpc.solve_batch(problem, np.stack([X0, longer]), PARAMS)


def test_what_is_traced_is_projected(best):
    found = jax.jit(lambda x0: jaxmpc.solve(slew(), x0, PARAMS))(3.0 * jnp.asarray(X0))
    np.testing.assert_allclose(found.cost, best.cost, rtol=1e-9)
    nothing = jax.jit(lambda x0: jaxmpc.solve(slew(), x0, PARAMS))(jnp.zeros(7))
    assert nothing.status == Status.non_finite


def leaving(x, u, t, params):
    after = dynamics(x, u, t, params)
    return after * jnp.array([1.1] * 4 + [1.0] * 3)


@pytest.mark.slow
def test_dynamics_that_leave_the_space_are_found_out():
    problem = dataclasses.replace(slew(), dynamics=leaving)
    with pytest.raises(ValueError, match="dynamics lead off the state space"):
        jaxmpc.solve(problem, X0, PARAMS)
    with pytest.raises(ValueError, match="dynamics lead off the state space"):
        jaxmpc.solve_batch(problem, X0[None], PARAMS)
    found = jax.jit(lambda x0: jaxmpc.solve(problem, x0, PARAMS))(X0)
    assert found.status == Status.off_space
    slope = jax.jit(jax.grad(lambda x0: jaxmpc.solve(problem, x0, PARAMS).cost))(jnp.asarray(X0))
    np.testing.assert_array_equal(slope, 0.0)


INFINITE = np.full(7, np.inf)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"state_space": 7}, TypeError, "state_space must be a space.*int has no dim"),
        ({"state_space": spaces.Circle}, TypeError, "got the class Circle"),
        ({"state_bounds": (-1.0, 1.0)}, ValueError, r"shape \(\); wanted \[n\] = \(7,\)"),
        ({"state_bounds": (None, np.ones(6))}, ValueError, r"shape \(6,\); wanted \[n\] = \(7,\)"),
        (
            {"state_bounds": (-INFINITE, np.where(np.arange(7) == 2, 0.5, INFINITE))},
            ValueError,
            r"bound the entries \[2\], which are no plain numbers",
        ),
    ],
)
def test_problems_that_do_not_fit_their_space(given, error, words):
    with pytest.raises(error, match=words):
        slew(**{"space": given.pop("state_space", SPACE), **given})


def test_a_space_of_another_size():
    with pytest.raises(ValueError, match="state_space has dim 4.*wanted 7, as x0 has"):
        jaxmpc.solve(slew(space=spaces.UnitQuaternion()), X0, PARAMS)


def test_float32():
    params = {name: np.asarray(value, np.float32) for name, value in PARAMS.items()}
    found = jaxmpc.solve(slew(), X0.astype(np.float32), params)
    assert found.states.dtype == np.float32
    assert found.converged
    np.testing.assert_allclose(lengths(found.states), 1.0, atol=3e-7)
