"""Who takes part in what, in which environment, with which options."""

import dataclasses
from typing import Any

_JAX = "jax==0.10.2"  # the peers' results are of this version, whatever ours runs on
_CASADI = "casadi==3.8.2"


@dataclasses.dataclass(frozen=True)
class Contender:
    """A row of the table.

    `word` is what --peers calls it, and its environment; `steps` the arguments of pip, one
    install after another; `problems` the beginnings of the names of the problems that it can
    take part in; `least` the smallest batch that it is of use for, `most` the largest that it is
    asked for, where a larger one would only take longer, start after start.
    """

    word: str
    peer: str
    problems: tuple[str, ...] = ("",)
    steps: tuple[tuple[str, ...], ...] = ()
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    least: int = 1
    most: int = 128

    def takes_part(self, problem: str) -> bool:
        """Whether it can solve that problem."""
        return any(f"{problem}:".startswith(beginning) for beginning in self.problems)


_CASADI_STEPS = ((_CASADI, "numpy"),)
# its own CasADi is a slim one built for Python 3.12, which the second step replaces
_ACADOS_STEPS = (
    ("comma-deps-acados==0.2.2.post92", "numpy"),
    ("--force-reinstall", "--no-deps", _CASADI),
)
_CROCODDYL_STEPS = (("crocoddyl==3.2.1", _CASADI),)
_UNBOUNDED = ("cartpole:", "lqr:10000")  # no bound is active at these solutions

CONTENDERS: dict[str, Contender] = {
    "jaxmpc": Contender("", "jaxmpc_solve", most=4096),
    "jaxmpc-2devices": Contender(
        "", "jaxmpc_solve", ("cartpole:", "lqr"), options={"devices": 2}, least=32, most=1024
    ),
    "jaxmpc-ilqr": Contender(
        "", "jaxmpc_solve", ("cartpole", "lqr"), options={"solver": "ILQR"}, most=1024
    ),
    "jaxmpc-lq": Contender("", "jaxmpc_lq", ("lqr",)),
    "jaxmpc-interior": Contender(
        "", "jaxmpc_solve", ("lqr", "cartpole_acados"), options={"solver": "InteriorPoint"}
    ),
    "ipopt": Contender("ipopt", "casadi_solve", steps=_CASADI_STEPS),
    "ipopt-defaults": Contender(
        "ipopt", "casadi_solve", ("cartpole:",), _CASADI_STEPS, {"tuned": False}, most=1
    ),
    "fatrop": Contender(
        "fatrop", "casadi_solve", steps=_CASADI_STEPS, options={"plugin": "fatrop"}
    ),
    "acados": Contender("acados", "acados_sqp", steps=_ACADOS_STEPS),
    "acados-exact": Contender(
        "acados", "acados_sqp", ("cartpole",), _ACADOS_STEPS, {"exact": True}, most=1
    ),
    "crocoddyl": Contender("crocoddyl", "crocoddyl_fddp", ("lqr",), _CROCODDYL_STEPS),
    "crocoddyl-python": Contender(
        "crocoddyl", "crocoddyl_fddp", ("cartpole", "scaling"), _CROCODDYL_STEPS, most=32
    ),
    "diffilqrax": Contender(
        "diffilqrax", "diffilqrax_ilqr", _UNBOUNDED, (("diffilqrax==1.0.0", _JAX),)
    ),
    "diffilqrax-vmap": Contender(
        "diffilqrax",
        "diffilqrax_ilqr",
        _UNBOUNDED,
        (("diffilqrax==1.0.0", _JAX),),
        {"strategy": "vmap"},
    ),
    "mpc.pytorch": Contender(
        "mpc.pytorch", "mpc_pytorch", ("cartpole:", "lqr"), (("mpc==0.0.6", "torch==2.13.0"),)
    ),
}


def environment(word: str) -> str:
    """The folder of the environment: IPOPT and fatrop are both CasADi's."""
    return {"": "jaxmpc", "ipopt": "casadi", "fatrop": "casadi"}.get(word, word)
