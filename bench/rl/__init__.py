"""Actors of an actor-critic: a plain network, and one that sets the cost of a short plan."""
