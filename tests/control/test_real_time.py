"""Deadlines, by a clock that the test turns itself."""

import jax.numpy as jnp
import loops
import numpy as np
import pytest

import jaxmpc
from jaxmpc import Status
from jaxmpc.control import RealTime, TimingReport


class Clock:
    """Each look at it costs `tick` seconds."""

    def __init__(self, tick):
        self.now, self.tick = 0.0, tick

    def __call__(self):
        self.now += self.tick
        return self.now


def run(loop, clock, steps=12, slow=()):
    x, plan = jnp.asarray(loops.X0), loop.init(loops.X0, loops.PARAMS)
    statuses = []
    for t in range(steps):
        clock.tick = 10.0 if t in slow else 0.001
        u, plan = loop.step(x, plan, loops.PARAMS)
        statuses.append(int(plan.status))
        assert np.isfinite(u).all()
        x = loops.plant()(x, u, t)
    return x, plan, statuses


def test_with_time_enough_it_is_the_receding_horizon():
    clock = Clock(0.001)
    controller = jaxmpc.RecedingHorizon(loops.problem())
    loop = RealTime(controller, 10.0, clock)
    x, _, statuses = run(loop, clock)
    expected = jaxmpc.simulate(controller, loops.plant(), loops.X0, 12, loops.PARAMS)
    np.testing.assert_allclose(x, expected.states[-1], atol=1e-6)
    assert set(statuses) == {Status.converged}
    report = loop.report()
    assert len(report.seconds) == 12 and report.missed == 0


def test_ten_deadlines_missed_in_a_row():
    """No iteration fits: the last plan is followed, the misses are counted, and then it goes on."""
    clock = Clock(0.001)
    controller = jaxmpc.RecedingHorizon(loops.problem(horizon=15))
    loop = RealTime(controller, 1.0, clock)
    x, plan, statuses = run(loop, clock, 40, slow=range(5, 15))
    assert loop.report().missed == 10
    assert statuses[5:15] == [Status.max_iterations] * 10
    assert statuses[-1] == Status.converged and plan.failures == 0
    assert np.linalg.norm(x) < 0.02


def test_best_so_far():
    """Time for three iterations: what they found is used, though it is no solution yet."""
    clock = Clock(0.0)
    controller = jaxmpc.RecedingHorizon(loops.problem(), jaxmpc.SQP(tolerance=1e-14))
    loop = RealTime(controller, 1.0, clock)
    plan = loop.init(loops.X0, loops.PARAMS)
    clock.tick, clock.now = 0.08, 0.0
    x = jnp.array([0.4, -0.2])
    u, after = loop.step(x, plan, loops.PARAMS)
    assert after.status == Status.max_iterations and after.failures == 0
    assert 1 <= after.iterations <= 6
    np.testing.assert_allclose(
        u, jaxmpc.solve(loops.problem(), x, loops.PARAMS).controls[0], atol=1e-3
    )


def test_a_report():
    seconds = np.concatenate([np.full(990, 0.001), np.linspace(0.002, 0.011, 10)])
    report = TimingReport(seconds, 0.01)
    assert report.missed == 1 and report.median == 0.001 and report.worst == 0.011
    assert report.p99 < report.p999 < report.worst
    assert "1 later than 10 ms" in str(report) and "later" not in str(TimingReport(seconds))


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: RealTime(loops.problem(), 0.1), "controller must be a RecedingHorizon"),
        (
            lambda: RealTime(jaxmpc.RecedingHorizon(loops.problem()), 0.0),
            "deadline must be positive",
        ),
        (lambda: TimingReport(np.array([])), "seconds must be one or more times"),
        (lambda: TimingReport(np.array([np.nan])), "seconds must not be negative or NaN"),
        (
            lambda: RealTime(jaxmpc.RecedingHorizon(loops.problem()), 0.1).report(),
            "there has been no step yet",
        ),
        (
            lambda: RealTime(jaxmpc.RecedingHorizon(loops.problem()), 0.1, clock=3.0),
            "clock must be a function",
        ),
    ],
)
def test_bad_input(make, words):
    with pytest.raises((TypeError, ValueError), match=words):
        make()
