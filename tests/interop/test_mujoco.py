"""Robots of MuJoCo's: each backend against MuJoCo itself, and solves of what they make."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from robots import CARTPOLE, FLYER, PUSHED, somewhere, stepped

import jaxmpc
from jaxmpc import ILQR, SQP, ImplicitAdjoint, InteriorPoint, spaces

mujoco = pytest.importorskip("mujoco")
jm = pytest.importorskip("jaxmpc.interop.mujoco")

ROBOTS = {"cartpole": CARTPOLE, "flyer": FLYER, "pushed": PUSHED}
BACKENDS = [
    pytest.param("c", "cartpole", id="c-cartpole"),
    pytest.param("c", "flyer", id="c-flyer"),
    pytest.param("c", "pushed", id="c-pushed"),
    pytest.param("mjx", "cartpole", id="mjx-cartpole"),
    pytest.param("mjx", "flyer", id="mjx-flyer", marks=pytest.mark.slow),
    pytest.param("mjx", "pushed", id="mjx-pushed", marks=pytest.mark.slow),
    pytest.param("warp", "cartpole", id="warp-cartpole", marks=pytest.mark.slow),
    pytest.param("warp", "flyer", id="warp-flyer", marks=pytest.mark.slow),
    pytest.param("warp", "pushed", id="warp-pushed", marks=pytest.mark.slow),
]
EXACT = {"c": 0, "mjx": 1e-6, "warp": 1e-5}  # Warp's steps are of float32
STANDING = """
<mujoco>
  <worldbody>
    <geom type="plane" size="1 1 0.1"/>
    <body name="cube"><freejoint/><geom type="box" size="0.1 0.1 0.1"/><site name="middle"/></body>
  </worldbody>
  <actuator><motor site="middle" gear="0 0 1 0 0 0"/></actuator>
</mujoco>
"""
# MuJoCo's own Jacobians are differences, right to some 1e-9: no solver gets to 1e-8 with them.
OPTIONS = {"hessian": "gauss_newton", "tolerance": 1e-6}
FIRST_ORDER = {"solver": SQP(**OPTIONS), "adjoint": ImplicitAdjoint(hessian="gauss_newton")}


def with_masses(text, more):
    """The model with other masses, but for the constants that scale how soft contacts are."""
    model = mujoco.MjModel.from_xml_string(text)
    softness = model.body_invweight0.copy(), model.dof_invweight0.copy()
    model.body_mass[:] += more
    mujoco.mj_setConst(model, mujoco.MjData(model))
    model.body_invweight0[:], model.dof_invweight0[:] = softness
    return model


def moved(robot, x, dx):
    """States by steps [k, tangent] from x, by MuJoCo alone."""
    model = robot.model
    found = np.tile(np.asarray(x), (len(dx), 1))
    for row, step in zip(found, dx, strict=True):
        qpos = row[: model.nq].copy()
        mujoco.mj_integratePos(model, qpos, step[: model.nv], 1.0)
        row[: model.nq] = qpos
        row[model.nq :] += step[model.nv :]
    return found


@pytest.mark.parametrize(("backend", "name"), BACKENDS)
def test_a_backend_is_mujoco(backend, name):
    """Steps, Jacobians in states along the space, controls and parameters."""
    if backend == "warp":
        pytest.importorskip("mujoco_warp")
    chosen = ("body_mass", "dof_damping")
    robot = jm.robot(ROBOTS[name], backend=backend, substeps=2, parameters=chosen)
    x, u = somewhere(robot)
    step = jax.jit(robot.dynamics)
    wanted = stepped(robot.model, x, u, 2)
    np.testing.assert_allclose(step(x, u, 0, None), wanted, atol=EXACT[backend])
    np.testing.assert_allclose(step(x, u, 0, robot.params), wanted, atol=max(EXACT[backend], 1e-6))

    nv, k, m = robot.model.nv, 2 * robot.model.nv + robot.model.na, robot.control_dim
    sizes = {name: value.size for name, value in robot.params.items()}

    def plainly(points):
        """MuJoCo's steps from points moved by state, control and parameters, in numbers."""
        found = []
        for point, start in zip(points, moved(robot, x, points[:, :k]), strict=True):
            model = with_masses(ROBOTS[name], point[k + m : k + m + sizes["body_mass"]])
            model.dof_damping[:] += point[k + m + sizes["body_mass"] :]
            found.append(stepped(model, start, u + point[k : k + m], 2))
        return np.array(found)

    width = k + m + sum(sizes.values())
    differences = reference.central_difference(plainly, np.zeros(width), 1e-5).T

    def moved_in_jax(point):
        dx, du, rest = jnp.split(point, [k, k + m])
        space = robot.state_space
        start = x + dx if space is None else space.retract(x, dx)
        mass, damping = jnp.split(rest, [sizes["body_mass"]])
        params = {
            "body_mass": robot.params["body_mass"] + mass,
            "dof_damping": robot.params["dof_damping"] + damping,
        }
        return robot.dynamics(start, u + du, 0, params)

    found = jax.jit(jax.jacfwd(moved_in_jax))(jnp.zeros(width))
    size = np.maximum(1.0, np.abs(differences))
    np.testing.assert_allclose(found / size, differences / size, atol=1e-6)
    assert np.abs(differences[:, :nv]).max() > 0.1
    weights = jnp.linspace(-1.0, 1.0, len(found))
    pulled = jax.jit(jax.grad(lambda point: weights @ moved_in_jax(point)))(jnp.zeros(width))
    np.testing.assert_allclose(pulled, weights @ found, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_worlds_of_warp_are_apart_and_find_room():
    """Rows that are no numbers, parameters of their own, and more contacts than were expected."""
    pytest.importorskip("mujoco_warp")
    robot, exact = (jm.robot(STANDING, name, parameters=("body_mass",)) for name in ("warp", "c"))
    x = jnp.stack([somewhere(robot, seed)[0] for seed in range(5)]).at[2, 0].set(jnp.nan)
    x = x.at[:, 2].set(0.09)  # a centimetre deep, whichever way it is turned
    u = jnp.zeros((5, robot.control_dim))
    params = {"body_mass": jnp.outer(jnp.linspace(0.8, 1.2, 5), robot.params["body_mass"])}
    robot._backend._worlds._room = {"nconmax": 1, "njmax": 1}
    found, wanted = (jax.vmap(r.dynamics, (0, 0, None, 0))(x, u, 0, params) for r in (robot, exact))
    assert np.isnan(found).all(axis=1).tolist() == [False, False, True, False, False]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
    assert robot._backend._worlds._room["njmax"] > 1


def test_the_space_and_the_bounds_are_the_models():
    robot = jm.robot(FLYER, backend="c", substeps=3)
    quaternion = spaces.UnitQuaternion()
    assert robot.state_space == spaces.Product(
        spaces.Euclidean(3), quaternion, quaternion, spaces.Euclidean(1 + 10 + 1)
    )
    lower, upper = robot.state_bounds
    assert np.flatnonzero(np.isfinite(upper)).tolist() == [11]
    np.testing.assert_allclose([lower[11], upper[11]], [-np.pi / 3, np.pi / 3])
    np.testing.assert_array_equal(robot.control_bounds, [[-1, -np.inf], [1, np.inf]])
    np.testing.assert_allclose(robot.dt, 0.03)
    plain = jm.robot(CARTPOLE, backend="c", keyframe="tilted")
    assert plain.state_space is None
    np.testing.assert_array_equal(plain.x0, [0.1, 0.3, 0, 0.5])
    assert jm.robot(FLYER.replace('range="-60 60" limited="true"', ""), "c").state_bounds is None


def test_places_are_mujocos():
    robot = jm.robot(FLYER, backend="c")
    model, data = robot.model, mujoco.MjData(robot.model)
    x, u = somewhere(robot)
    data.qpos[:], data.qvel[:], data.act[:] = np.split(x, [model.nq, model.nq + model.nv])
    data.ctrl[:] = u
    mujoco.mj_forward(model, data)
    arm = np.concatenate([data.body("arm").xpos, data.body("arm").xquat])
    found = robot.body("arm")(x)
    np.testing.assert_allclose(found[:3], arm[:3], atol=1e-14)
    np.testing.assert_allclose(abs(found[3:] @ arm[3:]), 1.0, atol=1e-14)
    np.testing.assert_allclose(robot.site("tip")(x), data.site("tip").xpos, atol=1e-14)
    np.testing.assert_allclose(robot.center_of_mass()(x), data.subtree_com[0], atol=1e-14)
    arms = data.subtree_com[model.body("arm").id]
    np.testing.assert_allclose(robot.center_of_mass("arm")(x), arms, atol=1e-14)
    np.testing.assert_allclose(robot.sensor("gyro")(x, u), data.sensor("gyro").data, atol=1e-14)
    pairs = ["ball end", "stick end", "floor stick", "end floor", "block floor", "ball block"]
    for pair in pairs:
        first, second = pair.split()
        ends = np.zeros(6)
        numbers = model.geom(first).id, model.geom(second).id
        wanted = mujoco.mj_geomDistance(model, data, *numbers, 10.0, ends)
        found = robot.distance(first, second)(x)
        np.testing.assert_allclose(found, wanted, atol=1e-9, err_msg=pair)


def test_places_of_many_joints_are_mujocos():
    """Three hinges on a body, deep trees, and the free joint that all of it hangs on."""
    gymnasium = pytest.importorskip("gymnasium")
    model = gymnasium.make("Humanoid-v5").unwrapped.model
    robot, data = jm.robot(model, backend="c"), mujoco.MjData(model)
    rng = np.random.default_rng(0)
    mujoco.mj_integratePos(model, data.qpos, rng.normal(size=model.nv), 1.0)
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    x = jnp.concatenate([data.qpos, data.qvel])
    for name in ("world", "torso", "right_foot", "left_lower_arm"):
        found, body = robot.body(name)(x), model.body(name).id
        np.testing.assert_allclose(found[:3], data.xpos[body], atol=1e-14)
        np.testing.assert_allclose(abs(found[3:] @ data.xquat[body]), 1.0, atol=1e-14)
    np.testing.assert_allclose(robot.center_of_mass()(x), data.subtree_com[0], atol=1e-14)


def test_places_follow_the_parameters():
    robot = jm.robot(FLYER, backend="c", parameters=("body_pos", "body_ipos", "body_mass"))
    x, _ = somewhere(robot)
    rng = np.random.default_rng(1)
    moved = {
        name: value + 0.1 * rng.uniform(size=value.shape) for name, value in robot.params.items()
    }
    model = mujoco.MjModel.from_xml_string(FLYER)
    for name, value in moved.items():
        getattr(model, name)[:] = value
    for frames in (model.body_sameframe, model.geom_sameframe, model.site_sameframe):
        frames[:] = 0  # nothing has the frame of anything else any more
    data = mujoco.MjData(model)
    data.qpos[:] = x[: model.nq]
    mujoco.mj_kinematics(model, data)
    np.testing.assert_allclose(robot.site("tip")(x, moved), data.site("tip").xpos, atol=1e-14)
    masses = np.asarray(moved["body_mass"])
    center = masses[1:] @ data.xipos[1:] / masses[1:].sum()  # the world weighs nothing
    np.testing.assert_allclose(robot.center_of_mass()(x, moved), center, atol=1e-14)


def test_steps_that_diverge_are_not_reported(capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where MuJoCo would write its log
    robot = jm.robot(CARTPOLE, backend="c", substeps=20)
    mine = [].append
    mujoco.set_mju_user_warning(mine)
    try:
        robot.dynamics(robot.x0 + 1e6, jnp.zeros(1)).block_until_ready()
        assert mujoco.get_mju_user_warning() == mine
    finally:
        mujoco.set_mju_user_warning(None)
    robot.dynamics(robot.x0 + 1e6, jnp.zeros(1)).block_until_ready()
    assert not mine.__self__
    assert not list(tmp_path.iterdir())
    assert "WARNING" not in "".join(capfd.readouterr())


def test_distances_are_negative_inside_and_have_slopes():
    robot = jm.robot(PUSHED, backend="c")
    gap = robot.distance("tip", "box")
    inside = robot.x0.at[0].set(0.06)
    np.testing.assert_allclose(gap(inside), 0.04 - 0.07, atol=1e-12)
    np.testing.assert_allclose(jax.grad(gap)(inside)[:3], [-1, 1, 0], atol=1e-12)


def test_sizes_that_a_sphere_inherits_are_none_of_its():
    text = """
    <mujoco>
      <default><geom size="0.1 0.3"/></default>
      <worldbody>
        <geom name="floor" type="plane" size="1 1 0.1"/>
        <body pos="0 0 1"><joint axis="0 1 0"/><geom name="ball"/></body>
      </worldbody>
      <actuator><motor joint="hinge"/></actuator>
    </mujoco>"""
    robot = jm.robot(text.replace("<joint ", '<joint name="hinge" '), backend="c")
    np.testing.assert_allclose(robot.distance("ball", "floor")(robot.x0), 0.9)


def test_a_body_without_mass_is_where_it_is():
    text = FLYER.replace("<worldbody>", '<worldbody><body name="mark" pos="1 2 3"/>')
    robot = jm.robot(text, backend="c")
    np.testing.assert_array_equal(robot.center_of_mass("mark")(robot.x0), [1, 2, 3])


def test_a_model_is_copied():
    model = mujoco.MjModel.from_xml_string(CARTPOLE)
    robot = jm.robot(model, backend="c")
    before = robot.site("tip")(robot.x0)
    model.site_pos[:] += 1
    np.testing.assert_array_equal(robot.site("tip")(robot.x0), before)


def test_controls_are_clamped_where_mujoco_clamps_them():
    free = '<option><flag clampctrl="disable"/></option><worldbody>'
    robot = jm.robot(CARTPOLE.replace("<worldbody>", free), backend="c")
    u = jnp.array([20.0])
    np.testing.assert_array_equal(robot.dynamics(robot.x0, u), stepped(robot.model, robot.x0, u, 1))


def test_an_actuator_of_many_controls():
    text = """
    <mujoco>
      <worldbody><body>
        <joint name="ball" type="ball"/><geom type="box" size="0.1 0.2 0.3" mass="1"/>
      </body></worldbody>
      <actuator><orientation joint="ball" kp="3"/></actuator>
    </mujoco>"""
    robot = jm.robot(text, backend="c")
    u = jnp.array([0.1, 0.2, -0.3])
    np.testing.assert_array_equal(robot.dynamics(robot.x0, u), stepped(robot.model, robot.x0, u, 1))


def cost(x, u, t, params):
    return 0.1 * (jnp.array([1.0, 5.0, 0.1, 0.1]) @ x**2) + 1e-2 * jnp.sum(u**2)


def stand(robot, **more):
    return jaxmpc.Problem(
        robot.dynamics,
        cost,
        horizon=20,
        control_dim=1,
        control_bounds=robot.control_bounds,
        terminal_cost=lambda x, params: 20 * x @ x,
        **more,
    )


@pytest.fixture(scope="module")
def standing():
    robot = jm.robot(CARTPOLE, backend="c", parameters=("body_mass",), keyframe="tilted")
    return robot, jaxmpc.solve(stand(robot), robot.x0, robot.params, **FIRST_ORDER)


@pytest.mark.parametrize("solver", [ILQR(**OPTIONS), InteriorPoint(**OPTIONS)])
def test_solvers_agree(solver, standing):
    robot, wanted = standing
    found = jaxmpc.solve(stand(robot), robot.x0, robot.params, **{**FIRST_ORDER, "solver": solver})
    assert wanted.converged
    assert found.converged
    np.testing.assert_allclose(found.controls, wanted.controls, atol=1e-5)


@pytest.mark.slow
def test_backends_have_the_same_plan(standing):
    _, wanted = standing
    robot = jm.robot(CARTPOLE, keyframe="tilted")
    for options in (FIRST_ORDER, {}):
        found = jaxmpc.solve(stand(robot), robot.x0, **options)
        assert found.converged
        np.testing.assert_allclose(found.controls, wanted.controls, atol=1e-5)


def test_the_gradient_in_masses_is_that_of_differences(standing):
    robot, _ = standing

    def optimum(mass):
        found = jaxmpc.solve(stand(robot), robot.x0, {"body_mass": mass}, **FIRST_ORDER)
        return found.cost

    mass = robot.params["body_mass"]
    slope = jax.grad(optimum)(mass)
    differences = [
        (optimum(mass.at[i].add(1e-4)) - optimum(mass.at[i].add(-1e-4))) / 2e-4 for i in (1, 2)
    ]
    np.testing.assert_allclose(slope[1:], differences, rtol=1e-5)


def test_bad_numbers_stay_where_they_are():
    robot = jm.robot(CARTPOLE, backend="c")
    states = jnp.stack([robot.x0, robot.x0.at[0].set(jnp.nan), robot.x0.at[2].set(1e12)])
    after = jax.jit(jax.vmap(lambda x: robot.dynamics(x, jnp.ones(1))))(states)
    assert np.isfinite(after[0]).all()
    assert np.isnan(after[1:]).all()
    batch = jaxmpc.solve_batch(stand(robot), states[:2], **FIRST_ORDER)
    assert batch.converged.tolist() == [True, False]


def test_float32_is_kept():
    robot = jm.robot(CARTPOLE, backend="c")
    after = robot.dynamics(robot.x0.astype(jnp.float32), jnp.ones(1, jnp.float32))
    assert after.dtype == jnp.float32


UNMOVED = CARTPOLE[: CARTPOLE.index("<actuator>")] + "</mujoco>"


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"source": 3}, TypeError, "source must be the path"),
        ({"source": "nowhere.xml"}, FileNotFoundError, "no file 'nowhere.xml'"),
        ({"source": "<mujoco><wrong/></mujoco>"}, ValueError, "cannot read the text"),
        ({"backend": "gpu"}, ValueError, "backend"),
        ({"substeps": 0}, ValueError, "substeps must be positive"),
        ({"parameters": ("mass",)}, ValueError, r"parameters \['mass'\] are none of"),
        ({"parameters": "body_mass"}, TypeError, "must be a tuple of names"),
        ({"keyframe": "up"}, ValueError, r"no keyframe 'up'; the model has \['tilted'\]"),
        ({"keyframe": 0}, TypeError, "keyframe must be a str"),
        ({"source": CARTPOLE.replace("actuator", "custom")}, ValueError, "cannot read the text"),
        ({"source": UNMOVED}, ValueError, "no actuators"),
    ],
)
def test_bad_robots(given, error, words):
    with pytest.raises(error, match=words):
        jm.robot(**{"source": CARTPOLE, "backend": "c", **given})


def test_bad_names_and_shapes():
    robot = jm.robot(CARTPOLE, backend="c", parameters=("body_mass",))
    with pytest.raises(ValueError, match=r"no site 'top'; the model names \['tip'\]"):
        robot.site("top")
    with pytest.raises(ValueError, match=r"shape \(4,\), \[qpos \(2\), qvel \(2\)\], got \(3,\)"):
        robot.dynamics(jnp.zeros(3), jnp.zeros(1))
    with pytest.raises(ValueError, match=r"u must have shape \(1,\).*got \(2,\)"):
        robot.dynamics(jnp.zeros(4), jnp.zeros(2))
    with pytest.raises(ValueError, match=r"parameters \['body_mass'\], got \['mass'\]"):
        robot.dynamics(jnp.zeros(4), jnp.zeros(1), 0, {"mass": 1.0})
    with pytest.raises(ValueError, match=r"params\['body_mass'\] must have shape \(3,\)"):
        robot.dynamics(jnp.zeros(4), jnp.zeros(1), 0, {"body_mass": jnp.ones(2)})
    with pytest.raises(TypeError, match="x must be floating point, got int"):
        robot.dynamics(jnp.zeros(4, int), jnp.zeros(1))
    flyer = jm.robot(FLYER, backend="c")
    with pytest.raises(NotImplementedError, match="no formula for capsule and box"):
        flyer.distance("stick", "block")


def test_what_mjx_has_not_is_said():
    tendons = CARTPOLE.replace("</worldbody>", "</worldbody><option solver='PGS'/>")
    with pytest.raises(NotImplementedError, match="backend 'mjx'.*backend='c' has all"):
        jm.robot(tendons)


def test_float32_warns_where_digits_are_lost():
    light = CARTPOLE.replace('mass="0.1"', 'mass="1e-6"').replace('size="0.02"', 'size="1e-4"')
    jax.config.update("jax_enable_x64", False)
    try:
        with pytest.warns(UserWarning, match="mass matrix has a condition of"):
            robot = jm.robot(light)
    finally:
        jax.config.update("jax_enable_x64", True)
    with pytest.raises(ValueError, match="made in float32"):
        robot.dynamics(jnp.zeros(4), jnp.zeros(1))
