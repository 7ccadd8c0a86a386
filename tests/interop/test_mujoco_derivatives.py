"""Derivatives of robots where they are easily wrong: at rest, at bounds, of derivatives."""

import copy
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from robots import CARTPOLE, FLYER, somewhere, stepped

import jaxmpc
from jaxmpc import SQP

mujoco = pytest.importorskip("mujoco")
jm = pytest.importorskip("jaxmpc.interop.mujoco")

RUBBING = """
<mujoco>
  <option timestep="0.01"/>
  <worldbody><body>
    <joint name="hinge" axis="0 1 0" frictionloss="0.5"/><geom size="0.05" pos="0 0 -0.5" mass="1"/>
  </body></worldbody>
  <actuator><motor joint="hinge"/></actuator>
</mujoco>
"""
LYING = """
<mujoco>
  <option timestep="0.005" OPTIONS/>
  <worldbody>
    <geom type="plane" size="5 5 0.1"/>
    <body pos="0 0 0.1">
      <joint name="x" type="slide" axis="1 0 0"/><joint name="z" type="slide" axis="0 0 1"/>
      <geom type="sphere" size="0.1" mass="1"/>
    </body>
  </worldbody>
  <actuator><motor joint="x"/></actuator>
</mujoco>
"""


def jacobians(robot, x, u):
    return np.concatenate(jax.jit(jax.jacfwd(robot.dynamics, (0, 1)))(x, u), axis=1)


def differences(robot, x, u, size):
    def step(z):
        return jax.jit(jax.vmap(lambda z: robot.dynamics(z[: len(x)], z[len(x) :])))(z)

    return reference.central_difference(step, np.concatenate([x, u]), size).T


@pytest.mark.parametrize("backend", ["c", "mjx"])
def test_a_joint_that_friction_holds(backend):
    """At rest the solver starts at the solution, and takes no step to differentiate."""
    robot = jm.robot(RUBBING, backend=backend)
    found = jacobians(robot, robot.x0, jnp.zeros(1))
    wanted = differences(robot, robot.x0, jnp.zeros(1), 1e-4)
    assert abs(found[1, 2]) > 1e-3
    np.testing.assert_allclose(found, wanted, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("options", ["", 'cone="elliptic"', 'solver="CG"'])
def test_a_ball_that_lies_on_the_floor(options):
    mjx, c = (jm.robot(LYING.replace("OPTIONS", options), name) for name in ("mjx", "c"))
    u = jnp.zeros(1)
    x = jax.jit(lambda x: jax.lax.fori_loop(0, 20_000, lambda _, x: c.dynamics(x, u), x))(c.x0)
    tight = LYING.replace("OPTIONS", f'{options} tolerance="0"')  # else steps do not see 1e-5
    wanted = differences(jm.robot(tight, backend="c"), x, u, 1e-5)
    for robot in (mjx, c):
        np.testing.assert_allclose(jacobians(robot, x, u), wanted, rtol=1e-4, atol=1e-4)
    second, exact = (jax.jit(jax.jacfwd(jax.jacfwd(r.dynamics)))(x, u) for r in (c, mjx))
    np.testing.assert_allclose(second, exact, atol=2e-3 * np.abs(exact).max())


@pytest.mark.parametrize("options", ['solver="CG"', 'solver="PGS"', 'cone="elliptic"'])
def test_jacobians_are_those_of_forces_that_are_solved_to_the_end(options):
    model = mujoco.MjModel.from_xml_string(LYING.replace("OPTIONS", options))
    tight = copy.copy(model)
    tight.opt.tolerance, tight.opt.iterations = 0, 1000
    x, u = jnp.array([0.0, -0.002, 0.1, -0.05]), jnp.ones(1)
    found, wanted = (jacobians(jm.robot(m, backend="c"), x, u) for m in (model, tight))
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)


def test_a_heavy_chain_at_rest_feels_its_motor():
    """A difference far below the tolerance of MuJoCo's solver, which is relative to the mass."""
    link = """
    <body pos="0 0 -0.5"><joint name="NAME" axis="0 1 0" frictionloss="0.01"/>
      <geom type="capsule" fromto="0 0 0 0 0 -0.5" size="0.02" mass="20"
            contype="0" conaffinity="0"/>"""
    links = "".join(link.replace("NAME", f"joint{i}") for i in range(8)) + "</body>" * 8
    text = (
        f'<mujoco><option gravity="0 0 0"/><worldbody>{links}</worldbody>'
        '<actuator><motor joint="joint7"/></actuator></mujoco>'
    )
    robot = jm.robot(text, backend="c")
    found = jacobians(robot, robot.x0, jnp.zeros(1))[:, -1]
    wanted = differences(robot, robot.x0, jnp.zeros(1), 1e-3)[:, -1]
    assert np.abs(wanted).max() > 1e-4
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-9)


def test_damping_of_none_has_the_derivative_of_more():
    """MuJoCo's steps are of another kind where a damping is negative."""
    text = re.sub('damping="[0-9.]*"', "", CARTPOLE)
    robot = jm.robot(text, backend="c", parameters=("dof_damping",))
    x, u = somewhere(robot)
    none = jnp.zeros(2)
    assert not robot.params["dof_damping"].any()

    def step(damping):
        return robot.dynamics(x, u, 0, {"dof_damping": damping})

    found = jax.jit(jax.jacfwd(step))(none)
    wanted = [(step(none.at[i].set(1e-6)) - step(none)) / 1e-6 for i in range(2)]
    np.testing.assert_allclose(found, np.array(wanted).T, rtol=1e-4, atol=1e-7)


@pytest.mark.slow
def test_second_derivatives_of_mujoco_are_differences():
    """Along the space of states, where quaternions have curvature of their own."""
    robot = jm.robot(FLYER, backend="c")
    x, u = somewhere(robot)
    k = 2 * robot.model.nv + robot.model.na
    weights = jnp.linspace(-1.0, 1.0, len(x))

    def value(z):
        return weights @ robot.dynamics(robot.state_space.retract(x, z[:k]), u + z[k:])

    found = jax.jit(jax.hessian(value))(jnp.zeros(k + 2))
    slope = jax.jit(jax.vmap(jax.grad(value)))
    wanted = reference.central_difference(slope, np.zeros(k + 2), 1e-4)
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    with pytest.raises(NotImplementedError, match="no third derivatives"):
        jax.jacfwd(jax.hessian(value))(jnp.zeros(k + 2))


def test_the_gradient_of_controls_is_exact():
    """By a solver of first order, and the exact adjoint behind it."""
    robot = jm.robot(CARTPOLE, backend="c", parameters=("body_mass",), keyframe="tilted")
    problem = jaxmpc.Problem(
        robot.dynamics,
        lambda x, u, t, params: x @ x + 0.1 * u @ u,
        horizon=10,
        control_dim=1,
    )
    solver = SQP(hessian="gauss_newton", tolerance=1e-7)
    weights = jnp.linspace(-1.0, 1.0, 10)

    @jax.jit
    def loss(mass):
        params = {"body_mass": robot.params["body_mass"].at[2].set(mass)}
        return weights @ jaxmpc.solve(problem, robot.x0, params, solver=solver).controls[:, 0]

    mass = robot.params["body_mass"][2]
    wanted = (loss(mass + 1e-3) - loss(mass - 1e-3)) / 2e-3
    np.testing.assert_allclose(jax.jit(jax.grad(loss))(mass), wanted, rtol=1e-3)


@pytest.mark.parametrize("backend", ["c", "mjx"])
def test_controls_at_their_bounds_have_whole_derivatives(backend):
    """Where MuJoCo clamps, and a plan often is; beyond, nothing changes any more."""
    robot = jm.robot(CARTPOLE, backend=backend)
    slope = jax.jit(jax.jacfwd(robot.dynamics, argnums=1))
    inside, at, beyond = (slope(robot.x0, jnp.array([u])) for u in (9.9, 10.0, 10.1))
    np.testing.assert_allclose(at, inside, atol=1e-8)
    assert np.abs(at).max() > 1e-2
    assert not beyond.any()
    step = jax.jit(robot.dynamics)
    wanted = stepped(robot.model, robot.x0, np.array([12.0]), 1)
    np.testing.assert_allclose(step(robot.x0, jnp.array([12.0])), wanted, atol=1e-12)


def test_free_joints_at_rest_have_derivatives():
    """At rest the length of a velocity has none, which is where NaN has come from."""
    robot = jm.robot(FLYER, backend="c")
    u = jnp.zeros(2)
    A, B = jax.jacfwd(robot.dynamics, argnums=(0, 1))(robot.x0, u)
    assert np.isfinite(A).all()
    assert np.isfinite(B).all()


@pytest.mark.slow
def test_centers_of_mass_matter_in_both_backends():
    """MuJoCo does not read them where a body's frame is that of its inertia."""
    slopes = []
    for backend in ("c", "mjx"):
        robot = jm.robot(FLYER, backend=backend, parameters=("body_ipos",))
        x, u = somewhere(robot)
        step = partial(robot.dynamics, x, u, None)
        slopes.append(jax.jacfwd(step)(robot.params)["body_ipos"])
    assert np.abs(slopes[0]).max() > 0.1
    np.testing.assert_allclose(slopes[0], slopes[1], rtol=1e-6, atol=1e-6)


@pytest.mark.slow
def test_free_joints_at_rest_have_derivatives_in_mjx():
    robot = jm.robot(FLYER)
    A = jax.jit(jax.jacfwd(robot.dynamics))(robot.x0, jnp.zeros(2))
    wanted = jax.jacfwd(jm.robot(FLYER, backend="c").dynamics)(robot.x0, jnp.zeros(2))
    along = jax.jacfwd(robot.state_space.retract, argnums=1)(robot.x0, jnp.zeros(22))
    np.testing.assert_allclose(A @ along, wanted @ along, atol=1e-5)


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ('timestep="0.01"', 'timestep="0.01" integrator="RK4"', "by integrator RK4"),
        ('name="socket" type="ball"', 'name="socket" type="ball" stiffness="1"', "with stiffness"),
        ('motor joint="wrist"', 'motor joint="socket"', "actuators"),
        ('motor joint="wrist"', 'motor jointinparent="socket"', "actuators"),
    ],
)
def test_what_mjx_has_wrong_derivatives_of_is_refused(old, new, part):
    """A ball joint with a spring, at its reference: there MJX says that nothing pulls back."""
    assert old in FLYER
    with pytest.raises(NotImplementedError, match=f"wrong derivatives of .*{part}"):
        jm.robot(FLYER.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ('axis="0 1 0"', 'axis="0 1 0" stiffness="3 2 1"', "polynomial"),
        ('motor joint="hinge"', 'motor joint="hinge" damping="2"', "of actuators"),
        ('geom size="0.05"', 'geom fluidshape="ellipsoid" size="0.05"', "fluid"),
        ('timestep="0.01"', 'timestep="0.01" noslip_iterations="3"', "noslip"),
    ],
)
def test_what_mjx_leaves_out_is_refused(old, new, part):
    assert old in RUBBING
    with pytest.raises(NotImplementedError, match=f"does not have .*{part}"):
        jm.robot(RUBBING.replace(old, new))


def test_friction_that_the_file_has_not_is_there_in_mjx():
    text = RUBBING.replace('frictionloss="0.5"', "")
    steps = []
    for backend in ("mjx", "c"):
        robot = jm.robot(text, backend=backend, parameters=("dof_frictionloss",))
        step = jax.jit(partial(robot.dynamics, jnp.array([0.3, 0.5]), jnp.array([0.7]), 0))
        for friction in (0.0, 1.0):
            steps.append(step({"dof_frictionloss": jnp.array([friction])}))
    np.testing.assert_allclose(steps[:2], steps[2:], atol=1e-9)
