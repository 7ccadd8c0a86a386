"""Which demonstrations there are, and what each one shows."""

import difflib
import importlib
from collections.abc import Callable

NAMES = ("cartpole", "pendulum", "quadrotor", "obstacles", "learning", "loop", "paper")
TOUR = ("cartpole", "paper")  # without a name


def demo(name: str) -> Callable:
    """Its `run(report, options)`, which returns whether all went well."""
    return importlib.import_module(f"jaxmpc.demos.{name}").run


def summary(name: str) -> str:
    """The first line of its docstring."""
    module = importlib.import_module(f"jaxmpc.demos.{name}")
    return (module.__doc__ or "").partition("\n")[0].rstrip(".")


def listing() -> str:
    """The names, a line each."""
    return "\n".join(f"  {name:<10} {summary(name)}" for name in NAMES)


def unknown(name: str) -> str:
    """What to say of a name that is none: the nearest one, and all of them."""
    near = difflib.get_close_matches(name.lower(), NAMES, n=1, cutoff=0.5)
    meant = f"; did you mean {near[0]!r}?" if near else "."
    return f"there is no demonstration {name!r}{meant}\nThere are:\n{listing()}"
