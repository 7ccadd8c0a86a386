"""A rigid body turned with the least effort, on its space: beside IPOPT, and in ambient numbers.

    pip install casadi; python -m bench.spaces.slew

1. Rest to rest with bounded torques and unequal inertias, from 20 random attitudes, from half a
   turn, and to the antipodal quaternion of a goal: the cost beside that of IPOPT, for the same
   discretisation by CasADi, started from the solution and from its own straight line.
2. From 100 random attitudes, two bounds: how many solves converge, and in how many iterations, with
   the state space and with quaternions as four ordinary numbers that the dynamics normalise.
3. A quadrotor's time for an iteration, both ways.

Prints, and writes bench/results.
"""

# pyright: reportAttributeAccessIssue=false, reportMissingImports=false
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxmpc
from bench import machine
from jaxmpc import integrators, models, spaces

T, DT, BOUND = 40, 0.125, 1.2
INERTIA = np.array([1.0, 2.0, 3.5])
SPACE = spaces.Product(spaces.UnitQuaternion(), spaces.Euclidean(3))
GOAL = np.array([1.0, 0, 0, 0, 0, 0, 0])
SOLVERS = {
    "SQP": jaxmpc.SQP(),
    "InteriorPoint": jaxmpc.InteriorPoint(),
    "ILQR": jaxmpc.ILQR(),
}


def rates(x, u):
    """The body's attitude and angular velocity, turned by torques."""
    turning = spaces.multiply(x[:4], jnp.concatenate([jnp.zeros_like(x[:1]), x[4:]]))
    return jnp.concatenate([0.5 * turning, (u - jnp.cross(x[4:], INERTIA * x[4:])) / INERTIA])


def normalised(step, place: slice):
    """Dynamics whose quaternion has length one."""

    def dynamics(x, u, t, params):
        after = step(x, u, t, params)
        q = after[place]
        return after.at[place].set(q / jnp.sqrt(jnp.sum(q**2)))

    return dynamics


DYNAMICS = normalised(integrators.rk4(lambda x, u, params: rates(x, u), DT), slice(0, 4))


def problem(bound: float, hard: bool, space: Any = SPACE) -> jaxmpc.Problem:
    """The goal as a constraint, or as a cost; it is in params."""

    def off(x, goal):
        return SPACE.difference(goal, x)

    def far(x, goal):
        return 50 * jnp.sum(off(x, goal) ** 2)

    return jaxmpc.Problem(
        DYNAMICS,
        lambda x, u, t, goal: 0.5 * DT * jnp.sum(u**2),
        None if hard else far,
        horizon=T,
        control_dim=3,
        control_bounds=(-bound, bound),
        terminal_equality=off if hard else None,
        state_space=space,
    )


def attitudes(count: int) -> np.ndarray:
    """Random ones, at rest."""
    q = np.random.default_rng(0).normal(size=(count, 4))
    q /= np.linalg.norm(q, axis=1, keepdims=True)
    return np.concatenate([q, np.zeros((count, 3))], axis=1)


class Ipopt:
    """The same problem by CasADi: states and controls are unknowns, quaternions four numbers."""

    def __init__(self):
        import casadi as ca

        self.x, self.u = ca.MX.sym("x", 7, T + 1), ca.MX.sym("u", 3, T)
        goal, x0 = ca.MX.sym("goal", 4), ca.MX.sym("x0", 7)

        def turn(p, q):
            vector = p[0] * q[1:] + q[0] * p[1:] + ca.cross(p[1:], q[1:])
            return ca.vertcat(p[0] * q[0] - ca.dot(p[1:], q[1:]), vector)

        def ode(x, u):
            spin = ca.cross(x[4:], INERTIA * x[4:])
            return ca.vertcat(0.5 * turn(x[:4], ca.vertcat(0, x[4:])), (u - spin) / INERTIA)

        def step(x, u):
            a = ode(x, u)
            b = ode(x + DT / 2 * a, u)
            c = ode(x + DT / 2 * b, u)
            x = x + DT / 6 * (a + 2 * b + 2 * c + ode(x + DT * c, u))
            return ca.vertcat(x[:4] / ca.norm_2(x[:4]), x[4:])

        gaps = [step(self.x[:, t], self.u[:, t]) - self.x[:, t + 1] for t in range(T)]
        inverse = ca.vertcat(goal[0], -goal[1:])
        end = [turn(inverse, self.x[:4, T])[1:], self.x[4:, T]]
        rows = ca.veccat(self.x[:, 0] - x0, *gaps, *end)
        nlp = {"x": ca.veccat(self.x, self.u), "f": 0.5 * DT * ca.sumsqr(self.u), "g": rows}
        quiet = {"ipopt.print_level": 0, "print_time": False, "ipopt.tol": 1e-10}
        self.solver = ca.nlpsol("s", "ipopt", {**nlp, "p": ca.vertcat(goal, x0)}, quiet)

    def cost(self, x0, goal, states, controls) -> tuple[float, bool]:
        """Of the optimum near a guess, and whether it says that it is one."""
        free = np.full(7 * (T + 1), np.inf)
        upper = np.concatenate([free, np.full(3 * T, BOUND)])
        guess = np.concatenate([np.ravel(states), np.ravel(controls)])
        given = {"x0": guess, "p": np.concatenate([goal[:4], x0]), "lbx": -upper, "ubx": upper}
        found = self.solver(**given, lbg=0, ubg=0)
        return float(found["f"]), bool(self.solver.stats()["success"])


def beside_ipopt() -> list[dict[str, Any]]:
    """Twenty attitudes, half a turn about each axis, and the other sign of the goal."""
    ipopt, model = Ipopt(), problem(BOUND, hard=True)
    halves = np.concatenate([np.zeros((3, 1)), np.eye(3), np.zeros((3, 3))], axis=1)
    random = attitudes(20)
    cases = [("random", x0, GOAL) for x0 in random]
    cases += [("half a turn", x0, GOAL) for x0 in halves]
    cases += [("antipodal goal", x0, -GOAL) for x0 in random]
    rows = []
    for name, x0, goal in cases:
        s = jaxmpc.solve(model, jnp.asarray(x0), goal)
        near, sound = ipopt.cost(x0, goal, s.states, s.controls)
        line = np.linspace(x0, goal if x0[:4] @ goal[:4] >= 0 else -goal, T + 1)
        cold, found = ipopt.cost(x0, goal, line, np.zeros((T, 3)))
        rows.append(
            {
                "case": name,
                "converged": bool(s.converged),
                "iterations": int(s.iterations),
                "cost": float(s.cost),
                "ipopt_near": near if sound else None,
                "ipopt_cold": cold if found else None,
            }
        )
    return rows


def convergence() -> list[dict[str, Any]]:
    """Of each solver with the space and without it."""
    starts, rows = jnp.asarray(attitudes(100)), []
    for bound in (0.4, 5.0):
        for solver in SOLVERS:
            for way, space in (("space", SPACE), ("ambient", None)):
                model = problem(bound, hard=False, space=space)
                s = jaxmpc.solve_batch(model, starts, GOAL, solver=SOLVERS[solver])
                rows.append(
                    {
                        "bound": bound,
                        "solver": solver,
                        "way": way,
                        "converged": int(jnp.sum(s.converged)),
                        "iterations": float(jnp.mean(s.iterations)),
                        "most": int(jnp.max(s.iterations)),
                        "cost": float(jnp.mean(s.cost)),
                    }
                )
    return rows


def speed() -> list[dict[str, Any]]:
    """Milliseconds of an iteration of a quadrotor, the least of many, in turns."""
    step = integrators.rk4(models.quadrotor, 0.05)
    far = jnp.asarray([10.0] * 3 + [0.0] + [10.0] * 3 + [1.0] * 6)
    starts = np.random.default_rng(1).uniform(-2, 2, (8, 3))

    def one(space):
        return jaxmpc.Problem(
            step if space else normalised(step, slice(3, 7)),
            lambda x, u, t, _: 0.1 * jnp.sum((u - 1.22) ** 2) + 0.01 * jnp.sum(x[7:] ** 2),
            lambda x, _: jnp.sum(far * x**2),
            horizon=60,
            control_dim=4,
            control_bounds=(0.0, 4.0),
            state_space=space,
        )

    ways = {"space": one(models.QUADROTOR_SPACE), "ambient": one(None)}
    rows = []
    for solver in SOLVERS:
        least = {way: np.full(len(starts), np.inf) for way in ways}
        found: dict[str, list] = {}
        for _ in range(30):
            for way, model in ways.items():
                found[way] = []
                for k, start in enumerate(starts):
                    x0 = models.quadrotor_state(start)
                    begin = time.perf_counter()
                    s = jax.block_until_ready(jaxmpc.solve(model, x0, solver=SOLVERS[solver]))
                    least[way][k] = min(least[way][k], time.perf_counter() - begin)
                    found[way].append(s)
        for way in ways:
            iterations = np.array([int(s.iterations) for s in found[way]])
            rows.append(
                {
                    "solver": solver,
                    "way": way,
                    "iterations": float(iterations.mean()),
                    "ms_an_iteration": float(np.mean(1e3 * least[way] / iterations)),
                    "cost": float(np.mean([float(s.cost) for s in found[way]])),
                }
            )
    return rows


def main():
    """All three, printed and kept."""
    jax.config.update("jax_enable_x64", True)
    here, rows = machine.describe(), []
    for name, part in (("ipopt", beside_ipopt), ("convergence", convergence), ("speed", speed)):
        found = part()
        rows += [{"part": name, **row} for row in found]
        for row in found:
            print(name, row, flush=True)
    near = [row for row in rows if row["part"] == "ipopt" and row["ipopt_near"] is not None]
    off = [abs(row["cost"] / row["ipopt_near"] - 1) for row in near]
    print(f"IPOPT beside {len(near)} solutions: costs within {max(off):.1e}")
    print("written:", machine.save_own("spaces", here, rows).name)


if __name__ == "__main__":
    main()
