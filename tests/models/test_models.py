"""The models against spot values, physics and the 2018 paper's numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmpc import integrators, models

S = 0.6435011087932844  # an angle with cos 0.8, sin 0.6

# (model, state size, control size, default parameters)
TABLE = {
    "pendulum": (models.pendulum, 3, 1, models.PENDULUM),
    "pendulum_complex": (models.pendulum_complex, 3, 1, models.PENDULUM_COMPLEX),
    "cartpole": (models.cartpole, 5, 1, models.CARTPOLE),
    "cartpole_acados": (models.cartpole_acados, 4, 1, models.CARTPOLE_ACADOS),
    "car": (models.car, 4, 2, models.CAR),
    "acrobot": (models.acrobot, 4, 1, models.ACROBOT),
    "planar_quadrotor": (models.planar_quadrotor, 6, 2, models.PLANAR_QUADROTOR),
    "quadrotor": (models.quadrotor, 13, 4, models.QUADROTOR),
    "unicycle": (models.unicycle, 3, 2, models.UNICYCLE),
    "bicycle": (models.bicycle, 4, 2, models.BICYCLE),
    "chain": (models.chain, 21, 3, models.CHAIN),
}
every_model = pytest.mark.parametrize(
    ("model", "n", "m", "defaults"), TABLE.values(), ids=TABLE.keys()
)


def sample(n, m):
    """The arguments of the spot values: x = sin(1, 2, ..), u = cos(1, 2, ..)."""
    return jnp.sin(jnp.arange(1.0, n + 1)), jnp.cos(jnp.arange(1.0, m + 1))


# The CasADi definitions of the acceptance problems and of the paper, evaluated at `sample(n, m)`.
SPOT = {
    "pendulum": [0.645341041712, 0.763894586892, 0.904138424059],
    "cartpole": [0.886935856149, 0.935879199424, 0.135982705967, -0.990711211039, -1.52080093866],
    "cartpole_acados": [0.14112000806, -0.756802495308, 0.922242492861, 10.3841668925],
    "car": [0.822228341831, 0.906563733719, 0.135280540645, -0.769286900404],
    "acrobot": [0.14112000806, -0.756802495308, -5.3875695225, 8.5610628762],
    "quadrotor": [
        0.989358246623,
        0.412118485242,
        -0.544021110889,
        -0.692442892554,
        0.495957559021,
        0.0760039648649,
        -0.0414317137383,
        2.5438418783,
        5.52658524901,
        -9.83058173804,
        18.2370446459,
        -116.746029304,
        3.79811413341,
    ],
    "unicycle": [0.534931206982, 0.0759946414129, -0.416146836547],
    "bicycle": [0.522572615812, -0.137275063029, -0.174210755093, -0.416146836547],
    "chain": [
        0.420167036827,
        0.990607355695,
        0.650287840157,
        -0.287903316665,
        -0.96139749188,
        -0.750987246772,
        0.149877209663,
        0.912945250728,
        0.836655638536,
        0.540302305868,
        -0.416146836547,
        -0.9899924966,
        -72.7288668554,
        -82.9832793982,
        -26.7532475594,
        90.1839547863,
        114.507390421,
        23.7432593803,
        -78.1980213114,
        -118.072021238,
        -59.2011493551,
    ],
}


@pytest.mark.parametrize("name", SPOT)
def test_agrees_with_the_casadi_definition(name):
    model, n, m, _ = TABLE[name]
    np.testing.assert_allclose(jax.jit(model)(*sample(n, m)), SPOT[name], rtol=1e-9, atol=1e-9)


def test_complex_pendulum_multiplies_the_angle_by_the_damping():
    params = {**models.PENDULUM, "damping": 1.0, "wind": 0.1}
    step = models.pendulum_complex(models.pendulum_state(S, 0.3), jnp.array([0.4]), params)
    velocity = 0.3 + 0.05 * (15 * np.sin(S + 0.1) + 1.2 - S)
    theta = S + 0.05 * velocity
    np.testing.assert_allclose(step, [np.cos(theta), np.sin(theta), velocity], rtol=1e-12)


@every_model
def test_params_default_to_the_dict_and_ignore_other_keys(model, n, m, defaults):
    x, u = sample(n, m)
    given = jax.jit(model)(x, u, {**defaults, "weight_of_a_cost": 3.0})
    np.testing.assert_allclose(jax.jit(model)(x, u), given, rtol=1e-12, atol=1e-14)
    if defaults:
        with pytest.raises(ValueError, match=next(iter(defaults))):
            model(x, u, {})


@every_model
def test_every_parameter_matters_and_derivatives_match_differences(model, n, m, defaults):
    x, u = sample(n, m)
    defaults = {key: value + 0.1 for key, value in defaults.items()}  # wind, damping off zero
    flat = jnp.concatenate([x, u, jnp.array(list(defaults.values()))])

    def call(flat):
        values = dict(zip(defaults, flat[n + m :], strict=True))
        return model(flat[:n], flat[n : n + m], values)

    @jax.jit
    def check(flat):
        steps = 1e-6 * jnp.eye(flat.size)
        forward, backward = (jax.vmap(call)(flat[None] + sign * steps) for sign in (1, -1))
        return jax.jacobian(call)(flat).T, (forward - backward) / 2e-6

    derivative, difference = check(flat)
    np.testing.assert_allclose(derivative, difference, rtol=1e-6, atol=1e-6)
    for key, row in zip(defaults, derivative[n + m :], strict=True):
        assert jnp.any(row != 0), key


@every_model
def test_keeps_the_dtype_of_the_state(model, n, m, defaults):
    x, u = (z.astype(jnp.float32) for z in sample(n, m))
    arrays = {key: np.float64(value) * np.ones(()) for key, value in defaults.items()}
    for params in (None, defaults, arrays):
        assert jax.eval_shape(model, x, u, params).dtype == jnp.float32
    for params in (defaults, arrays):  # not as arguments of a jitted function: a float stays one
        assert jax.eval_shape(lambda x, u, p=params: model(x, u, p), x, u).dtype == jnp.float32
    double = jax.jit(model)(*sample(n, m))
    np.testing.assert_allclose(jax.jit(model)(x, u), double, rtol=2e-5, atol=2e-5)


@every_model
def test_no_nan_at_zero(model, n, m, defaults):
    x, u = jnp.zeros(n), jnp.zeros(m)
    derivatives = jax.jit(jax.jacobian(jax.jacobian(model, argnums=(0, 1)), argnums=(0, 1)))(x, u)
    for leaf in jax.tree.leaves((jax.jit(model)(x, u), derivatives)):
        assert np.all(np.isfinite(leaf))


@every_model
def test_says_which_shape_it_wants(model, n, m, defaults):
    x, u = sample(n, m)
    with pytest.raises(ValueError, match=r"x has shape \(2, "):
        model(jnp.stack([x, x]), u)
    with pytest.raises(ValueError, match=rf"u has shape \({m + 1},\); wanted \({m},\)"):
        model(x, jnp.ones(m + 1))


@pytest.mark.parametrize(
    ("model", "x", "limit"),
    [
        (models.pendulum, [0.8, 0.6, 0.2], models.PENDULUM_MAX_TORQUE),
        (models.cartpole, [0.1, 0.2, 0.8, 0.6, 0.3], models.CARTPOLE_MAX_FORCE),
    ],
)
def test_clip_has_the_inner_derivative_at_the_bound(model, x, limit):
    x, model, slope = jnp.array(x), jax.jit(model), jax.jit(jax.jacobian(model, argnums=1))
    inside = slope(x, jnp.array([0.5 * limit]))
    for sign in (-1, 1):
        at_bound = slope(x, jnp.array([sign * limit]))
        difference = model(x, jnp.array([sign * limit])) - model(
            x, jnp.array([sign * limit * 0.999])
        )
        np.testing.assert_allclose(at_bound[-1], inside[-1], rtol=1e-12)
        np.testing.assert_allclose(at_bound[-1], difference[-1:] / (sign * limit * 1e-3), rtol=1e-9)
        beyond = jnp.array([sign * limit * 3])
        np.testing.assert_array_equal(model(x, beyond), model(x, jnp.array([sign * limit])))
        np.testing.assert_array_equal(slope(x, beyond), 0)


def acrobot_energy(x, p):
    theta1, theta2, w1, w2 = x
    heights = p["length1"] * jnp.sin(theta1), p["length2"] * jnp.sin(theta1 + theta2)
    potential = p["gravity"] * ((p["mass1"] + p["mass2"]) * heights[0] + p["mass2"] * heights[1])
    speed1 = p["length1"] * w1 * jnp.array([-jnp.sin(theta1), jnp.cos(theta1)])
    angle = theta1 + theta2
    speed2 = speed1 + p["length2"] * (w1 + w2) * jnp.array([-jnp.sin(angle), jnp.cos(angle)])
    translation = p["mass1"] * speed1 @ speed1 + p["mass2"] * speed2 @ speed2
    return potential + 0.5 * (translation + p["inertia1"] * w1**2 + p["inertia2"] * (w1 + w2) ** 2)


def cartpole_energy(x, p):
    _, theta, v, omega = x
    # this model's angle grows so that the pole's mass moves by v - l omega cos(theta)
    mass = jnp.array(
        [v - p["length"] * omega * jnp.cos(theta), p["length"] * omega * jnp.sin(theta)]
    )
    kinetic = 0.5 * (p["mass_cart"] * v**2 + p["mass_pole"] * mass @ mass)
    return kinetic + p["mass_pole"] * p["gravity"] * p["length"] * jnp.cos(theta)


def quadrotor_energy(x, p):
    inertia = jnp.array([p["inertia_x"], p["inertia_y"], p["inertia_z"]])
    kinetic = p["mass"] * x[7:10] @ x[7:10] + x[10:] @ (inertia * x[10:])
    return 0.5 * kinetic + p["mass"] * p["gravity"] * x[2]


UNEQUAL = dict(zip(models.ACROBOT, (1.3, 0.7, 0.9, 1.4, 0.3, 0.5, 9.81, 0.0), strict=True))


@pytest.mark.parametrize(
    ("model", "energy", "params", "m"),
    [
        (models.acrobot, acrobot_energy, UNEQUAL, 1),
        (models.cartpole_acados, cartpole_energy, models.CARTPOLE_ACADOS, 1),
        (models.quadrotor, quadrotor_energy, {**models.QUADROTOR, "inertia_y": 0.003}, 4),
    ],
)
def test_conserves_energy_when_nothing_drives_it(model, energy, params, m):
    n = {1: 4, 4: 13}[m]
    x = jnp.sin(jnp.arange(1.0, n + 1.0))

    @jax.jit
    def power(x):
        return jnp.dot(jax.grad(energy)(x, params), model(x, jnp.zeros(m), params))

    assert abs(power(x)) < 1e-12 * max(1, abs(energy(x, params)))


def test_quadrotors_hover():
    p = models.QUADROTOR
    thrust = jnp.full(4, p["mass"] * p["gravity"] / 4)
    np.testing.assert_allclose(models.quadrotor(models.quadrotor_state(jnp.ones(3)), thrust), 0)
    p = models.PLANAR_QUADROTOR
    thrust = jnp.full(2, p["mass"] * p["gravity"] / 2)
    np.testing.assert_allclose(models.planar_quadrotor(jnp.zeros(6), thrust), 0)


def test_planar_quadrotor_is_a_plane_of_the_spatial_one():
    space = {**models.QUADROTOR, "arm_length": 0.2, "inertia_x": 0.003}
    plane = {"mass": 0.5, "inertia": 0.003, "arm_length": 0.2, "gravity": 9.81}
    phi, thrust = 0.4, jnp.array([1.5, 1.1])
    x = models.quadrotor_state(jnp.zeros(3)).at[3:5].set([np.cos(phi / 2), np.sin(phi / 2)])
    # rotors 2 and 4 are those on the body's y axis
    rate = models.quadrotor(x, jnp.array([0.0, thrust[0], 0.0, thrust[1]]), space)
    planar = models.planar_quadrotor(jnp.array([0, 0, phi, 0, 0, 0]), thrust, plane)
    np.testing.assert_allclose(rate[jnp.array([8, 9, 10])], planar[3:], rtol=1e-12)


def test_chain_takes_a_value_for_each_link():
    x, u = sample(21, 3)
    arrays = {k: np.full(4, v) if k != "gravity" else v for k, v in models.CHAIN.items()}
    np.testing.assert_allclose(models.chain(x, u, arrays), models.chain(x, u), rtol=1e-12)
    softer = {**models.CHAIN, "stiffness": np.array([1.0, 1.0, 1.0, 0.5])}
    moved = models.chain(x, u, softer) - models.chain(x, u)
    np.testing.assert_array_equal(moved[:18], 0)  # only the last free mass feels the last link
    assert jnp.all(moved[18:] != 0)


def test_car_is_exact_in_float32_at_small_steering():
    x, u = np.array([0.0, 0, 0, 1]), np.array([1e-2, 0])
    exact = models.car(jnp.array(x), jnp.array(u))
    single = models.car(jnp.array(x, jnp.float32), jnp.array(u, jnp.float32))
    np.testing.assert_allclose(single, exact, rtol=1e-6)
    side = 0.03 * np.sin(1e-2)
    np.testing.assert_allclose(exact[0], 0.03 * np.cos(1e-2) + 2 - np.sqrt(4 - side**2), rtol=1e-12)


PENDULUM_DRAW = (-0.011760234832763672, 0.39242827892303467)  # of the authors' seed 0
CARTPOLE_DRAW = (
    -0.003743410110473633,
    0.19621413946151733,
    1.0373289585113525,
    -0.6765918731689453,
)


@pytest.mark.parametrize(
    ("task", "first"),
    [
        ("pendulum", lambda: models.pendulum_state(*PENDULUM_DRAW)),
        ("cartpole", lambda: models.cartpole_state(*CARTPOLE_DRAW)),
    ],
)
def test_paper_initial_states(task, first):
    states, first = models.paper_initial_states(task), first()
    assert states.shape == (120, first.size) and states.dtype == np.float64
    np.testing.assert_allclose(states[0], np.asarray(first, np.float64), atol=1e-6)
    cos, sin = states[:, :2].T if task == "pendulum" else states[:, 2:4].T
    np.testing.assert_allclose(cos**2 + sin**2, 1)
    with pytest.raises(ValueError, match="wanted one of"):
        models.paper_initial_states("acrobot")


def test_paper_costs_are_half_squares_plus_a_linear_term():
    x, u = models.pendulum_state(S, 2.0), jnp.array([3.0])
    np.testing.assert_allclose(
        models.pendulum_cost(x, u), 0.5 * (1 + 0.4 + 0.009) - 0.8, rtol=1e-12
    )
    x = models.cartpole_state(2.0, 3.0, S, 4.0)
    expected = 0.5 * (0.4 + 0.9 + 1 + 1.6 + 0.009) - 0.8
    np.testing.assert_allclose(models.cartpole_cost(x, u), expected, rtol=1e-12)
    assert models.cartpole_cost(x.astype(jnp.float32), u.astype(jnp.float32)).dtype == jnp.float32
    with pytest.raises(ValueError, match="q has shape"):
        models.diagonal_cost(x, u, jnp.ones(5), jnp.ones(6))


def test_pendulum_is_the_semi_implicit_step_of_its_ode():
    def ode(x, u, params):
        return jnp.array([x[1], 15 * jnp.sin(x[0]) + 3 * u[0]])

    theta, velocity = integrators.semi_implicit_euler(ode, 0.05)(jnp.array([S, 0.3]), jnp.ones(1))
    step = models.pendulum(models.pendulum_state(S, 0.3), jnp.ones(1))
    np.testing.assert_allclose(step, models.pendulum_state(theta, velocity), rtol=1e-12)
