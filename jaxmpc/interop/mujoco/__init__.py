"""Robots of MuJoCo's as dynamics, spaces and bounds of a problem: `pip install 'jaxmpc[mujoco]'`.

What MJX compiles is large: `jax.config.update("jax_compilation_cache_dir", ...)` keeps it on disk,
so that a second process need not compile it again.
"""

from jaxmpc.interop.mujoco.robot import Robot as Robot, robot as robot
from jaxmpc.presentation.names import present

present(__name__)
