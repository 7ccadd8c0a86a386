"""A controller as a program that runs where this package is not."""

import subprocess
import sys

import jax.numpy as jnp
import loops
import numpy as np
import pytest

import jaxmpc

ELSEWHERE = """
import json, sys
import jax, numpy
jax.config.update("jax_enable_x64", True)
saved = numpy.load(sys.argv[1])
program = jax.export.deserialize(bytearray(saved["program"]))
step = jax.jit(program.call, compiler_options=json.loads(str(saved["options"])))
plan = [saved[f"plan_{i}"] for i in range(saved["sizes"][0])]
params = [saved[f"params_{i}"] for i in range(saved["sizes"][1])]
x, controls = numpy.load(sys.argv[2]), []
for _ in range(4):
    u, plan = step(x, plan, params) if params else step(x, plan)
    controls.append(numpy.asarray(u))
    x = numpy.array([x[0] + 0.1 * x[1], x[1] + 0.1 * (2.2 * numpy.sin(x[0]) + u[0])])
numpy.save(sys.argv[3], controls)
assert not any(name.startswith("jaxmpc") for name in sys.modules)
"""


@pytest.mark.parametrize("varying", [False, True])
def test_the_same_digits_in_a_process_without_it(varying, tmp_path):
    controller = jaxmpc.RecedingHorizon(loops.problem(), iterations=2)
    exported = jaxmpc.export(controller, loops.X0, loops.PARAMS, varying_params=varying)
    exported.save(tmp_path / "controller.npz")
    np.save(tmp_path / "x.npy", loops.X0)
    arguments = [tmp_path / name for name in ("controller.npz", "x.npy", "controls.npy")]
    # From another folder, isolated: the checkout is not on its path.
    subprocess.run([sys.executable, "-c", ELSEWHERE, *arguments], check=True, cwd=tmp_path)
    x, plan, controls = jnp.asarray(loops.X0), controller.init(loops.X0, loops.PARAMS), []
    for _ in range(4):
        u, plan = controller.step(x, plan, loops.PARAMS)
        controls.append(u)
        x = loops.plant()(x, u, 0)
    np.testing.assert_allclose(np.load(arguments[2]), np.stack(controls), rtol=0, atol=1e-12)


def test_bad_input():
    controller = jaxmpc.RecedingHorizon(loops.problem())
    with pytest.raises(ValueError, match="platforms must be some of"):
        jaxmpc.export(controller, loops.X0, loops.PARAMS, platforms=("gpu",))
    with pytest.raises(TypeError, match="controller must be a RecedingHorizon"):
        jaxmpc.export(loops.problem(), loops.X0, loops.PARAMS)
