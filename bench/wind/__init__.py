"""A quadrotor in a wind that its model does not know, and a network that tells it.

    python -m bench.wind

Five seeds, each with its own wind fields, references, noise and network. On held-out fields and
references: the tracking error without a model of the disturbance, with a tuned constant-and-drag
model, with a network trained on prediction error, with that network trained on through the solver,
and with the true field in the solver's dynamics.
"""
