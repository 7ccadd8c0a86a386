"""Controllers in Gymnasium's environments, and problems as such: `pip install 'jaxmpc[gym]'`."""

try:
    import gymnasium as _gymnasium  # noqa: F401
except ImportError as error:
    raise ImportError(
        "jaxmpc.interop.gymnasium needs Gymnasium: pip install 'jaxmpc[gym]'."
    ) from error

from jaxmpc.interop.gymnasium.adapters import (
    Adapter as Adapter,
    adapter_of as adapter_of,
    clipped as clipped,
)
from jaxmpc.interop.gymnasium.environment import ProblemEnv as ProblemEnv, as_env as as_env
from jaxmpc.interop.gymnasium.episodes import Episode as Episode, run_episode as run_episode
from jaxmpc.interop.gymnasium.functional import (
    EnvState as EnvState,
    FunctionalEnv as FunctionalEnv,
    as_functional_env as as_functional_env,
)
from jaxmpc.presentation.names import present

present(__name__)
