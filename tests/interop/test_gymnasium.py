"""Controllers in Gymnasium's environments, and problems as environments."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmpc
from jaxmpc import ILQR, RecedingHorizon, Status

gymnasium = pytest.importorskip("gymnasium")
pytest.importorskip("mujoco")
interop = pytest.importorskip("jaxmpc.interop.gymnasium")
env_checker = pytest.importorskip("gymnasium.utils.env_checker")


def pendulum(x, u, t, params):
    """Pendulum-v1's own step."""
    angle, speed = x
    speed = jnp.clip(speed + 0.05 * (15 * jnp.sin(angle) + 3 * u[0]), -8, 8)
    return jnp.stack([angle + 0.05 * speed, speed])


def far_from_upright(x, u, t, params):
    return 2 * (1 - jnp.cos(x[0])) + 0.1 * x[1] ** 2 + 1e-3 * u[0] ** 2


UPRIGHT = jaxmpc.Problem(
    pendulum, far_from_upright, horizon=40, control_dim=1, control_bounds=(-2.0, 2.0)
)


class Still:
    """A controller that does nothing."""

    def init(self, x0, params):
        return jnp.zeros(())

    def step(self, x, plan, params):
        return jnp.zeros(1), plan


def test_a_pendulum_is_swung_up():
    env = gymnasium.make("Pendulum-v1")
    controller = RecedingHorizon(UPRIGHT, ILQR(), iterations=5)
    episode = interop.run_episode(env, controller, seed=0)
    assert episode.states.shape == (201, 2)
    assert episode.controls.shape == (200, 1)
    assert episode.truncated
    assert not episode.terminated
    np.testing.assert_allclose(np.cos(episode.states[-20:, 0]), 1.0, atol=1e-3)
    assert episode.total > -300
    assert set(episode.statuses) <= {Status.converged, Status.max_iterations}
    # The states are those of the model, and the rewards those of the environment.
    model = jax.vmap(lambda x, u: pendulum(x, u, 0, None))(episode.states[:-1], episode.controls)
    turned = np.asarray(episode.states[1:] - model)
    np.testing.assert_allclose(np.cos(turned[:, 0]), 1.0, atol=1e-10)
    np.testing.assert_allclose(turned[:, 1], 0.0, atol=1e-5)
    angles, speeds = episode.states[:-1].T
    rewards = -(angles**2 + 0.1 * speeds**2 + 1e-3 * episode.controls[:, 0] ** 2)
    np.testing.assert_allclose(episode.rewards, rewards, atol=1e-4)


def test_a_controller_that_samples_gets_a_key():
    env = gymnasium.make("Pendulum-v1")
    sampler = jaxmpc.ICEM(samples=64, elites=8, iterations=3, noise=1.5)
    controller = RecedingHorizon(UPRIGHT, sampler, iterations=3)
    key = jax.random.key(0)
    first, again = (
        interop.run_episode(env, controller, seed=0, steps=5, key=key) for _ in range(2)
    )
    assert set(first.statuses) == {Status.sampled}
    assert np.any(first.controls)
    np.testing.assert_array_equal(first.controls, again.controls)
    with pytest.raises(ValueError, match="key"):
        interop.run_episode(env, controller, seed=0, steps=5)


def test_attitudes_that_a_reset_has_disturbed_are_read_as_mujoco_does():
    env = gymnasium.make("Humanoid-v5")
    observation, _ = env.reset(seed=0)
    disturbed = env.unwrapped.data.qpos[3:7].copy()
    x = interop.adapter_of(env).state(env, observation)
    assert abs(np.linalg.norm(disturbed) - 1) > 1e-3
    np.testing.assert_allclose(x[3:7], disturbed / np.linalg.norm(disturbed), atol=1e-15)
    np.testing.assert_array_equal(env.unwrapped.data.qpos[3:7], disturbed)


@pytest.mark.parametrize(
    ("name", "size"),
    [("InvertedPendulum-v5", 4), ("InvertedDoublePendulum-v5", 6), ("Reacher-v5", 8)],
)
def test_states_of_mujoco_are_its_own(name, size):
    env = gymnasium.make(name)
    episode = interop.run_episode(env, _Constant(env.action_space.shape[0]), seed=1, steps=3)
    data = env.unwrapped.data
    assert episode.states.shape[1] == size
    np.testing.assert_array_equal(episode.states[-1], np.concatenate([data.qpos, data.qvel]))
    jm = pytest.importorskip("jaxmpc.interop.mujoco")
    robot = jm.robot(env.unwrapped.model, backend="c", substeps=env.unwrapped.frame_skip)
    for x, u, after in zip(episode.states, episode.controls, episode.states[1:], strict=False):
        np.testing.assert_allclose(robot.dynamics(x, jnp.asarray(u)), after, atol=1e-6)


class _Constant(Still):
    def __init__(self, size):
        self.size = size

    def step(self, x, plan, params):
        return jnp.full(self.size, 0.1), plan


def test_actions_are_kept_within_their_bounds():
    env = gymnasium.make("Pendulum-v1")
    action = interop.adapter_of(env).action(env, np.array([7.0]))
    assert action == 2.0
    assert action.dtype == np.float32


def test_wrappers_are_seen_through():
    wrappers = gymnasium.wrappers
    env = gymnasium.make("Pendulum-v1")
    env = wrappers.FrameStackObservation(wrappers.NormalizeObservation(env), 2)
    env = wrappers.ClipAction(wrappers.RescaleAction(wrappers.RescaleAction(env, -1.0, 1.0), 0, 5))
    episode = interop.run_episode(env, _Constant(1), seed=0, steps=40)
    model = jax.vmap(lambda x, u: pendulum(x, u, 0, None))(episode.states[:-1], episode.controls)
    turned = np.asarray(episode.states[1:] - model)
    np.testing.assert_allclose(np.cos(turned[:, 0]), 1.0, atol=1e-10)
    np.testing.assert_allclose(turned[:, 1], 0.0, atol=1e-6)
    assert np.all(np.abs(episode.states[:, 0]) <= np.pi)
    assert np.ptp(episode.states[:, 0]) > 5  # it has passed the bottom, where angles wrap
    adapter = interop.adapter_of(env)
    np.testing.assert_array_equal(adapter.action(env, np.array([-9.0])), [0.0])


def test_states_of_a_pendulum_are_what_it_shows():
    env = gymnasium.make("Pendulum-v1")
    observation, _ = env.reset(seed=0)
    for _ in range(30):  # it turns more than once
        cosine, sine, speed = observation
        x = interop.adapter_of(env).state(env, observation)
        np.testing.assert_allclose(x, [np.arctan2(sine, cosine), speed], atol=1e-6)
        observation, *_ = env.step(np.array([2.0]))
    assert abs(env.unwrapped.state[0]) > np.pi


class _Doubled(gymnasium.Wrapper):
    """Says that its actions are others, and is no ActionWrapper."""

    def __init__(self, env):
        super().__init__(env)
        self.action_space = gymnasium.spaces.Box(-4.0, 4.0, (1,))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda env: gymnasium.wrappers.TransformAction(env, lambda u: -u, env.action_space),
        lambda env: gymnasium.wrappers.StickyAction(env, 0.5),
        _Doubled,
    ],
)
def test_wrappers_that_change_actions_are_refused(wrap):
    env = wrap(gymnasium.make("Pendulum-v1"))
    with pytest.raises(ValueError, match=rf"what {type(env).__name__} does to the actions of Pend"):
        interop.run_episode(gymnasium.wrappers.ClipAction(env), Still())
    own = interop.Adapter(interop.adapter_of(env.unwrapped).state, interop.clipped)
    assert interop.run_episode(env, Still(), adapter=own, steps=2).states.shape == (3, 2)


def test_controls_of_another_shape_are_refused():
    env = gymnasium.make("Hopper-v5")
    for size in ((), 1, 4):
        with pytest.raises(ValueError, match=r"u must have shape \(3,\), as the actions of Hopper"):
            interop.run_episode(env, _Constant(size), steps=2)


def test_environments_that_do_not_fit_are_refused():
    with pytest.raises(TypeError, match=r"actions of CartPole-v1 are Discrete\(2\)"):
        interop.run_episode(gymnasium.make("CartPole-v1"), Still())
    with pytest.raises(ValueError, match=r"observations of MountainCarContinuous-v0 determine"):
        interop.run_episode(gymnasium.make("MountainCarContinuous-v0"), Still())
    with pytest.raises(TypeError, match="env must be"):
        interop.run_episode("Pendulum-v1", Still())
    own = interop.Adapter(lambda env, observation: observation, interop.clipped)
    env = gymnasium.make("MountainCarContinuous-v0")
    assert interop.run_episode(env, Still(), adapter=own, steps=2).states.shape == (3, 2)


def test_controllers_of_other_states_are_refused():
    env = gymnasium.make("InvertedPendulum-v5")
    message = "reads 4 numbers from InvertedPendulum-v5.* its dynamics do not take them"
    with pytest.raises(ValueError, match=message) as refusal:
        interop.run_episode(env, RecedingHorizon(UPRIGHT))
    assert refusal.value.__cause__ is not None
    deaf = jaxmpc.Problem(
        lambda x, u, t, p: x[:2] + u, lambda x, u, t, p: x @ x, horizon=5, control_dim=1
    )
    with pytest.raises(ValueError, match=r"reads 4 numbers .* its dynamics return shape \(2,\)"):
        interop.run_episode(env, RecedingHorizon(deaf))


class _Meddler(Still):
    def __init__(self, stage, meddle):
        self.stage, self.meddle = stage, meddle

    def step(self, x, plan, params):
        if plan == self.stage:
            self.meddle()
        return jnp.zeros(1), plan + 1


@pytest.mark.parametrize("stage", [0, 1])
@pytest.mark.parametrize("name", ["Pendulum-v1", "MountainCarContinuous-v0"])
def test_somebody_else_in_the_environment_is_found_out(name, stage):
    env = gymnasium.make(name)
    bare = env.unwrapped
    own = interop.Adapter(lambda env, observation: observation, interop.clipped)
    deeds = [env.reset, lambda: env.step(np.ones(1))]
    deeds += [bare.reset] + [lambda: bare.step(np.ones(1))] * (name == "Pendulum-v1")
    for deed in deeds:
        with pytest.raises(RuntimeError, match=f"or stepped {name} before step {stage} of this"):
            interop.run_episode(env, _Meddler(stage, deed), adapter=own, seed=0)


# --- Problems as environments ---

PROBLEM = jaxmpc.Problem(
    lambda x, u, t, gain: x + 0.1 * jnp.concatenate([x[1:], gain * u]),
    lambda x, u, t, gain: jnp.where(t > 2, 2.0, 1.0) * x @ x + u @ u,
    horizon=5,
    control_dim=1,
    control_bounds=(-1.0, 1.0),
    terminal_cost=lambda x, gain: 3 * x @ x,
)


def random_state(key):
    return jax.random.normal(key, (2,))


def test_a_problem_is_an_environment():
    env = interop.as_env(PROBLEM, random_state, 2.0)
    env_checker.check_env(env)
    first, _ = env.reset(seed=3)
    np.testing.assert_array_equal(env.reset(seed=3)[0], first)
    controls = np.array([[0.5], [3.0], [-0.2], [0.0], [1.0]])
    steps = [env.step(u) for u in controls]
    assert [step[3] for step in steps] == [False] * 4 + [True]
    held = np.clip(controls, -1, 1)
    plan = jaxmpc.evaluate(PROBLEM, jnp.asarray(first), 2.0, jnp.asarray(held))
    np.testing.assert_allclose(sum(step[1] for step in steps), -plan.cost, rtol=1e-12)
    np.testing.assert_allclose([step[0] for step in steps], plan.states[1:], rtol=1e-12)
    with pytest.raises(RuntimeError, match="the episode is over; call reset first"):
        env.step(np.zeros(1))
    env.reset()
    for size in ((), 2):
        with pytest.raises(ValueError, match=r"action must have shape \(1,\), got \("):
            env.step(np.zeros(size))
    with pytest.raises(RuntimeError, match="call reset first"):
        interop.as_env(PROBLEM, random_state, 2.0).step(np.zeros(1))


@pytest.mark.parametrize("horizon", [1, 5])
@pytest.mark.parametrize(("price", "reward"), [(lambda x: x, -1.0), (lambda x: -jnp.log(1 - x), 0)])
def test_an_environment_that_diverges_ends(horizon, price, reward):
    away = jaxmpc.Problem(
        lambda x, u, t, p: jnp.log(-x) + 0 * u,
        lambda x, u, t, p: price(x[0]),
        lambda x, p: x @ x,
        horizon=horizon,
        control_dim=1,
    )
    env = interop.as_env(away, jnp.ones(1))
    first, _ = env.reset()
    seen, gained, terminated, truncated, info = env.step(np.zeros(1))
    assert terminated
    assert not truncated
    assert info["diverged"]
    assert gained == reward
    np.testing.assert_array_equal(seen, first)
    assert seen is not first


def test_params_of_an_environment_are_those_of_solve():
    problem = jaxmpc.Problem(
        lambda x, u, t, p: x + 0.1 * p["f"](u) if p["how"] == "slowly" else x,
        lambda x, u, t, p: x @ x,
        horizon=5,
        control_dim=1,
    )
    params = {"f": jnp.sin, "how": "slowly"}
    env = interop.as_env(problem, jnp.ones(1), params)
    env.reset()
    np.testing.assert_allclose(env.step(np.ones(1))[0], 1 + 0.1 * np.sin(1))


def test_starts_are_points_of_the_state_space():
    turning = jaxmpc.Problem(
        lambda x, u, t, p: x,
        lambda x, u, t, p: u @ u,
        horizon=5,
        control_dim=1,
        state_space=jaxmpc.spaces.UnitQuaternion(),
    )
    with pytest.raises(ValueError, match=r"as_env: x0 must be on the state_space"):
        interop.as_env(turning, jnp.array([2.0, 0.0, 0.0, 0.0]))
    with pytest.raises(ValueError, match=r"state_space has dim 4.*; wanted 3"):
        interop.as_env(turning, lambda key: jnp.ones(3))
    seen, _ = interop.as_env(turning, lambda key: jnp.array([2, 0, 0, 0])).reset()
    np.testing.assert_array_equal(seen, [1.0, 0.0, 0.0, 0.0])
    assert seen.dtype == np.float64
    with pytest.raises(ValueError, match=r"initial_state must return shape \[n\], got \(2, 2\)"):
        interop.as_env(turning, lambda key: jnp.ones((2, 2)))


def test_a_functional_environment_is_pure():
    env = interop.as_functional_env(PROBLEM, random_state, observe=lambda x: x[:1])

    def total(gain, keys):
        def one(key):
            def step(state, u):
                after = env.transition(state, u, None, gain)
                return after, env.reward(state, u, after, None, gain)

            start = env.initial(key)
            end, rewards = jax.lax.scan(step, start, jnp.full((5, 1), 0.3))
            return rewards.sum(), env.truncated(end), env.observation(end)

        totals, over, seen = jax.vmap(one)(keys)
        return totals.sum(), (over, seen)

    keys = jax.random.split(jax.random.key(0), 3)
    slope, (over, seen) = jax.jit(jax.grad(total, has_aux=True))(2.0, keys)
    ahead, behind = (total(2.0 + h, keys)[0] for h in (1e-6, -1e-6))
    np.testing.assert_allclose(slope, (ahead - behind) / 2e-6, rtol=1e-6)
    assert over.all()
    assert seen.shape == (3, 1)


def test_derivatives_of_rewards_are_whole_and_finite():
    problem = jaxmpc.Problem(
        lambda x, u, t, factor: x + u,
        lambda x, u, t, factor: u @ u,
        lambda x, factor: jnp.sqrt(factor * x[0]),
        horizon=3,
        control_dim=1,
        control_bounds=(-jnp.ones((3, 1)), jnp.array([[1.0], [2.0], [3.0]])),
    )
    env = interop.as_functional_env(problem, lambda key: jnp.zeros(1))

    def reward(u, x, factor, stage):
        state = interop.EnvState(x, stage)
        after = env.transition(state, u)
        return env.reward(state, u, after, None, factor)

    # At a bound, beyond it, and with a control that leads to where the root has no slope.
    u, stage = jnp.array([[1.0], [5.0], [3.0], [0.0]]), jnp.array([0, 1, 2, 1])
    starts, factors = jnp.array([[0.0], [0.0], [1.0], [0.0]]), jnp.ones(4)
    slopes = jax.vmap(jax.grad(reward, argnums=(0, 1, 2)))(u, starts, factors, stage)
    wanted = [-2.0, 0.0, -6.25, 0.0], [0.0, 0.0, -0.25, 0.0], [0.0, 0.0, -1.0, 0.0]
    for slope, right in zip(slopes, wanted, strict=True):
        np.testing.assert_allclose(slope.ravel(), right)
    ahead = jax.vmap(jax.jacfwd(reward, argnums=(0, 1, 2)))(u, starts, factors, stage)
    jax.tree.map(np.testing.assert_allclose, ahead, slopes)
    np.testing.assert_array_equal(env.action_space.high, [3.0])


def test_a_functional_environment_is_one_of_gymnasiums():
    module = pytest.importorskip("gymnasium.envs.functional_jax_env")
    functional = interop.as_functional_env(UPRIGHT, lambda key: jnp.zeros(2), lambda x: x[:1])
    env = module.FunctionalJaxEnv(functional)
    assert env.observation_space.shape == (1,)
    assert (env.action_space.low, env.action_space.high) == (-2.0, 2.0)
    env.reset(seed=0)
    seen, reward, *_ = env.step(np.array([1.0]))
    np.testing.assert_allclose(seen, [0.05 * 0.15])
    np.testing.assert_allclose(reward, -1e-3)


def test_bad_arguments_of_environments():
    with pytest.raises(TypeError, match="problem must be"):
        interop.as_functional_env("lqr", random_state)
    with pytest.raises(TypeError, match=r"initial_state must be a function initial_state\(key\)"):
        interop.as_functional_env(PROBLEM, 3)
    with pytest.raises(ValueError, match=r"x0 must have shape \[n\]"):
        interop.as_env(PROBLEM, jnp.zeros((2, 2)))
