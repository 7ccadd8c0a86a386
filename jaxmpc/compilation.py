"""How the package compiles what is called outside of any transformation."""

import functools
import logging
import threading
from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import get_opaque_trace_state

_LOGGER = logging.getLogger("jaxmpc")
_PATIENCE = 2.0  # seconds of compilation after which it is spoken of
# Measured (README, "Compile time"): half the compile time, and programs no slower. The older
# emitters make less of each kernel. The first pass that is left out makes two kernels of a sum;
# the other looks through all loops, 20 times, for what could be computed before them.
_PASSES = "tree_reduction_rewriter,while-loop-invariant-code-motion"
_CPU_OPTIONS = {"xla_cpu_use_fusion_emitters": False, "xla_disable_hlo_passes": _PASSES}
_TOP_LEVEL = get_opaque_trace_state()
_announced = threading.local()


def compiler_options() -> dict[str, bool | str]:
    """XLA's options for small programs that are compiled often: those of jaxmpc's own calls.

        step = jax.jit(training_step, compiler_options=jaxmpc.compiler_options())

    On a CPU they halve the time of compilation. Empty on other devices, and where the installed
    jaxlib does not know them. JAX takes such options for the outermost `jit` alone.

    Example:
        >>> double = jax.jit(lambda x: 2 * x, compiler_options=jaxmpc.compiler_options())
        >>> float(double(1.5))
        3.0
    """
    return dict(_CPU_OPTIONS) if _known(jax.default_backend()) else {}


@functools.cache
def _known(platform: str) -> bool:
    try:
        jax.jit(lambda: 0.0, compiler_options=_CPU_OPTIONS).lower().compile()
    except Exception:  # whatever this jaxlib raises for an option that it does not have
        return False
    return platform == "cpu"


def at_top_level() -> bool:
    """Whether no transformation is under way, so that nothing can hold a tracer."""
    return get_opaque_trace_state() == _TOP_LEVEL


def compiled(
    function: Callable,
    announced: Callable[..., str] | None = None,
    jit: Callable = jax.jit,
    **kwargs: Any,
) -> Callable:
    """A function under `jit`; outside of transformations with `compiler_options`.

    `announced` is called with the function's arguments when it is traced there: it may check them,
    and says what is being compiled. Should that take long, it is logged as a warning of the
    logger "jaxmpc". Without it nothing is said.
    """

    def traced(*args):
        if announced is not None:
            _announce(announced(*args))
        return function(*args)

    inner = jit(function, **kwargs)

    @functools.cache
    def outer():
        return jit(traced, compiler_options=compiler_options(), **kwargs)

    @functools.wraps(function)
    def call(*args):
        if not at_top_level():
            return inner(*args)
        try:
            return outer()(*args)
        finally:
            timer = _announced.__dict__.pop("timer", None)
            if timer is not None:
                timer.cancel()

    return call


def _announce(words: str):
    """Say what is being compiled, unless that ends soon."""
    text = "jaxmpc: compiling %s, once (README, 'Compile time')"
    timer = threading.Timer(_PATIENCE, _LOGGER.warning, (text, words))
    timer.daemon = True
    timer.start()
    _announced.timer = timer
