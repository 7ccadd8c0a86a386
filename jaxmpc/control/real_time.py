"""Control against a clock: the advanced step, and a loop that stops when its time is up."""

import time
from array import array
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, PyTree

from jaxmpc.checks import check_function, check_positive, check_type
from jaxmpc.compilation import compiled
from jaxmpc.control import planning
from jaxmpc.control.plan import Plan, closed, opened
from jaxmpc.control.receding_horizon import RecedingHorizon
from jaxmpc.control.timing import TimingReport
from jaxmpc.problem.closures import announced
from jaxmpc.solution import Status
from jaxmpc.solvers.loop import RUNNING, Driver, Progress

_REMEMBERED = 20  # iterations, of which the longest is what the next one may take


class AdvancedStep(NamedTuple):
    """A `RecedingHorizon` that answers at once, for `simulate`: `prepare`, and then `feedback`.

    The control is the policy of a plan that was made before the state was known, from what the
    model predicts; so `prepare` can run while the sample before lasts, as it does on a robot.

    Source: Zavala and Biegler (2009), 'The advanced-step NMPC controller'.

    Example:
        >>> at_once = jaxmpc.control.AdvancedStep(controller)
        >>> loop = jaxmpc.simulate(at_once, plant, x0, 5, params)
        >>> bool(loop.converged.all()), int(loop.failures.sum())
        (True, 0)
    """

    controller: RecedingHorizon

    @property
    def problem(self):
        """The controller's problem."""
        return self.controller.problem

    def init(self, x0: Float[Array, " n"], params: PyTree = None, **guesses: Any) -> Plan:
        """The controller's."""
        check_type("AdvancedStep", "controller", self.controller, RecedingHorizon)
        return self.controller.init(x0, params, **guesses)

    def step(self, x: Float[Array, " n"], plan: Plan, params: PyTree = None):
        """The control for a measured state, from the plan for the predicted one."""
        return self.controller.feedback(x, self.controller.prepare(plan, params))


class RealTime:
    """A control loop with a deadline: it iterates while there is time, and gives the best so far.

        loop = jaxmpc.control.RealTime(controller, deadline=0.01)
        plan = loop.init(x, params)
        while True:
            u, plan = loop.step(x, plan, params)
            x = ...
        print(loop.report())

    Before each iteration it asks its clock whether the longest of the last ones would still fit.
    Where not even one does, or nothing better came of those that did, the plan before is followed.
    What took longer than the deadline all the same is counted, and the loop goes on.

    Args:
        controller: its `iterations` and `every` do not count here: the clock does.
        deadline: for a step [s].
        clock: a function that returns seconds.

    Not a pure function: it looks at a clock. What it returns is that of `RecedingHorizon.step`.

    Raises:
        TypeError, ValueError: naming the argument, what came, what was wanted.

    Example:
        >>> loop = jaxmpc.control.RealTime(controller, deadline=10.0)
        >>> plan = loop.init(x0, params)  # compiles
        >>> u, plan = loop.step(x0, plan, params)
        >>> round(float(u[0]), 2), loop.report().missed
        (-1.0, 0)
    """

    def __init__(
        self,
        controller: RecedingHorizon,
        deadline: float,
        clock: Callable[[], float] = time.perf_counter,
    ):
        check_type("RealTime", "controller", controller, RecedingHorizon)
        check_positive("RealTime", "deadline", deadline)
        check_function("RealTime", "clock", clock, "that returns seconds")
        self.controller, self.deadline, self._clock = controller, deadline, clock
        self._seconds, self._iterations = array("d"), array("d")
        self._around = 0.0  # what the beginning and the end of a step took last

    def init(self, x0: Float[Array, " n"], params: PyTree = None, **guesses: Any) -> Plan:
        """The first plan, solved however long that takes; all that a step needs is compiled."""
        guess = self.controller.init(x0, params, **guesses)
        _, plan = self._advance(guess.state, guess, params, np.inf)
        # The sample is still to come.
        plan = plan._replace(prepared=guess.prepared, control=guess.control, pending=guess.pending)
        self._iterations = array("d")  # those had to be compiled
        self._advance(guess.state, plan, params, np.inf)
        return plan

    def step(
        self, x: Float[Array, " n"], plan: Plan, params: PyTree = None
    ) -> tuple[Float[Array, " m"], Plan]:
        """The control for a measured state, in time if anybody can."""
        start = self._clock()
        u, plan = self._advance(x, plan, params, start + self.deadline)
        self._seconds.append(self._clock() - start)
        return u, plan

    def report(self) -> TimingReport:
        """The times of all steps so far."""
        if not self._seconds:
            raise ValueError("RealTime.report: there has been no step yet.")
        return TimingReport(np.array(self._seconds), self.deadline)

    def _advance(self, x, plan: Plan, params: PyTree, until: float):
        x = self.controller.checked_state("RealTime.step", x, plan)
        controller, arrays, _ = self.controller.contained(x, params)
        given = (controller, x, opened(plan), arrays)
        times = [self._clock()]
        progress = jax.block_until_ready(_begun(*given))
        times.append(self._clock())
        while int(progress.status) == RUNNING:
            before = self._clock()
            if before + max(self._iterations, default=0.0) + self._around > until:
                break
            progress = jax.block_until_ready(_iterated(*given, progress))
            self._iterations.append(self._clock() - before)
            del self._iterations[:-_REMEMBERED]
        times.append(self._clock())
        result = jax.block_until_ready(_ended(*given, progress))
        times.append(self._clock())
        self._around = times[1] - times[0] + times[3] - times[2]
        u, plan = result
        return u, closed(plan, params)


def _driver(controller: RecedingHorizon) -> Driver:
    solver = planning.solver_of(controller)
    return Driver(solver, solver.max_iterations)


def _start(controller: RecedingHorizon, x, plan: Plan, params: PyTree) -> Progress:
    at, _ = planning.acting(controller, x, planning.with_params(controller, plan, params))
    guess = planning.guess_of_plan(controller, at, params, plan)
    return _driver(controller).init(controller.problem, at, params, guess)


def _iterate(controller: RecedingHorizon, x, plan: Plan, params: PyTree, progress: Progress):
    return _driver(controller).step(controller.problem, params, progress)


def _end(controller: RecedingHorizon, x, plan: Plan, params: PyTree, progress: Progress):
    problem, plan = controller.problem, planning.with_params(controller, plan, params)
    at, lost = planning.acting(controller, x, plan)
    found = _driver(controller).postprocess(problem, params, progress).expanded(problem)
    # The first step only evaluates the guess.
    stopped = (progress.status == RUNNING) & (progress.steps >= 2)
    stopped &= found.status == Status.max_iterations  # and not of numbers that are not finite
    return planning.followed(controller, at, planning.updated(plan, found, stopped, lost))


_begun = compiled(
    _start,
    lambda controller, x, _, params: announced("a control loop", controller.problem, x, params),
)
_iterated, _ended = compiled(_iterate), compiled(_end)
