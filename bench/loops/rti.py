"""One closed loop for two real-time iterations: acados' cart-pole, swung up and pushed.

    python -m bench.loops.rti acados    # or jaxmpc; bench.loops.real_time runs both

The plant is the model with a pole a tenth heavier, a little noise, and a push after five seconds.
Each sample has two phases, as acados calls them: preparation, before the state is known, and
feedback. Prints a line of JSON: seconds of both phases, by the wall clock and, for acados, by its
own, and what the loop cost.
"""

import json
import sys
import time
from typing import Any

import numpy as np

from bench.problems import load

STEPS, PUSHED_AT, PUSH = 200, 100, (0.0, 0.0, 1.0, 1.5)
TASK = load("cartpole_acados")
REAL = {**TASK.params, "mass_pole": 1.1 * TASK.params["mass_pole"]}


def closed_loop(prepare, feedback) -> dict[str, Any]:
    """Drive the two phases; `feedback` returns the control."""
    random, x = np.random.default_rng(0), TASK.initial_states()[0]
    seconds: dict[str, list[float]] = {"preparation": [], "feedback": []}
    cost = 0.0
    for t in range(STEPS):
        start = time.perf_counter()
        prepare()
        middle = time.perf_counter()
        u = feedback(x)
        seconds["preparation"].append(middle - start)
        seconds["feedback"].append(time.perf_counter() - middle)
        cost += float(TASK.stage_cost(x, u, TASK.params, np))
        x = np.array(TASK.step(x, u, REAL, np)) + 0.002 * random.normal(size=4)
        if t == PUSHED_AT:
            x = x + PUSH
    return {"seconds": seconds, "cost": cost, "last": x.tolist()}


def acados() -> dict[str, Any]:
    """SQP_RTI on HPIPM with the Hessian of the cost, as its getting-started example has it."""
    from bench.peers.acados_sqp import Contender

    contender = Contender(TASK, 1e-8)
    contender._options["nlp_solver_type"] = "SQP_RTI"
    contender.prepare(TASK.initial_states()[:1], False)
    solver, own = contender._solver, {"preparation": [], "feedback": []}
    x0 = TASK.initial_states()[0]
    guess = TASK.guessed_states(x0)  # type: ignore[misc]
    for t in range(TASK.horizon + 1):
        solver.set(t, "x", guess[t])

    def phase(name: str, number: int):
        solver.options_set("rti_phase", number)
        solver.solve()
        own[name].append(float(np.sum(solver.get_stats("time_tot"))))

    def prepare():
        phase("preparation", 1)

    def feedback(x):
        solver.set(0, "lbx", x)
        solver.set(0, "ubx", x)
        phase("feedback", 2)
        return solver.get(0, "u")

    for _ in range(100):  # the first plan
        prepare()
        feedback(x0)
    for times in own.values():
        times.clear()
    return {**closed_loop(prepare, feedback), "own_seconds": own}


def jaxmpc() -> dict[str, Any]:
    """`RecedingHorizon.prepare` and `feedback`, one iteration a sample."""
    import jax

    import jaxmpc

    jax.config.update("jax_enable_x64", True)
    controller = jaxmpc.RecedingHorizon(TASK.jaxmpc_problem(), iterations=1)
    options = jaxmpc.compiler_options()
    ready = jax.jit(controller.prepare, compiler_options=options)
    answer = jax.jit(controller.feedback, compiler_options=options)
    x0 = TASK.initial_states()[0]
    states = jax.numpy.asarray(TASK.guessed_states(x0))  # type: ignore[misc]
    plan = ready(controller.init(x0, TASK.params, states=states), TASK.params)
    answer(x0, plan)  # compiled
    memory = [plan]

    def prepare():
        memory[0] = jax.block_until_ready(ready(memory[0], TASK.params))

    def feedback(x):
        u, memory[0] = jax.block_until_ready(answer(x, memory[0]))
        return np.asarray(u)

    return closed_loop(prepare, feedback)


if __name__ == "__main__":
    print(json.dumps({"acados": acados, "jaxmpc": jaxmpc}[sys.argv[1]]()))
