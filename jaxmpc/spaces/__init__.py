"""Where states live: numbers, angles, attitudes, and products of these."""

from jaxmpc.presentation.names import present
from jaxmpc.spaces.quaternion import (
    UnitQuaternion as UnitQuaternion,
    multiply as multiply,
    rotate as rotate,
)
from jaxmpc.spaces.space import (
    Circle as Circle,
    Euclidean as Euclidean,
    Product as Product,
    Space as Space,
)

present(__name__)
