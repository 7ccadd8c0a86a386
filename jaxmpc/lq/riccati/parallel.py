"""The Riccati recursion parallel in time: O(log T) steps one after the other instead of T.

The stages i .. j of an LQ problem, as seen from their two ends, are an element (A, C, J):

    min over the controls of  their cost + lambda'x_j  =  1/2 x_i'J x_i + lambda'A x_i
                                                          - 1/2 lambda'C lambda  + ...,

and two elements that follow each other make one, an associative operation that scans in
parallel (Särkkä and García-Fernández, 2023). A stage alone has C = B R^-1 B', which is no
number where R is singular. So the costs are shifted: stage t pays 1/2 x_{t+1}'P x_{t+1} more at
its end and 1/2 x_t'P x_t less at its start, with a reference P_t of every t. Nothing changes in
total, J now is the difference of the value function from the reference, and C has the inverse
of R + B'P B. That is as good as the sequential recursion's R + B'V B if P is near V:

1. the reference of t is the value of a few stages ahead of t with a high price on their end;
2. a scan gives V = P + J with the rounding of P;
3. with that V as the reference, a second scan corrects it: J is now as small as its error.

What V is worth, one Riccati step from every V_{t+1} at once tells in the end: where each agrees
with V_t up to D_t, V is exactly that of a problem whose Q_t differs by D_t. If some D_t is larger
than rounding explains, nothing is claimed: `is_convex()` is False.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxmpc.lq.problem import LQProblem, LQStage, stages
from jaxmpc.lq.riccati.blocked import (
    Sweep,
    affine_steps,
    folded,
    in_blocks,
    products,
    sweep,
    unfolded,
    with_identity,
)
from jaxmpc.lq.riccati.sequential import Factor, LQSolution, masked_solve
from jaxmpc.lq.small_linalg import LDL, matmul, matvec

_LOOK_AHEAD = 4  # stages; as many as it takes to reach any state is best
_PRICE = 100.0  # of the look-ahead's end, in units of the problem's Hessian
_ROUNDING = 1e3  # the largest D_t in units of eps Qxx; below 10 wherever a scan was right


def factor(
    problem: LQProblem, free: Bool[Array, "T m"] | None = None, block: int = 1, passes: int = 2
) -> Factor:
    """`riccati.factor` in parallel: the same gains and Hessians up to rounding.

    Args:
        problem: the matrices; Q and R symmetric, R may be singular or indefinite.
        free: the controls that may move; the others are held at zero.
        block: stages that are condensed one after the other, blocks side by side, before the
            scan over blocks. 1 is a scan over the stages; the horizon or more is sequential.
        passes: scans; each takes the Hessians of the one before as its reference.

    Returns:
        the Factor; `is_convex()` is False where the problem is not convex, and also where the
        scan has lost too many digits: then `riccati.factor` decides.

    Sources: Särkkä and García-Fernández (2023) for the scan; see above for the shift.
    """
    if free is None:
        free = jnp.ones_like(problem.r, bool)
    horizon = problem.r.shape[0]
    blocks, free_blocks = in_blocks(problem, free, block)
    ends = _prices(problem, blocks.A.shape[0], block)
    if ends.shape[0] > 1:
        ahead = -(-_LOOK_AHEAD // block)
        ends = _repeat(lambda ends: _look_ahead(ends, blocks, free_blocks), ends, ahead)
        ends = _repeat(lambda ends: _corrected(ends, blocks, free_blocks), ends, passes)
    last = sweep(ends, blocks, free_blocks)
    V = jnp.concatenate([unfolded(last.V, horizon), problem.Q[-1:]])
    sound = _agrees(last, ends)
    L, pivots = unfolded(last.Quu, horizon)
    return Factor(unfolded(last.K, horizon), V, LDL(L, jnp.where(sound, pivots, -1.0)), free)


def _agrees(last: Sweep, ends: Float[Array, "N n n"]) -> Bool[Array, ""]:
    """Whether the recursion inside of the blocks arrives where the scan did, up to rounding."""
    difference = jnp.max(jnp.abs(last.V[1:, 0] - ends[:-1]), axis=(1, 2))
    # V of a stage has the rounding of every later one.
    largest = jax.lax.cummax(last.size[1:], reverse=True)
    return jnp.all(difference <= _ROUNDING * jnp.finfo(ends.dtype).eps * largest)


def _repeat(function, value, times: int):
    return jax.lax.scan(lambda v, _: (function(v), None), value, length=times)[0]


def _prices(problem: LQProblem, count: int, block: int) -> Float[Array, "N n n"]:
    """Q and a high price on every direction at the end of each block, the last one's as it is.

    The price is that of a typical stage: those of bounds and barriers would cost digits.
    """
    horizon, n = problem.c.shape
    sizes = [jnp.max(jnp.abs(part), axis=(1, 2)) for part in stages(problem)[:3]]
    size = jnp.max(jnp.stack(sizes), axis=0)
    typical = jnp.median(size)
    price = _PRICE * jnp.where(typical > 0, typical, jnp.max(size))
    Q = problem.Q[jnp.minimum(block * jnp.arange(1, count + 1), horizon)]
    ends = jnp.arange(count)[:, None, None] == count - 1
    return Q + jnp.where(ends, 0.0, price * jnp.eye(n, dtype=Q.dtype)[None])


def _look_ahead(ends, blocks: LQStage, free) -> Float[Array, "N n n"]:
    """The value of the next block with the given Hessian at that one's end."""
    return jnp.concatenate([sweep(ends, blocks, free).V[1:, 0], ends[-1:]])


def _corrected(ends, blocks: LQStage, free) -> Float[Array, "N n n"]:
    """The value function's Hessian at the end of each block, computed as P + J."""
    condensed = sweep(ends, blocks, free)
    J = condensed.V[1:, 0] - ends[:-1]
    elements = condensed.through[1:], condensed.reached[1:], J
    neutral = _identity(J), jnp.zeros_like(J[0]), jnp.zeros_like(J[0])
    _, _, J = suffix_scan(_combine, elements, neutral)
    return jnp.concatenate([ends[:-1] + J, ends[-1:]])


def suffix_scan(combine, elements, neutral):
    """combine(..., combine(e_{i+1}, e_i)) of all that follow, for every i, by doubling.

    As many combinations at a time as there are elements, in log2 of their number rounds (Hillis
    and Steele, 1986). `jax.lax.associative_scan` does fewer in all, in twice as many rounds of
    different lengths, each compiled for itself: tens of seconds for this `combine`.
    """
    count = jax.tree.leaves(elements)[0].shape[0]
    behind = jax.tree.map(lambda e, one: jnp.broadcast_to(one, e.shape), elements, neutral)

    def double(k, elements):
        def shifted(element, rest):
            return jax.lax.dynamic_slice_in_dim(jnp.concatenate([element, rest]), 1 << k, count)

        return jax.vmap(combine)(jax.tree.map(shifted, elements, behind), elements)

    return jax.lax.fori_loop(0, (count - 1).bit_length(), double, elements)


def _identity(matrices: Float[Array, "N n n"]) -> Float[Array, "n n"]:
    return jnp.zeros_like(matrices[0]) + jnp.eye(matrices.shape[1], dtype=matrices.dtype)


def _combine(later, earlier):
    """Two elements in one; E = (I + C J)^-1 C is what the earlier one reaches at their seam.

        A <- A_2 (I - E J_2) A_1,   C <- C_2 + A_2 E A_2',   J <- J_1 + A_1'(J_2 - J_2 E J_2) A_1

    J is a difference and not definite, so that I + C J is solved with pivoting.
    """
    (A2, C2, J2), (A1, C1, J1) = later, earlier
    E = _symmetric(pivoted_solve(jnp.eye(len(A1), dtype=A1.dtype) + matmul(C1, J2), C1))
    JA = matmul(J2, A1)
    EJA = matmul(E, JA)
    A = matmul(A2, A1 - EJA)
    C = C2 + matmul(A2, matmul(E, A2.T))
    J = J1 + matmul(A1.T, JA) - matmul(JA.T, EJA)
    return A, _symmetric(C), _symmetric(J)


def _symmetric(M):
    return 0.5 * (M + M.T)


def pivoted_solve(M: Float[Array, "n n"], rhs: Float[Array, "n k"]) -> Float[Array, "n k"]:
    """M^-1 rhs by Gauss and Jordan's elimination, written out: rows are chosen, not moved."""
    n = M.shape[0]

    def eliminate(j, carry):
        left, chosen = carry
        at_column = jnp.arange(left.shape[1])[None] == j
        column = jnp.sum(jnp.where(at_column, left, 0.0), axis=1)
        untouched = jnp.max(chosen, axis=0) == 0
        best = jnp.argmax(jnp.where(untouched, jnp.abs(column), -1.0))
        is_pivot = jnp.arange(n) == best
        row = jnp.sum(jnp.where(is_pivot[:, None], left, 0.0), axis=0, keepdims=True)
        row = row / jnp.sum(jnp.where(is_pivot, column, 0.0))
        left = jnp.where(is_pivot[:, None], row, left - column[:, None] * row)
        return left, chosen + jnp.where((jnp.arange(n) == j)[:, None] & is_pivot[None], 1.0, 0.0)

    start = (jnp.concatenate([M, rhs], axis=1), jnp.zeros_like(M))
    left, chosen = jax.lax.fori_loop(0, n, eliminate, start)
    return matmul(chosen, left[:, n:])


def substitute(problem: LQProblem, factor: Factor, block: int = 1) -> LQSolution:
    """`riccati.substitute` in parallel: two scans of affine maps with the closed loop A + B K.

        v_t = (A + B K)'v_{t+1} + ...,    x_{t+1} = (A + B K) x_t + B k + c

    `block` as in `factor`.
    """
    A, B, K = problem.A, problem.B, factor.K
    times, transposed = jax.vmap(matvec), jax.vmap(lambda M, x: matvec(M.T, x))
    loop = A + jax.vmap(matmul)(B, K)
    folded_loop = with_identity(folded(loop, block), A.shape[0])
    through = products(folded_loop)

    ahead = times(factor.V[1:], problem.c)
    Qu = problem.r + transposed(B, ahead)
    slopes = problem.q[:-1] + transposed(A, ahead) + transposed(K, Qu)
    backward = folded_loop[::-1, ::-1].mT, folded(slopes, block)[::-1, ::-1]
    v = _affine_scan(through[::-1].mT, *backward, problem.q[-1])[::-1, ::-1]
    v = jnp.concatenate([unfolded(v, A.shape[0]), problem.q[-1:]])

    Qu = Qu + transposed(B, v[1:])
    k = -jax.vmap(masked_solve)(factor.Quu, factor.free, Qu[:, :, None])[:, :, 0]
    drift = folded(times(B, k) + problem.c, block)
    states = unfolded(_affine_scan(through, folded_loop, drift, problem.x0), A.shape[0])
    states = jnp.concatenate([problem.x0[None], states])
    controls = k + times(K, states[:-1])
    costates = v + times(factor.V, states)
    return LQSolution(states, controls, costates, k, K)


def _affine_scan(through, matrices, offsets, start) -> Float[Array, "N b n"]:
    """All values of  x <- M x + d  from a start; `through` are the products of M in blocks."""

    def combine(first, second):
        (M1, d1), (M2, d2) = first, second
        return matmul(M2, M1), matvec(M2, d1) + d2

    starts = start[None]
    if through.shape[0] > 1:
        first = jnp.pad(start[None], ((0, offsets.shape[0] - 2), (0, 0)))
        arrived = affine_steps(matrices[:-1], offsets[:-1], first)[:, -1]
        # Turned around, since here the maps that came before count.
        elements = through[-2::-1], arrived[::-1]
        neutral = _identity(through), jnp.zeros_like(start)
        _, seams = suffix_scan(combine, elements, neutral)
        starts = jnp.concatenate([starts, seams[::-1]])
    return affine_steps(matrices, offsets, starts)
