"""The table of the models that can be filmed."""

from collections.abc import Callable

from jaxmpc import models
from jaxmpc.plot.animation import acrobot, cartpole, chain, planar_quadrotor, quadrotor, vehicles
from jaxmpc.plot.animation.actor import Actor
from jaxmpc.plot.animation.pendulum import pendulum_actor

ACTORS: dict[Callable, Actor] = {
    models.pendulum: pendulum_actor(models.PENDULUM),
    models.pendulum_complex: pendulum_actor(models.PENDULUM_COMPLEX),
    models.cartpole: cartpole.PAPER,
    models.cartpole_acados: cartpole.ACADOS,
    models.acrobot: acrobot.ACTOR,
    models.car: vehicles.CAR,
    models.bicycle: vehicles.BICYCLE,
    models.unicycle: vehicles.UNICYCLE,
    models.planar_quadrotor: planar_quadrotor.ACTOR,
    models.quadrotor: quadrotor.ACTOR,
    models.chain: chain.ACTOR,
}


def actor_of(model: Callable) -> Actor:
    """The actor of a model; an error with the names of all for another function."""
    if model not in ACTORS:
        name = getattr(model, "__name__", repr(model))
        known = ", ".join(known.__name__ for known in ACTORS)
        raise ValueError(f"animate: model must be one of jaxmpc.models: {known}; got {name}.")
    return ACTORS[model]
