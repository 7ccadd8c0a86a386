"""Training as pure functions over a state: what `fit` runs, and what can be vmapped over seeds."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxmpc import trees
from jaxmpc.learning.losses import Outcome


class Learner(NamedTuple):
    """What changes from step to step.

    Example:
        >>> import optax
        >>> p, optimizer = {"mass": jnp.array(1.0)}, optax.adam(0.1)
        >>> learner = jaxmpc.learning.Learner(p, optimizer.init(p), plans=None)
        >>> float(learner.params["mass"])
        1.0
    """

    params: PyTree
    moments: PyTree  # the optimiser's state
    plans: PyTree  # [N, ...], of every example


class Epoch(NamedTuple):
    """What a pass over the examples was like.

    Example:
        >>> import optax
        >>> loss = jaxmpc.learning.PerExample(lambda p, example: (p - example) ** 2)
        >>> p, optimizer = jnp.array(0.0), optax.sgd(0.1)
        >>> learner = jaxmpc.learning.Learner(p, optimizer.init(p), None)
        >>> plan = jaxmpc.learning.batches(jax.random.key(0), 4, 2)
        >>> _, entry = jaxmpc.learning.epoch(loss, optimizer, True, learner, jnp.ones(4), plan)
        >>> int(entry.unsolved), int(entry.skipped)
        (0, 0)
    """

    loss: Float[Array, ""]
    unsolved: Int[Array, ""]
    skipped: Int[Array, ""]
    gradient_norm: Float[Array, ""]  # the mean of the steps that were taken; NaN if none was


class Batches(NamedTuple):
    """Which examples each step sees; the last step of an epoch is filled up with others.

    Example:
        >>> plan = jaxmpc.learning.batches(jax.random.key(0), 3, 2)
        >>> plan.index.shape, int(plan.counted.sum())  # four places for three examples
        ((2, 2), 3)
    """

    index: Int[Array, "steps B"]
    counted: Bool[Array, "steps B"]  # False: only there to fill up


def batches(key: Array, number: int, batch_size: int) -> Batches:
    """All examples once, in random order.

    Args:
        key: a `jax.random.key`, of the order.
        number: of examples, N.
        batch_size: examples a step, B; ceil(N / B) steps see them all.

    Example:
        >>> plan = jaxmpc.learning.batches(jax.random.key(0), 6, 2)
        >>> plan.index.shape, sorted(plan.index.ravel().tolist())
        ((3, 2), [0, 1, 2, 3, 4, 5])
    """
    steps = -(-number // batch_size)
    order = jax.random.permutation(key, number)
    places = jnp.arange(steps * batch_size)
    index = order[places % number].reshape(steps, batch_size)
    return Batches(index, (places < number).reshape(steps, batch_size))


def epoch(
    loss: Callable[..., Outcome],
    optimizer: Any,
    trained: PyTree,
    learner: Learner,
    examples: PyTree,
    plan: Batches,
) -> tuple[Learner, Epoch]:
    """One optimiser's step for each batch.

    `optimizer` is a pair of pure functions, `init` and `update`, as Optax makes them. `trained` is
    a pytree of bools of the structure of the params: the leaves that may change. The gradient is
    that of the mean over the solved examples. A step whose gradient is not finite is not taken.

    Args:
        loss: (params, examples, plans) -> `Outcome`, such as a `Loss`.
        learner: params, the optimiser's state for the trained ones, plans [N, ...] or None.
        examples: a pytree with a leading axis of N.
        plan: which examples each step sees, from `batches`.

    Returns:
        The learner after the pass, and an `Epoch`.

    Example:
        >>> import optax
        >>> loss = jaxmpc.learning.PerExample(lambda p, example: (p - example) ** 2)
        >>> p, optimizer = jnp.array(0.0), optax.sgd(0.1)
        >>> learner = jaxmpc.learning.Learner(p, optimizer.init(p), None)
        >>> plan = jaxmpc.learning.batches(jax.random.key(0), 4, 2)
        >>> given = (loss, optimizer, True, learner, jnp.ones(4), plan)
        >>> learner, entry = jaxmpc.learning.epoch(*given)
        >>> round(float(learner.params), 2), round(float(entry.loss), 2)  # after two steps
        (0.36, 0.82)
    """

    def step(learner: Learner, batch: Batches):
        own, plans = jax.tree.map(lambda leaf: leaf[batch.index], (examples, learner.plans))
        part, others = eqx.partition(learner.params, trained)

        def mean_loss(part):
            outcome = loss(eqx.combine(part, others), own, plans)
            learned = batch.counted & outcome.solved
            total = jnp.sum(jnp.where(learned, outcome.losses, 0.0))
            number = jnp.sum(learned)
            count = jnp.maximum(number, 1).astype(total.dtype)
            return total / count, (outcome, total, number)

        evaluated, gradient = jax.value_and_grad(mean_loss, has_aux=True)(part)
        value, (outcome, total, number) = evaluated
        taken = _finite((value, gradient))
        with jax.numpy_dtype_promotion("standard"):  # Optax's own arithmetic asks for it
            change, moments = optimizer.update(gradient, learner.moments, part)
        changed = jax.tree.map(lambda p, c: (p + c).astype(p.dtype), part, change)
        part, moments = trees.where(taken, (changed, moments), (part, learner.moments))
        remembered = jax.tree.map(
            lambda all_, some: all_.at[batch.index].set(some), learner.plans, outcome.plans
        )
        unsolved = jnp.sum(batch.counted & ~outcome.solved)
        norm = jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(gradient)))
        entry = (total, number, unsolved, taken, jnp.where(taken, norm, 0.0))
        return Learner(eqx.combine(part, others), moments, remembered), entry

    learner, (totals, numbers, unsolved, taken, norms) = jax.lax.scan(step, learner, plan)
    mean = jnp.sum(totals) / jnp.sum(numbers).astype(totals.dtype)
    norm = jnp.sum(norms) / jnp.sum(taken).astype(norms.dtype)
    return learner, Epoch(mean, jnp.sum(unsolved), jnp.sum(~taken), norm)


def evaluate(loss: Callable[..., Outcome], params: PyTree, examples: PyTree, plans: PyTree):
    """Mean loss of all examples with a finite one, how many are unsolved, and the new plans.

    Args:
        loss, params, examples, plans: as for `epoch`.

    Returns:
        (mean [], number of unsolved examples [], plans [N, ...] or None).

    Example:
        >>> loss = jaxmpc.learning.PerExample(lambda p, example: (p - example) ** 2)
        >>> mean, unsolved, _ = jaxmpc.learning.evaluate(loss, 0.0, jnp.array([1.0, 3.0]), None)
        >>> float(mean), int(unsolved)
        (5.0, 0)
    """
    outcome = loss(params, examples, plans)
    finite = jnp.isfinite(outcome.losses)
    total = jnp.sum(jnp.where(finite, outcome.losses, 0.0))
    mean = total / jnp.sum(finite).astype(total.dtype)
    return mean, jnp.sum(~outcome.solved), outcome.plans


def _finite(tree: PyTree) -> Bool[Array, ""]:
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]))
