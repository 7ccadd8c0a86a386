"""A primal-dual interior point for the bounds of an LQ problem (Wright, 1997, ch. 5).

Lower and upper bounds are the two entries of a leading axis: one program for both.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxmpc import trees

LIMIT = 60  # trips in all
_TO_BOUNDARY = 0.995


class Box(NamedTuple):
    """The bounds, with numbers in place of infinite ones, and where they count."""

    bounds: Float[Array, "2 T m"]
    present: Bool[Array, "2 T m"]
    pinned: Bool[Array, "T m"]

    def inward(self, change: Float[Array, "T m"]) -> Float[Array, "2 T m"]:
        """By how much a change leads away from each bound."""
        return jnp.stack([change, -change])

    def slacks(self, u: Float[Array, "T m"]) -> Float[Array, "2 T m"]:
        """Distances to the bounds; one that is lost to rounding is not zero."""
        size = jnp.sum(jnp.abs(self.bounds), axis=0, keepdims=True)
        room = jnp.finfo(u.dtype).eps * (1.0 + size)
        lower, upper = self.bounds
        distance = jnp.stack([u - lower, upper - u])
        return jnp.where(self.present, jnp.maximum(distance, room), 1.0)


class Interior(NamedTuple):
    """The primal-dual point, and the centering of the next step."""

    u: Float[Array, "T m"]
    z: Float[Array, "2 T m"]
    centering: Float[Array, ""]
    side: Int[Array, "T m"]  # what the last step says of the bounds
    calm: Int[Array, ""]  # steps that have said the same
    trips: Int[Array, ""]


def box_of(lower: Float[Array, "T m"], upper: Float[Array, "T m"]) -> tuple[Box, Array]:
    """The bounds, and a point [T, m] between them."""
    has_low, has_high = jnp.isfinite(lower), jnp.isfinite(upper)
    pinned = lower >= upper
    low, high = jnp.where(has_low, lower, -1.0), jnp.where(has_high, upper, 1.0)
    one_sided = jnp.where(has_low, low + 1.0, jnp.where(has_high, high - 1.0, 0.0))
    start = jnp.where(has_low & has_high, 0.5 * (low + high), one_sided)
    present = jnp.stack([has_low, has_high]) & ~pinned[None]
    return Box(jnp.stack([low, high]), present, pinned), start


def _gap(box: Box, inside: Interior) -> Float[Array, ""]:
    """The mean of multiplier times slack."""
    number = jnp.maximum(jnp.sum(box.present), 1)
    total = jnp.sum(jnp.where(box.present, inside.z * box.slacks(inside.u), 0.0))
    return total / number.astype(total.dtype)


def barrier(box: Box, inside: Interior) -> tuple[Float[Array, "T m"], Float[Array, "T m"]]:
    """What the bounds add to the diagonal of R and to r."""
    slacks, target = box.slacks(inside.u), inside.centering * _gap(box, inside)
    stiffness = jnp.where(box.present, inside.z / slacks, 0.0)
    force_low, force_high = jnp.where(box.present, target / slacks, 0.0)
    weights = jnp.sum(stiffness, axis=0)
    return weights, force_high - force_low - weights * inside.u


def unstarted(box: Box, start: Float[Array, "T m"], side: Int[Array, "T m"], count) -> Interior:
    """A point for the structure's sake."""
    return Interior(start, jnp.ones_like(box.bounds), 0 * start[0, 0], side, count, count)


def started(box: Box, start: Float[Array, "T m"], gradient: Float[Array, "T m"]) -> Interior:
    """Multipliers of the size of what they have to balance."""
    size = jnp.mean(jnp.sqrt(jnp.abs(gradient))) ** 2  # few large entries do not decide it
    size = jnp.where(size > 0, size, 1.0)
    none = jnp.zeros_like(start, dtype=jnp.int32)
    count = jnp.sum(none, dtype=none.dtype)
    z = jnp.where(box.present, size, 0.0)
    return Interior(start, z, jnp.full_like(size, 0.3), none, count, count)


def step(box: Box, inside: Interior, target_u: Float[Array, "T m"]) -> Interior:
    """As far along Newton's direction as slacks and multipliers stay positive, each for itself."""
    u, z, centering, side, calm, trips = inside
    slacks = box.slacks(u)
    target = centering * _gap(box, inside)
    du = target_u - u
    closing = box.inward(du)
    dz = jnp.where(box.present, (target - z * closing) / slacks - z, 0.0)
    primal, dual = _reach(slacks, closing, box.present), _reach(z, dz, box.present)
    slow = (1 - jnp.minimum(primal, dual)) ** 2
    new_u, new_z = u + primal * du, z + dual * dz
    # At an active bound the slack falls and the multiplier stays; elsewhere it is the other way
    # round (Tapia's indicators; El-Bakry, Tapia and Zhang, 1994).
    at_lower, at_upper = box.present & (box.slacks(new_u) * z < new_z * slacks)
    now = jnp.where(at_lower | box.pinned, -1, jnp.where(at_upper, 1, 0)).astype(side.dtype)
    calm = jnp.where(jnp.all(now == side), calm + 1, 0).astype(calm.dtype)
    new = Interior(new_u, new_z, jnp.clip(slow, 0.03, 0.8), now, calm, trips + 1)
    # Past the accuracy of the precision the weights overflow; what there was is kept.
    sound = jnp.isfinite(jnp.sum(0 * new_u) + jnp.sum(0 * new_z))
    return trees.where(sound, new, inside._replace(trips=jnp.full_like(trips, LIMIT)))


def _reach(value, change, mask) -> Float[Array, ""]:
    """The longest step, at most 1, that keeps the values positive."""
    falls = mask & (change < 0)
    ratio = jnp.where(falls, -value / jnp.where(falls, change, -1.0), jnp.inf)
    return jnp.minimum(1.0, _TO_BOUNDARY * jnp.min(ratio))
