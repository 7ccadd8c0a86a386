"""Losses, transforms and `fit`."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmpc
from jaxmpc import learning, models, plot
from jaxmpc.learning import (
    Bounded,
    Examples,
    Imitation,
    PerExample,
    Positive,
    Prediction,
    WeightedSum,
)

TRUE = {"stiffness": 2.0, "damping": 0.3}
WRONG = {"stiffness": 1.0, "damping": 1.0}


def spring(x, u, t, params):
    pull = -params["stiffness"] * x[0] - params["damping"] * x[1] + u[0]
    return x + 0.1 * jnp.stack([x[1], pull])


def spring_problem():
    return jaxmpc.Problem(
        spring,
        lambda x, u, t, params: x @ x + 0.1 * u @ u,
        horizon=12,
        control_dim=1,
        control_bounds=(-1.0, 1.0),
    )


@pytest.fixture(scope="module")
def experts():
    starts = jax.random.normal(jax.random.key(0), (12, 2))
    solution = jaxmpc.solve_batch(spring_problem(), starts, TRUE)
    assert np.all(solution.converged)
    return Examples(solution.states, solution.controls)


def quiet(*arguments, **options):
    return learning.fit(*arguments, **{"progress": False, **options})


# Transformed parameters


@pytest.mark.parametrize(
    "make, value",
    [
        (Positive, np.array([1e-3, 1.0, 40.0])),
        (lambda v: Bounded(v, -1.0, 3.0), np.array([-0.99, 0.0, 2.9])),
        (learning.PositiveDefinite, np.array([[2.0, 0.5], [0.5, 1.0]])),
    ],
)
def test_a_transformed_parameter_stands_for_its_value(make, value):
    np.testing.assert_allclose(make(value).value(), value, rtol=1e-12, atol=1e-15)


def test_no_step_leaves_the_set():
    def far(parameter, step):
        return jax.tree.map(lambda leaf: leaf + step, parameter).value()

    for step in (-30.0, 30.0):
        assert float(far(Positive(1.0), step)) > 0
        assert -1.0 <= float(far(Bounded(0.0, -1.0, 2.0), step)) <= 2.0
        matrix = far(learning.PositiveDefinite(np.eye(3)), step / 30)
        assert np.min(np.linalg.eigvalsh(matrix)) > 0
        np.testing.assert_array_equal(matrix, matrix.T)


def test_plain_replaces_values_wherever_they_are():
    class Model(eqx.Module):
        mass: Positive
        name: str

    params = {"a": [Positive(2.0), 3.0], "model": Model(Positive(4.0), "m")}
    values = learning.plain(params)
    assert (float(values["a"][0]), values["a"][1]) == (pytest.approx(2.0), 3.0)
    assert float(values["model"].mass) == pytest.approx(4.0)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Positive(-1.0), "Positive: the value must be above zero, got -1.0"),
        (lambda: Bounded(3.0, 0.0, 2.0), "between lower = 0.0 and upper = 2.0"),
        (
            lambda: learning.PositiveDefinite(np.array([[1.0, 2.0], [2.0, 1.0]])),
            "positive definite",
        ),
        (lambda: learning.PositiveDefinite(np.ones(3)), r"must be \[n, n\], got \(3,\)"),
    ],
)
def test_impossible_values_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# Losses


def test_prediction_over_several_steps(experts):
    def by_hand(steps):
        total = []
        for states, controls in zip(experts.states, experts.controls, strict=True):
            errors = []
            for t in range(len(controls) - steps + 1):
                x = states[t]
                for k in range(steps):
                    x = spring(x, controls[t + k], t + k, WRONG)
                    errors.append((x - states[t + k + 1]) ** 2)
            total.append(np.mean(errors))
        return total

    for steps in (1, 3, 12):
        outcome = Prediction(spring, steps=steps)(WRONG, experts, None)
        np.testing.assert_allclose(outcome.losses, by_hand(steps), rtol=1e-10)
    with pytest.raises(ValueError, match="steps = 13 is more than the examples' 12 controls"):
        Prediction(spring, steps=13)(WRONG, experts, None)


def test_imitation_is_the_distance_to_the_experts(experts):
    problem = spring_problem()
    loss = Imitation(problem, on_controls=2.0, on_states=jnp.array([1.0, 0.5]))
    outcome = loss(WRONG, experts, loss.first_plans(WRONG, experts))
    solution = jaxmpc.solve_batch(problem, experts.states[:, 0], WRONG)
    expected = 2.0 * np.mean((solution.controls - experts.controls) ** 2, axis=(1, 2))
    weighted = np.array([1.0, 0.5]) * np.asarray(solution.states - experts.states) ** 2
    np.testing.assert_allclose(outcome.losses, expected + np.mean(weighted, axis=(1, 2)), rtol=1e-7)
    np.testing.assert_array_equal(outcome.plans.controls, solution.controls)


def test_examples_with_inputs_of_their_own(experts):
    stiffness = jnp.linspace(1.0, 3.0, 12)
    own = Examples(experts.states, experts.controls, stiffness)
    loss = Imitation(
        spring_problem(), params_of=lambda params, given: {"stiffness": given, **params}
    )
    params = {"damping": 0.3}
    outcome = loss(params, own, loss.first_plans(params, own))
    single = jaxmpc.solve(
        spring_problem(), own.states[3, 0], {"stiffness": stiffness[3], "damping": 0.3}
    )
    expected = np.mean((single.controls - own.controls[3]) ** 2)
    np.testing.assert_allclose(outcome.losses[3], expected, rtol=1e-7)


def test_a_weighted_sum(experts):
    both = WeightedSum((Imitation(spring_problem()), Prediction(spring)), (1.0, 0.5))
    halves = experts[:6], experts[6:]
    outcome = both(WRONG, halves, both.first_plans(WRONG, halves))
    imitated, predicted = (
        loss(WRONG, half, loss.first_plans(WRONG, half))
        for loss, half in zip(both.losses, halves, strict=True)
    )
    np.testing.assert_allclose(outcome.losses, imitated.losses + 0.5 * predicted.losses)
    equal(outcome.plans, (imitated.plans, None))
    lost = halves[0], Examples(halves[1].states.at[2].set(jnp.nan), halves[1].controls)
    solved = both(WRONG, lost, both.first_plans(WRONG, lost)).solved
    np.testing.assert_array_equal(solved, np.arange(6) != 2)
    fit = quiet(both, WRONG, halves, optimizer=optax.adam(0.05), epochs=3)
    assert fit.history.loss[2] < fit.history.loss[0]
    with pytest.raises(ValueError, match="one for each of 2 losses, got 1"):
        WeightedSum(both.losses, (1.0,))
    with pytest.raises(ValueError, match="examples must be a tuple of 2, .* got Examples"):
        both.first_plans(WRONG, experts)


# fit


@pytest.mark.parametrize("loss", [Prediction(spring, steps=2), Imitation(spring_problem())])
def test_the_true_parameters_are_found(experts, loss):
    fit = quiet(
        loss,
        {name: Positive(value) for name, value in WRONG.items()},
        experts,
        optimizer=optax.adam(optax.cosine_decay_schedule(0.1, 240)),
        epochs=80,
        batch_size=5,
        evaluations={"test": (Imitation(spring_problem()), experts[:3])},
    )
    assert fit.history.evaluations["test"][fit.epoch - 1] < 1e-8 < fit.history.loss[0]
    for name, value in learning.plain(fit.params).items():
        assert float(value) == pytest.approx(TRUE[name], rel=1e-3)
    assert np.all(fit.history.unsolved == 0)


def shifted(params, example):
    """A loss whose best parameter is the examples' mean."""
    return jnp.mean((params["shift"] - example) ** 2)


def test_modules_dicts_and_lists_of_dicts_are_trained():
    class Shift(eqx.Module):
        amount: jax.Array
        label: str = "fixed"
        scale: float = 2.0  # a Python float of a module is no parameter

    examples = jnp.full((4, 3), 1.5)
    for params, found in (
        ({"shift": 0.0}, lambda p: p["shift"]),
        ({"shift": jnp.zeros(3)}, lambda p: p["shift"]),
        ({"params": {"Dense_0": [0.0]}}, lambda p: p["params"]["Dense_0"][0]),
        (Shift(jnp.zeros(())), lambda p: p.amount),
    ):
        fit = quiet(
            PerExample(lambda p, e, found=found: jnp.mean((found(p) - e) ** 2)),
            params,
            examples,
            optimizer=optax.sgd(0.4),
            epochs=60,
        )
        np.testing.assert_allclose(found(fit.params), 1.5, rtol=1e-6)
    assert (fit.params.scale, fit.params.label) == (2.0, "fixed")


def test_a_network_whose_activation_is_a_leaf(experts):
    network = eqx.nn.MLP(3, 2, 8, 1, jnp.tanh, key=jax.random.key(0))

    def dynamics(x, u, t, params):
        prior = spring(x, u, t, {"stiffness": 1.0, "damping": 1.0})
        return prior + 0.1 * params["network"](jnp.concatenate([x, u]))

    problem = jaxmpc.Problem(
        dynamics, spring_problem().stage_cost, horizon=12, control_dim=1, control_bounds=(-1, 1)
    )
    options = {"optimizer": optax.adam(1e-2), "epochs": 10}
    first = quiet(Prediction(dynamics), {"network": network}, experts, **options)
    then = quiet(Imitation(problem), first.params, experts, **options)
    for fit in (first, then):
        assert fit.history.loss[-1] < 0.8 * fit.history.loss[0]
    assert then.params["network"].activation is network.activation


def test_every_example_is_seen_once_an_epoch():
    for number, size in ((10, 4), (8, 4), (3, 3)):
        plan = learning.batches(jax.random.key(1), number, size)
        seen = np.asarray(plan.index)[np.asarray(plan.counted)]
        assert sorted(seen) == list(range(number))
        assert plan.index.shape[1] == size


def test_an_example_without_a_solution_teaches_nothing(experts):
    broken = experts.states.at[4].set(jnp.nan)
    with_broken = Examples(broken, experts.controls.at[4].set(jnp.nan))
    without = experts[np.arange(12) != 4]
    options = {"optimizer": optax.sgd(0.5), "epochs": 4}
    loss = Imitation(spring_problem())
    one, other = quiet(loss, WRONG, with_broken, **options), quiet(loss, WRONG, without, **options)
    assert list(one.history.unsolved) == [1, 1, 1, 1]
    assert list(other.history.unsolved) == [0, 0, 0, 0]
    np.testing.assert_allclose(one.history.loss, other.history.loss, rtol=1e-9)
    for name in WRONG:
        assert float(one.params[name]) == pytest.approx(float(other.params[name]), rel=1e-9)
        assert abs(float(one.params[name]) - WRONG[name]) > 1e-3


def test_a_failed_solve_leaves_the_plan_as_it_was(experts):
    loss = Imitation(spring_problem(), solver=jaxmpc.ILQR(max_iterations=1))
    plans = loss.first_plans(TRUE, experts)
    outcome = loss(TRUE, experts, plans)
    failed = ~np.asarray(outcome.solved)
    assert np.any(failed)
    equal(*jax.tree.map(lambda leaf: leaf[failed], (outcome.plans, plans)))


def equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_warm_starts_are_kept_and_forgotten(experts):
    """From its own solution a solve needs no step; from zeros it does."""
    loss = Imitation(spring_problem())
    first = loss.first_plans(TRUE, experts)
    cold = loss(TRUE, experts, first)
    warm = loss(TRUE, experts, cold.plans)
    assert np.all(cold.plans.iterations > 0)
    assert np.all(warm.plans.iterations == 0)
    always_cold = Imitation(spring_problem(), warm=False)
    equal(always_cold(TRUE, experts, first).plans, first)


def test_steps_without_a_finite_gradient_are_not_taken():
    def loss(params, example):
        return jnp.sqrt(example) * params["shift"] ** 2

    examples = jnp.array([1.0, -1.0])
    fit = quiet(
        PerExample(loss), {"shift": 1.0}, examples, optimizer=optax.sgd(0.1), epochs=3, batch_size=1
    )
    assert list(fit.history.unsolved) == list(fit.history.skipped) == [1, 1, 1]
    np.testing.assert_allclose(fit.history.gradient_norm, 2 * 0.8 ** np.arange(3))
    assert float(fit.params["shift"]) == pytest.approx(0.8**3)


def test_nothing_solved_is_said():
    with pytest.warns(UserWarning, match="no example was solved in epoch 0"):
        fit = quiet(
            PerExample(lambda p, e: jnp.log(-p["shift"]) * e),
            {"shift": 1.0},
            jnp.ones(2),
            optimizer=optax.sgd(0.1),
            epochs=1,
        )
    assert float(fit.params["shift"]) == 1.0


def test_training_that_was_cut_off_goes_on_to_the_bit(experts, tmp_path):
    options = {
        "optimizer": optax.adam(0.05),
        "batch_size": 5,
        "evaluations": {"test": (Imitation(spring_problem()), experts[:2])},
        "alternate": [({"stiffness": True, "damping": False}, 2), (True, 1)],
        "fresh_every": 3,
    }
    loss, path = Imitation(spring_problem()), tmp_path / "run" / "spring.ckpt"
    whole = quiet(loss, WRONG, experts, epochs=7, **options)
    quiet(loss, WRONG, experts, epochs=4, checkpoint=path, checkpoint_every=3, **options)
    resumed = quiet(loss, WRONG, experts, epochs=7, checkpoint=path, **options)
    equal(resumed.last, whole.last)
    equal(resumed.params, whole.params)
    assert resumed.epoch == whole.epoch
    same = resumed.history._replace(seconds=0.0), whole.history._replace(seconds=0.0)
    equal(*same)
    assert np.all(np.isfinite(resumed.history.seconds))
    with pytest.raises(ValueError, match="of another training: it has seed 0 and not 1"):
        quiet(loss, WRONG, experts, epochs=7, checkpoint=path, **{**options, "seed": 1})


def test_groups_take_turns_and_rest():
    def loss(params, example):
        return (params["a"] - 1.0) ** 2 + (params["b"] - 1.0) ** 2 + 0 * example

    seen = []
    for epochs in range(1, 7):
        fit = quiet(
            PerExample(loss),
            {"a": 0.0, "b": 0.0},
            jnp.zeros(1),
            optimizer=optax.adam(0.1),
            epochs=epochs,
            alternate=[({"a": True, "b": False}, 2), ({"a": False, "b": True}, 1)],
        )
        seen.append((float(fit.params["a"]), float(fit.params["b"])))
    a, b = np.array(seen).T
    moves = np.stack([np.diff(a, prepend=0.0), np.diff(b, prepend=0.0)]) != 0
    np.testing.assert_array_equal(moves[0], [True, True, False, True, True, False])
    np.testing.assert_array_equal(moves[1], [False, False, True, False, False, True])


def test_the_best_epoch_is_returned():
    fit = quiet(
        PerExample(shifted),
        {"shift": 0.0},
        jnp.full((1, 1), 4.0),
        optimizer=optax.sgd(0.3),
        epochs=12,
        evaluations={
            "other": (PerExample(shifted), jnp.full((1, 1), 0.0)),
            "near": (PerExample(shifted), jnp.full((1, 1), 3.0)),
        },
        select="near",
    )
    losses = fit.history.evaluations["near"]
    assert fit.epoch == int(np.argmin(losses)) + 1 < 12
    assert (float(fit.params["shift"]) - 3.0) ** 2 == pytest.approx(losses[fit.epoch - 1])
    assert float(fit.last["shift"]) != float(fit.params["shift"])


def five_epochs(**options):
    loss, examples = PerExample(shifted), jnp.ones((2, 1))
    options |= {"optimizer": optax.sgd(0.1), "evaluations": {"same": (loss, examples)}}
    return quiet(loss, {"shift": 0.0}, examples, epochs=5, **options)


def test_sets_are_evaluated_when_asked_for():
    known = np.isfinite(five_epochs(evaluate_every=2).history.evaluations["same"])
    assert list(known) == [False, True, False, True, True]


def test_nothing_is_traced_twice(experts):
    """Neither in later epochs, nor in a fit with another seed."""
    traced = []

    def counting(x, u, t, params):
        traced.append(1)
        return spring(x, u, t, params)

    options = {"optimizer": optax.adam(0.01), "batch_size": 4}
    quiet(Prediction(counting), WRONG, experts, epochs=1, **options)
    once = len(traced)
    quiet(Prediction(counting), WRONG, experts, epochs=5, seed=1, **options)
    assert len(traced) == once > 0


def test_training_steps_can_be_vmapped_over_seeds(experts):
    loss, optimizer = Prediction(spring), optax.sgd(0.5)
    starts = {"stiffness": jnp.array([0.5, 1.0]), "damping": jnp.array([1.0, 0.1])}
    plan = learning.batches(jax.random.key(0), 12, 12)
    everything = jax.tree.map(lambda _: True, WRONG)

    def trained(params):
        learner = learning.Learner(params, optimizer.init(params), None)
        return learning.epoch(loss, optimizer, everything, learner, experts, plan)

    learners, epochs = jax.jit(jax.vmap(trained))(starts)
    for seed in range(2):
        alone, epoch = trained(jax.tree.map(lambda leaf, k=seed: leaf[k], starts))
        np.testing.assert_allclose(epochs.loss[seed], epoch.loss, rtol=1e-12)
        np.testing.assert_allclose(
            learners.params["damping"][seed], alone.params["damping"], rtol=1e-12
        )


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"optimizer": 0.1}, TypeError, "optimizer must be one of Optax, .* got float"),
        ({"epochs": 0}, ValueError, "epochs must be a positive int, got 0"),
        ({"batch_size": 2.5}, ValueError, "batch_size must be a positive int, got 2.5"),
        ({"loss": shifted}, TypeError, r"loss must be a learning.Loss .* got function"),
        ({"params": {"n": 3}}, ValueError, "there is nothing to train"),
        ({"select": "val"}, ValueError, r"select must be one of evaluations, \[\], got 'val'"),
        (
            {"evaluations": {"val": 3}},
            TypeError,
            r"evaluations\['val'\] must be \(loss, examples\)",
        ),
        (
            {"examples": (jnp.ones(3), jnp.ones(2))},
            ValueError,
            r"same leading axis.*\(3,\), \(2,\)",
        ),
        ({"alternate": [True]}, TypeError, r"sequence of \(mask, epochs\).* got True"),
        ({"alternate": [({"b": True}, 1)]}, ValueError, "must be a prefix of params"),
    ],
)
def test_bad_arguments_are_named(change, error, message):
    arguments = {
        "loss": PerExample(shifted),
        "params": {"shift": 0.0},
        "examples": jnp.ones((2, 1)),
        "optimizer": optax.sgd(0.1),
        "epochs": 1,
        "progress": False,
    }
    with pytest.raises(error, match=message):
        learning.fit(**{**arguments, **change})


def test_history_is_drawn(tmp_path):
    plot.require_matplotlib().switch_backend("Agg")
    losses, _ = plot.plot_history(five_epochs().history)
    assert [len(line.get_xdata()) for line in losses.lines] == [5, 5]
    losses.figure.savefig(tmp_path / "history.png")


def test_constrained_problems_are_learned_through_too():
    """A stage constraint: the interior point, its warm starts, and its adjoint."""
    problem = jaxmpc.Problem(
        spring,
        lambda x, u, t, params: x @ x + 0.1 * u @ u,
        horizon=8,
        control_dim=1,
        stage_inequality=lambda x, u, t, params: jnp.stack([x[1] - 0.5, -0.5 - x[1]]),
    )
    starts = jnp.array([[1.0, 0.0], [-1.0, 0.2], [0.5, -0.3]])
    solution = jaxmpc.solve_batch(problem, starts, TRUE)
    examples = Examples(solution.states, solution.controls)
    fit = quiet(
        Imitation(problem),
        {**WRONG, "stiffness": 1.8, "damping": 0.4},
        examples,
        optimizer=optax.adam(optax.cosine_decay_schedule(0.1, 150)),
        epochs=150,
    )
    assert np.all(fit.history.unsolved == 0)
    assert fit.history.loss[-1] < 1e-6 < 1e-4 < fit.history.loss[0]


@pytest.mark.slow
def test_the_papers_pendulum_in_float32():
    starts = jnp.asarray(models.paper_initial_states("pendulum")[:6], jnp.float32)
    problem = jaxmpc.Problem(
        lambda x, u, t, params: models.pendulum(x, u, params),
        lambda x, u, t, params: models.pendulum_cost(x, u),
        horizon=20,
        control_dim=1,
        control_bounds=(-2.0, 2.0),
    )
    true = jax.tree.map(jnp.float32, models.PENDULUM)
    solution = jaxmpc.solve_batch(problem, starts, true)
    examples = Examples(solution.states, solution.controls)
    params = {name: Positive(1.1 * value) for name, value in true.items()}
    fit = quiet(
        Imitation(problem),
        params,
        examples,
        optimizer=optax.adam(optax.cosine_decay_schedule(0.05, 150)),
        epochs=150,
    )
    assert fit.params["mass"].free.dtype == jnp.float32
    assert fit.history.loss[-1] < 1e-5 < 1e-2 < fit.history.loss[0]
