"""What a problem is made of, in one table: its functions, and the kinds of its constraints.

A new kind of constraint is a row here, the function of its rows in `trajectory.constraints` if
it is made of something new, and fields of its name in the types that users read: `Problem`,
`Multipliers`, `Violations` and `Scales`. Everything else reads this table.
"""

from typing import Any, Literal, NamedTuple


class Kind(NamedTuple):
    """A kind of constraint.

    Attributes:
        name: of its rows, multipliers and violations.
        field: of the `Problem`: a function of that name, or a pair of bounds.
        place: its rows are about (x_t, u_t), about the end x_T, or about the states x_1 .. x_T.
        sense: rows = 0, rows <= 0, or which side of the bounds they are.
        unit: the field of `Scales` that has the unit of its rows.
        may_be_soft: whether a price may be put on it.
    """

    name: str
    field: str
    place: Literal["stage", "end", "states"]
    sense: Literal["equality", "inequality", "upper", "lower"]
    unit: str
    may_be_soft: bool

    @property
    def is_bound(self) -> bool:
        """Whether it is one side of a pair of bounds."""
        return self.sense in ("lower", "upper")

    @property
    def is_equality(self) -> bool:
        """Whether its rows are to be zero."""
        return self.sense == "equality"

    @property
    def side(self) -> int:
        """Its place in the pair of bounds."""
        return ("lower", "upper").index(self.sense)

    def given(self, problem) -> Any:
        """The function or the bound that a problem has of this kind, or None."""
        field = getattr(problem, self.field)
        return field[self.side] if self.is_bound and field is not None else field


def _function(name: str, place: Literal["stage", "end"], sense: Literal["equality", "inequality"]):
    return Kind(name, name, place, sense, name, True)


# In the order of the rows of a stage and of the end: the inequalities, and then the equalities.
KINDS = {
    kind.name: kind
    for kind in (
        _function("stage_inequality", "stage", "inequality"),
        _function("terminal_inequality", "end", "inequality"),
        Kind("upper", "control_bounds", "stage", "upper", "controls", False),
        Kind("lower", "control_bounds", "stage", "lower", "controls", False),
        Kind("state_upper", "state_bounds", "states", "upper", "states", True),
        Kind("state_lower", "state_bounds", "states", "lower", "states", True),
        _function("stage_equality", "stage", "equality"),
        _function("terminal_equality", "end", "equality"),
    )
}
_FUNCTIONS = [kind for kind in KINDS.values() if not kind.is_bound]
STAGE_FUNCTIONS = ("dynamics", "stage_cost", *(k.name for k in _FUNCTIONS if k.place == "stage"))
END_FUNCTIONS = ("terminal_cost", *(k.name for k in _FUNCTIONS if k.place == "end"))
# The fields of a problem that hold its constraints.
SOFTENABLE = tuple(dict.fromkeys(kind.field for kind in KINDS.values() if kind.may_be_soft))
