"""The way to and from other libraries, each an extra: MuJoCo's robots, Gymnasium's environments.

Nothing is imported here; `import jaxmpc.interop.mujoco` needs `pip install 'jaxmpc[mujoco]'`,
`import jaxmpc.interop.gymnasium` needs `pip install 'jaxmpc[gym]'`.
"""

from jaxmpc.presentation.names import present

present(__name__)
