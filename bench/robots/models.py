"""Models of our own: a pendulum, a cart-pole, an arm among obstacles, a finger and a box."""

PENDULUM = """
<mujoco model="pendulum">
  <option timestep="0.02"/>
  <visual><global offwidth="320" offheight="240"/></visual>
  <worldbody>
    <light pos="0 -2 2" dir="0 1 -1"/>
    <camera name="side" pos="0 -1.6 0" xyaxes="1 0 0 0 0 1"/>
    <body>
      <joint name="hinge" axis="0 1 0" damping="0.02"/>
      <geom type="capsule" fromto="0 0 0 0 0 -0.5" size="0.02" mass="0.5" rgba="0.2 0.4 0.8 1"/>
      <site name="tip" pos="0 0 -0.5"/>
    </body>
  </worldbody>
  <actuator><motor joint="hinge" ctrlrange="-0.6 0.6" ctrllimited="true"/></actuator>
</mujoco>
"""

CARTPOLE = """
<mujoco model="cartpole">
  <option timestep="0.02"><flag contact="disable"/></option>
  <visual><global offwidth="320" offheight="240"/></visual>
  <worldbody>
    <light pos="0 -2 2" dir="0 1 -1"/>
    <camera name="side" pos="0 -2.6 0.1" xyaxes="1 0 0 0 0 1"/>
    <geom type="capsule" fromto="-1.2 0 0 1.2 0 0" size="0.01" rgba="0.6 0.6 0.6 1"/>
    <body name="cart">
      <joint name="slide" type="slide" axis="1 0 0" damping="0.1" limited="true" range="-1 1"/>
      <geom type="box" size="0.1 0.05 0.05" mass="1" rgba="0.8 0.4 0.2 1"/>
      <body name="pole">
        <joint name="hinge" type="hinge" axis="0 1 0" damping="0.005"/>
        <geom type="capsule" fromto="0 0 0 0 0 -0.5" size="0.02" mass="0.2" rgba="0.2 0.4 0.8 1"/>
        <site name="tip" pos="0 0 -0.5"/>
      </body>
    </body>
  </worldbody>
  <actuator><motor joint="slide" ctrlrange="-12 12" ctrllimited="true"/></actuator>
</mujoco>
"""

# From above: the plane of motion is that of x and y, and nothing weighs anything in it.
ARM = """
<mujoco model="arm">
  <option timestep="0.02"><flag contact="disable"/></option>
  <visual><global offwidth="320" offheight="240"/></visual>
  <worldbody>
    <light pos="0 0 3"/>
    <camera name="side" pos="0.3 0.3 2.2"/>
    <geom name="near" type="sphere" pos="0.55 0.45 0" size="0.12" rgba="0.8 0.3 0.3 1"/>
    <geom name="far" type="sphere" pos="-0.05 0.75 0" size="0.1" rgba="0.8 0.3 0.3 1"/>
    <site name="goal" pos="0.35 0.75 0" size="0.03" rgba="0.2 0.7 0.3 1"/>
    <body>
      <joint name="shoulder" axis="0 0 1" damping="0.1"/>
      <geom name="upper" type="capsule" fromto="0 0 0 0.5 0 0" size="0.03" mass="1"/>
      <body pos="0.5 0 0">
        <joint name="elbow" axis="0 0 1" damping="0.1" limited="true" range="-160 160"/>
        <geom name="fore" type="capsule" fromto="0 0 0 0.4 0 0" size="0.03" mass="0.7"/>
        <site name="tip" pos="0.4 0 0"/>
      </body>
    </body>
  </worldbody>
  <actuator>
    <motor joint="shoulder" ctrlrange="-4 4" ctrllimited="true"/>
    <motor joint="elbow" ctrlrange="-2 2" ctrllimited="true"/>
  </actuator>
</mujoco>
"""

PUSH = """
<mujoco model="push">
  <option timestep="0.005" integrator="implicitfast"/>
  <visual><global offwidth="320" offheight="240"/></visual>
  <worldbody>
    <light pos="0 0 2"/>
    <camera name="side" pos="0.1 -0.35 0.55" xyaxes="1 0 0 0 0.85 0.53"/>
    <geom name="table" type="plane" size="0.6 0.6 0.1" friction="0.4"
      rgba="0.85 0.85 0.8 1"/>
    <site name="goal" pos="0.2 0.1 0.001" type="box" size="0.04 0.04 0.001" euler="0 0 30"
      rgba="0.2 0.7 0.3 0.6"/>
    <body name="finger" pos="-0.1 0.02 0.03">
      <joint name="x" type="slide" axis="1 0 0" damping="2"/>
      <joint name="y" type="slide" axis="0 1 0" damping="2"/>
      <geom name="tip" type="sphere" size="0.015" mass="0.1" friction="0.6" rgba="0.8 0.4 0.2 1"/>
    </body>
    <body name="box" pos="0 0 0.03">
      <freejoint/>
      <geom name="box" type="box" size="0.04 0.04 0.03" mass="0.2" friction="0.4"
        rgba="0.2 0.4 0.8 1"/>
    </body>
  </worldbody>
  <actuator>
    <position joint="x" kp="40" ctrlrange="-0.3 0.5" ctrllimited="true"/>
    <position joint="y" kp="40" ctrlrange="-0.4 0.4" ctrllimited="true"/>
  </actuator>
</mujoco>
"""
