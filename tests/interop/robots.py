"""Models of the tests on MuJoCo, each a text that says what is in it; states and steps of them."""

import importlib

import jax.numpy as jnp
import numpy as np

CARTPOLE = """
<mujoco>
  <option timestep="0.02" integrator="Euler"><flag contact="disable"/></option>
  <worldbody>
    <body name="cart">
      <joint name="slide" type="slide" axis="1 0 0" damping="0.1" limited="true" range="-2 2"/>
      <geom type="box" size="0.1 0.05 0.05" mass="1"/>
      <body name="pole">
        <joint name="hinge" type="hinge" axis="0 1 0" damping="0.01"/>
        <geom type="capsule" fromto="0 0 0 0 0 0.5" size="0.02" mass="0.1"/>
        <site name="tip" pos="0 0 0.5"/>
      </body>
    </body>
  </worldbody>
  <actuator><motor joint="slide" ctrlrange="-10 10" ctrllimited="true"/></actuator>
  <sensor><framepos objtype="site" objname="tip" name="where"/></sensor>
  <keyframe><key name="tilted" qpos="0.1 0.3" qvel="0 0.5"/></keyframe>
</mujoco>
"""

# A ball that flies, with a stick on a ball joint, and on that a hinge with limits and a filter.
FLYER = """
<mujoco>
  <option timestep="0.01"/>
  <worldbody>
    <geom name="floor" type="plane" size="5 5 0.1"/>
    <body name="base" pos="0 0 1">
      <freejoint/>
      <geom name="ball" type="sphere" size="0.1" mass="1"/>
      <body name="arm" pos="0 0 0.1" euler="10 20 30">
        <joint name="socket" type="ball" pos="0 0 0.02" damping="0.1"/>
        <geom name="stick" type="capsule" fromto="0 0 0 0 0 0.4" size="0.02" mass="0.3"/>
        <site name="tip" pos="0 0 0.4"/>
        <body pos="0 0 0.4">
          <joint name="wrist" axis="0 1 0" range="-60 60" limited="true" armature="0.01"/>
          <geom name="end" type="sphere" size="0.05" mass="0.1" pos="0.1 0 0.1"/>
          <geom name="block" type="box" size="0.02 0.03 0.04" mass="0.05" pos="0.2 0 0.1"/>
        </body>
      </body>
    </body>
  </worldbody>
  <actuator>
    <motor joint="wrist" ctrlrange="-1 1" ctrllimited="true"/>
    <general joint="wrist" dyntype="filter" dynprm="0.1" gainprm="2"/>
  </actuator>
  <sensor><gyro site="tip" name="gyro"/><jointpos joint="wrist" name="angle"/></sensor>
</mujoco>
"""

# A box that lies on the floor, pushed by a finger on a slide: contact.
PUSHED = """
<mujoco>
  <option timestep="0.005"/>
  <worldbody>
    <geom name="floor" type="plane" size="1 1 0.1"/>
    <body name="finger" pos="-0.1 0 0.05">
      <joint name="reach" type="slide" axis="1 0 0" damping="1"/>
      <geom name="tip" type="sphere" size="0.02" mass="0.1"/>
    </body>
    <body name="box" pos="0 0 0.05">
      <joint name="x" type="slide" axis="1 0 0"/>
      <joint name="z" type="slide" axis="0 0 1"/>
      <geom name="box" type="sphere" size="0.05" mass="0.2"/>
    </body>
  </worldbody>
  <actuator><motor joint="reach" ctrlrange="-5 5" ctrllimited="true"/></actuator>
</mujoco>
"""


def somewhere(robot, seed=0):
    """A state in motion and a control, in contact where there is any."""
    rng = np.random.default_rng(seed)
    model = robot.model
    step = rng.normal(size=2 * model.nv + model.na) * 0.3
    if robot.state_space is None:
        x = robot.x0 + step
    else:
        x = robot.state_space.retract(robot.x0, jnp.asarray(step))
    return x, jnp.asarray(rng.uniform(-1, 1, size=model.nu))


def stepped(model, x, u, steps):
    """By MuJoCo alone."""
    mujoco = importlib.import_module("mujoco")
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:], data.act[:] = np.split(x, [model.nq, model.nq + model.nv])
    data.ctrl[:] = u
    for _ in range(steps):
        mujoco.mj_step(model, data)
    return np.concatenate([data.qpos, data.qvel, data.act])
