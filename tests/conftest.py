"""Before any test: float64, quick compilation, its cache, and the annotations checked."""

import os
from importlib.metadata import version
from pathlib import Path

# Tests compile much and run little. A gradient through the interior point takes 4.7 CPU-seconds of
# XLA for 19 with these flags. Only for the jaxlib that is known to have them: XLA ends the process
# at a flag that it does not know. Before JAX is imported, since it reads them once.
_QUICK_COMPILATION = (
    "--xla_backend_optimization_level=0",
    "--xla_llvm_disable_expensive_passes=true",
    "--xla_cpu_use_fusion_emitters=false",
    "--xla_cpu_parallel_codegen_split_count=1",
)
if version("jaxlib").startswith("0.10."):
    os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *_QUICK_COMPILATION])

import jax
import pytest
from jaxtyping import install_import_hook

# The package itself never touches these flags; float32 has tests of its own.
jax.config.update("jax_enable_x64", True)
# Nothing is broadcast or cast that does not say so, there where it happens.
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_compilation_cache_dir", str(Path(__file__).parents[1] / ".jax_cache"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)

# Every shape and dtype in the signatures of the numerical core is checked at each call, of tracers
# too. (Not those of the public boundary, which has checks and messages of its own to be tested,
# nor of pytree dataclasses, which JAX rebuilds with placeholders.) The hook must come before the
# first import of the package; it stays for the whole session.
_CORE = ["batching", "trajectory", "lq.riccati", "lq.bounds", "lq.rows", "lq.constrained"]
_CORE += ["lq.small_linalg", "lq.differentiable", "lq.problem", "solvers.loop"]
_CORE += [f"solvers.ilqr.{name}" for name in ("line_search", "regularization", "feasible_start")]
_CORE += ["solvers.multiple_shooting"]
_CORE += [f"derivatives.{name}" for name in ("active_rows", "kkt_system", "implicit")]
install_import_hook([f"jaxmpc.{name}" for name in _CORE], "beartype.beartype")


@pytest.fixture(scope="module", autouse=True)
def _forget_what_was_compiled():
    """Every program takes a hundred or more of the 65,530 mappings that Linux grants a process."""
    yield
    jax.clear_caches()
